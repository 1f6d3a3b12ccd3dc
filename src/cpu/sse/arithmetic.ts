/** ADDPS … MAXSD, SQRT, ADDSUB, HADD, HSUB, CMP, ROUND, DP, RCP, RSQRT and their VEX forms, exactly. */
import type { SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { FloatFormat, SseBinaryOp } from '../softfloat/index.ts';
import { approximateReciprocal, F32, F64, lane, type SseUnit } from '../softfloat/index.ts';
import { begin, readSource, readVector, requireVectors, settle, writeDestination } from './operands.ts';

/** One operation on `lanes` lanes: `a` the first source (the destination in legacy forms), `b` the second. */
type Operation = (u: SseUnit, format: FloatFormat, lanes: number, a: bigint, b: bigint, imm: number) => bigint;

const binary =
  (op: SseBinaryOp): Operation =>
  (u, format, lanes, a, b) =>
    u.packed(op, format, lanes, a, b);

/** By the mnemonic without V and without PS, PD, SS, SD. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  ADD: binary('add'),
  SUB: binary('sub'),
  MUL: binary('mul'),
  DIV: binary('div'),
  MIN: binary('min'),
  MAX: binary('max'),
  SQRT: (u, format, lanes, _a, b) => u.packedSqrt(format, lanes, b),
  ADDSUB: (u, format, lanes, a, b) => u.addSub(format, lanes, a, b),
  HADD: (u, format, lanes, a, b) => u.horizontal('add', format, lanes, a, b),
  HSUB: (u, format, lanes, a, b) => u.horizontal('sub', format, lanes, a, b),
  CMP: (u, format, lanes, a, b, imm) => u.compareMask(format, lanes, a, b, imm),
  ROUND: (u, format, lanes, _a, b, imm) => u.round(format, lanes, b, imm),
  DP: (u, format, lanes, a, b, imm) => u.dotProduct(format, lanes, a, b, imm),
  RCP: (u, _format, lanes, _a, b) => u.map(32, lanes, (i) => approximateReciprocal(lane(b, 32, i), false)),
  RSQRT: (u, _format, lanes, _a, b) => u.map(32, lanes, (i) => approximateReciprocal(lane(b, 32, i), true)),
};

function instruction(operation: Operation, format: FloatFormat, scalar: boolean): SystemInstruction {
  return (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, insn.vex);
    const bits = scalar ? format.width : insn.vexL ? 256 : 128;
    const b = readSource(cpu, insn, bits);
    const first = readVector(s, insn.vex ? insn.vvvv : insn.reg, 128 << insn.vexL);
    // Legacy CMP has eight predicates, VEX has 32. The other operations use up to eight bits.
    const imm = operation === OPERATIONS['CMP'] ? insn.imm & (insn.vex ? 31 : 7) : insn.imm & 255;
    const value = operation(begin(s), format, bits / format.width, first, b, imm);
    settle(s);
    writeDestination(s, insn, bits, value, scalar ? BigInt.asUintN(128, first) : undefined);
    return Flow.NEXT;
  };
}

const NAME = /^V?(ADD|SUB|MUL|DIV|MIN|MAX|SQRT|ADDSUB|HADD|HSUB|CMP|ROUND|DP|RCP|RSQRT)([PS])([SD])$/;

/** The instruction of this name, or undefined if it is of another family. */
export function arithmeticInstruction(mnemonic: string): SystemInstruction | undefined {
  const m = NAME.exec(mnemonic);
  if (m === null) return undefined;
  return instruction(OPERATIONS[m[1]!]!, m[3] === 'S' ? F32 : F64, m[2] === 'S');
}

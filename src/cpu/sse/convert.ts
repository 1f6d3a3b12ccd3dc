/** Conversions between floats, integers and halves: CVT…, CVTT…, VCVTPH2PS, VCVTPS2PH. MMX operands: convert-mmx.ts. */
import type { ProcessorContext, SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import type { FloatFormat } from '../softfloat/index.ts';
import { F32, F64 } from '../softfloat/index.ts';
import {
  begin,
  readMemory,
  readSource,
  readVector,
  requireVectors,
  settle,
  unit,
  writeDestination,
  writeVector,
} from './operands.ts';

/** Format of PS, SS (32 bits) or PD, SD (64 bits). */
export function formatOf(kind: string): FloatFormat {
  return kind[1] === 'S' ? F32 : F64;
}

/** CVTSI2SS, CVTSI2SD: the low lane only. */
function fromGeneral(to: FloatFormat): SystemInstruction {
  return (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, insn.vex);
    const width = insn.rexW ? 64 : 32;
    const source = insn.hasMem ? readMemory(cpu, insn, width) : BigInt.asUintN(width, s.reg(insn.rm));
    const value = begin(s).fromIntegers(width, to, 1, source);
    settle(s);
    writeDestination(s, insn, to.width, value, insn.vex ? readVector(s, insn.vvvv, 128) : 0n);
    return Flow.NEXT;
  };
}

/** CVTSS2SI, CVTSD2SI and the truncating forms. A 32-bit result clears the upper half of the register. */
function toGeneral(from: FloatFormat, truncate: boolean): SystemInstruction {
  return (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, insn.vex);
    const source = readSource(cpu, insn, from.width);
    const value = begin(s).toIntegers(from, insn.rexW ? 64 : 32, 1, source, truncate);
    settle(s);
    s.setReg(insn.reg, value);
    return Flow.NEXT;
  };
}

/** CVTSS2SD, CVTSD2SS. */
function scalar(from: FloatFormat, to: FloatFormat): SystemInstruction {
  return (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, insn.vex);
    const source = readSource(cpu, insn, from.width);
    const value = begin(s).convertFloat(from, to, 1, source);
    settle(s);
    writeDestination(s, insn, to.width, value, insn.vex ? readVector(s, insn.vvvv, 128) : 0n);
    return Flow.NEXT;
  };
}

/**
 * CVTPS2PD, CVTPD2PS, CVTDQ2PS, CVTDQ2PD, CVT(T)PS2DQ, CVT(T)PD2DQ: as many lanes as the wider side has in the
 * vector. A narrower result clears what is left of 128 bits.
 */
function packed(fromWidth: number, toWidth: number, run: (lanes: number, source: bigint) => bigint): SystemInstruction {
  return (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, insn.vex);
    const lanes = (128 << insn.vexL) / Math.max(fromWidth, toWidth);
    const source = readSource(cpu, insn, lanes * fromWidth);
    begin(s);
    const value = run(lanes, source);
    settle(s);
    writeDestination(s, insn, Math.max(128, lanes * toWidth), value);
    return Flow.NEXT;
  };
}

const halfToSingle: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  requireVectors(s, true);
  const lanes = 4 << insn.vexL;
  const source = readSource(cpu, insn, lanes * 16);
  const value = begin(s).convertFromHalf(lanes, source);
  settle(s);
  writeDestination(s, insn, 128 << insn.vexL, value);
  return Flow.NEXT;
};

/** The destination is ModRM.rm: memory is written half as wide as the source, a register's upper bits become zero. */
const singleToHalf: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  requireVectors(s, true);
  const bits = 64 << insn.vexL;
  const linear = insn.hasMem ? probe(cpu, insn, bits) : 0n;
  const value = begin(s).convertToHalf(bits / 16, readVector(s, insn.reg, bits * 2), insn.imm & 255);
  settle(s);
  if (!insn.hasMem) writeVector(s, insn.rm, 256, value);
  else cpu.mem.writeBytes(linear, bytesOf(value, bits / 8));
  return Flow.NEXT;
};

/** Page faults of a store come before the floating-point exceptions of its value. */
function probe(cpu: ProcessorContext, insn: Instruction, bits: number): bigint {
  const linear = cpu.effectiveLinear(insn, bits / 8, true);
  cpu.mem.probeWrite(linear, bits / 8);
  return linear;
}

function bytesOf(value: bigint, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return out;
}

/** PI: two integers in an MMX register, handled elsewhere. */
const NAME = /^V?CVT(T?)(PS|PD|SS|SD|DQ|SI)2(PS|PD|SS|SD|DQ|SI)$/;

/** The instruction of this name, or undefined if it is of another family. */
export function convertInstruction(mnemonic: string): SystemInstruction | undefined {
  if (mnemonic === 'VCVTPH2PS') return halfToSingle;
  if (mnemonic === 'VCVTPS2PH') return singleToHalf;
  const m = NAME.exec(mnemonic);
  if (m === null) return undefined;
  const truncate = m[1] === 'T';
  const [from, to] = [m[2]!, m[3]!];
  if (from === 'SI') return fromGeneral(formatOf(to));
  if (to === 'SI') return toGeneral(formatOf(from), truncate);
  if (from === 'DQ') {
    const format = formatOf(to);
    return packed(32, format.width, (lanes, source) => unit.fromIntegers(32, format, lanes, source));
  }
  const format = formatOf(from);
  if (to === 'DQ')
    return packed(format.width, 32, (lanes, source) => unit.toIntegers(format, 32, lanes, source, truncate));
  if (from[0] === 'S') return scalar(format, formatOf(to));
  return packed(format.width, formatOf(to).width, (lanes, source) =>
    unit.convertFloat(format, formatOf(to), lanes, source),
  );
}

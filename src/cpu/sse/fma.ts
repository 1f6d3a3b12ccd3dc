/** FMA3: VFMADD, VFMSUB, VFNMADD, VFNMSUB, VFMADDSUB, VFMSUBADD in the orders 132, 213 and 231. */
import type { SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { FloatFormat, FmaOrder } from '../softfloat/index.ts';
import { F32, F64, lane } from '../softfloat/index.ts';
import { begin, readSource, readVector, requireVectors, settle, writeDestination } from './operands.ts';

const NAME = /^VF(N?)M(ADD|SUB|ADDSUB|SUBADD)(132|213|231)([PS])([SD])$/;

/** Whether lane `i` subtracts the addend: ADDSUB does in even lanes, SUBADD in odd ones. */
const SUBTRACTS: Readonly<Record<string, (i: number) => boolean>> = {
  ADD: () => false,
  SUB: () => true,
  ADDSUB: (i) => (i & 1) === 0,
  SUBADD: (i) => (i & 1) === 1,
};

function instruction(
  order: FmaOrder,
  negateProduct: boolean,
  subtracts: (i: number) => boolean,
  format: FloatFormat,
  scalar: boolean,
): SystemInstruction {
  const width = format.width;
  return (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, true);
    const bits = scalar ? width : 128 << insn.vexL;
    const c = readSource(cpu, insn, bits);
    const a = readVector(s, insn.reg, 128 << insn.vexL);
    const b = readVector(s, insn.vvvv, bits);
    const unit = begin(s);
    const value = unit.map(width, bits / width, (i) => {
      const signs = { negateProduct, negateAddend: subtracts(i) };
      return unit.fma(format, order, signs, lane(a, width, i), lane(b, width, i), lane(c, width, i));
    });
    settle(s);
    writeDestination(s, insn, bits, value, scalar ? BigInt.asUintN(128, a) : undefined);
    return Flow.NEXT;
  };
}

/** The instruction of this name, or undefined if it is of another family. */
export function fmaInstruction(mnemonic: string): SystemInstruction | undefined {
  const m = NAME.exec(mnemonic);
  if (m === null) return undefined;
  return instruction(Number(m[3]) as FmaOrder, m[1] === 'N', SUBTRACTS[m[2]!]!, m[5] === 'S' ? F32 : F64, m[4] === 'S');
}

/** COMISS, COMISD, UCOMISS, UCOMISD and their VEX forms. */
import type { SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { FloatFormat } from '../softfloat/index.ts';
import { F32, F64 } from '../softfloat/index.ts';
import { STATUS_FLAGS } from '../state.ts';
import { begin, readSource, readVector, requireVectors, settle } from './operands.ts';

function instruction(format: FloatFormat, quiet: boolean): SystemInstruction {
  return (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, insn.vex);
    const b = readSource(cpu, insn, format.width);
    const flags = begin(s).compareFlags(format, readVector(s, insn.reg, format.width), b, quiet);
    settle(s);
    s.eflags = (s.eflags & ~STATUS_FLAGS) | flags;
    return Flow.NEXT;
  };
}

/** The instruction of this name, or undefined if it is of another family. */
export function compareInstruction(mnemonic: string): SystemInstruction | undefined {
  const m = /^V?(U?)COMIS([SD])$/.exec(mnemonic);
  return m === null ? undefined : instruction(m[2] === 'S' ? F32 : F64, m[1] === 'U');
}

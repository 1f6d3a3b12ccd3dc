/** Conversions with an MMX operand: CVTPI2PS, CVTPI2PD, CVT(T)PS2PI, CVT(T)PD2PI. They are MMX instructions, too. */
import type { SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { FloatFormat } from '../softfloat/index.ts';
import type { CpuState } from '../state.ts';
import { enterMmx, readMmx, requireNoPending, unitOf, writeMmx } from '../x87/index.ts';
import { formatOf } from './convert.ts';
import { begin, readMemory, readSource, requireVectors, settle, writeDestination } from './operands.ts';

/** The availability of SSE, then a pending x87 exception. */
function requireMmx(s: CpuState): void {
  requireVectors(s, false);
  requireNoPending(s, unitOf(s));
}

function fromMmx(to: FloatFormat): SystemInstruction {
  return (cpu, insn) => {
    const { s } = cpu;
    const { state } = unitOf(s);
    // From memory it is no MMX instruction (Intel SDM 2, CVTPI2PD; CVTPI2PS likewise, as recorded on silicon).
    const isMmx = !insn.hasMem;
    requireVectors(s, false);
    if (isMmx) requireNoPending(s, unitOf(s));
    const source = insn.hasMem ? readMemory(cpu, insn, 64) : readMmx(state, insn.rm & 7);
    const value = begin(s).fromIntegers(32, to, 2, source);
    if (isMmx) enterMmx(state);
    settle(s);
    writeDestination(s, insn, 2 * to.width, value);
    return Flow.NEXT;
  };
}

function toMmx(from: FloatFormat, truncate: boolean): SystemInstruction {
  return (cpu, insn) => {
    const { s } = cpu;
    const { state } = unitOf(s);
    requireMmx(s);
    const source = readSource(cpu, insn, 2 * from.width);
    const value = begin(s).toIntegers(from, 32, 2, source, truncate);
    enterMmx(state);
    settle(s);
    writeMmx(state, insn.reg & 7, value);
    return Flow.NEXT;
  };
}

/** The instruction of this name, or undefined if it is of another family. */
export function convertMmxInstruction(mnemonic: string): SystemInstruction | undefined {
  const m = /^CVT(T?)(PI|PS|PD)2(PI|PS|PD)$/.exec(mnemonic);
  if (m === null || (m[2] === 'PI') === (m[3] === 'PI')) return undefined;
  return m[2] === 'PI' ? fromMmx(formatOf(m[3]!)) : toMmx(formatOf(m[2]!), m[1] === 'T');
}

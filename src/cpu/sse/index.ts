/**
 * SSE, AVX, FMA and F16C floating point in TypeScript, exactly, over the state in linear memory: the arithmetic is
 * softfloat's `SseUnit`; this folder adds availability, operands, MXCSR and exceptions.
 *
 *   const execute = sseFloatInstructionFor(row);
 *   execute?.(cpu, insn);
 *
 * Order of checks: #UD and #NM by the control registers, #MF for MMX operands, addressing (#SS, #GP, alignment), page
 * faults, then #XM (or #UD without CR4.OSXMMEXCPT) with MXCSR's flags set and the destination as it was.
 */
import type { InstructionRow } from '../../isa/row.ts';
import type { SystemInstruction } from '../context.ts';
import { arithmeticInstruction } from './arithmetic.ts';
import { compareInstruction } from './compare.ts';
import { convertInstruction } from './convert.ts';
import { convertMmxInstruction } from './convert-mmx.ts';
import { fmaInstruction } from './fma.ts';

const byMnemonic = new Map<string, SystemInstruction | undefined>();

function find(name: string): SystemInstruction | undefined {
  return (
    arithmeticInstruction(name) ??
    compareInstruction(name) ??
    convertMmxInstruction(name) ??
    convertInstruction(name) ??
    fmaInstruction(name)
  );
}

/** What executes a row of the instruction table, or undefined when it is not floating point of vectors. */
export function sseFloatInstructionFor(row: InstructionRow): SystemInstruction | undefined {
  const { mnemonic } = row;
  if (!byMnemonic.has(mnemonic)) byMnemonic.set(mnemonic, find(mnemonic));
  return byMnemonic.get(mnemonic);
}

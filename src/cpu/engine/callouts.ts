/** Which instructions TypeScript executes: system instructions, x87, floating point on vectors, and a few that are rare. */
import type { SystemInstruction } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { sseFloatInstructionFor } from '../sse/index.ts';
import { systemInstructionFor } from '../system/index.ts';
import { vectorInstructionFor } from '../vector/index.ts';
import { x87InstructionFor } from '../x87/index.ts';
import { legacyInstructions } from './legacy.ts';

/** The function for `insn`, or undefined if generated code executes it. */
export function calloutFor(insn: Instruction): SystemInstruction | undefined {
  const { row } = insn;
  return (
    systemInstructionFor(row) ??
    x87InstructionFor(row) ??
    sseFloatInstructionFor(row) ??
    vectorInstructionFor(row) ??
    legacyInstructions[row.mnemonic]
  );
}

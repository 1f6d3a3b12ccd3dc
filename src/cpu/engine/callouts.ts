/** Which instructions TypeScript executes: system instructions, x87, and a few that are rare and heavy. */
import type { SystemInstruction } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { systemInstructionFor } from '../system/index.ts';
import { x87InstructionFor } from '../x87/index.ts';

/** The function for `insn`, or undefined if generated code executes it. */
export function calloutFor(insn: Instruction): SystemInstruction | undefined {
  return systemInstructionFor(insn.row) ?? x87InstructionFor(insn.row);
}

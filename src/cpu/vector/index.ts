/**
 * Vector instructions that TypeScript executes, because their accesses depend on data or they are rare: masked moves, gathers,
 * string compares with 64-bit lengths. All other integer vector instructions are generated code (semantics/vector.ts).
 */
import type { InstructionRow } from '../../isa/row.ts';
import type { SystemInstruction } from '../context.ts';
import { masked } from './masked.ts';
import { stringCompare } from './string-compare.ts';

export function vectorInstructionFor(row: InstructionRow): SystemInstruction | undefined {
  const { mnemonic } = row;
  return (
    masked[mnemonic] ??
    stringCompare[mnemonic] ??
    (row.map.startsWith('V') ? stringCompare[mnemonic.slice(1)] : undefined)
  );
}

/**
 * x87: every D8..DF instruction over an 80-bit register file, with operands in a buffer.
 *
 * The engine's way in, for decoded instructions:
 *
 *   const execute = x87InstructionFor(row);          // D8..DF, FWAIT, EMMS, FXSAVE, XSAVE, LDMXCSR and relatives
 *   execute(cpu, insn);                              // checks, memory, pointers and all
 *
 * Without a machine, for opcode and modrm:
 *
 *   const op = x87Lookup(opcode, modrm);             // undefined: #UD
 *   if (op.waits && unit.pending) raise #MF          // before touching memory; FWAIT does only this
 *   if (op.access === 'read') copy op.bytes of guest memory to unit.bytes
 *   unit.eflags = rflags;                            // when op.usesEflags: FCMOVcc reads it, FCOMI changes it
 *   const store = executeX87(unit, op, modrm & 7);
 *   if (store) write op.bytes from unit.bytes to memory (or AX)
 *
 * Addressing and page faults come before anything the instruction itself finds: probe a store's operand before
 * executing, or call `unit.rollback()` when writing it faults. `op.bytes16` counts instead with 16-bit operand
 * size; set `unit.environment16` and `unit.environmentProtected` for the environment images.
 *
 * MMX instructions: `requireX87`, `requireNoPending`, operands, then `enterMmx` and `writeMmx` (mmx.ts).
 *
 * Quirks: transcendentals are rounded by RC and correct to far under one unit in the last place, after a reduction
 * by the 66-bit pi of real processors; the last bit and C1 may differ from any one processor's. FYL2X reports PE for
 * exact results, F2XM1 and FYL2XP1 return their operand outside the defined range, FCOMI and FCMOVcc keep C1, and a
 * comparison sets its condition codes even when an unmasked exception stops the pop: all as recorded on silicon.
 */
import type { InstructionRow } from '../../isa/row.ts';
import type { SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import { fwait, requireNoPending, requireX87, unitOf, x87Instruction } from './instructions.ts';
import { emms } from './mmx.ts';
import { saveInstructions } from './save.ts';
import type { X87Op } from './table.ts';
import type { X87Unit } from './unit.ts';

export * from './fxsave.ts';
export * from './instructions.ts';
export * from './mmx.ts';
export * from './save.ts';
export * from './state.ts';
export { type X87Op, x87Lookup } from './table.ts';
export { X87Unit } from './unit.ts';

/** Run one instruction. @returns whether `unit.bytes` holds a result to write to memory or AX. */
export function executeX87(unit: X87Unit, op: X87Op, i: number): boolean {
  unit.begin();
  return op.run(unit, i) === true;
}

const emmsInstruction: SystemInstruction = (cpu) => {
  requireX87(cpu.s);
  const unit = unitOf(cpu.s);
  requireNoPending(cpu.s, unit);
  emms(unit.state);
  return Flow.NEXT;
};

/** What TypeScript executes of a row of the instruction table, or undefined when the row is not this folder's. */
export function x87InstructionFor(row: InstructionRow): SystemInstruction | undefined {
  if (row.map === '1B' && row.opcode >= 0xd8 && row.opcode <= 0xdf) return x87Instruction;
  if (row.mnemonic === 'FWAIT') return fwait;
  if (row.mnemonic === 'EMMS') return emmsInstruction;
  return saveInstructions[row.mnemonic];
}

/**
 * System instructions: rare, heavy, and written once in TypeScript over the state in linear memory. The engine calls
 * `systemInstructionFor(row)` when it decodes, and the function when it executes.
 */
import type { SystemInstruction } from '../context.ts';
import type { InstructionRow } from '../../isa/row.ts';
import { controlInstructions } from './control-registers.ts';
import { tableInstructions } from './descriptor-tables.ts';
import { farCall, farJump, farReturn } from './far.ts';
import { flagInstructions } from './flags.ts';
import { ioInstructions } from './io.ts';
import { iret } from './iret.ts';
import { msrInstructions } from './msr.ts';
import { processorInstructions } from './processor.ts';
import { segmentInstructions } from './segments.ts';
import { bound, int1, int3, intN, into } from './software-interrupts.ts';
import { syscall, sysenter, sysexit, sysret } from './syscall.ts';

/**
 * By mnemonic. MOV, PUSH and POP share theirs with integer instructions; their system forms are MOV_SREG, MOV_CR, MOV_DR,
 * PUSH_SREG and POP_SREG.
 */
export const systemInstructions: Readonly<Record<string, SystemInstruction>> = {
  ...segmentInstructions,
  ...tableInstructions,
  ...controlInstructions,
  ...flagInstructions,
  ...ioInstructions,
  ...msrInstructions,
  ...processorInstructions,
  JMPF: farJump,
  CALLF: farCall,
  RETF: farReturn,
  IRET: iret,
  INT: intN,
  INT3: int3,
  INTO: into,
  INT1: int1,
  BOUND: bound,
  SYSCALL: syscall,
  SYSRET: sysret,
  SYSENTER: sysenter,
  SYSEXIT: sysexit,
};

const SHARED = new Set(['MOV', 'PUSH', 'POP']);

/** The function for a row of the instruction table, or undefined when it is not a system instruction. */
export function systemInstructionFor(row: InstructionRow): SystemInstruction | undefined {
  if (!SHARED.has(row.mnemonic)) return systemInstructions[row.mnemonic];
  for (const { method, fixedKind } of row.operands) {
    const kind = method === 'C' ? 'CR' : method === 'D' ? 'DR' : method === 'S' || fixedKind === 'sreg' ? 'SREG' : '';
    if (kind) return systemInstructions[`${row.mnemonic}_${kind}`];
  }
  return undefined;
}

export * from './debug.ts';
export type { EventKind, InterruptEvent } from './events.ts';
export { combine, deliver, deliverFault } from './exceptions.ts';
export { loadSegment } from './segments.ts';
export { type PdpteLoader, TLB_FLUSH, writeCr0, writeCr3, writeCr4, writeEfer } from './paging-control.ts';
export { MSR, readMsr, timeStamp } from './msr.ts';
export * from './reset.ts';

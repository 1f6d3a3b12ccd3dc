import type { ProcessorContext } from '../context.ts';
import { VECTOR } from '../fault.ts';
import { FLAG } from '../state.ts';

/**
 * What is delivered through the IDT.
 *   fault         an exception whose RIP is the instruction that raised it
 *   trap          an exception after an instruction (single-step, data breakpoint, INT1)
 *   software-int  INT n, INT3, INTO: gate privilege is checked, EXT is 0
 *   external      a maskable interrupt;  nmi  a non-maskable one
 */
export type EventKind = 'fault' | 'trap' | 'software-int' | 'external' | 'nmi';

export interface InterruptEvent {
  vector: number;
  /** Error code to push, or -1 for none. Real mode pushes none in any case. */
  error: number;
  kind: EventKind;
  /** Linear address for #PF, else ignored. */
  cr2: bigint;
  /** Added to RIP for the return address: 0 for faults and whenever RIP is already behind the instruction. */
  instructionLength: number;
  /** The event arrives between two iterations of a repeated instruction: RF is pushed as 1 (Intel SDM 3B 18.3.1.1). */
  midInstruction?: boolean;
}

/** 1 if error codes raised while this event is delivered carry EXT (Intel SDM 3A 6.13). */
export const extOf = (event: InterruptEvent): number => (event.kind === 'software-int' ? 0 : 1);

/** RFLAGS as the event pushes them: faults restart with RF = 1 (Intel SDM 3B 18.3.1.1). */
export function pushedFlags(cpu: ProcessorContext, event: InterruptEvent): number {
  const flags = cpu.s.eflags;
  if (event.midInstruction || (event.kind === 'fault' && event.vector !== VECTOR.DB)) return flags | FLAG.RF;
  return event.kind === 'software-int' ? flags & ~FLAG.RF : flags;
}

/** RFLAGS bits that entering a handler clears; `masks` for interrupt gates. */
export function flagsInHandler(flags: number, masks: boolean): number {
  return flags & ~(FLAG.TF | FLAG.RF | FLAG.NT | FLAG.VM | (masks ? FLAG.IF : 0));
}

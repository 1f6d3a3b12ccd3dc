import { Flow, type FlowResult, type ProcessorContext } from '../context.ts';
import { FAULT, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { SEG } from '../state.ts';
import { isProtected } from './descriptors.ts';
import type { InterruptEvent } from './events.ts';
import { deliverLong } from './interrupt-long.ts';
import { deliverProtected } from './interrupt-protected.ts';
import { deliverReal } from './interrupt-real.ts';

/** Vectors of the contributory class, Intel SDM 3A table 6-4: #DE #TS #NP #SS #GP (and #CP). */
const CONTRIBUTORY =
  (1 << VECTOR.DE) | (1 << VECTOR.TS) | (1 << VECTOR.NP) | (1 << VECTOR.SS) | (1 << VECTOR.GP) | (1 << 21);
const isContributory = (vector: number): boolean => ((CONTRIBUTORY >>> vector) & 1) !== 0;
const isException = (event: InterruptEvent): boolean => event.kind === 'fault' || event.kind === 'trap';

/** What the second exception turns into when it meets the delivery of `first` (Intel SDM 3A table 6-5). */
export function combine(first: InterruptEvent, second: number): 'serial' | 'double' | 'triple' {
  if (!isException(first)) return 'serial';
  const serious = second === VECTOR.PF || isContributory(second);
  if (first.vector === VECTOR.DF) return serious ? 'triple' : 'serial';
  if (isContributory(first.vector)) return isContributory(second) ? 'double' : 'serial';
  if (first.vector === VECTOR.PF) return serious ? 'double' : 'serial';
  return 'serial';
}

/** One attempt. Raises without having changed a register if anything is wrong with the way to the handler. */
export function deliverOnce(cpu: ProcessorContext, event: InterruptEvent): void {
  const { s } = cpu;
  if (s.longMode) deliverLong(cpu, event);
  else if (isProtected(s)) deliverProtected(cpu, event);
  else deliverReal(cpu, event);
  s.set32(L.ACTIVITY, 0);
  s.set32(L.INTERRUPT_SHADOW, 0);
  if (event.kind === 'nmi') s.set32(L.NMI_BLOCKED, 1);
}

/** State that an exception updates before its handler is looked up. */
function noteException(cpu: ProcessorContext, event: InterruptEvent): void {
  if (!isException(event)) return;
  if (event.vector === VECTOR.PF) cpu.s.set64(L.CR2, event.cr2);
  // DR7.GD is cleared on the way into the debug handler (Intel SDM 3B 18.2.4).
  if (event.vector === VECTOR.DB) cpu.s.set64(L.DR + 56, cpu.s.get64(L.DR + 56) & ~0x2000n);
  cpu.exits.exception(event.vector, event.error, event.cr2);
}

/**
 * Delivers an event, and whatever its delivery raises in turn, until a handler is entered or the processor shuts down
 * (ACTIVITY = 3 and `exits.tripleFault()`; registers are those at the first fault).
 * @returns Flow.BRANCH, or Flow.LEAVE_BRANCH after a shutdown.
 */
export function deliver(cpu: ProcessorContext, event: InterruptEvent): FlowResult {
  let current = event;
  for (;;) {
    noteException(cpu, current);
    try {
      deliverOnce(cpu, current);
      return Flow.BRANCH;
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
      const next = combine(current, FAULT.vector);
      if (FAULT.vector === VECTOR.PF) cpu.s.set64(L.CR2, FAULT.cr2);
      if (next === 'triple') return shutDown(cpu);
      current =
        next === 'double'
          ? { vector: VECTOR.DF, error: 0, kind: 'fault', cr2: 0n, instructionLength: 0 }
          : { vector: FAULT.vector, error: FAULT.error, kind: 'fault', cr2: FAULT.cr2, instructionLength: 0 };
    }
  }
}

function shutDown(cpu: ProcessorContext): FlowResult {
  cpu.s.set32(L.ACTIVITY, 3);
  cpu.exits.tripleFault();
  return Flow.LEAVE_BRANCH;
}

/** Delivers the exception in FAULT for the current instruction: what the run loop calls when it catches one. */
export function deliverFault(cpu: ProcessorContext): FlowResult {
  return deliver(cpu, {
    vector: FAULT.vector,
    error: FAULT.error,
    kind: 'fault',
    cr2: FAULT.cr2,
    instructionLength: 0,
  });
}

/**
 * Runs a transfer that may switch tasks. A fault after the switch belongs to the new task, whose RIP is already in the
 * state: it is delivered here, because the run loop would take it for one of the old instruction.
 */
export function deliverInNewTask(cpu: ProcessorContext, transfer: () => void): FlowResult {
  const task = cpu.s.selector(SEG.TR);
  try {
    transfer();
    return Flow.BRANCH;
  } catch (thrown) {
    if (thrown !== FAULT || cpu.s.selector(SEG.TR) === task) throw thrown;
    return deliverFault(cpu);
  }
}

import type { Ticks } from '../base/ticks.ts';
import type { MachineMemory } from '../memory/frames.ts';
import type { P2m } from '../memory/p2m.ts';
import type { VirtualMemory } from './context.ts';
import type { ProcessorExits } from './exits.ts';
import type { CpuState } from './state.ts';

/**
 * The engine as the machine and the hypervisor see it. It executes one vcpu at a time, the *current* one, whose state
 * lies at address 0 of linear memory; the states of the others are parked.
 */
export interface Engine {
  readonly frames: MachineMemory;
  /** The current vcpu's state. Invalid while none is current. */
  readonly state: CpuState;
  /** The current vcpu's view of linear addresses. Faults throw FAULT: use `guarded` from outside a run. */
  readonly virtual: VirtualMemory;

  /** Makes a vcpu over a domain's memory. Its state is that of power-up; set it after `switchTo`. */
  createVcpu(p2m: P2m, exits: ProcessorExits): VcpuSlot;
  destroyVcpu(slot: VcpuSlot): void;
  /** Makes `slot` current (a cheap no-op if it is). */
  switchTo(slot: VcpuSlot): void;
  readonly current: VcpuSlot | undefined;

  /**
   * Runs the current vcpu for at most `budget` ticks, starting at machine tick `now`.
   * Returns after exactly `budget` ticks, or sooner when an exit asked to leave or the vcpu halted or shut down.
   * @returns ticks retired, 0..budget.
   */
  run(now: Ticks, budget: number): number;
  /** Machine tick of the instruction in execution, valid inside exits (and = start + retired after a run). */
  now(): Ticks;

  /** True if an external interrupt would be taken now: IF set, no shadow. */
  interruptible(): boolean;
  /** Delivers external interrupt `vector` through the guest's IDT; wakes a halted vcpu. Call between runs only. */
  injectInterrupt(vector: number): void;
  injectNmi(): void;
  /** Raises an exception in the current vcpu between runs (for a hypervisor that reflects faults). */
  injectException(vector: number, error: number): void;

  /** Runs `fn`, which touches `virtual`; a guest fault gives undefined instead of a throw. */
  guarded<T>(fn: () => T): T | undefined;
  /** After a p2m entry of this map changed: drops cached translations of all its vcpus. */
  p2mChanged(p2m: P2m): void;
  /** After machine frame `mfn` was written from outside the processor: drops decoded code, marks it dirty. */
  frameWritten(mfn: number): void;

  /** A 64-bit hash of the current vcpu's architectural state, TLB excluded, the same for every engine tier and host. */
  stateDigest(): bigint;
  /** Machine frames written since the last call (ascending), which starts a new period. Invisible to guests. */
  takeDirtyFrames(): Uint32Array;
  /** 64-bit hash of a frame's content. */
  frameDigest(mfn: number): bigint;
}

/** A vcpu's place in the engine. */
export interface VcpuSlot {
  readonly index: number;
  readonly p2m: P2m;
}

import type { Ticks } from '../../base/ticks.ts';

/** What a scheduler may know of a vcpu. */
export interface Schedulable {
  readonly domainId: number;
  readonly id: number;
  /** Wants to run: not blocked, paused, offline. */
  readonly runnable: boolean;
  /** Bit n: may run on pcpu n. */
  readonly affinity: bigint;
}

/** A decision: who runs (undefined: idle) and when to ask again at the latest. */
export interface Decision<V extends Schedulable> {
  readonly next: V | undefined;
  readonly timeslice: number;
}

/**
 * The seam behind which schedulers are exchanged; the verbs are those of Xen's `struct scheduler`. A scheduler keeps
 * queues and accounts; states of vcpus, context switches and timers belong to `Scheduling`.
 */
export interface Scheduler<V extends Schedulable> {
  readonly name: string;
  insertVcpu(vcpu: V, now: Ticks): void;
  removeVcpu(vcpu: V): void;
  /** `vcpu` no longer wants to run. */
  sleep(vcpu: V, now: Ticks): void;
  /** `vcpu` wants to run. @returns the pcpu that should reschedule, if any should at once */
  wake(vcpu: V, now: Ticks, idle: (pcpu: number) => boolean): number | undefined;
  /** The running `vcpu` lets others go first. @returns false if nobody waits for its pcpu */
  yield(vcpu: V, pcpu: number): boolean;
  /** Who runs next on `pcpu`, where `current` ran until now. */
  doSchedule(pcpu: number, current: V | undefined, now: Ticks): Decision<V>;
  /** Plain record; vcpus are named `[domain, vcpu]`. */
  save(): unknown;
  restore(state: unknown, find: (domain: number, vcpu: number) => V): void;
}

import type { Ticks } from '../base/ticks.ts';
import type { VcpuSlot } from '../cpu/engine.ts';

/** A vcpu as digests and debuggers name it. */
export interface NamedVcpu {
  readonly domain: number;
  readonly vcpu: number;
  readonly slot: VcpuSlot;
}

/** What the machine needs of the hypervisor: who runs next, and what is delivered before it runs. */
export interface Supervisor {
  /**
   * Decides who has pcpu `pcpu` now and makes that vcpu current in the engine, with the log's `where`.
   * @returns false if the pcpu is idle
   */
  schedule(pcpu: number): boolean;
  /** Before each run of the current vcpu: delivers a pending interrupt if it can be taken. */
  enter(): void;
  /** Chaos: whoever has `pcpu` goes behind those that wait for it. */
  preempt?(pcpu: number): void;
  /** Why the machine has nothing left to do for good, or undefined while a domain lives. */
  finished(): string | undefined;
  /** All vcpus there are, by domain and number. */
  vcpus(): Iterable<NamedVcpu>;
}

/**
 * How a running processor is told to stop before its budget is spent. Whoever handles an exit asks `leave` at its end
 * and answers Exit.YIELD if it is set.
 */
export class RunControl {
  /** Set: leave the run after this instruction. */
  leave = false;
  /** Set: the pcpu gives up the rest of its turn (a spinning guest's PAUSE, a yield). */
  endTurn = false;
  /** Set by chaos: interrupts and events wait, unless the vcpu halts. */
  hold = false;
  /** Tick at which the current run ends at the latest. */
  end = 0;

  /** A deadline was set: it must not be run over. */
  deadline(tick: Ticks): void {
    if (tick < this.end) this.leave = true;
  }
}

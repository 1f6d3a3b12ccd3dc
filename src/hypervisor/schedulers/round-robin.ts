import type { Ticks } from '../../base/ticks.ts';
import type { Decision, Schedulable, Scheduler } from './scheduler.ts';

/**
 * One queue for the whole machine, equal slices, no weights and no boost: whoever becomes runnable waits behind all
 * others. Simple enough to predict by hand.
 */
export class RoundRobin<V extends Schedulable> implements Scheduler<V> {
  readonly name = 'round-robin';
  readonly #timeslice: number;
  readonly #pcpus: number;
  readonly #queue: V[] = [];

  constructor(pcpus: number, timeslice: number) {
    this.#pcpus = pcpus;
    this.#timeslice = timeslice;
  }

  insertVcpu(vcpu: V): void {
    if (vcpu.runnable) this.#enqueue(vcpu);
  }

  removeVcpu(vcpu: V): void {
    this.sleep(vcpu);
  }

  sleep(vcpu: V): void {
    const at = this.#queue.indexOf(vcpu);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  wake(vcpu: V, _now: Ticks, idle: (pcpu: number) => boolean): number | undefined {
    this.#enqueue(vcpu);
    for (let pcpu = 0; pcpu < this.#pcpus; pcpu++) {
      if (allowed(vcpu, pcpu) && idle(pcpu)) return pcpu;
    }
    return undefined;
  }

  /** Going behind the others is what every reschedule does. */
  yield(_vcpu: V, pcpu: number): boolean {
    return this.#queue.some((vcpu) => allowed(vcpu, pcpu));
  }

  doSchedule(pcpu: number, current: V | undefined): Decision<V> {
    if (current?.runnable) this.#enqueue(current);
    const at = this.#queue.findIndex((vcpu) => allowed(vcpu, pcpu));
    const next = at < 0 ? undefined : this.#queue.splice(at, 1)[0];
    return { next, timeslice: this.#timeslice };
  }

  save(): [number, number][] {
    return this.#queue.map((vcpu) => [vcpu.domainId, vcpu.id]);
  }

  restore(state: unknown, find: (domain: number, vcpu: number) => V): void {
    this.#queue.splice(0, Infinity, ...(state as [number, number][]).map(([domain, vcpu]) => find(domain, vcpu)));
  }

  #enqueue(vcpu: V): void {
    if (!this.#queue.includes(vcpu)) this.#queue.push(vcpu);
  }
}

function allowed(vcpu: Schedulable, pcpu: number): boolean {
  return ((vcpu.affinity >> BigInt(pcpu)) & 1n) === 1n;
}

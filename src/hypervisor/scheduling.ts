import { addTicks } from '../base/ticks.ts';
import { KIND } from '../log/kinds.ts';
import { DOMID_IDLE } from '../log/kinds.ts';
import type { Alarm } from '../machine/alarms.ts';
import type { Machine } from '../machine/machine.ts';
import { RUNSTATE } from './abi/vcpu.ts';
import type { Scheduler } from './schedulers/scheduler.ts';
import type { Vcpu } from './vcpu.ts';

/** Why a pcpu was told to choose again; the order is that of the event's enumeration. */
export const Reason = { SLICE: 0, BLOCK: 1, YIELD: 2, WAKE: 3, PAUSE: 4, START: 5 } as const;

interface Pcpu {
  readonly id: number;
  current: Vcpu | undefined;
  reschedule: boolean;
  reason: number;
  sliceTimer: Alarm;
}

export interface SchedulingState {
  pcpus: { current: [number, number] | null; reschedule: boolean; reason: number }[];
  scheduler: unknown;
}

/**
 * What is common to all schedulers (Xen's common/sched/core.c): which vcpu has which pcpu, sleeping and waking,
 * runstates, and the timer that ends a slice.
 */
export class Scheduling {
  readonly scheduler: Scheduler<Vcpu>;
  readonly #machine: Machine;
  readonly #pcpus: Pcpu[];
  /** Around a context switch: the vcpu that leaves is still current in the engine / the one that came is. */
  onSwitchOut: (vcpu: Vcpu) => void = () => {};
  onSwitchIn: (vcpu: Vcpu) => void = () => {};

  constructor(machine: Machine, scheduler: Scheduler<Vcpu>) {
    this.#machine = machine;
    this.scheduler = scheduler;
    this.#pcpus = Array.from({ length: machine.config.pcpus }, (_, id): Pcpu => {
      const sliceTimer = machine.alarms.create(`pcpu${id}.slice`, () => this.reschedule(id, Reason.SLICE));
      return { id, current: undefined, reschedule: false, reason: Reason.START, sliceTimer };
    });
  }

  /** The machine's question: who runs on `pcpu`? Makes that vcpu current. @returns undefined for nobody */
  schedule(pcpu: number): Vcpu | undefined {
    const p = this.#pcpus[pcpu];
    if (p.reschedule) this.#choose(p);
    const vcpu = p.current;
    if (vcpu === undefined) return undefined;
    this.#machine.engine.switchTo(vcpu.slot);
    const where = this.#machine.log.where;
    where.domain = vcpu.domain.id;
    where.vcpu = vcpu.id;
    where.pcpu = pcpu;
    return vcpu;
  }

  /** `pcpu` must choose again at the next turn boundary. */
  reschedule(pcpu: number, reason: number): void {
    const p = this.#pcpus[pcpu];
    if (!p.reschedule) p.reason = reason;
    p.reschedule = true;
    this.#machine.control.leave = true;
  }

  /** `vcpu` may have become runnable. */
  wake(vcpu: Vcpu): void {
    if (!vcpu.runnable || vcpu.pcpu >= 0) return;
    if (vcpu.runstate.state === RUNSTATE.runnable) return;
    const now = this.#machine.now();
    this.setRunstate(vcpu, RUNSTATE.runnable);
    this.#machine.log.appendAt(vcpu.domain.id, vcpu.id, KIND.wake);
    const idle = (pcpu: number) => this.#pcpus[pcpu].current === undefined && !this.#pcpus[pcpu].reschedule;
    const pcpu = this.scheduler.wake(vcpu, now, idle);
    if (pcpu !== undefined) this.reschedule(pcpu, Reason.WAKE);
  }

  /** `vcpu` may have ceased to be runnable. */
  sleep(vcpu: Vcpu, reason: number): void {
    if (vcpu.runnable) return;
    if (vcpu.pcpu >= 0) this.reschedule(vcpu.pcpu, reason);
    else {
      this.scheduler.sleep(vcpu, this.#machine.now());
      this.setRunstate(vcpu, vcpu.idleState);
    }
  }

  /** The running vcpu waits for an event. */
  block(vcpu: Vcpu): void {
    vcpu.blocked = true;
    this.#machine.log.appendAt(vcpu.domain.id, vcpu.id, KIND.block);
    this.sleep(vcpu, Reason.BLOCK);
  }

  unblock(vcpu: Vcpu): void {
    if (!vcpu.blocked) return;
    vcpu.blocked = false;
    if (vcpu.polling) {
      vcpu.polling = false;
      vcpu.pollTimer.cancel();
    }
    this.wake(vcpu);
  }

  /** The running vcpu steps aside: on its own pcpu, and for the other pcpus' turns. */
  yield(vcpu: Vcpu): void {
    if (this.scheduler.yield(vcpu, vcpu.pcpu)) this.reschedule(vcpu.pcpu, Reason.YIELD);
    if (!this.othersWant()) return;
    this.#machine.control.endTurn = true;
    this.#machine.control.leave = true;
  }

  setRunstate(vcpu: Vcpu, state: number): void {
    const run = vcpu.runstate;
    if (run.state === state) return;
    const now = this.#machine.now();
    run.time[run.state] += now - run.entry;
    run.entry = now;
    run.state = state;
  }

  /** Takes a vcpu off for good. */
  remove(vcpu: Vcpu): void {
    if (vcpu.pcpu >= 0) {
      this.#pcpus[vcpu.pcpu].current = undefined;
      this.reschedule(vcpu.pcpu, Reason.PAUSE);
      vcpu.pcpu = -1;
    }
    this.scheduler.removeVcpu(vcpu);
    this.setRunstate(vcpu, RUNSTATE.offline);
  }

  /** True if another vcpu than the running one could use this thread: a spinning guest should step aside. */
  othersWant(): boolean {
    let busy = 0;
    for (const p of this.#pcpus) {
      if (p.reschedule) return true;
      if (p.current !== undefined) busy++;
    }
    return busy > 1;
  }

  #choose(p: Pcpu): void {
    p.reschedule = false;
    const { log, engine } = this.#machine;
    const prev = p.current;
    const now = this.#machine.now();
    log.where.pcpu = p.id;
    log.appendAt(prev?.domain.id ?? DOMID_IDLE, prev?.id ?? p.id, KIND.schedule, p.reason);
    const { next, timeslice } = this.scheduler.doSchedule(p.id, prev, now);
    if (next === undefined) p.sliceTimer.cancel();
    else p.sliceTimer.set(addTicks(now, timeslice));
    if (next === prev) return;
    if (prev !== undefined) {
      prev.pcpu = -1;
      this.setRunstate(prev, prev.idleState);
      engine.switchTo(prev.slot);
      this.onSwitchOut(prev);
    }
    p.current = next;
    const [fromDomain, fromVcpu] = prev ? [prev.domain.id, prev.id] : [DOMID_IDLE, p.id];
    const [toDomain, toVcpu] = next ? [next.domain.id, next.id] : [DOMID_IDLE, p.id];
    log.appendAt(toDomain, toVcpu, KIND['context-switch'], fromDomain, fromVcpu, toDomain, toVcpu);
    if (next === undefined) return;
    next.pcpu = p.id;
    this.setRunstate(next, RUNSTATE.running);
    engine.switchTo(next.slot);
    this.onSwitchIn(next);
  }

  save(): SchedulingState {
    return {
      pcpus: this.#pcpus.map(({ current, reschedule, reason }) => ({
        current: current ? [current.domain.id, current.id] : null,
        reschedule,
        reason,
      })),
      scheduler: this.scheduler.save(),
    };
  }

  restore(state: SchedulingState, find: (domain: number, vcpu: number) => Vcpu): void {
    for (const p of this.#pcpus) if (p.current) p.current.pcpu = -1;
    for (const [i, s] of state.pcpus.entries()) {
      const p = this.#pcpus[i];
      p.current = s.current ? find(s.current[0], s.current[1]) : undefined;
      if (p.current) p.current.pcpu = i;
      p.reschedule = s.reschedule;
      p.reason = s.reason;
    }
    this.scheduler.restore(state.scheduler, find);
  }
}

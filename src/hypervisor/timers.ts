import { addTicks, type Ticks } from '../base/ticks.ts';
import type { EventLog } from '../log/append.ts';
import { KIND, TIMERS } from '../log/kinds.ts';
import type { Machine } from '../machine/machine.ts';
import { VIRQ } from './abi/xen.ts';
import type { Scheduling } from './scheduling.ts';
import type { Vcpu } from './vcpu.ts';

const [SINGLESHOT, PERIODIC, POLL] = ['singleshot', 'periodic', 'poll'].map((name) =>
  TIMERS.indexOf(name as (typeof TIMERS)[number]),
);

/** Timers of vcpus: single-shot and periodic ones raise VIRQ_TIMER, the poll timer ends a SCHEDOP_poll. */
export class VcpuTimers {
  readonly #machine: Machine;
  readonly #log: EventLog;
  readonly #scheduling: Scheduling;

  constructor(machine: Machine, scheduling: Scheduling) {
    this.#machine = machine;
    this.#log = machine.log;
    this.#scheduling = scheduling;
  }

  attach(vcpu: Vcpu): void {
    const { alarms } = this.#machine;
    const name = `d${vcpu.domain.id}v${vcpu.id}`;
    vcpu.singleshotTimer = alarms.create(`${name}.singleshot`, (deadline) => this.fireSingleshot(vcpu, deadline));
    vcpu.periodicTimer = alarms.create(`${name}.periodic`, (deadline) => this.#firePeriodic(vcpu, deadline));
    vcpu.pollTimer = alarms.create(`${name}.poll`, (deadline) => {
      this.#note(vcpu, 'timer-fire', POLL, deadline);
      this.#scheduling.unblock(vcpu);
    });
  }

  detach(vcpu: Vcpu): void {
    for (const alarm of [vcpu.singleshotTimer, vcpu.periodicTimer, vcpu.pollTimer]) this.#machine.alarms.remove(alarm);
  }

  setSingleshot(vcpu: Vcpu, deadline: Ticks): void {
    this.#note(vcpu, 'timer-set', SINGLESHOT, deadline);
    vcpu.singleshotTimer.set(deadline);
  }

  /** Period in ticks, 0 to stop. */
  setPeriodic(vcpu: Vcpu, period: number): void {
    vcpu.periodic = period;
    if (period === 0) {
      vcpu.periodicTimer.cancel();
      return;
    }
    const deadline = addTicks(this.#machine.now(), period);
    this.#note(vcpu, 'timer-set', PERIODIC, deadline);
    vcpu.periodicTimer.set(deadline);
  }

  fireSingleshot(vcpu: Vcpu, deadline: Ticks): void {
    vcpu.singleshotTimer.cancel();
    this.#note(vcpu, 'timer-fire', SINGLESHOT, deadline);
    vcpu.domain.events.sendVirq(vcpu, VIRQ.TIMER);
  }

  /** A domain that is paused or behind gets one event for all the periods it missed. */
  #firePeriodic(vcpu: Vcpu, deadline: Ticks): void {
    this.#note(vcpu, 'timer-fire', PERIODIC, deadline);
    vcpu.domain.events.sendVirq(vcpu, VIRQ.TIMER);
    const late = this.#machine.now() - deadline;
    const missed = Math.floor(late / vcpu.periodic);
    vcpu.periodicTimer.set(addTicks(deadline, (missed + 1) * vcpu.periodic));
  }

  #note(vcpu: Vcpu, kind: 'timer-set' | 'timer-fire', timer: number, deadline: Ticks): void {
    this.#log.appendAt(vcpu.domain.id, vcpu.id, KIND[kind], timer, deadline, Math.floor(deadline / 0x1_0000_0000));
  }
}

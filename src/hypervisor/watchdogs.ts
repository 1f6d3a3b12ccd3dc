import { addTicks, TICKS_PER_SECOND } from '../base/ticks.ts';
import type { Alarm } from '../machine/alarms.ts';
import type { Machine } from '../machine/machine.ts';
import { E } from './abi/errno.ts';
import { NR_WATCHDOGS } from './abi/sched.ts';
import type { Domain } from './domain.ts';

/** Seconds beyond which the clock cannot count anyway. */
const TIMEOUT_MAX = 4_000_000;

/** SCHEDOP_watchdog: two timers a domain; one that is not set again in time shuts the domain down. */
export class Watchdogs {
  readonly #machine: Machine;
  readonly #expired: (domain: Domain) => void;
  readonly #timers = new Map<Domain, Alarm[]>();

  constructor(machine: Machine, expired: (domain: Domain) => void) {
    this.#machine = machine;
    this.#expired = expired;
  }

  attach(domain: Domain): void {
    const make = (_: unknown, i: number) =>
      this.#machine.alarms.create(`d${domain.id}.watchdog${i}`, () => this.#expired(domain));
    this.#timers.set(domain, Array.from({ length: NR_WATCHDOGS }, make));
  }

  detach(domain: Domain): void {
    for (const alarm of this.#timers.get(domain) ?? []) this.#machine.alarms.remove(alarm);
    this.#timers.delete(domain);
  }

  /**
   * @param id 0 for a new watchdog, else one that runs
   * @param timeout seconds; 0 ends the watchdog
   * @returns the new watchdog's id, 0, or a negative errno
   */
  set(domain: Domain, id: number, timeout: number): number {
    const timers = this.#timers.get(domain)!;
    if (id > NR_WATCHDOGS) return -E.INVAL;
    const deadline = addTicks(this.#machine.now(), Math.min(timeout, TIMEOUT_MAX) * TICKS_PER_SECOND);
    if (id === 0) {
      if (timeout === 0) return -E.INVAL;
      const free = timers.findIndex((alarm) => !alarm.armed);
      if (free < 0) return -E.NOSPC;
      timers[free].set(deadline);
      return free + 1;
    }
    const alarm = timers[id - 1];
    if (!alarm.armed) return -E.INVAL;
    if (timeout === 0) alarm.cancel();
    else alarm.set(deadline);
    return 0;
  }
}

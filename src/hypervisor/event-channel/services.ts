import { KIND } from '../../log/kinds.ts';
import type { EventLog } from '../../log/append.ts';
import type { Alarm } from '../../machine/alarms.ts';
import type { Machine } from '../../machine/machine.ts';
import type { EventAbi } from './abi.ts';

/** What a service of Domain 0 does when its port is notified. */
export type Service = () => void;

/**
 * Domain 0's side of event channels while Domain 0 is not a guest but services written in TypeScript. A notified
 * port's service runs at the next turn boundary, at the same tick; notifications until then are one.
 */
export class ServicePorts implements EventAbi {
  readonly maxPorts = 1 << 17;
  readonly #services = new Map<number, Service>();
  readonly #pending = new Set<number>();
  readonly #machine: Machine;
  readonly #log: EventLog;
  readonly #domain: number;
  readonly #alarm: Alarm;

  constructor(machine: Machine, domain: number) {
    this.#machine = machine;
    this.#log = machine.log;
    this.#domain = domain;
    this.#alarm = machine.alarms.create(`d${domain}.services`, () => this.#run());
  }

  bind(port: number, service: Service): void {
    this.#services.set(port, service);
  }
  unbind(port: number): void {
    this.#services.delete(port);
    this.#pending.delete(port);
  }

  setPending(_vcpu: unknown, port: number): void {
    if (this.#pending.has(port)) return;
    this.#pending.add(port);
    this.#log.appendAt(this.#domain, -1, KIND['evtchn-pending'], port);
    if (!this.#alarm.armed) this.#alarm.set(this.#machine.now());
  }
  clearPending(port: number): void {
    this.#pending.delete(port);
  }
  unmask(): void {}
  isPending(port: number): boolean {
    return this.#pending.has(port);
  }
  isMasked(): boolean {
    return false;
  }

  /** In order of notification; what a service notifies while it runs comes after those that wait already. */
  #run(): void {
    const due = [...this.#pending];
    this.#pending.clear();
    for (const port of due) this.#services.get(port)?.();
  }

  save(): number[] {
    return [...this.#pending];
  }
  restore(pending: readonly number[]): void {
    this.#pending.clear();
    for (const port of pending) this.#pending.add(port);
  }
}

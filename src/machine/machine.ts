import { addTicks, NEVER, type Ticks, ticks } from '../base/ticks.ts';
import type { Engine } from '../cpu/engine.ts';
import type { EventLog } from '../log/append.ts';
import { DOMID_XEN, KIND, NONE } from '../log/kinds.ts';
import { Alarms, type AlarmsState } from './alarms.ts';
import { Chaos, type ChaosState } from './chaos.ts';
import type { Clock } from './clock.ts';
import type { MachineConfig } from './config.ts';
import { type DigestSource, Hasher, type Plain } from './digest.ts';
import { Door } from './door.ts';
import { RunControl, type Supervisor } from './supervisor.ts';

/**
 * Why `run` came back.
 *   limit     the tick asked for is reached; more can happen
 *   blocked   every vcpu waits, no alarm is set: only an input can go on
 *   finished  no domain is left; the `end` event is on the log
 *   stopped   a `stop` input came
 */
export type RunStop = 'limit' | 'blocked' | 'finished' | 'stopped';

export interface MachineState {
  tick: number;
  pcpu: number;
  sliceLeft: number;
  digestDue: number;
  idleLogged: boolean;
  ended: RunStop | null;
  alarms: AlarmsState;
  /** Only under chaos. */
  chaos?: ChaosState;
}

/** Runs of no tick at all before the machine says that a processor is stuck. */
const STUCK_RUNS = 10_000;

/**
 * The board: the clock, its alarms, the door, and the loop in which the processors take turns on one thread.
 *
 *     ┌─► fire due alarms ─► apply inputs ─► pcpu p: scheduler ─► deliver ─► run budget ─┐
 *     └──────────── p's slice used up: p + 1;   all idle: jump to the next alarm ◄───────┘
 *
 * Everything in that loop depends on ticks alone. How a caller cuts time into `run` calls never shows: a cut is a run
 * with a smaller budget, the slice goes on behind it.
 */
export class Machine {
  readonly config: MachineConfig;
  readonly engine: Engine;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly alarms = new Alarms();
  readonly door: Door;
  readonly control = new RunControl();
  /** Parts whose state is digested beside vcpus and memory. */
  readonly digestSources: DigestSource[] = [];
  /** Undefined unless the configuration asks for it. */
  readonly chaos: Chaos | undefined;
  #supervisor: Supervisor | undefined;
  #pcpu = 0;
  #sliceLeft: number;
  #digestDue: Ticks;
  #idleLogged = false;
  #emptyRuns = 0;
  #ended: RunStop | undefined;
  #pausing = false;

  /** `clock` is made outside, because the log and the engine that are given here need it too. */
  constructor(config: MachineConfig, engine: Engine, log: EventLog, clock: Clock) {
    this.config = config;
    this.engine = engine;
    this.log = log;
    this.clock = clock;
    this.door = new Door(clock, log);
    this.chaos = config.chaos && new Chaos(config.chaos, config.pcpus);
    this.door.handle('stop', () => {
      this.#ended = 'stopped';
    });
    this.alarms.onArm = (deadline) => this.control.deadline(deadline);
    this.#sliceLeft = config.slice_ticks;
    this.#digestDue = config.digest_interval_ticks === 0 ? NEVER : ticks(config.digest_interval_ticks);
  }

  now(): Ticks {
    return this.clock.now();
  }

  /** The hypervisor attaches itself here, once. */
  supervise(supervisor: Supervisor): void {
    this.#supervisor = supervisor;
  }

  /** Runs to tick `until` at the latest. Synchronous; call again to go on. */
  run(until: Ticks): RunStop {
    const supervisor = this.#supervisor;
    if (!supervisor) throw new Error('the machine has no supervisor');
    this.#pausing = false;
    for (;;) {
      if (this.#ended !== undefined) return this.#ended;
      if (this.alarms.fireDue(this.clock.now()) > 0) this.#idleLogged = false;
      this.door.apply();
      if (this.#ended !== undefined) return this.#ended;
      const reason = supervisor.finished();
      if (reason !== undefined) {
        this.log.emitAt(DOMID_XEN, NONE, 'end', { reason });
        this.#ended = 'finished';
        return 'finished';
      }
      if (this.clock.now() >= until || this.#pausing) return 'limit';
      if (!this.#turn(supervisor, until) && !this.#idle(until)) return 'blocked';
    }
  }

  /** Ends `run` as soon as it can, as if its limit were reached: for debuggers, who then look. Shows nowhere. */
  pause(): void {
    this.#pausing = true;
  }

  /** Gives the pcpu in turn, or the next that has work, one run. @returns false if all are idle */
  #turn(supervisor: Supervisor, until: Ticks): boolean {
    for (let tried = 0; tried < this.config.pcpus; tried++) {
      if (supervisor.schedule(this.#pcpu)) {
        this.#execute(supervisor, until);
        return true;
      }
      this.#nextTurn();
    }
    return false;
  }

  #nextTurn(next = this.#pcpu + 1): void {
    this.#pcpu = next >= this.config.pcpus ? 0 : next;
    this.#sliceLeft = this.config.slice_ticks;
  }

  #execute(supervisor: Supervisor, until: Ticks): void {
    const { chaos, clock, control, engine } = this;
    const now = clock.now();
    this.#idleLogged = false;
    if (now >= this.#digestDue) this.#digest(now);
    control.leave = false;
    control.endTurn = false;
    if (chaos) control.hold = chaos.holds(this.#pcpu);
    supervisor.enter();
    const input = this.door.next;
    let end = Math.min(now + this.#sliceLeft, this.alarms.next, until, this.#digestDue, input > now ? input : NEVER);
    if (chaos) end = Math.min(end, now + chaos.budget(this.#pcpu));
    let retired = 0;
    if (end > now && !this.#pausing) {
      control.end = end;
      clock.started(() => engine.now());
      try {
        retired = engine.run(now, end - now);
      } finally {
        control.end = 0;
        clock.stopped(retired);
      }
    }
    const where = this.log.where;
    where.domain = DOMID_XEN;
    where.vcpu = NONE;
    where.pcpu = NONE;
    this.#emptyRuns = retired > 0 ? 0 : this.#emptyRuns + 1;
    if (this.#emptyRuns > STUCK_RUNS)
      throw new Error(`pcpu ${this.#pcpu} is stuck at tick ${now}: its runs retire nothing`);
    this.#sliceLeft -= retired;
    if (chaos) this.#perturb(chaos, supervisor, retired);
    else if (this.#sliceLeft <= 0 || control.endTurn) this.#nextTurn();
  }

  /** The end of a run under chaos. */
  #perturb(chaos: Chaos, supervisor: Supervisor, retired: number): void {
    const pcpu = this.#pcpu;
    this.control.hold = false;
    const preempt = chaos.ran(pcpu, retired);
    if (preempt) supervisor.preempt?.(pcpu);
    else if (!this.control.endTurn) {
      if (this.#sliceLeft <= 0) this.#sliceLeft = chaos.takeStretch(pcpu);
      if (this.#sliceLeft > 0) return;
    }
    const next = chaos.takeNext(pcpu);
    this.#nextTurn(next < 0 ? undefined : next);
  }

  /** No pcpu has work: jumps to the next alarm or input. @returns false if there is none */
  #idle(until: Ticks): boolean {
    const alarm = this.alarms.next;
    const input = this.door.next;
    if (!this.#idleLogged) {
      this.#idleLogged = true;
      this.log.appendAt(DOMID_XEN, NONE, KIND.idle, alarm, Math.floor(alarm / 0x1_0000_0000));
      if (input <= this.clock.now()) return true; // it was recorded behind this very event
    }
    const next = Math.min(alarm, input > this.clock.now() ? input : NEVER);
    if (next >= NEVER) return false;
    this.clock.jump(Math.min(next, until) as Ticks);
    return true;
  }

  /** Appends hashes of the whole state; a replay compares them. Changes nothing. */
  #digest(now: Ticks): void {
    const interval = this.config.digest_interval_ticks;
    this.#digestDue = ticks((Math.floor(now / interval) + 1) * interval);
    const engine = this.engine;
    const current = engine.current;
    for (const { domain, vcpu, slot } of this.#supervisor!.vcpus()) {
      engine.switchTo(slot);
      this.log.emitAt(domain, vcpu, 'digest', { scope: 'vcpu', value: engine.stateDigest() });
    }
    if (current) engine.switchTo(current);
    const memory = new Hasher();
    for (const mfn of engine.takeDirtyFrames()) memory.word(mfn).big(engine.frameDigest(mfn));
    this.log.emitAt(DOMID_XEN, NONE, 'digest', { scope: 'memory', value: memory.value() });
    // Whose turn it is, and by which rules: another slice length shows here even where it changes nothing else.
    const board = new Hasher().plain({ ...this.config, ...this.save() } as unknown as Plain).value();
    this.log.emitAt(DOMID_XEN, NONE, 'digest', { scope: 'machine', value: board });
    for (const source of this.digestSources) {
      const value = new Hasher().plain(source.state()).value();
      this.log.emitAt(DOMID_XEN, NONE, 'digest', { scope: source.scope, value });
    }
  }

  save(): MachineState {
    return {
      tick: this.clock.now(),
      pcpu: this.#pcpu,
      sliceLeft: this.#sliceLeft,
      digestDue: this.#digestDue,
      idleLogged: this.#idleLogged,
      ended: this.#ended ?? null,
      alarms: this.alarms.save(),
      ...(this.chaos && { chaos: this.chaos.save() }),
    };
  }

  restore(state: MachineState): void {
    this.clock.restore(state);
    this.#pcpu = state.pcpu;
    this.#sliceLeft = state.sliceLeft;
    this.#digestDue = state.digestDue as Ticks;
    this.#idleLogged = state.idleLogged;
    this.#ended = state.ended ?? undefined;
    this.alarms.restore(state.alarms);
    if (this.chaos && state.chaos) this.chaos.restore(state.chaos);
  }

  /** `run` for `n` ticks from now. */
  runFor(n: number): RunStop {
    return this.run(addTicks(this.clock.now(), n));
  }
}

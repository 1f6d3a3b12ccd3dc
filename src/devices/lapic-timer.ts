import { addTicks, NEVER, type Ticks } from '../base/ticks.ts';

/** What the timer needs around it. */
export interface LapicTimerPort {
  now(): Ticks;
  /** The timer's alarm: (re)set or, with NEVER, cancelled. */
  setAlarm(deadline: Ticks): void;
  /** The guest's TSC minus the tick, for TSC-deadline mode. */
  tscOffset(): bigint;
  timerNote(fired: boolean, deadline: Ticks): void;
}

/** Modes, bits 18..17 of the timer's entry in the local vector table. */
const MODE = { ONE_SHOT: 0, PERIODIC: 1, TSC_DEADLINE: 2 } as const;
/** One cycle of the bus that the timer counts, ticks. Xen's virtual APIC runs at 100 MHz. */
const BUS_CYCLE = 10;

export interface LapicTimerState {
  mode: number;
  initial: number;
  divide: number;
  start: number;
  deadline: bigint;
}

/** The local APIC's timer (SDM 3A 11.5.4): one-shot, periodic, and at a deadline of the TSC. */
export class LapicTimer {
  readonly #port: LapicTimerPort;
  #mode: number = MODE.ONE_SHOT;
  /** Initial count; 0 is off. */
  #initial = 0;
  /** Divide configuration: bits 3, 1, 0 are log2 of the divisor less one, 111 is 1. */
  #divide = 0;
  /** Tick at which the count began. */
  #start = 0;
  #deadline = 0n;

  constructor(port: LapicTimerPort) {
    this.#port = port;
  }

  reset(): void {
    this.#mode = MODE.ONE_SHOT;
    this.#initial = 0;
    this.#divide = 0;
    this.#deadline = 0n;
    this.#port.setAlarm(NEVER);
  }

  /** The vector table's entry was written. Going to or from TSC-deadline mode disarms the timer (11.5.4.1). */
  setMode(mode: number): void {
    const before = this.#mode;
    this.#mode = mode;
    if (before === mode || (before !== MODE.TSC_DEADLINE && mode !== MODE.TSC_DEADLINE)) return;
    this.#deadline = 0n;
    this.#initial = 0;
    this.#port.setAlarm(NEVER);
  }

  get initialCount(): number {
    return this.#initial;
  }
  /** Starts counting; 0 stops. Ignored in TSC-deadline mode. */
  set initialCount(count: number) {
    if (this.#mode === MODE.TSC_DEADLINE) return;
    this.#initial = count;
    this.#start = this.#port.now();
    this.#arm(count === 0 ? NEVER : addTicks(this.#port.now(), this.#ticks(count)));
  }

  get divide(): number {
    return this.#divide;
  }
  /** A new divisor starts the count again. */
  set divide(value: number) {
    this.#divide = value & 0xb;
    this.initialCount = this.#initial;
  }

  get currentCount(): number {
    const initial = this.#initial;
    if (initial === 0 || this.#mode === MODE.TSC_DEADLINE) return 0;
    const gone = Math.floor((this.#port.now() - this.#start) / this.#ticks(1));
    return this.#mode === MODE.PERIODIC ? initial - (gone % initial) : Math.max(0, initial - gone);
  }

  /** IA32_TSC_DEADLINE; reads 0 in the other modes. */
  get tscDeadline(): bigint {
    return this.#deadline;
  }
  set tscDeadline(value: bigint) {
    if (this.#mode !== MODE.TSC_DEADLINE) return;
    this.#deadline = value;
    const tick = value - this.#port.tscOffset();
    const now = this.#port.now();
    if (value === 0n || tick >= BigInt(NEVER)) this.#port.setAlarm(NEVER);
    else this.#arm(tick <= BigInt(now) ? now : (Number(tick) as Ticks));
  }

  /** The alarm went off. A periodic timer goes on without losing phase, late or not. */
  fired(deadline: Ticks): void {
    this.#port.timerNote(true, deadline);
    this.#deadline = 0n;
    if (this.#mode !== MODE.PERIODIC || this.#initial === 0) return;
    const period = this.#ticks(this.#initial);
    const late = this.#port.now() - deadline;
    this.#start = deadline + period * Math.floor(late / period);
    this.#arm((this.#start + period) as Ticks);
  }

  #ticks(count: number): number {
    const code = this.#divide;
    return count * (1 << ((((code & 8) >> 1) + (code & 3) + 1) & 7)) * BUS_CYCLE;
  }

  #arm(deadline: Ticks): void {
    if (deadline < NEVER) this.#port.timerNote(false, deadline);
    this.#port.setAlarm(deadline);
  }

  save(): LapicTimerState {
    return {
      mode: this.#mode,
      initial: this.#initial,
      divide: this.#divide,
      start: this.#start,
      deadline: this.#deadline,
    };
  }

  /** All but the alarm, which the machine restores. */
  restore(s: LapicTimerState): void {
    this.#mode = s.mode;
    this.#initial = s.initial;
    this.#divide = s.divide;
    this.#start = s.start;
    this.#deadline = s.deadline;
  }
}

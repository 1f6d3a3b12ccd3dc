import { addTicks, type Ticks, ticks } from '../base/ticks.ts';

/**
 * The machine's clock (DESIGN C1): ticks retired by all processors, plus jumps while every processor was idle.
 * While a processor runs, its engine knows the exact tick; between runs the clock does.
 */
export class Clock {
  #tick: Ticks = ticks(0);
  #live: (() => Ticks) | undefined;

  now(): Ticks {
    return this.#live === undefined ? this.#tick : this.#live();
  }

  /** From here to `stopped` the running engine tells the time. */
  started(live: () => Ticks): void {
    this.#live = live;
  }

  /** The run is over; `retired` ticks passed. */
  stopped(retired: number): void {
    this.#live = undefined;
    this.#tick = addTicks(this.#tick, retired);
  }

  /** Moves forward over idle time. @throws RangeError backwards or during a run */
  jump(to: Ticks): void {
    if (this.#live !== undefined || to < this.#tick)
      throw new RangeError(`clock cannot jump from ${this.#tick} to ${to}`);
    this.#tick = to;
  }

  save(): { tick: number } {
    return { tick: this.#tick };
  }
  restore(state: { tick: number }): void {
    this.#live = undefined;
    this.#tick = ticks(state.tick);
  }
}

/** One instruction of one vcpu, forwards or backwards. Other vcpus' instructions in between go along. */
import type { Timeline } from './timeline.ts';

/** A stretch in which one vcpu ran. */
interface Run {
  readonly slot: number;
  readonly start: number;
  readonly end: number;
}

/** Runs to `to` and says who ran. */
export function trace(timeline: Timeline, to: number): Run[] {
  const runs: Run[] = [];
  const { taps } = timeline.session.engine;
  taps.onRun = (slot, start, retired) => {
    const last = runs.at(-1);
    if (last?.slot === slot && last.end === start) runs[runs.length - 1] = { ...last, end: start + retired };
    else runs.push({ slot, start, end: start + retired });
  };
  try {
    timeline.play(to);
  } finally {
    taps.onRun = undefined;
  }
  return runs;
}

/** Slot of a vcpu in the engine, undefined if there is no such vcpu now. */
export function slotOf(timeline: Timeline, domain: number, vcpu: number): number | undefined {
  return timeline.session.xen.find(domain)?.vcpus[vcpu]?.slot.index;
}

/**
 * To just behind the next instruction of the vcpu in `slot`, or of any vcpu for undefined.
 * @returns false if it executes none any more; the timeline is at its end then
 */
export function* stepForward(timeline: Timeline, slot: number | undefined): Generator<void, boolean> {
  let piece = 1;
  for (;;) {
    const from = timeline.tick;
    const runs = trace(timeline, from + piece);
    const run = runs.find((each) => slot === undefined || each.slot === slot);
    if (run !== undefined) {
      if (timeline.tick !== run.start + 1) {
        if (timeline.diverted) return true; // what was tried cannot be tried again: this is as near as it gets
        timeline.seek(run.start + 1);
      }
      return true;
    }
    if (timeline.tick === from) return false;
    piece = Math.min(piece * 8, 1_000_000);
    yield;
  }
}

/**
 * To just before the last instruction that the vcpu in `slot`, or any for undefined, executed before here.
 * @returns false if there is none; the timeline is at its start then
 */
export function* stepBackward(timeline: Timeline, slot: number | undefined): Generator<void, boolean> {
  const here = timeline.tick;
  if (here === 0) return false;
  const mine = (run: Run) => slot === undefined || run.slot === slot;
  timeline.seek(here - 1);
  timeline.snapshot();
  if (trace(timeline, here).some(mine)) {
    timeline.seek(here - 1);
    return true;
  }
  for (let end = here - 1; end > 0; ) {
    const start = timeline.startBefore(end - 1);
    timeline.seek(start);
    const run = trace(timeline, end).findLast(mine);
    if (run !== undefined) {
      timeline.seek(run.end - 1);
      return true;
    }
    end = start;
    yield;
  }
  timeline.seek(0);
  return false;
}

/** Drives a generator to its end. */
export function finish<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value as T;
  }
}

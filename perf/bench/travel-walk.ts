/**
 * Seeks and reverse steps at random places of a recording: what each takes, and whether the place is the right one. That
 * is judged by stepping forward again and comparing with a straight replay, which has no snapshots and never turns back.
 */
import { sha256 } from '../../src/host/files.ts';
import type { Recording } from '../../src/log/recording.ts';
import type { Session } from '../../src/session.ts';
import { livingEnd } from '../../replay/ends.ts';
import { placeDigest } from '../../replay/place-digest.ts';
import { type BuildMachine, ReplaySession } from '../../replay/session.ts';
import { finish, stepBackward } from '../../replay/step.ts';
import { Timeline, type TimelineOptions } from '../../replay/timeline.ts';
import { type HostTime, hostTime, since } from '../timer.ts';

export interface WalkOptions extends TimelineOptions {
  readonly seeks: number;
  readonly steps: number;
}

export interface Walk {
  /** From the opened file to the recording's end, with all snapshots. */
  readonly opening: HostTime;
  /** From anywhere to a random place. */
  readonly seeks: readonly HostTime[];
  /** One instruction back, at a random place. */
  readonly steps: readonly HostTime[];
  /** Ticks at which stepping forward again did not lead to what a straight replay has there. */
  readonly wrong: readonly number[];
  readonly checked: number;
  readonly snapshots: number;
  readonly snapshotBytes: number;
}

/** @throws TimelineDiverged, or Error if the straight replay does not verify */
export function walk(recording: Recording, build: BuildMachine<Session>, options: WalkOptions): Walk {
  const end = livingEnd(recording);
  const opened = hostTime();
  const timeline = new Timeline(recording, build, options);
  timeline.seek(end);
  const opening = since(opened);
  const random = generator(2_463_534_242);
  const [seeks, steps]: [HostTime[], HostTime[]] = [[], []];
  const places = new Map<number, string>();
  const note = (tick: number) => {
    timeline.forward(tick);
    places.set(tick, placeDigest(timeline.session));
  };
  for (let i = 0; i < options.seeks + options.steps; i++) {
    const tick = 2 + random(end - 2);
    const from = hostTime();
    timeline.seek(tick);
    if (i < options.seeks) {
      seeks.push(since(from));
      note(tick + random(1000));
      continue;
    }
    const here = hostTime();
    finish(stepBackward(timeline, undefined));
    steps.push(since(here));
    note(tick);
  }
  const { list, bytes } = timeline.snapshots;
  const wrong = compare(recording, build, places);
  return { opening, seeks, steps, wrong, checked: places.size, snapshots: list.length, snapshotBytes: bytes };
}

/** @returns the ticks at which a straight replay has something else */
function compare(recording: Recording, build: BuildMachine<Session>, places: ReadonlyMap<number, string>): number[] {
  const replay = new ReplaySession(recording, build, { createHash: sha256 });
  const wrong: number[] = [];
  for (const tick of [...places.keys()].sort((a, b) => a - b)) {
    if (tick > replay.tick) replay.step(tick - replay.tick);
    if (placeDigest(replay.machine!) !== places.get(tick)) wrong.push(tick);
  }
  const { divergence } = replay.result();
  if (divergence) throw new Error(`the straight replay diverged at tick ${divergence.tick}`);
  return wrong;
}

/** xorshift32: places are the same in every run. */
function generator(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return Math.floor(((x >>> 0) / 2 ** 32) * below);
  };
}

/**
 * A recording as a line in time to move on, forwards and backwards. Every place is reached by the nearest snapshot at
 * or before it and running on from there, checked against the recording all the way.
 *
 *     const timeline = new Timeline(recording, build, { memoryLimit: 512 << 20 });
 *     timeline.seek(1_000_000);
 *     timeline.session.engine.state.rip;
 *     timeline.seek(999_999);
 */
import type { Ticks } from '../src/base/ticks.ts';
import { EventLog } from '../src/log/append.ts';
import type { CreateHash } from '../src/log/digest.ts';
import type { Recording } from '../src/log/recording.ts';
import type { Session } from '../src/session.ts';
import { domainsKey } from '../src/snapshot/session-state.ts';
import { type Snapshot, Snapshots } from '../src/snapshot/snapshots.ts';
import type { BuildMachine } from './session.ts';
import { RecordedInputs } from './recorded-inputs.ts';
import { StoredSnapshots } from './stored-snapshots.ts';
import { Verifier } from './verifier.ts';

export interface TimelineOptions {
  /** Bytes that snapshots may take. */
  readonly memoryLimit?: number;
  /** Distance of snapshots; by default 1000 of them over the recording. */
  readonly spacing?: number;
  readonly createHash?: CreateHash;
  /** A snapshot in the recording is read if it saves so many ticks. */
  readonly worthReading?: number;
  /** Told of a snapshot in the recording that cannot be used. */
  readonly onBadSnapshot?: (text: string) => void;
  /** Called while a seek is under way, between pieces: may throw to break it off. */
  readonly onProgress?: (tick: number, target: number) => void;
}

export const DEFAULT_SNAPSHOT_MEMORY = 512 << 20;
const WORTH_READING = 25_000_000;
const SNAPSHOTS_OVER_ALL = 1000;
const LEAST_SPACING = 200_000;
/** Extra snapshots before a place just reached, so that steps back from there are short. */
const NEAR_DISTANCES = [1_000_000, 200_000, 40_000, 8_000];

/** The replay is not the recording: found at a seek. */
export class TimelineDiverged extends Error {
  override readonly name = 'TimelineDiverged';
}

export class Timeline {
  readonly recording: Recording;
  readonly #build: BuildMachine<Session>;
  readonly #options: TimelineOptions;
  readonly #spacing: number;
  #session!: Session;
  #verifier!: Verifier;
  #inputs!: RecordedInputs;
  readonly snapshots: Snapshots;
  readonly #stored: StoredSnapshots;
  /** Where the timeline was left for a diversion, or undefined while on it. */
  #fork: Snapshot | undefined;
  /** Called for each session that is built: observers must be attached again. */
  onSession: (session: Session) => void = () => {};

  constructor(recording: Recording, build: BuildMachine<Session>, options: TimelineOptions = {}) {
    this.recording = recording;
    this.#build = build;
    this.#options = options;
    this.#spacing = options.spacing ?? Math.max(LEAST_SPACING, Math.ceil(recording.lastTick / SNAPSHOTS_OVER_ALL));
    this.#stored = new StoredSnapshots(recording);
    this.#construct();
    this.snapshots = new Snapshots(this.#session, options.memoryLimit ?? DEFAULT_SNAPSHOT_MEMORY);
    this.snapshots.take();
  }

  /** The session where the timeline stands. Another object after some seeks: do not keep it. */
  get session(): Session {
    return this.#session;
  }
  get tick(): number {
    return this.#session.now();
  }
  get lastTick(): number {
    return this.recording.lastTick;
  }
  /** True while what runs is an experiment and not what was recorded. */
  get diverted(): boolean {
    return this.#fork !== undefined;
  }

  /** Where the timeline was left for a diversion; where it stands if it was not. */
  get forkTick(): number {
    return this.#fork?.tick ?? this.tick;
  }

  /** Moves to just before the instruction that takes tick `target`. Drops a diversion. @throws TimelineDiverged */
  seek(target: number): void {
    const to = Math.max(0, Math.min(target, this.lastTick));
    this.#rejoin();
    this.#readStored(to);
    const best = this.snapshots.fittingBefore(to);
    if (this.tick > to || (best !== undefined && best.tick > this.tick)) {
      if (best === undefined) this.#rebuild();
      else this.#restore(best);
    } else if (best === undefined) this.#rebuild();
    this.#forward(to);
    this.snapshots.thin(to);
  }

  /**
   * Runs to `target` from where the timeline is, through a diversion too.
   * @returns false if it did not get there, because nothing is left to run
   */
  forward(target: number): boolean {
    if (!this.diverted) {
      this.#forward(Math.min(target, this.lastTick));
      return this.tick >= target;
    }
    this.#session.run(target as Ticks);
    return this.tick >= target;
  }

  /** From here on this is an experiment: nothing is checked, and the next seek forgets it. */
  divert(): void {
    if (this.#fork !== undefined) return;
    this.#fork = this.snapshots.take();
    this.#session.log.verifier = undefined;
  }

  /** In a diversion: this place, to come back to with `rollback` as long as the diversion lasts. */
  checkpoint(): Snapshot {
    return this.snapshots.takeLoose();
  }
  rollback(checkpoint: Snapshot): void {
    this.snapshots.restore(checkpoint);
  }

  /** Takes a snapshot of this place if there is none. */
  snapshot(): Snapshot {
    if (this.diverted) throw new Error('a diversion has no place on the timeline');
    return this.snapshots.take();
  }

  /** The last place before `tick` from which there is a way on: a snapshot, here or in the recording. */
  startBefore(tick: number): number {
    const stored = this.#stored.before(tick)?.tick ?? 0;
    return Math.max(this.snapshots.before(tick)?.tick ?? 0, stored);
  }

  /** Takes over a snapshot from the recording, if that spares much of the way to `to`. */
  #readStored(to: number): void {
    const worth = this.#options.worthReading ?? WORTH_READING;
    for (;;) {
      const stored = this.#stored.before(to);
      const known = this.snapshots.before(to)?.tick ?? 0;
      const here = this.tick <= to ? this.tick : 0;
      if (stored === undefined || stored.tick - Math.max(known, here) < worth) return;
      const first = this.snapshots.list[0];
      // It is of the domains of the start.
      if (first !== undefined && !this.snapshots.fits(first)) this.#rebuild();
      try {
        this.#stored.restore(stored, this.#session, this.snapshots);
        this.#verifier.seek(stored.seq);
        this.#inputs.seek(stored.seq);
        this.snapshots.take();
        return;
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        const offset = stored.frames[0]!.offset;
        this.#options.onBadSnapshot?.(
          `the snapshot at tick ${stored.tick}, byte ${offset} of the recording, cannot be used: ${problem}; going on without it`,
        );
        this.#rebuild();
      }
    }
  }

  #rejoin(): void {
    const fork = this.#fork;
    if (fork === undefined) return;
    this.#fork = undefined;
    this.#session.log.verifier = this.#verifier;
    if (this.snapshots.fits(fork)) this.#restore(fork);
    else this.#rebuild();
  }

  #restore(snapshot: Snapshot): void {
    this.snapshots.restore(snapshot);
    this.#verifier.seek(snapshot.seq);
    this.#inputs.seek(snapshot.seq);
  }

  /** From the very beginning: the domains of an earlier time are gone from this session. */
  #rebuild(): void {
    this.#construct();
    this.snapshots.adopt(this.#session);
  }

  #construct(): void {
    const { recording } = this;
    if (!recording.header) throw new RangeError('the recording ends before anything was built');
    const { createHash } = this.#options;
    this.#verifier = new Verifier(recording);
    this.#inputs = new RecordedInputs(recording);
    this.#session = this.#build({
      header: recording.header,
      inputs: this.#inputs,
      createLog: (now) => {
        const log = new EventLog(now, createHash ? { createHash } : {});
        log.verifier = this.#verifier;
        return log;
      },
    });
    this.onSession(this.#session);
  }

  /** Runs every instruction up to `to` from where the timeline is: for those who watch. As `forward` otherwise. */
  play(target: number): boolean {
    if (this.diverted) return this.forward(target);
    this.#forward(Math.min(target, this.lastTick), false);
    return this.tick >= target;
  }

  /** Runs to `to`, leaving snapshots, and (`jump`) leaping over what snapshots know already. */
  #forward(to: number, jump = true): void {
    let near = jump ? NEAR_DISTANCES.filter((distance) => to - distance > this.tick) : [];
    while (this.tick < to) {
      const ahead = jump ? this.snapshots.fittingBefore(to) : undefined;
      if (ahead !== undefined && ahead.tick > this.tick) {
        this.#restore(ahead);
        near = NEAR_DISTANCES.filter((distance) => to - distance > this.tick);
        continue;
      }
      const grid = (Math.floor(this.tick / this.#spacing) + 1) * this.#spacing;
      const stop = Math.min(to, grid, ...(near.length > 0 ? [to - near[0]!] : []));
      const key = domainsKey(this.#session);
      const reached = this.#run(stop);
      if (near.length > 0 && this.tick >= to - near[0]!) near.shift();
      if (!reached) break;
      if (stop < to || stop === grid || domainsKey(this.#session) !== key) {
        this.snapshots.take();
        if (stop === grid) this.snapshots.thin(to);
      }
      this.#options.onProgress?.(this.tick, to);
    }
  }

  /** @returns false if the machine has nothing more to run */
  #run(until: number): boolean {
    let stop: string;
    try {
      stop = this.#session.run(until as Ticks);
    } catch (error) {
      const { mismatch } = this.#verifier;
      if (mismatch?.expected) {
        throw new TimelineDiverged(
          `the replay is not the recording: event #${mismatch.seq} at tick ${this.tick} was ${mismatch.expected.kind}, and is ${mismatch.actual.kind} now`,
        );
      }
      // Beyond the end of a recording that was cut.
      if (mismatch === undefined) throw error;
      return false;
    }
    return stop === 'limit';
  }
}

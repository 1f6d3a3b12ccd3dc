/** Snapshots of one session: taking them, going back to them, and keeping them within a memory limit. */
import type { Session } from '../session.ts';
import { type MemoryImage, MemoryImages } from './memory-image.ts';
import { PageStore } from './page-store.ts';
import { type PackedState, StatePacker } from './packed-state.ts';
import { domainsKey, restoreSession, saveSession } from './session-state.ts';

export interface Snapshot {
  readonly tick: number;
  /** Number of events before it. */
  readonly seq: number;
  /** Which domains there were; see `domainsKey`. */
  readonly domains: string;
  readonly state: PackedState;
  readonly memory: MemoryImage;
}

/** What a snapshot takes beside pages and the table of its image. */
const SNAPSHOT_BYTES = 4096;
/** Of the limit, what pages may take as they are before they are frozen. */
const RAW_SHARE = 0.25;

export class Snapshots {
  /** By tick, ascending. */
  readonly list: Snapshot[] = [];
  readonly limitBytes: number;
  readonly #store = new PageStore();
  readonly #images: MemoryImages;
  readonly #states = new StatePacker(this.#store);
  #session: Session;
  /** The last place that anybody was at: behind the last snapshot there is a gap too. */
  #furthest = 0;
  /** Memory as it was when the engine was last asked what had been written. */
  #base: MemoryImage;

  constructor(session: Session, limitBytes: number) {
    this.#session = session;
    this.limitBytes = limitBytes;
    this.#images = new MemoryImages(this.#store, session.engine.frames.frameCount);
    this.#base = this.#images.empty();
  }

  /** What all of them take. */
  get bytes(): number {
    const { bytes, imageBytes } = this.#images;
    return this.#store.bytes + bytes + this.list.length * (SNAPSHOT_BYTES + imageBytes);
  }

  /** Goes on with another session of the same configuration that has just been built. */
  adopt(session: Session): void {
    this.#session = session;
    this.#images.drop(this.#base);
    this.#base = this.#images.empty();
  }

  /** True if the session as it is now can be made that of the snapshot. */
  fits(snapshot: Snapshot): boolean {
    return snapshot.domains === domainsKey(this.#session);
  }

  /** Takes one now, between runs. If there is one of this very place, that. */
  take(): Snapshot {
    const tick = this.#session.now();
    const there = this.list.find((each) => each.tick === tick);
    if (there) return there;
    const snapshot = this.takeLoose();
    const at = this.list.findLastIndex((each) => each.tick < tick) + 1;
    this.list.splice(at, 0, snapshot);
    return snapshot;
  }

  /** One that is not on the list: whoever takes it `drop`s it. */
  takeLoose(): Snapshot {
    const { snapshots } = this.#session.engine;
    const memory = this.#images.derive(this.#base, snapshots.takeWritten(), snapshots);
    this.#images.drop(this.#base);
    this.#base = this.#images.derive(memory, [], snapshots);
    const state = saveSession(this.#session);
    const { domains, log } = state;
    return { tick: this.#session.now(), seq: log.seq, domains, state: this.#states.pack(state), memory };
  }

  drop(snapshot: Snapshot): void {
    this.#images.drop(snapshot.memory);
    this.#states.drop(snapshot.state);
  }

  /** Makes the session what it was. The snapshot must fit it. */
  restore(snapshot: Snapshot): void {
    const { snapshots } = this.#session.engine;
    const frames = new Set(snapshots.takeWritten());
    for (const mfn of this.#base.differences(snapshot.memory)) frames.add(mfn);
    this.#images.read(snapshot.memory, frames, (mfn, content) => snapshots.replaceFrame(mfn, content));
    this.#images.drop(this.#base);
    this.#base = this.#images.derive(snapshot.memory, [], snapshots);
    restoreSession(this.#session, this.#states.unpack(snapshot.state));
  }

  /** After somebody else gave the session another state: `change` does that, and says which frames it changed. */
  changed(change: () => readonly number[]): void {
    const { snapshots } = this.#session.engine;
    const written = snapshots.takeWritten();
    for (const mfn of [...written, ...change()]) snapshots.markWritten(mfn);
  }

  /** Latest snapshot at or before `tick`. */
  before(tick: number): Snapshot | undefined {
    return this.list.findLast((each) => each.tick <= tick);
  }

  /** The same of those that the session can take on as it is. */
  fittingBefore(tick: number): Snapshot | undefined {
    const key = domainsKey(this.#session);
    return this.list.findLast((each) => each.tick <= tick && each.domains === key);
  }

  /**
   * Keeps the limit. First pages are frozen; then away goes the snapshot whose loss leaves the smallest gap for its
   * distance from `here`, so that gaps grow with distance. But none grows beyond twice what it would be if all were alike
   * as long as there is another: half of the snapshots keep every place near, wherever the next seek leads, and the
   * others crowd around `here`. The first one, from which everything can be run again, stays, and one more.
   */
  thin(here: number): void {
    while (this.bytes > this.limitBytes) {
      if (this.#store.shrink(RAW_SHARE * this.limitBytes)) continue;
      if (this.list.length <= 2) return;
      this.#furthest = Math.max(this.#furthest, here, this.list.at(-1)!.tick);
      const widest = (2 * (this.#furthest - this.list[0]!.tick)) / (this.list.length - 1);
      let least = -1;
      let score = Number.POSITIVE_INFINITY;
      for (let i = 1; i < this.list.length; i++) {
        const { tick } = this.list[i]!;
        const next = this.list[i + 1]?.tick ?? this.#furthest;
        const gap = next - this.list[i - 1]!.tick;
        const each = gap / (Math.abs(here - tick) + NEAR_TICKS) + (gap > widest ? gap : 0);
        if (each <= score) {
          score = each;
          least = i;
        }
      }
      this.drop(this.list[least]!);
      this.list.splice(least, 1);
    }
  }
}

/** Within this distance gaps count all the same. */
const NEAR_TICKS = 50_000_000;

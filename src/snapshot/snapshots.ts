/** Snapshots of one session: taking them, going back to them, and keeping them within a memory limit. */
import type { Session } from '../session.ts';
import { type MemoryImage, MemoryImages } from './memory-image.ts';
import { PageStore } from './page-store.ts';
import { domainsKey, restoreSession, type SessionState, saveSession } from './session-state.ts';

export interface Snapshot {
  readonly tick: number;
  /** Number of events before it. */
  readonly seq: number;
  readonly state: SessionState;
  readonly memory: MemoryImage;
}

/** What a snapshot's records take beside pages and TLBs; an estimate, for the limit. */
const RECORDS_BYTES = 96 << 10;

export class Snapshots {
  /** By tick, ascending. */
  readonly list: Snapshot[] = [];
  readonly limitBytes: number;
  readonly #images: MemoryImages;
  #session: Session;
  /** Memory as it was when the engine was last asked what had been written. */
  #base: MemoryImage;

  constructor(session: Session, limitBytes: number) {
    this.#session = session;
    this.limitBytes = limitBytes;
    this.#images = new MemoryImages(new PageStore(), session.engine.frames.frameCount);
    this.#base = this.#images.empty();
  }

  get bytes(): number {
    const { engine } = this.#session;
    const vcpus = engine.snapshots.vcpuBytes;
    return this.#images.bytes + this.list.length * (RECORDS_BYTES + vcpus + engine.frames.frameCount / 8);
  }

  /** Goes on with another session of the same configuration that has just been built. */
  adopt(session: Session): void {
    this.#session = session;
    this.#images.drop(this.#base);
    this.#base = this.#images.empty();
  }

  /** True if the session as it is now can be made that of the snapshot. */
  fits(snapshot: Snapshot): boolean {
    return snapshot.state.domains === domainsKey(this.#session);
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
    return { tick: this.#session.now(), seq: state.log.seq, state, memory };
  }

  drop(snapshot: Snapshot): void {
    this.#images.drop(snapshot.memory);
  }

  /** Makes the session what it was. The snapshot must fit it. */
  restore(snapshot: Snapshot): void {
    const { snapshots } = this.#session.engine;
    const frames = new Set(snapshots.takeWritten());
    for (const mfn of this.#base.differences(snapshot.memory)) frames.add(mfn);
    for (const mfn of frames) snapshots.replaceFrame(mfn, this.#images.content(snapshot.memory, mfn));
    this.#images.drop(this.#base);
    this.#base = this.#images.derive(snapshot.memory, [], snapshots);
    restoreSession(this.#session, snapshot.state);
  }

  /** Latest snapshot at or before `tick`. */
  before(tick: number): Snapshot | undefined {
    return this.list.findLast((each) => each.tick <= tick);
  }

  /** The same of those that the session can take on as it is. */
  fittingBefore(tick: number): Snapshot | undefined {
    const key = domainsKey(this.#session);
    return this.list.findLast((each) => each.tick <= tick && each.state.domains === key);
  }

  /**
   * Thins until the limit is kept: away goes the snapshot whose loss leaves the smallest gap for its distance from
   * `here`, so that gaps grow with distance. The first one, from which everything can be run again, stays.
   */
  thin(here: number): void {
    while (this.list.length > 2 && this.bytes > this.limitBytes) {
      let least = -1;
      let score = Number.POSITIVE_INFINITY;
      for (let i = 1; i < this.list.length; i++) {
        const { tick } = this.list[i]!;
        const next = this.list[i + 1]?.tick ?? Math.max(here, tick);
        const each = (next - this.list[i - 1]!.tick) / (Math.abs(here - tick) + NEAR_TICKS);
        if (each <= score) {
          score = each;
          least = i;
        }
      }
      this.#images.drop(this.list[least]!.memory);
      this.list.splice(least, 1);
    }
  }
}

/** Within this distance gaps count all the same. */
const NEAR_TICKS = 50_000_000;

/** The snapshots that a recording carries, and a session made what it was at one of them. */
import type { Recording, SnapshotEntry } from '../src/log/recording.ts';
import type { Session } from '../src/session.ts';
import { domainsKey } from '../src/snapshot/session-state.ts';
import type { Snapshots } from '../src/snapshot/snapshots.ts';
import { chainState, type ChainParts, restoreChain } from '../src/snapshot/stored.ts';
import { placeDigest } from './place-digest.ts';

export class StoredSnapshots {
  readonly #recording: Recording;
  /** Those that are still trusted. */
  #list: readonly SnapshotEntry[];

  constructor(recording: Recording) {
    this.#recording = recording;
    this.#list = recording.snapshots.filter(({ tick }) => tick <= recording.lastTick);
  }

  /** The latest at or before `tick`. */
  before(tick: number): SnapshotEntry | undefined {
    return this.#list.findLast((each) => each.tick <= tick);
  }

  /**
   * Makes `session`, of the recording's configuration, what it was there, and checks that it is: memory and vcpus by
   * their digest. What is not as it should be is never used again, and the session neither.
   * @throws Error that says what is wrong
   */
  restore(entry: SnapshotEntry, session: Session, snapshots: Snapshots): void {
    const recording = this.#recording;
    const index = recording.snapshots.indexOf(entry);
    const chain: ChainParts = {
      snapshots: index + 1,
      parts: (snapshot) => recording.snapshots[snapshot]!.frames.length,
      read: (snapshot, part) => recording.snapshotPart(recording.snapshots[snapshot]!, part),
    };
    try {
      const stored = chainState(chain);
      if (stored.state.domains !== domainsKey(session)) throw new RangeError('it is of other domains');
      snapshots.changed(() => restoreChain(session, chain, stored));
      if (session.now() !== entry.tick || session.log.seq !== entry.seq || placeDigest(session) !== stored.place) {
        throw new RangeError('the machine is not what it was');
      }
    } catch (error) {
      this.#list = this.#list.filter(({ tick }) => tick < entry.tick);
      throw error;
    }
  }
}

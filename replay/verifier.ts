/**
 * Compares each event of a replay with the recording, word for word, in the moment it is appended. Events become
 * objects only for the report of the first that differs.
 */
import { blobStart, type RecordBatch, type RecordVerifier } from '../src/log/append.ts';
import { decodeRecord } from '../src/log/decode.ts';
import type { MachineEvent } from '../src/log/event.ts';
import type { Recording } from '../src/log/recording.ts';
import { BLOB_LENGTH_WORD, LAYOUT_BY_NUMBER, RECORD_WORDS } from '../src/log/record.ts';

/** Thrown through the machine to stop it at once. What it found is in the verifier. */
export class ReplayStop extends Error {
  override readonly name = 'ReplayStop';
}

/** An event that is not what was recorded, or that was not recorded at all. */
export interface Mismatch {
  readonly seq: number;
  readonly expected: MachineEvent | undefined;
  readonly actual: MachineEvent;
}

const HAS_BYTES = Uint8Array.from(LAYOUT_BY_NUMBER, (layout) => (layout?.hasBytes ? 1 : 0));

const NO_BATCH: RecordBatch = {
  words: new Uint32Array(0),
  count: 0,
  firstSeq: 0,
  blobs: new Uint8Array(0),
  blobBase: 0,
};
const KEPT_BATCHES = 6;

export class Verifier implements RecordVerifier {
  /** Set when the first event did not match. */
  mismatch: Mismatch | undefined;
  readonly #recording: Recording;
  readonly #events: number;
  #index = -1;
  #batch: RecordBatch = NO_BATCH;
  /** Read last, for a replay that goes back and forth. */
  readonly #kept: RecordBatch[] = [];

  constructor(recording: Recording) {
    this.#recording = recording;
    this.#events = recording.events;
  }

  check(seq: number, words: Uint32Array, base: number, blobs: Uint8Array, blobAt: number): void {
    if (this.mismatch !== undefined) throw new ReplayStop();
    if (seq >= this.#events) this.#stop(seq, undefined, words, base, blobs, blobAt);
    if (seq >= this.#batch.firstSeq + this.#batch.count) this.#next();
    const recorded = this.#batch.words;
    const at = (seq - this.#batch.firstSeq) * RECORD_WORDS;
    let differ = 0;
    for (let i = 0; i < RECORD_WORDS; i++) differ |= recorded[at + i] ^ words[base + i];
    if (differ === 0 && HAS_BYTES[words[base] & 0xff] === 1) {
      const length = words[base + BLOB_LENGTH_WORD];
      const from = blobStart(this.#batch, at);
      for (let i = 0; i < length; i++) differ |= this.#batch.blobs[from + i] ^ blobs[blobAt + i];
    }
    if (differ !== 0) this.#stop(seq, this.event(seq), words, base, blobs, blobAt);
  }

  /** The next event to be checked is number `seq`; what was found before is forgotten. */
  seek(seq: number): void {
    this.mismatch = undefined;
    const { firstSeq, count } = this.#batch;
    if (seq >= firstSeq && seq < firstSeq + count) return;
    // The batch with it is read when an event comes.
    this.#index = this.#recording.batches.findLastIndex((each) => each.firstSeq <= seq) - 1;
    this.#batch = { ...NO_BATCH, firstSeq: seq };
  }

  /** The recorded event `seq`, decoded; undefined beyond the end. */
  event(seq: number): MachineEvent | undefined {
    const current = this.#batch;
    if (seq < this.#recording.firstSeq || seq >= this.#events) return undefined;
    if (seq >= current.firstSeq && seq < current.firstSeq + current.count) return decodeAt(current, seq);
    const entry = this.#recording.batches.findLast((each) => each.firstSeq <= seq)!;
    return decodeAt(this.#recording.readBatch(entry), seq);
  }

  #next(): void {
    this.#index++;
    const known = this.#kept.find((each) => each.firstSeq === this.#recording.batches[this.#index].firstSeq);
    this.#batch = known ?? this.#recording.readBatch(this.#recording.batches[this.#index]);
    if (known) return;
    this.#kept.push(this.#batch);
    if (this.#kept.length > KEPT_BATCHES) this.#kept.shift();
  }

  #stop(
    seq: number,
    expected: MachineEvent | undefined,
    words: Uint32Array,
    base: number,
    blobs: Uint8Array,
    blobAt: number,
  ): never {
    this.mismatch = { seq, expected, actual: decodeRecord(words, base, seq, blobs, blobAt) };
    throw new ReplayStop('the replay does not match the recording');
  }
}

function decodeAt(batch: RecordBatch, seq: number): MachineEvent {
  const base = (seq - batch.firstSeq) * RECORD_WORDS;
  return decodeRecord(batch.words, base, seq, batch.blobs, blobStart(batch, base));
}

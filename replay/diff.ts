/**
 * Where two recordings part: the first event that is not the same in both, as `rexen diff` shows it. Recordings of one
 * configuration, say with another script or under chaos, are the same up to there and not related behind it.
 */
import { blobStart, type RecordBatch } from '../src/log/append.ts';
import { decodeRecord } from '../src/log/decode.ts';
import type { MachineEvent } from '../src/log/event.ts';
import { type BatchEntry, type Recording, RecordingError } from '../src/log/recording.ts';
import { BLOB_LENGTH_WORD, LAYOUT_BY_NUMBER, RECORD_WORDS } from '../src/log/record.ts';
import { differingFields } from './divergence.ts';

export interface RecordingsDiff {
  /** Paths of values in the configurations that differ: `machine.slice_ticks`. Parting is no surprise then. */
  readonly config: readonly string[];
  /** Events that are the same in both, from the start (of the one that was trimmed later). */
  readonly same: number;
  /** Where they part; undefined if they do not. A side is undefined where that recording ends. */
  readonly first: DiffPlace | undefined;
}

export interface DiffPlace {
  readonly seq: number;
  readonly a: MachineEvent | undefined;
  readonly b: MachineEvent | undefined;
  /** Names of what differs, if both have an event. */
  readonly fields: readonly string[];
  /** The last events of both before it, and what followed on each side. */
  readonly before: readonly MachineEvent[];
  readonly afterA: readonly MachineEvent[];
  readonly afterB: readonly MachineEvent[];
}

/**
 * Compares event by event, word for word.
 * @param context events shown before and behind
 * @throws RecordingError for one that cannot be read
 */
export function diffRecordings(a: Recording, b: Recording, context = 5): RecordingsDiff {
  if (!a.header || !b.header) throw new RecordingError('a recording ends before its header');
  const config = differences(a.header.config, b.header.config, '');
  const left = new Cursor(a);
  const right = new Cursor(b);
  const firstSeq = Math.max(a.firstSeq, b.firstSeq);
  let seq = firstSeq;
  while (left.reach(seq) && right.reach(seq) && sameRecord(left, right, seq)) seq++;
  if (seq >= a.events && seq >= b.events) return { config, same: seq - firstSeq, first: undefined };
  const events = (cursor: Cursor, from: number, to: number): MachineEvent[] => {
    const list: MachineEvent[] = [];
    for (let i = Math.max(0, from); i < to && cursor.reach(i); i++) list.push(cursor.event(i));
    return list;
  };
  const [eventA, ...afterA] = events(left, seq, seq + 1 + context);
  const [eventB, ...afterB] = events(right, seq, seq + 1 + context);
  const before = events(left, Math.max(firstSeq, seq - context), seq);
  const fields = differingFields(eventA, eventB);
  return { config, same: seq - firstSeq, first: { seq, a: eventA, b: eventB, fields, before, afterA, afterB } };
}

/** Reads a recording's records one by one, a batch at a time. */
class Cursor {
  batch: RecordBatch | undefined;
  readonly #recording: Recording;

  constructor(recording: Recording) {
    this.#recording = recording;
  }

  /** Makes event `seq` readable. @returns false if there is none */
  reach(seq: number): boolean {
    const { batch } = this;
    if (batch && seq >= batch.firstSeq && seq < batch.firstSeq + batch.count) return true;
    if (seq >= this.#recording.events) return false;
    this.batch = this.#recording.readBatch(findBatch(this.#recording.batches, seq));
    return true;
  }

  event(seq: number): MachineEvent {
    const batch = this.batch!;
    const base = (seq - batch.firstSeq) * RECORD_WORDS;
    return decodeRecord(batch.words, base, seq, batch.blobs, blobStart(batch, base));
  }
}

function findBatch(batches: readonly BatchEntry[], seq: number): BatchEntry {
  let low = 0;
  let high = batches.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (batches[middle].firstSeq <= seq) low = middle;
    else high = middle - 1;
  }
  return batches[low];
}

function sameRecord(left: Cursor, right: Cursor, seq: number): boolean {
  const a = left.batch!;
  const b = right.batch!;
  const atA = (seq - a.firstSeq) * RECORD_WORDS;
  const atB = (seq - b.firstSeq) * RECORD_WORDS;
  for (let i = 0; i < RECORD_WORDS; i++) if (a.words[atA + i] !== b.words[atB + i]) return false;
  if (!LAYOUT_BY_NUMBER[a.words[atA] & 0xff]?.hasBytes) return true;
  const length = a.words[atA + BLOB_LENGTH_WORD];
  const fromA = blobStart(a, atA);
  const fromB = blobStart(b, atB);
  for (let i = 0; i < length; i++) if (a.blobs[fromA + i] !== b.blobs[fromB + i]) return false;
  return true;
}

const MAX_PATHS = 20;

/** Paths at which two plain values differ. */
function differences(a: unknown, b: unknown, path: string, found: string[] = []): string[] {
  const plain = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
  if (found.length >= MAX_PATHS || Object.is(a, b)) return found;
  if (!plain(a) || !plain(b)) {
    found.push(path);
    return found;
  }
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    differences(a[key], b[key], path === '' ? key : `${path}.${key}`, found);
  }
  return found;
}

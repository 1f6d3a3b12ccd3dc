/** The index of a recording: where its batches lie. Made by the writer, and by a scan alike. */
import { toU53 } from '../record.ts';
import type { BatchHead } from './batch.ts';
import { decodeColumn, encodeColumn, maxColumnBytes } from './columns.ts';
import { RecordingError } from './error.ts';
import { pack, unpack } from './msgpack.ts';

/** Where a batch lies and what it holds. */
export interface BatchEntry extends BatchHead {
  /** Offset of its frame of inputs, or -1. */
  readonly inputsAt: number;
  readonly effectsAt: number;
  /** Numbers of the two frames. */
  readonly frame: number;
}

/** Columns of a batch's entry in the index, u53 as low and high words. */
const INDEX_FIELDS = [
  'inputsAt',
  'effectsAt',
  'firstSeq',
  'firstTick',
  'lastTick',
  'blobBase',
  'count',
  'inputs',
  'frame',
] as const;

/** Body of an index frame. */
export function encodeIndex(entries: readonly BatchEntry[]): Uint8Array {
  const n = entries.length;
  const column = new Uint32Array(n);
  const out = new Uint8Array(maxColumnBytes(n));
  const columns = INDEX_FIELDS.flatMap((field) =>
    [1, 0x1_0000_0000].map((unit) => {
      for (let i = 0; i < n; i++) column[i] = Math.floor((entries[i][field] + 1) / unit);
      return out.slice(0, encodeColumn(column, n, out, 0));
    }),
  );
  return pack([n, ...columns]);
}

/** @throws RecordingError if it is malformed. */
export function decodeIndex(body: Uint8Array, maxBatches: number): BatchEntry[] {
  const value = unpack(body);
  const n: unknown = Array.isArray(value) ? value[0] : undefined;
  if (!Array.isArray(value) || typeof n !== 'number' || !(n >= 0 && n <= maxBatches) || !Number.isInteger(n)) {
    throw new RecordingError('malformed index');
  }
  if (value.length !== 1 + 2 * INDEX_FIELDS.length || !value.slice(1).every((each) => each instanceof Uint8Array)) {
    throw new RecordingError('malformed index');
  }
  const low = new Uint32Array(n);
  const high = new Uint32Array(n);
  const entries: Record<string, number>[] = Array.from({ length: n }, () => ({}));
  for (const [k, field] of INDEX_FIELDS.entries()) {
    decodeColumn(value[1 + 2 * k], n, low);
    decodeColumn(value[2 + 2 * k], n, high);
    for (let i = 0; i < n; i++) entries[i][field] = toU53(low[i], high[i]) - 1;
  }
  return entries as unknown as BatchEntry[];
}

/** True if both say the same of a batch. */
export function sameEntry(a: BatchEntry, b: BatchEntry): boolean {
  return INDEX_FIELDS.every((field) => a[field] === b[field]);
}

/**
 * A batch of records as two frames: its inputs, small and by themselves (so that what a session needs to be reproduced
 * can be counted and kept apart), then its effects. Both have the same head, never compressed, so that a scan of a file
 * knows where everything lies without decompressing anything:
 *
 *      0          8           16         24           28        32         36
 *      ┌──────────┬───────────┬──────────┬────────────┬─────────┬──────────┬─────┬── ─ ─ ──┐
 *      │ firstSeq │ firstTick │ lastTick │ blobBase   │ count   │ inputs   │  0  │ body    │
 *      └──────────┴───────────┴──────────┴────────────┴─────────┴──────────┴─────┴── ─ ─ ──┘
 *
 *      firstSeq   sequence number of the batch's first record, input or effect (both frames say the same)
 *      count      records in the batch, inputs included;  inputs: how many of them are in the frame of inputs
 *
 * The body is MessagePack (columns: columns.ts), records in order:
 *
 *      [ positions, kind, domain, vcpu, pcpu, tick low, tick high,
 *        [ [kind number, n, [column of each field word]], … ],  bytes of all records ]
 *
 * `positions` are places within the batch, in the frame of inputs only; effects take the places left. The word that
 * says where a record's bytes start is left out: bytes lie in the order of records.
 */
import type { RecordBatch } from '../append.ts';
import { BLOB_LENGTH_WORD, BLOB_OFFSET_WORD, FIELD_WORD, LAYOUT_BY_NUMBER, RECORD_WORDS, toU53 } from '../record.ts';
import { decodeColumn, encodeColumn, maxColumnBytes } from './columns.ts';
import { RecordingError } from './error.ts';
import { pack, unpack } from './msgpack.ts';

export const BATCH_HEAD_BYTES = 40;
/** Records in one batch at most. */
export const MAX_BATCH_RECORDS = 1 << 16;

export interface BatchHead {
  readonly firstSeq: number;
  readonly firstTick: number;
  readonly lastTick: number;
  readonly blobBase: number;
  readonly count: number;
  readonly inputs: number;
}

export interface EncodedFrame {
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

function encodeHead(head: BatchHead): Uint8Array {
  const bytes = new Uint8Array(BATCH_HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of [head.firstSeq, head.firstTick, head.lastTick].entries()) {
    view.setUint32(8 * i, value % 0x1_0000_0000, true);
    view.setUint32(8 * i + 4, value / 0x1_0000_0000, true);
  }
  view.setUint32(24, head.blobBase, true);
  view.setUint32(28, head.count, true);
  view.setUint32(32, head.inputs, true);
  return bytes;
}

/** @throws RecordingError for a head no writer makes. */
export function decodeHead(payload: Uint8Array): BatchHead {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const u53 = (at: number) => toU53(view.getUint32(at, true), view.getUint32(at + 4, true));
  const head = {
    firstSeq: u53(0),
    firstTick: u53(8),
    lastTick: u53(16),
    blobBase: view.getUint32(24, true),
    count: view.getUint32(28, true),
    inputs: view.getUint32(32, true),
  };
  if (head.count > MAX_BATCH_RECORDS || head.inputs > head.count || view.getUint32(36, true) !== 0) {
    throw new RecordingError('a batch has an impossible head');
  }
  return head;
}

/** Encodes batches. Keeps scratch memory between them. */
export class BatchEncoder {
  readonly #rows = [new Uint16Array(MAX_BATCH_RECORDS), new Uint16Array(MAX_BATCH_RECORDS)] as const;
  readonly #sorted = new Uint16Array(MAX_BATCH_RECORDS);
  /** One a word of a record: what a kind's fields need, and more than what all records have. */
  readonly #columns = Array.from({ length: RECORD_WORDS - FIELD_WORD }, () => new Uint32Array(MAX_BATCH_RECORDS));
  readonly #out = new Uint8Array(maxColumnBytes(MAX_BATCH_RECORDS));

  /** @returns the frame of inputs, if the batch has any, and the frame of effects, which completes the batch. */
  encode(batch: RecordBatch): { inputs: EncodedFrame | undefined; effects: EncodedFrame } {
    const { words, count } = batch;
    if (count > MAX_BATCH_RECORDS) throw new RangeError(`a batch of ${count} records`);
    const [effects, inputs] = this.#rows;
    let n = 0;
    for (let i = 0; i < count; i++) {
      if (LAYOUT_BY_NUMBER[words[i * RECORD_WORDS] & 0xff]!.input) inputs[n++] = i;
      else effects[i - n] = i;
    }
    const last = (count - 1) * RECORD_WORDS;
    const head = encodeHead({
      firstSeq: batch.firstSeq,
      firstTick: count ? toU53(words[2], words[3]) : 0,
      lastTick: count ? toU53(words[last + 2], words[last + 3]) : 0,
      blobBase: batch.blobBase,
      count,
      inputs: n,
    });
    return {
      inputs: n > 0 ? { head, body: this.#section(batch, inputs.subarray(0, n), true) } : undefined,
      effects: { head, body: this.#section(batch, effects.subarray(0, count - n), false) },
    };
  }

  #section(batch: RecordBatch, rows: Uint16Array, positions: boolean): Uint8Array {
    const { words } = batch;
    const n = rows.length;
    const columns = this.#columns;
    const perKind = new Uint32Array(257);
    const [kinds, domains, vcpus, pcpus, low, high] = columns;
    // One pass over the records, which are larger than the processor's caches like.
    for (let i = 0; i < n; i++) {
      const base = rows[i] * RECORD_WORDS;
      const first = words[base];
      const place = words[base + 1];
      kinds[i] = first & 0xffff;
      domains[i] = first >>> 16;
      vcpus[i] = place & 0xffff;
      pcpus[i] = place >>> 16;
      low[i] = words[base + 2];
      high[i] = words[base + 3];
      perKind[(first & 0xff) + 1]++;
    }
    const heads = columns.slice(0, HEAD_COLUMNS).map((column) => this.#encoded(column, n));
    for (let kind = 0; kind < 256; kind++) perKind[kind + 1] += perKind[kind];
    const next = perKind.slice();
    for (let i = 0; i < n; i++) this.#sorted[next[kinds[i]]++] = rows[i];
    const fields: unknown[] = [];
    for (let kind = 0; kind < 256; kind++) {
      const of = this.#sorted.subarray(perKind[kind], perKind[kind + 1]);
      if (of.length > 0) fields.push([kind, of.length, this.#fields(words, kind, of)]);
    }
    const places = new Uint8Array(0);
    if (!positions) return pack([places, ...heads, fields, bytesOf(batch, rows, n < batch.count)]);
    columns[0].set(rows);
    return pack([this.#encoded(columns[0], n), ...heads, fields, bytesOf(batch, rows, true)]);
  }

  #fields(words: Uint32Array, kind: number, rows: Uint16Array): Uint8Array[] {
    const n = rows.length;
    const stored = FIELD_WORDS[kind];
    for (let i = 0; i < n; i++) {
      const base = rows[i] * RECORD_WORDS;
      for (let k = 0; k < stored.length; k++) this.#columns[k][i] = words[base + stored[k]];
    }
    return Array.from(stored, (_, k) => this.#encoded(this.#columns[k], n));
  }

  #encoded(column: Uint32Array, n: number): Uint8Array {
    return this.#out.slice(0, encodeColumn(column, n, this.#out, 0));
  }
}

/** Columns of what every record has: kind, domain, vcpu, pcpu, tick low, tick high. */
const HEAD_COLUMNS = 6;

/** Words of each kind that are stored, by kind number. */
const FIELD_WORDS: readonly Uint8Array[] = LAYOUT_BY_NUMBER.map((layout) => {
  if (!layout) return new Uint8Array(0);
  const words = Array.from({ length: layout.fieldWords }, (_, i) => FIELD_WORD + i);
  return Uint8Array.from(layout.hasBytes ? [...words, BLOB_LENGTH_WORD] : words);
});
const HAS_BYTES = Uint8Array.from(LAYOUT_BY_NUMBER, (layout) => (layout?.hasBytes ? 1 : 0));

function hasBytes(words: Uint32Array, base: number): boolean {
  return HAS_BYTES[words[base] & 0xff] === 1;
}

/** The bytes of `rows`, concatenated. */
function bytesOf(batch: RecordBatch, rows: Uint16Array, some: boolean): Uint8Array {
  if (!some) return batch.blobs;
  const parts: Uint8Array[] = [];
  for (const row of rows) {
    const base = row * RECORD_WORDS;
    if (!hasBytes(batch.words, base)) continue;
    const at = (batch.words[base + BLOB_OFFSET_WORD] - batch.blobBase) >>> 0;
    parts.push(batch.blobs.subarray(at, at + batch.words[base + BLOB_LENGTH_WORD]));
  }
  return Buffer.concat(parts);
}

/** Bytes that a section spends on each kind, before compression. */
export type KindBytes = Map<number, number>;

/**
 * Puts a batch together again, record for record and byte for byte as it was appended.
 * @param kindBytes is added to, if given.
 * @throws RecordingError if the frames contradict themselves.
 */
export function decodeBatch(
  head: BatchHead,
  inputs: Uint8Array | undefined,
  effects: Uint8Array,
  kindBytes?: KindBytes,
): RecordBatch {
  const { count } = head;
  const words = new Uint32Array(count * RECORD_WORDS);
  const section = inputs ? parseSection(inputs) : undefined;
  const places = positionsOf(section, head);
  const free = new Uint32Array(count - places.length);
  const taken = new Set(places);
  for (let row = 0, i = 0; row < count; row++) if (taken.size === 0 || !taken.has(row)) free[i++] = row;
  const main = parseSection(effects);
  if (section) placeRecords(section, places, words, true, kindBytes);
  placeRecords(main, free, words, false, kindBytes);
  const blobs = mergeBytes(words, head, taken, section?.bytes ?? new Uint8Array(0), main.bytes);
  return { words, count, firstSeq: head.firstSeq, blobs, blobBase: head.blobBase };
}

interface Section {
  readonly heads: readonly Uint8Array[];
  readonly kinds: readonly (readonly [number, number, readonly Uint8Array[]])[];
  readonly bytes: Uint8Array;
}

function parseSection(body: Uint8Array): Section {
  const value = unpack(body);
  if (!Array.isArray(value) || value.length !== 9) throw contradiction();
  const heads = value.slice(0, 7);
  const [kinds, bytes] = value.slice(7);
  if (!heads.every(isBytes) || !Array.isArray(kinds) || !isBytes(bytes)) throw contradiction();
  for (const kind of kinds) {
    const good = Array.isArray(kind) && kind.length === 3 && Number.isInteger(kind[0]) && Number.isInteger(kind[1]);
    if (!good || !Array.isArray(kind[2]) || !kind[2].every(isBytes)) throw contradiction();
  }
  return { heads, kinds, bytes };
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

function contradiction(): RecordingError {
  return new RecordingError('a batch contradicts itself');
}

function positionsOf(section: Section | undefined, head: BatchHead): Uint32Array {
  const places = new Uint32Array(head.inputs);
  if ((section === undefined) !== (head.inputs === 0)) throw contradiction();
  if (!section) return places;
  decodeColumn(section.heads[0], head.inputs, places);
  for (let i = 0; i < places.length; i++) {
    if (places[i] >= head.count || (i > 0 && places[i] <= places[i - 1])) throw contradiction();
  }
  return places;
}

function placeRecords(
  section: Section,
  rows: Uint32Array,
  words: Uint32Array,
  inputs: boolean,
  kindBytes?: KindBytes,
): void {
  const n = rows.length;
  const sorted = placeHeads(section, rows, words, inputs);
  const column = new Uint32Array(n);
  const shared = section.heads.reduce((sum, each) => sum + each.length, 0) / n;
  let [done, previous] = [0, -1];
  for (const [number, size, columns] of section.kinds) {
    const fields = FIELD_WORDS[number] ?? [];
    const of = sorted.subarray(done, done + size);
    const right = of.length === size && size > 0 && number > previous && columns.length === fields.length;
    if (!right || (words[of[0]] & 0xffff) !== number || (words[of[size - 1]] & 0xffff) !== number)
      throw contradiction();
    let bytes = shared * size;
    for (let k = 0; k < fields.length; k++) {
      const word = fields[k];
      decodeColumn(columns[k], size, column);
      for (let i = 0; i < size; i++) words[of[i] + word] = column[i];
      bytes += columns[k].length;
      if (kindBytes && word === BLOB_LENGTH_WORD) for (let i = 0; i < size; i++) bytes += column[i];
    }
    kindBytes?.set(number, (kindBytes.get(number) ?? 0) + bytes);
    done += size;
    previous = number;
  }
  if (done !== n) throw contradiction();
}

/** Words 0 to 3 of the records at `rows`. @returns where the records begin in `words`, sorted by kind. */
function placeHeads(section: Section, rows: Uint32Array, words: Uint32Array, inputs: boolean): Uint32Array {
  const n = rows.length;
  const heads = Array.from({ length: HEAD_COLUMNS }, (_, i) => {
    const column = new Uint32Array(n);
    decodeColumn(section.heads[i + 1], n, column);
    return column;
  });
  const [kinds, domains, vcpus, pcpus, low, high] = heads;
  const next = new Uint32Array(257);
  for (let i = 0; i < n; i++) {
    const base = rows[i] * RECORD_WORDS;
    const kind = kinds[i];
    if (kind > 255 || LAYOUT_BY_NUMBER[kind]?.input !== inputs) {
      throw new RecordingError(`a batch holds an event of kind ${kind}, unknown or out of place`);
    }
    next[kind + 1]++;
    words[base] = kind | (domains[i] << 16);
    words[base + 1] = (vcpus[i] & 0xffff) | (pcpus[i] << 16);
    words[base + 2] = low[i];
    words[base + 3] = high[i];
  }
  for (let kind = 0; kind < 256; kind++) next[kind + 1] += next[kind];
  const sorted = new Uint32Array(n);
  for (let i = 0; i < n; i++) sorted[next[kinds[i]]++] = rows[i] * RECORD_WORDS;
  return sorted;
}

/** The bytes of both sections in the order of records; sets the word that says where each record's start. */
function mergeBytes(
  words: Uint32Array,
  head: BatchHead,
  inputs: ReadonlySet<number>,
  inputBytes: Uint8Array,
  effectBytes: Uint8Array,
): Uint8Array {
  const blobs = new Uint8Array(inputBytes.length + effectBytes.length);
  let [at, fromInputs, fromEffects] = [0, 0, 0];
  for (let row = 0; row < head.count; row++) {
    const base = row * RECORD_WORDS;
    if (!hasBytes(words, base)) continue;
    const length = words[base + BLOB_LENGTH_WORD];
    const input = inputs.size > 0 && inputs.has(row);
    const from = input ? fromInputs : fromEffects;
    const source = input ? inputBytes : effectBytes;
    if (from + length > source.length) throw contradiction();
    if (inputs.size > 0) blobs.set(source.subarray(from, from + length), at);
    words[base + BLOB_OFFSET_WORD] = head.blobBase + at;
    at += length;
    if (input) fromInputs += length;
    else fromEffects += length;
  }
  if (at !== blobs.length) throw contradiction();
  if (inputs.size === 0) blobs.set(effectBytes);
  return blobs;
}

/**
 * Columns: n words of 32 bits that belong together (one field of all events of one kind), stored so that zstd finds
 * little left to do. Values are taken relative to the smallest, or to their predecessor, in as few bytes as fit, and
 * stored byte plane by byte plane (all lowest bytes, then all second bytes, …).
 *
 *     byte 0         1..4     5…
 *     ┌────────────┬────────┬──────────┬──────────┬─
 *     │ tag        │ base   │ plane 0  │ plane 1  │ …       n = 0: no bytes at all
 *     └────────────┴────────┴──────────┴──────────┴─
 *     tag 0        every value is base
 *     tag w        1..4: w planes of n bytes, value[i] = base + plane[i]
 *     tag 16+w     w planes of n-1 bytes, value[0] = base, value[i] = value[i-1] + zigzag⁻¹(plane[i-1])  (mod 2^32)
 */
import { RecordingError } from './error.ts';

const TAG_BYTES = 5;
const DELTA = 16;

/** Longest encoding of `n` values, in bytes. */
export function maxColumnBytes(n: number): number {
  return n === 0 ? 0 : TAG_BYTES + 4 * n;
}

function bytesFor(value: number): number {
  if (value < 0x1_0000) return value < 0x100 ? (value === 0 ? 0 : 1) : 2;
  return value < 0x100_0000 ? 3 : 4;
}

/**
 * Encodes `values[0..n)` to `out` at `at`.
 * @returns the offset behind it.
 */
export function encodeColumn(values: Uint32Array, n: number, out: Uint8Array, at: number): number {
  if (n === 0) return at;
  const first = values[0];
  let min = first;
  let max = first;
  let deltas = 0; // every bit that some zigzag delta has
  let previous = first;
  for (let i = 1; i < n; i++) {
    const value = values[i];
    if (value < min) min = value;
    else if (value > max) max = value;
    const d = (value - previous) | 0;
    deltas |= (d << 1) ^ (d >> 31);
    previous = value;
  }
  const plain = bytesFor(max - min);
  const delta = bytesFor(deltas >>> 0);
  if (plain === 0) return putTag(out, at, 0, min);
  if (delta >= plain) return putPlain(values, n, min, plain, out, putTag(out, at, plain, min));
  return putDeltas(values, n, delta, out, putTag(out, at, DELTA + delta, first));
}

function putTag(out: Uint8Array, at: number, tag: number, base: number): number {
  out[at] = tag;
  out[at + 1] = base;
  out[at + 2] = base >>> 8;
  out[at + 3] = base >>> 16;
  out[at + 4] = base >>> 24;
  return at + TAG_BYTES;
}

function putPlain(values: Uint32Array, n: number, min: number, width: number, out: Uint8Array, at: number): number {
  for (let shift = 0; shift < 8 * width; shift += 8, at += n) {
    for (let i = 0; i < n; i++) out[at + i] = (values[i] - min) >>> shift;
  }
  return at;
}

function putDeltas(values: Uint32Array, n: number, width: number, out: Uint8Array, at: number): number {
  for (let shift = 0; shift < 8 * width; shift += 8, at += n - 1) {
    let previous = values[0];
    for (let i = 1; i < n; i++) {
      const value = values[i];
      const d = (value - previous) | 0;
      out[at + i - 1] = ((d << 1) ^ (d >> 31)) >>> shift;
      previous = value;
    }
  }
  return at;
}

/** Decodes `n` values into `out[start + i * stride]`. @throws RecordingError if `bytes` is not a column of n values. */
export function decodeColumn(bytes: Uint8Array, n: number, out: Uint32Array, start = 0, stride = 1): void {
  if (n === 0 && bytes.length === 0) return;
  const tag = bytes[0];
  const delta = tag > DELTA;
  const width = delta ? tag - DELTA : tag;
  const rows = delta ? n - 1 : n;
  if (n === 0 || !(width <= 4) || bytes.length !== TAG_BYTES + width * rows) {
    throw new RecordingError('a column of a batch has the wrong size');
  }
  const base = (bytes[1] | (bytes[2] << 8) | (bytes[3] << 16) | (bytes[4] << 24)) >>> 0;
  let previous = base;
  let at = start;
  if (delta) {
    out[at] = base;
    at += stride;
  }
  for (let i = 0; i < rows; i++, at += stride) {
    let raw = 0;
    for (let plane = 0; plane < width; plane++) raw |= bytes[TAG_BYTES + plane * rows + i] << (8 * plane);
    if (delta) {
      previous = (previous + ((raw >>> 1) ^ -(raw & 1))) >>> 0;
      out[at] = previous;
    } else {
      out[at] = base + raw;
    }
  }
}

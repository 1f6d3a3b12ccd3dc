import type { Image } from './image.ts';
import { ImageReader } from './image.ts';

/** Magic of the legacy LZ4 frame, `lz4 -l`, which Linux uses for its kernel. */
export const LZ4_LEGACY_MAGIC = 0x184c2102;
const BLOCK_MAX = 8 << 20;

/**
 * Unpacks a legacy LZ4 frame: magic, then blocks of (u32 compressed size, data), each of at most 8 MiB unpacked.
 * A block size that is the magic starts a further frame.
 * Source: LZ4 frame and block format descriptions.
 * @throws ImageError on damage, or if more than `limit` bytes come out
 */
export function unpackLz4Legacy(packed: Image, limit: number): Uint8Array {
  const file = new ImageReader(packed);
  if (file.u32(0) !== LZ4_LEGACY_MAGIC) file.fail(0, 'no LZ4 legacy frame starts here');
  const out = new Output(limit, file);
  for (let at = 4; at + 4 <= file.length; ) {
    const size = file.u32(at);
    at += 4;
    if (size === LZ4_LEGACY_MAGIC) continue;
    if (size === 0 || at + size > file.length) file.fail(at - 4, `LZ4 block of ${size} bytes leaves the image`);
    unpackBlock(file, at, at + size, out);
    at += size;
  }
  return out.finish();
}

/** A growing buffer that refuses to exceed its limit. */
class Output {
  bytes = new Uint8Array(1 << 20);
  length = 0;
  readonly #limit: number;
  readonly #file: ImageReader;

  constructor(limit: number, file: ImageReader) {
    this.#limit = limit;
    this.#file = file;
  }

  /** Makes room for `more` bytes. */
  reserve(more: number, at: number): void {
    const need = this.length + more;
    if (need > this.#limit) this.#file.fail(at, `the unpacked image is larger than ${this.#limit} bytes`);
    if (need <= this.bytes.length) return;
    const grown = new Uint8Array(Math.min(this.#limit, Math.max(need, this.bytes.length * 2)));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

/**
 * One block: sequences of token (literal count in the high nibble, match length - 4 in the low), literals, u16 match
 * offset; counts of 15 go on in further bytes while those are 255. The last sequence ends after its literals.
 */
function unpackBlock(file: ImageReader, start: number, end: number, out: Output): void {
  const input = file.image.bytes;
  const base = out.length;
  let at = start;
  const count = (nibble: number): number => {
    if (nibble < 15) return nibble;
    let total = 15;
    for (;;) {
      if (at >= end) file.fail(at, 'LZ4 length leaves its block');
      const byte = input[at++]!;
      total += byte;
      if (byte !== 255) return total;
    }
  };
  while (at < end) {
    const token = input[at++]!;
    const literals = count(token >> 4);
    if (at + literals > end) file.fail(at, 'LZ4 literals leave their block');
    out.reserve(literals, at);
    out.bytes.set(input.subarray(at, at + literals), out.length);
    out.length += literals;
    at += literals;
    if (at === end) break;
    if (at + 2 > end) file.fail(at, 'LZ4 block ends within a match');
    const offset = input[at]! | (input[at + 1]! << 8);
    at += 2;
    if (offset === 0 || offset > out.length - base)
      file.fail(at - 2, `LZ4 match ${offset} bytes back leaves its block`);
    const length = count(token & 15) + 4;
    if (out.length - base + length > BLOCK_MAX) file.fail(at, 'LZ4 block unpacks to more than 8 MiB');
    out.reserve(length, at);
    copyMatch(out.bytes, out.length, offset, length);
    out.length += length;
  }
}

/** Copies bytes from `offset` back; with offset < length the copy repeats what it wrote. */
export function copyMatch(bytes: Uint8Array, to: number, offset: number, length: number): void {
  const from = to - offset;
  if (offset >= length) bytes.copyWithin(to, from, from + length);
  else for (let i = 0; i < length; i++) bytes[to + i] = bytes[from + i]!;
}

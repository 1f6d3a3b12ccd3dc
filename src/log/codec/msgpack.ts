/**
 * MessagePack for the small structures of a recording: stateless, and checked before msgpackr sees it, so that a
 * hostile file can neither name a type we do not write nor blow up a few bytes into a large object.
 *
 * Facts that bite: msgpackr writes integers from 2^32 on as doubles (exact below 2^53) and any bigint in 9 bytes; its
 * `sequential` mode and shared structures make later bytes depend on earlier ones. None of that is used here.
 */
import { Packr, Unpackr } from 'msgpackr';
import { RecordingError } from './error.ts';

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

const MAX_VALUES = 1 << 16;
const MAX_DEPTH = 8;

/** Packs numbers, strings, booleans, null, arrays, plain objects and Uint8Arrays. The result is a copy. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** @throws RecordingError for anything but the types `pack` takes, within limits. Byte arrays are views of `bytes`. */
export function unpack(bytes: Uint8Array): unknown {
  const walker = new Walker(bytes);
  walker.value(0);
  if (walker.at !== bytes.length) throw malformed();
  try {
    return unpackr.unpack(bytes);
  } catch {
    throw malformed();
  }
}

function malformed(): RecordingError {
  return new RecordingError('malformed MessagePack in a frame');
}

/** Walks a MessagePack value without building it. Format bytes: github.com/msgpack/msgpack, spec.md. */
class Walker {
  at = 0;
  readonly #bytes: Uint8Array;
  #left = MAX_VALUES;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  value(depth: number): void {
    if (--this.#left < 0 || depth > MAX_DEPTH) throw malformed();
    const token = this.#uint(1);
    if (token <= 0x7f || token >= 0xe0 || token === 0xc0 || token === 0xc2 || token === 0xc3) return;
    if (token <= 0x8f) this.#map(token & 15, depth);
    else if (token <= 0x9f) this.#values(token & 15, depth);
    else if (token <= 0xbf) this.#skip(token & 31);
    else if (token >= 0xc4 && token <= 0xc6) this.#skip(this.#uint(1 << (token - 0xc4)));
    else if (token >= 0xca && token <= 0xcb) this.#skip(token === 0xca ? 4 : 8);
    else if (token >= 0xcc && token <= 0xd3) this.#skip(1 << ((token - 0xcc) & 3));
    else if (token >= 0xd9 && token <= 0xdb) this.#skip(this.#uint(1 << (token - 0xd9)));
    else if (token === 0xdc || token === 0xdd) this.#values(this.#uint(token === 0xdc ? 2 : 4), depth);
    else if (token === 0xde || token === 0xdf) this.#map(this.#uint(token === 0xde ? 2 : 4), depth);
    else throw malformed();
  }

  #values(count: number, depth: number): void {
    for (let i = 0; i < count; i++) this.value(depth + 1);
  }

  #map(count: number, depth: number): void {
    for (let i = 0; i < count; i++) {
      const key = this.#bytes[this.at];
      if (!((key >= 0xa0 && key <= 0xbf) || (key >= 0xd9 && key <= 0xdb))) throw malformed();
      this.value(depth + 1);
      this.value(depth + 1);
    }
  }

  #uint(size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + (this.#bytes[this.at + i] ?? 0);
    this.#skip(size);
    return value;
  }

  #skip(size: number): void {
    this.at += size;
    if (this.at > this.#bytes.length) throw malformed();
  }
}

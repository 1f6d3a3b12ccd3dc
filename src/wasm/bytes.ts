const encoder = new TextEncoder();
const scratch = new DataView(new ArrayBuffer(8));

/** A growing byte buffer with the encodings of the WebAssembly binary format (core specification, chapter 5). */
export class ByteSink {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(initialCapacity = 1024) {
    this.#bytes = new Uint8Array(initialCapacity);
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes written from `start` to `end`: a view, valid until the next write. */
  view(start = 0, end = this.#length): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(start, end);
  }

  #grow(needed: number): void {
    const bigger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    bigger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bigger;
  }

  u8(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(this.#length + 1);
    this.#bytes[this.#length++] = value;
  }

  bytes(values: ArrayLike<number>): void {
    const end = this.#length + values.length;
    if (end > this.#bytes.length) this.#grow(end);
    this.#bytes.set(values, this.#length);
    this.#length = end;
  }

  /** Unsigned LEB128 of a u32. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.u8((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.u8(rest);
  }

  /** Signed LEB128 of an i32. The last byte's bit 6 is the sign, so it must agree with the bits left over. */
  s32(value: number): void {
    let rest = value | 0;
    while (rest < -0x40 || rest > 0x3f) {
      this.u8((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.u8(rest & 0x7f);
  }

  /** Signed LEB128 of an i64. */
  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    while (rest !== BigInt.asIntN(32, rest)) {
      this.u8(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.s32(Number(rest));
  }

  /** A vector of bytes: its length, then UTF-8. */
  name(text: string): void {
    const utf8 = encoder.encode(text);
    this.u32(utf8.length);
    this.bytes(utf8);
  }

  /** Writes a u32 whose value comes later, five bytes wide (the longest LEB128 of a u32), and returns its place. */
  reserveU32(): number {
    const at = this.#length;
    for (let i = 0; i < 5; i++) this.u8(0);
    return at;
  }

  /** Fills a reserved u32 with the number of bytes written since. */
  patchSize(at: number): void {
    const size = this.#length - at - 5;
    for (let i = 0; i < 5; i++) this.#bytes[at + i] = ((size >>> (7 * i)) & 0x7f) | (i < 4 ? 0x80 : 0);
  }
}

/** Little-endian bytes of an IEEE-754 number. A NaN's payload is whatever the host keeps: use bits where it matters. */
export function floatBytes(type: 'f32' | 'f64', value: number): Uint8Array {
  if (type === 'f32') scratch.setFloat32(0, value, true);
  else scratch.setFloat64(0, value, true);
  return new Uint8Array(scratch.buffer.slice(0, type === 'f32' ? 4 : 8));
}

/** The `count` low bytes of an integer, little-endian. */
export function integerBytes(value: bigint, count: 4 | 8): Uint8Array {
  scratch.setBigUint64(0, BigInt.asUintN(64, value), true);
  return new Uint8Array(scratch.buffer.slice(0, count));
}

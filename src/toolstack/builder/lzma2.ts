import type { ImageReader } from './image.ts';
import { copyMatch } from './lz4.ts';

/**
 * LZMA2, the coder inside .xz: a chain of chunks over one dictionary. Source: the LZMA specification (7-Zip's
 * lzma-specification) and the .xz file format, section 5.3.1.
 *
 * Probabilities are 11 bits; the range decoder keeps 32-bit `range` and `code`. All models lie in one Uint16Array:
 */
const MODELS = (() => {
  let next = 0;
  const take = (n: number): number => (next += n) - n;
  return {
    isMatch: take(12 * 16),
    isRep: take(12),
    isRep0: take(12),
    isRep1: take(12),
    isRep2: take(12),
    isRep0Long: take(12 * 16),
    slot: take(4 * 64),
    special: take(115),
    align: take(16),
    matchLength: take(2 + 16 * 8 + 16 * 8 + 256),
    repLength: take(2 + 16 * 8 + 16 * 8 + 256),
    literal: next,
    total: next + (0x300 << 4),
  };
})();
const LENGTH_LOW = 2;
const LENGTH_MID = LENGTH_LOW + 16 * 8;
const LENGTH_HIGH = LENGTH_MID + 16 * 8;
const HALF = 1024;

export class Lzma2Decoder {
  readonly #file: ImageReader;
  readonly #input: Uint8Array;
  readonly #probs = new Uint16Array(MODELS.total);
  readonly #out: Uint8Array;
  #written = 0;
  #dictionaryStart = 0;
  readonly #dictionarySize: number;
  #at: number;
  #end = 0;
  #range = 0;
  #code = 0;
  #lc = 0;
  #lpMask = 0;
  #pbMask = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;

  /** Unpacks from `at` of the file to the start of `out`. The dictionary is the output itself. */
  constructor(file: ImageReader, at: number, out: Uint8Array, dictionarySize: number) {
    this.#file = file;
    this.#input = file.image.bytes;
    this.#at = at;
    this.#out = out;
    this.#dictionarySize = dictionarySize;
  }

  /**
   * Runs to the end marker.
   * @returns where the input ended and how many bytes came out @throws ImageError on damage or if `out` is too small
   */
  run(): { end: number; written: number } {
    let needDictionary = true;
    let needState = true;
    let needProperties = true;
    for (;;) {
      const at = this.#at;
      const control = this.#file.u8(this.#at++);
      if (control === 0) return { end: this.#at, written: this.#written };
      if (control >= 0xe0 || control === 1) {
        this.#dictionaryStart = this.#written;
        needDictionary = false;
      } else if (needDictionary) this.#file.fail(at, 'LZMA2 starts without a dictionary reset');
      if (control < 0x80) {
        if (control > 2) this.#file.fail(at, `LZMA2 control byte ${control} means nothing`);
        this.#copyChunk();
        continue;
      }
      const size = ((control & 31) << 16) + this.#bigEndian16() + 1;
      const packed = this.#bigEndian16() + 1;
      if (control >= 0xc0) {
        this.#properties(this.#file.u8(this.#at++));
        needProperties = false;
      } else if (needProperties) this.#file.fail(at, 'LZMA2 chunk before any properties');
      if (control >= 0xa0) {
        this.#reset();
        needState = false;
      } else if (needState) this.#file.fail(at, 'LZMA2 chunk before any state reset');
      this.#chunk(size, packed);
    }
  }

  #bigEndian16(): number {
    const value = (this.#file.u8(this.#at) << 8) | this.#file.u8(this.#at + 1);
    this.#at += 2;
    return value;
  }

  #room(size: number): void {
    if (this.#written + size > this.#out.length)
      this.#file.fail(this.#at, `the unpacked data is larger than the ${this.#out.length} bytes foreseen`);
  }

  #copyChunk(): void {
    const size = this.#bigEndian16() + 1;
    this.#room(size);
    this.#out.set(this.#file.bytes(this.#at, size), this.#written);
    this.#at += size;
    this.#written += size;
  }

  /** One byte: (pb * 5 + lp) * 9 + lc, with lc + lp at most 4 in LZMA2. */
  #properties(byte: number): void {
    const lc = byte % 9;
    const lp = ((byte - lc) / 9) % 5;
    const pb = Math.floor(byte / 45);
    if (byte >= 225 || lc + lp > 4) this.#file.fail(this.#at - 1, `LZMA properties ${byte} are out of range`);
    this.#lc = lc;
    this.#lpMask = (1 << lp) - 1;
    this.#pbMask = (1 << pb) - 1;
  }

  #reset(): void {
    this.#probs.fill(HALF);
    this.#state = this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0;
  }

  #chunk(size: number, packed: number): void {
    this.#room(size);
    this.#file.bytes(this.#at, packed);
    this.#end = this.#at + packed;
    if (this.#file.u8(this.#at) !== 0) this.#file.fail(this.#at, 'LZMA chunk does not start with a zero byte');
    if (packed < 5) this.#file.fail(this.#at, 'LZMA chunk is too short');
    this.#range = 0xffffffff;
    this.#code = 0;
    for (let i = 0; i < 5; i++) this.#code = ((this.#code << 8) | this.#input[this.#at++]!) >>> 0;
    const stop = this.#written + size;
    while (this.#written < stop) this.#symbol(stop);
    this.#normalize();
    if (this.#at !== this.#end || this.#code !== 0)
      this.#file.fail(this.#at, 'LZMA chunk does not end where it should');
  }

  #normalize(): void {
    if (this.#range < 0x1000000) {
      if (this.#at >= this.#end) this.#file.fail(this.#at, 'LZMA chunk ends too early');
      this.#range = (this.#range << 8) >>> 0;
      this.#code = ((this.#code << 8) | this.#input[this.#at++]!) >>> 0;
    }
  }

  #bit(model: number): number {
    this.#normalize();
    const p = this.#probs[model]!;
    const bound = (this.#range >>> 11) * p;
    if (this.#code < bound) {
      this.#range = bound;
      this.#probs[model] = p + ((2048 - p) >> 5);
      return 0;
    }
    this.#range -= bound;
    this.#code -= bound;
    this.#probs[model] = p - (p >> 5);
    return 1;
  }

  #tree(model: number, bits: number): number {
    let m = 1;
    for (let i = 0; i < bits; i++) m = (m << 1) | this.#bit(model + m);
    return m - (1 << bits);
  }

  #reverseTree(model: number, bits: number): number {
    let m = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(model + m);
      m = (m << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  #directBits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) {
      this.#normalize();
      this.#range >>>= 1;
      const bit = this.#code >= this.#range ? 1 : 0;
      if (bit === 1) this.#code -= this.#range;
      value = ((value << 1) | bit) >>> 0;
    }
    return value;
  }

  #symbol(stop: number): void {
    const position = this.#written & this.#pbMask;
    const state = this.#state;
    if (this.#bit(MODELS.isMatch + state * 16 + position) === 0) {
      this.#literal();
      return;
    }
    let length: number;
    if (this.#bit(MODELS.isRep + state) === 0) {
      this.#rep3 = this.#rep2;
      this.#rep2 = this.#rep1;
      this.#rep1 = this.#rep0;
      length = this.#length(MODELS.matchLength, position);
      this.#state = state < 7 ? 7 : 10;
      this.#rep0 = this.#distance(length);
    } else if (this.#bit(MODELS.isRep0 + state) === 0) {
      if (this.#bit(MODELS.isRep0Long + state * 16 + position) === 0) {
        this.#state = state < 7 ? 9 : 11;
        this.#match(1, stop);
        return;
      }
      length = this.#length(MODELS.repLength, position);
      this.#state = state < 7 ? 8 : 11;
    } else {
      this.#rotateReps(state);
      length = this.#length(MODELS.repLength, position);
      this.#state = state < 7 ? 8 : 11;
    }
    this.#match(length, stop);
  }

  #rotateReps(state: number): void {
    let distance: number;
    if (this.#bit(MODELS.isRep1 + state) === 0) distance = this.#rep1;
    else {
      if (this.#bit(MODELS.isRep2 + state) === 0) distance = this.#rep2;
      else {
        distance = this.#rep3;
        this.#rep3 = this.#rep2;
      }
      this.#rep2 = this.#rep1;
    }
    this.#rep1 = this.#rep0;
    this.#rep0 = distance;
  }

  #literal(): void {
    const written = this.#written;
    const before = written > this.#dictionaryStart ? this.#out[written - 1]! : 0;
    const context = ((written & this.#lpMask) << this.#lc) + (before >> (8 - this.#lc));
    const models = MODELS.literal + 0x300 * context;
    let symbol = 1;
    if (this.#state >= 7) {
      this.#checkDistance(this.#rep0);
      let matched = this.#out[written - this.#rep0 - 1]!;
      while (symbol < 0x100) {
        const matchBit = (matched >> 7) & 1;
        matched <<= 1;
        const bit = this.#bit(models + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== matchBit) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(models + symbol);
    this.#out[this.#written++] = symbol;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #length(models: number, position: number): number {
    if (this.#bit(models) === 0) return 2 + this.#tree(models + LENGTH_LOW + position * 8, 3);
    if (this.#bit(models + 1) === 0) return 10 + this.#tree(models + LENGTH_MID + position * 8, 3);
    return 18 + this.#tree(models + LENGTH_HIGH, 8);
  }

  #distance(length: number): number {
    const slot = this.#tree(MODELS.slot + Math.min(length - 2, 3) * 64, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const base = ((2 | (slot & 1)) << bits) >>> 0;
    if (slot < 14) return base + this.#reverseTree(MODELS.special + base - slot, bits);
    return base + this.#directBits(bits - 4) * 16 + this.#reverseTree(MODELS.align, 4);
  }

  #checkDistance(distance: number): void {
    if (distance >= this.#written - this.#dictionaryStart || distance >= this.#dictionarySize)
      this.#file.fail(this.#at, `LZMA match ${distance + 1} bytes back leaves the dictionary`);
  }

  #match(length: number, stop: number): void {
    this.#checkDistance(this.#rep0);
    if (this.#written + length > stop) this.#file.fail(this.#at, 'LZMA match leaves its chunk');
    copyMatch(this.#out, this.#written, this.#rep0 + 1, length);
    this.#written += length;
  }
}

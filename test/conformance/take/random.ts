/** Random choices that a seed determines, and values with a bias to the edges. */

const M64 = (1n << 64n) - 1n;

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed >>> 0;
    this.#b = 0x9e3779b9;
    this.#c = Math.imul(seed, 0x85ebca6b) >>> 0;
    for (let i = 0; i < 20; i++) this.u32();
  }

  /** sfc32: 32 bits. */
  u32(): number {
    const t = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return this.u32() % n;
  }

  /** True in `percent` of a hundred cases. */
  chance(percent: number): boolean {
    return this.u32() / 0x100000000 < percent / 100;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  bits(n: number): bigint {
    let v = 0n;
    for (let got = 0; got < n; got += 32) v = (v << 32n) | BigInt(this.u32());
    return v & ((1n << BigInt(n)) - 1n);
  }

  bytes(n: number): Uint8Array {
    return Uint8Array.from({ length: n }, () => this.u32() >>> 24);
  }
}

/** An integer of `width` bits: 0, 1, -1, sign boundaries, single bits, few bits, or anything. */
export function integer(r: Random, width: number): bigint {
  const mask = (1n << BigInt(width)) - 1n;
  switch (r.below(12)) {
    case 0:
      return BigInt(r.below(3)) & mask;
    case 1:
      return mask - BigInt(r.below(3));
    case 2:
      return (1n << BigInt(width - 1)) - BigInt(r.below(2));
    case 3:
      return 1n << BigInt(r.below(width));
    case 4:
      return (1n << BigInt(r.below(width) + 1)) - 1n;
    case 5:
      return mask ^ (1n << BigInt(r.below(width)));
    case 6:
      return BigInt(r.below(256)) & mask;
    case 7:
      return BigInt.asUintN(width, -BigInt(r.below(256)));
    case 8: {
      // The edges of a narrower number, sign-extended.
      const narrow = BigInt(r.pick([7, 8, 15, 16, 31, 32, 63]));
      return BigInt.asUintN(width, (1n << narrow) - BigInt(r.below(2)) * (r.chance(50) ? 1n : 1n << (narrow + 1n)));
    }
    case 9:
      return BigInt.asUintN(width, BigInt.asIntN(r.pick([8, 16, 32]), r.bits(width)));
    default:
      return r.bits(width);
  }
}

/**
 * A binary floating-point number of `exponentBits` and `fractionBits`: zeros, denormals, limits, infinities, quiet and
 * signalling NaNs, halfway cases, limits of integers, near neighbours of 1, or anything.
 */
export function float(r: Random, exponentBits: number, fractionBits: number): bigint {
  const f = BigInt(fractionBits);
  const ones = (1n << BigInt(exponentBits)) - 1n;
  const bias = ones >> 1n;
  const full = (1n << f) - 1n;
  const sign = r.chance(45) ? 1n : 0n;
  const make = (exponent: bigint, fraction: bigint): bigint =>
    (sign << (f + BigInt(exponentBits))) |
    ((exponent < 0n ? 0n : exponent > ones ? ones : exponent) << f) |
    (fraction & full);
  switch (r.below(16)) {
    case 0:
      return make(0n, 0n);
    case 1:
      return make(0n, r.chance(50) ? integer(r, fractionBits) : 1n);
    case 2:
      return make(ones, 0n);
    case 3:
      return make(ones, (1n << (f - 1n)) | (r.chance(50) ? 0n : r.bits(fractionBits)));
    case 4:
      return make(ones, 1n | (r.bits(fractionBits) >> 1n));
    case 5:
      return make(r.chance(50) ? ones - 1n : 1n, r.chance(50) ? full : 0n);
    case 6:
    case 7: {
      // Integers and halves around the limits of integer types.
      const exponent = BigInt(r.pick([0, 1, 6, 7, 8, 14, 15, 16, 23, 24, 30, 31, 32, 52, 53, 62, 63, 64]));
      return make(bias + exponent - (r.chance(20) ? 1n : 0n), r.pick([0n, full, 1n << (f - 1n), r.bits(fractionBits)]));
    }
    case 8:
      return make(bias, r.pick([0n, 1n, full]));
    case 9: {
      // Few bits: products and quotients are exact or end halfway.
      return make(bias + BigInt(r.below(40) - 20), BigInt(r.below(16)) << (f - 4n));
    }
    case 10:
      return make(BigInt(r.below(Number(f) + 3)), r.bits(fractionBits));
    case 11:
      return make(ones - 1n - BigInt(r.below(4)), r.bits(fractionBits));
    case 12:
      return make(bias + BigInt(r.below(9) - 4), integer(r, fractionBits));
    case 13:
      return make(bias + BigInt(r.below(9) - 4), r.bits(fractionBits));
    default:
      return r.bits(fractionBits + exponentBits + 1);
  }
}

/** An 80-bit x87 number, unsupported encodings included. */
export function extended(r: Random): bigint {
  const v = float(r, 15, 63);
  const exponent = (v >> 63n) & 0x7fffn;
  const fraction = v & ((1n << 63n) - 1n);
  const sign = v >> 78n;
  let leading = exponent === 0n ? 0n : 1n;
  if (r.chance(3)) leading ^= 1n;
  return (sign << 79n) | (exponent << 64n) | (leading << 63n) | fraction;
}

/** What the elements of a vector are. */
export type Element = 'int' | 'f16' | 'f32' | 'f64' | 'text';

/** `bits` of vector contents. */
export function vector(r: Random, bits: number, element: Element): bigint {
  const make: Record<Element, [number, () => bigint]> = {
    f16: [16, () => float(r, 5, 10)],
    f32: [32, () => float(r, 8, 23)],
    f64: [64, () => float(r, 11, 52)],
    text: [8, () => BigInt(r.chance(15) ? 0 : 97 + r.below(4))],
    int: [0, () => 0n],
  };
  const width = element === 'int' ? r.pick([8, 16, 32, 64]) : make[element][0];
  const one = element === 'int' ? (): bigint => integer(r, width) : make[element][1];
  let v = 0n;
  for (let at = 0; at < bits; at += width) v |= one() << BigInt(at);
  return v & ((1n << BigInt(bits)) - 1n);
}

export const asU64 = (v: bigint): bigint => v & M64;

/** A value made of plain records: what `save()` of any part returns. */
export type Plain =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Plain[]
  | { readonly [key: string]: Plain };

/** A part of the machine whose state goes into the periodic digests. */
export interface DigestSource {
  readonly scope: 'devices' | 'hypervisor' | 'xenstore';
  /** Its state now, as `save()` gives it. */
  state(): Plain;
}

/**
 * A 64-bit hash of plain data that is the same on every host: two 32-bit lanes of multiply-and-rotate
 * (the mixing constants of MurmurHash3's 32-bit variant). Not cryptographic; it only has to notice a difference.
 */
export class Hasher {
  #a = 0x9747b28c;
  #b = 0x3c6ef372;

  word(value: number): this {
    this.#a = Math.imul(rotate(this.#a ^ mix(value, 0xcc9e2d51, 15, 0x1b873593), 13), 5) + 0xe6546b64;
    this.#b = Math.imul(rotate(this.#b ^ mix(value ^ this.#a, 0x239b961b, 17, 0xab0e9789), 19), 5) + 0x561ccd1b;
    return this;
  }

  number(value: number): this {
    if (!Number.isSafeInteger(value)) return this.text(String(value));
    return this.word(value).word(Math.floor(value / 0x1_0000_0000));
  }

  big(value: bigint): this {
    for (let rest = value; ; rest >>= 32n) {
      this.word(Number(BigInt.asUintN(32, rest)));
      if (rest >= -0x8000_0000n && rest < 0x8000_0000n) return this;
    }
  }

  text(value: string): this {
    this.word(value.length);
    for (let i = 0; i < value.length; i++) this.word(value.charCodeAt(i));
    return this;
  }

  bytes(value: Uint8Array): this {
    this.word(value.length);
    for (let i = 0; i < value.length; i++) this.word(value[i]);
    return this;
  }

  /** Any plain value, with a tag for its type so that 1, '1' and [1] differ. Keys in their order. */
  plain(value: Plain): this {
    if (value === undefined || value === null) return this.word(1);
    if (typeof value === 'boolean') return this.word(value ? 3 : 2);
    if (typeof value === 'number') return this.word(4).number(value);
    if (typeof value === 'bigint') return this.word(5).big(value);
    if (typeof value === 'string') return this.word(6).text(value);
    if (value instanceof Uint8Array) return this.word(7).bytes(value);
    if (Array.isArray(value)) {
      this.word(8).word(value.length);
      for (const item of value) this.plain(item);
      return this;
    }
    this.word(9);
    for (const [key, item] of Object.entries(value)) this.text(key).plain(item);
    return this.word(10);
  }

  value(): bigint {
    const a = finish(this.#a ^ this.#b);
    const b = finish(this.#b + a);
    return (BigInt(a >>> 0) << 32n) | BigInt(b >>> 0);
  }
}

function rotate(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n));
}

function mix(x: number, c1: number, r: number, c2: number): number {
  return Math.imul(rotate(Math.imul(x, c1), r), c2);
}

function finish(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * Pages that are rarely looked at, compressed in groups of 32: a quarter of their size. A group whose pages are half
 * gone is given up, so that holes never take more than what is there.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { PAGE_SIZE } from '../memory/frames.ts';

const GROUP_PAGES = 32;
/** Groups kept as they are when one of their pages was read. */
const OPEN_GROUPS = 16;
const OPEN_BYTES = OPEN_GROUPS * GROUP_PAGES * PAGE_SIZE;
/** What a group takes beside its compressed bytes. */
const GROUP_BYTES = 400;
const COMPRESS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

interface Group {
  readonly packed: Uint8Array;
  /** Page numbers; 0 for those that are gone. */
  readonly pages: Int32Array;
  live: number;
}

export class FrozenPages {
  readonly #groups = new Map<number, Group>();
  readonly #open = new Map<number, Uint8Array>();
  #nextGroup = 0;
  #packedBytes = 0;

  /** With the groups that are open, as many as there may be. */
  get bytes(): number {
    if (this.#groups.size === 0) return 0;
    return this.#packedBytes + this.#groups.size * GROUP_BYTES + OPEN_BYTES;
  }

  /** @param content of the n-th of `pages`, 4096 bytes. @returns their places */
  freeze(pages: readonly number[], content: (n: number) => Uint8Array): number[] {
    const places: number[] = [];
    for (let from = 0; from < pages.length; from += GROUP_PAGES) {
      const count = Math.min(GROUP_PAGES, pages.length - from);
      const all = new Uint8Array(count * PAGE_SIZE);
      for (let i = 0; i < count; i++) all.set(content(from + i), i * PAGE_SIZE);
      const number = this.#nextGroup++;
      // A copy: zlib hands out a part of something larger.
      const packed = Uint8Array.from(zstdCompressSync(all, COMPRESS));
      this.#groups.set(number, { packed, pages: Int32Array.from(pages.slice(from, from + count)), live: count });
      this.#packedBytes += packed.length;
      for (let i = 0; i < count; i++) places.push(number * GROUP_PAGES + i);
    }
    return places;
  }

  /** Not to be changed. */
  content(place: number): Uint8Array {
    const at = (place % GROUP_PAGES) * PAGE_SIZE;
    return this.#contents(Math.floor(place / GROUP_PAGES)).subarray(at, at + PAGE_SIZE);
  }

  /** @returns what else was in the group, if that is given up now: no longer here */
  release(place: number): readonly { readonly page: number; readonly content: Uint8Array }[] {
    const number = Math.floor(place / GROUP_PAGES);
    const group = this.#groups.get(number)!;
    group.pages[place % GROUP_PAGES] = 0;
    group.live--;
    if (2 * group.live > group.pages.length) return [];
    const left: { page: number; content: Uint8Array }[] = [];
    for (const [i, page] of group.pages.entries()) {
      if (page !== 0) left.push({ page, content: this.content(number * GROUP_PAGES + i) });
    }
    this.#groups.delete(number);
    this.#open.delete(number);
    this.#packedBytes -= group.packed.length;
    return left;
  }

  #contents(number: number): Uint8Array {
    const known = this.#open.get(number);
    if (known !== undefined) return known;
    const all = new Uint8Array(zstdDecompressSync(this.#groups.get(number)!.packed));
    this.#open.set(number, all);
    if (this.#open.size > OPEN_GROUPS) this.#open.delete(this.#open.keys().next().value!);
    return all;
  }
}

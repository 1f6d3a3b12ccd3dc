/**
 * Pages by content: the same 4096 bytes are kept once, however many snapshots and frames have them. Page 0 is the page
 * of zeros, which takes no room. Counted references; a page that nobody refers to any more is reused.
 *
 * A page is raw, in a slot of a slab, or frozen (`frozen-pages.ts`): to save room whole slabs are frozen, oldest first.
 *
 *     page number ─► place ≥ 0: slot 256 · slab + i          place < 0: ~(its place among the frozen)
 *     hash bucket ─► page ─► next page of the bucket ─► …
 */
import { PAGE_SIZE } from '../memory/frames.ts';
import { FrozenPages } from './frozen-pages.ts';

const SLAB_PAGES = 256;
const SLAB_BYTES = SLAB_PAGES * PAGE_SIZE;
const FIRST_CAPACITY = 1024;
/** Of the tables, for one page: hash, references, next, place, and two buckets. */
const TABLE_BYTES = 24;
/** A slab with more than these pages in use is not worth freezing for its holes. */
const FULL_ENOUGH = (SLAB_PAGES * 3) / 4;

interface Slab {
  readonly bytes: Uint8Array;
  /** Page in each slot, 0 if the slot is free. */
  readonly pages: Int32Array;
  readonly free: number[];
}

export class PageStore {
  /** In the order of their making; numbers are never used again. */
  readonly #slabs = new Map<number, Slab>();
  readonly #frozen = new FrozenPages();
  #nextSlab = 0;
  #current = -1;
  #pages = 1;
  readonly #free: number[] = [];
  #hash = new Int32Array(FIRST_CAPACITY);
  #references = new Int32Array(FIRST_CAPACITY);
  #next = new Int32Array(FIRST_CAPACITY);
  #place = new Int32Array(FIRST_CAPACITY);
  #heads = new Int32Array(2 * FIRST_CAPACITY);

  /** Bytes that pages and tables take now, with all that is reserved for more. */
  get bytes(): number {
    return this.rawBytes + this.#frozen.bytes + this.#hash.length * TABLE_BYTES;
  }

  /** Of these, slabs. */
  get rawBytes(): number {
    return this.#slabs.size * SLAB_BYTES;
  }

  /** Pages there are, the one of zeros not among them. */
  get pages(): number {
    return this.#pages - 1 - this.#free.length;
  }

  /** The page with this content, one reference more. */
  intern(content: Uint8Array): number {
    const words = wordsOf(content);
    const hash = hashOf(words);
    if (hash === 0 && isZero(words)) return 0;
    // A hash is only a hint: what decides is the content.
    for (let page = this.#heads[this.#bucket(hash)]!; page !== 0; page = this.#next[page]!) {
      if (this.#hash[page] !== hash || !equal(wordsOf(this.page(page)), words)) continue;
      this.#references[page]!++;
      return page;
    }
    const page = this.#free.pop() ?? this.#grow();
    this.#hash[page] = hash;
    this.#references[page] = 1;
    this.#link(page);
    this.#putRaw(page, content);
    return page;
  }

  retain(page: number): void {
    if (page !== 0) this.#references[page]!++;
  }

  release(page: number): void {
    if (page === 0 || --this.#references[page]! > 0) return;
    this.#unlink(page);
    this.#free.push(page);
    const place = this.#place[page]!;
    if (place >= 0) this.#freeSlot(place);
    else this.#thaw(this.#frozen.release(~place));
  }

  /** The content, not to be changed; valid until the next call that changes the store. */
  page(page: number): Uint8Array {
    if (page === 0) return ZERO;
    const place = this.#place[page]!;
    if (place < 0) return this.#frozen.content(~place);
    return slotOf(this.#slabs.get(Math.floor(place / SLAB_PAGES))!, place % SLAB_PAGES);
  }

  /** Pages whose places are near are read more quickly one behind the other. */
  place(page: number): number {
    return this.#place[page]!;
  }

  /**
   * Freezes a slab: the oldest if slabs take more than `rawBytes`, else one with many holes.
   * @returns false if there is none to freeze
   */
  shrink(rawBytes: number): boolean {
    const others = [...this.#slabs].filter(([number]) => number !== this.#current);
    const over = this.rawBytes > rawBytes;
    const found = others.find(([, { free }]) => over || SLAB_PAGES - free.length < FULL_ENOUGH);
    if (found === undefined) return false;
    const [number, { bytes, pages }] = found;
    const live: number[] = [];
    for (const [i, page] of pages.entries()) if (page !== 0) live.push(i);
    const places = this.#frozen.freeze(
      live.map((i) => pages[i]!),
      (n) => bytes.subarray(live[n]! * PAGE_SIZE, (live[n]! + 1) * PAGE_SIZE),
    );
    for (const [n, i] of live.entries()) this.#place[pages[i]!] = ~places[n]!;
    this.#slabs.delete(number);
    return true;
  }

  /** Pages of a group that is given up for its holes become raw again. */
  #thaw(pages: readonly { readonly page: number; readonly content: Uint8Array }[]): void {
    for (const { page, content } of pages) this.#putRaw(page, content);
  }

  #putRaw(page: number, content: Uint8Array): void {
    let slab = this.#slabs.get(this.#current);
    if (slab === undefined || slab.free.length === 0) slab = this.#slabWithRoom();
    const slot = slab.free.pop()!;
    slab.pages[slot] = page;
    slotOf(slab, slot).set(content);
    this.#place[page] = this.#current * SLAB_PAGES + slot;
  }

  #slabWithRoom(): Slab {
    for (const [number, slab] of this.#slabs) {
      if (slab.free.length === 0) continue;
      this.#current = number;
      return slab;
    }
    this.#current = this.#nextSlab++;
    const free = Array.from({ length: SLAB_PAGES }, (_, i) => SLAB_PAGES - 1 - i);
    const slab = { bytes: new Uint8Array(SLAB_BYTES), pages: new Int32Array(SLAB_PAGES), free };
    this.#slabs.set(this.#current, slab);
    return slab;
  }

  #freeSlot(place: number): void {
    const number = Math.floor(place / SLAB_PAGES);
    const slab = this.#slabs.get(number)!;
    slab.pages[place % SLAB_PAGES] = 0;
    slab.free.push(place % SLAB_PAGES);
    if (slab.free.length === SLAB_PAGES && number !== this.#current) this.#slabs.delete(number);
  }

  #grow(): number {
    if (this.#pages === this.#hash.length) {
      const capacity = 2 * this.#pages;
      const larger = (from: Int32Array) => {
        const to = new Int32Array(capacity);
        to.set(from);
        return to;
      };
      this.#hash = larger(this.#hash);
      this.#references = larger(this.#references);
      this.#next = larger(this.#next);
      this.#place = larger(this.#place);
      this.#heads = new Int32Array(2 * capacity);
      for (let page = 1; page < this.#pages; page++) if (this.#references[page]! > 0) this.#link(page);
    }
    return this.#pages++;
  }

  #bucket(hash: number): number {
    return hash & (this.#heads.length - 1);
  }

  #link(page: number): void {
    const bucket = this.#bucket(this.#hash[page]!);
    this.#next[page] = this.#heads[bucket]!;
    this.#heads[bucket] = page;
  }

  #unlink(page: number): void {
    const bucket = this.#bucket(this.#hash[page]!);
    if (this.#heads[bucket] === page) {
      this.#heads[bucket] = this.#next[page]!;
      return;
    }
    let before = this.#heads[bucket]!;
    while (this.#next[before] !== page) before = this.#next[before]!;
    this.#next[before] = this.#next[page]!;
  }
}

const ZERO = new Uint8Array(PAGE_SIZE);

function slotOf({ bytes }: Slab, slot: number): Uint8Array {
  return bytes.subarray(slot * PAGE_SIZE, (slot + 1) * PAGE_SIZE);
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, PAGE_SIZE >> 2);
}

/** Four lanes of multiply and add, mixed in the end. Zero for zeros, and rarely for others. */
function hashOf(words: Int32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < words.length; i += 4) {
    a = Math.imul(a, 0x9e3779b1) + words[i]!;
    b = Math.imul(b, 0x85ebca6b) + words[i + 1]!;
    c = Math.imul(c, 0xc2b2ae35) + words[i + 2]!;
    d = Math.imul(d, 0x27d4eb2f) + words[i + 3]!;
  }
  let h = Math.imul(a ^ (a >>> 15), 0x2c1b3c6d) ^ Math.imul(b ^ (b >>> 13), 0x297a2d39);
  h =
    Math.imul(h ^ (h >>> 16), 0x45d9f3b) ^
    Math.imul(c ^ (c >>> 14), 0x165667b1) ^
    Math.imul(d ^ (d >>> 15), 0x7feb352d);
  return h ^ (h >>> 16);
}

function isZero(words: Int32Array): boolean {
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

function equal(x: Int32Array, y: Int32Array): boolean {
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

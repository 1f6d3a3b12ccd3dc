/**
 * Pages by content: the same 4096 bytes are kept once, however many snapshots and frames have them. Page 0 is the page
 * of zeros, which takes no room. Counted references; a page that nobody refers to any more is reused.
 */
import { PAGE_SIZE } from '../memory/frames.ts';

const SLAB_PAGES = 256;

export class PageStore {
  readonly #slabs: Uint8Array[] = [];
  readonly #byHash = new Map<bigint, number[]>();
  readonly #hashes: bigint[] = [0n];
  readonly #references: number[] = [1];
  readonly #free: number[] = [];

  /** Bytes that pages take now. */
  get bytes(): number {
    return (this.#references.length - 1 - this.#free.length) * PAGE_SIZE;
  }

  /** The page with this content, one reference more. `hash` is any 64-bit hash of it. */
  intern(content: Uint8Array, hash: bigint): number {
    if (isZero(content)) return 0;
    const same = this.#byHash.get(hash);
    // A hash is only a hint: what decides is the content.
    for (const page of same ?? []) {
      if (!equal(this.page(page), content)) continue;
      this.#references[page]!++;
      return page;
    }
    const page = this.#free.pop() ?? this.#grow();
    this.page(page).set(content);
    this.#hashes[page] = hash;
    this.#references[page] = 1;
    if (same) same.push(page);
    else this.#byHash.set(hash, [page]);
    return page;
  }

  retain(page: number): void {
    if (page !== 0) this.#references[page]!++;
  }

  release(page: number): void {
    if (page === 0 || --this.#references[page]! > 0) return;
    const hash = this.#hashes[page]!;
    const left = this.#byHash.get(hash)!.filter((other) => other !== page);
    if (left.length > 0) this.#byHash.set(hash, left);
    else this.#byHash.delete(hash);
    this.#free.push(page);
  }

  /** The content, not to be changed. */
  page(page: number): Uint8Array {
    if (page === 0) return ZERO;
    const at = ((page - 1) % SLAB_PAGES) * PAGE_SIZE;
    return this.#slabs[Math.floor((page - 1) / SLAB_PAGES)]!.subarray(at, at + PAGE_SIZE);
  }

  #grow(): number {
    const page = this.#references.length;
    if ((page - 1) % SLAB_PAGES === 0) this.#slabs.push(new Uint8Array(SLAB_PAGES * PAGE_SIZE));
    this.#references.push(0);
    this.#hashes.push(0n);
    return page;
  }
}

const ZERO = new Uint8Array(PAGE_SIZE);

function words(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}

function isZero(bytes: Uint8Array): boolean {
  for (const word of words(bytes)) if (word !== 0) return false;
  return true;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  const x = words(a);
  const y = words(b);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

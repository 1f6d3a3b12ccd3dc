/**
 * All frames of machine memory at one moment, as pages of a store. Images share what is the same, so one that follows
 * another costs the pages written in between, and a chunk of table for each neighbourhood of those:
 *
 *     image ─► [ chunk | chunk | chunk … ]      chunk = 64 page numbers, counted references
 *                  └──── shared by images between which none of its 64 frames changed
 */
import type { PageStore } from './page-store.ts';

const CHUNK_FRAMES = 64;
/** The page numbers, and what two objects take. */
const CHUNK_BYTES = CHUNK_FRAMES * 4 + 240;

interface Chunk {
  readonly pages: Uint32Array;
  references: number;
}

/** Reads a frame's content. */
export interface FrameSource {
  frame(mfn: number): Uint8Array;
}

export class MemoryImages {
  readonly #store: PageStore;
  readonly #frames: number;
  #chunks = 0;

  constructor(store: PageStore, frames: number) {
    this.#store = store;
    this.#frames = frames;
  }

  /** Bytes of chunks; pages are the store's. */
  get bytes(): number {
    return this.#chunks * CHUNK_BYTES;
  }
  /** Bytes of an image beside its chunks. */
  get imageBytes(): number {
    return Math.ceil(this.#frames / CHUNK_FRAMES) * 8;
  }

  /** Memory that is all zero. */
  empty(): MemoryImage {
    const count = Math.ceil(this.#frames / CHUNK_FRAMES);
    const zero: Chunk = { pages: new Uint32Array(CHUNK_FRAMES), references: count };
    this.#chunks++;
    return new MemoryImage(new Array<Chunk>(count).fill(zero));
  }

  /** `base` with other contents of the frames `written`. */
  derive(base: MemoryImage, written: readonly number[], source: FrameSource): MemoryImage {
    const chunks = base.chunks.slice();
    for (const chunk of chunks) chunk.references++;
    for (const mfn of written) {
      const at = Math.floor(mfn / CHUNK_FRAMES);
      const page = this.#store.intern(source.frame(mfn));
      const old = chunks[at]!.pages[mfn % CHUNK_FRAMES]!;
      if (page === old) {
        this.#store.release(page);
        continue;
      }
      if (chunks[at] === base.chunks[at]) chunks[at] = this.#copy(chunks[at]!);
      chunks[at]!.pages[mfn % CHUNK_FRAMES] = page;
      this.#store.release(old);
    }
    return new MemoryImage(chunks);
  }

  drop(image: MemoryImage): void {
    for (const chunk of image.chunks) this.#release(chunk);
  }

  /** Reads frames of an image, in whatever order is quickest. */
  read(image: MemoryImage, mfns: Iterable<number>, use: (mfn: number, content: Uint8Array) => void): void {
    const all = Array.from(mfns, (mfn) => ({ mfn, page: image.page(mfn), place: 0 }));
    for (const each of all) each.place = this.#store.place(each.page);
    all.sort((a, b) => a.place - b.place);
    for (const { mfn, page } of all) use(mfn, this.#store.page(page));
  }

  #copy(chunk: Chunk): Chunk {
    for (const page of chunk.pages) this.#store.retain(page);
    this.#release(chunk);
    this.#chunks++;
    return { pages: chunk.pages.slice(), references: 1 };
  }

  #release(chunk: Chunk): void {
    if (--chunk.references > 0) return;
    this.#chunks--;
    for (const page of chunk.pages) this.#store.release(page);
  }
}

export class MemoryImage {
  readonly chunks: readonly Chunk[];

  constructor(chunks: readonly Chunk[]) {
    this.chunks = chunks;
  }

  /** Page number of frame `mfn`. */
  page(mfn: number): number {
    return this.chunks[Math.floor(mfn / CHUNK_FRAMES)]!.pages[mfn % CHUNK_FRAMES]!;
  }

  /** Frames whose pages are not the same in `other`. */
  differences(other: MemoryImage): number[] {
    const found: number[] = [];
    for (const [c, chunk] of this.chunks.entries()) {
      const others = other.chunks[c]!;
      if (chunk === others) continue;
      for (let i = 0; i < CHUNK_FRAMES; i++) {
        if (chunk.pages[i] !== others.pages[i]) found.push(c * CHUNK_FRAMES + i);
      }
    }
    return found;
  }
}

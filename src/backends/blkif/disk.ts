/** Sectors of blkif are 512 bytes, whatever the disk's own are. */
export const SECTOR_BYTES = 512;
const BLOCK_BYTES = 4096;

/** Blocks that differ from the base: pairs of block number and content, ascending. */
export interface Overlay {
  readonly writes: number;
  readonly blocks: readonly (readonly [block: number, content: Uint8Array])[];
}

/** What a disk begins with. */
export interface DiskContent {
  /** Bytes. */
  readonly length: number;
  /** Fills `into` from `offset` on; all of it lies within `length`. */
  read(offset: number, into: Uint8Array): void;
}

/** A file that is the disk, byte for byte. */
class RawContent implements DiskContent {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  get length(): number {
    return this.#bytes.length;
  }
  read(offset: number, into: Uint8Array): void {
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }
}

/**
 * A disk: a base that is never altered, and an overlay of the blocks written since, in memory. The last sector may be
 * cut off: what is beyond the base's end reads as zeros.
 */
export class Disk {
  readonly base: DiskContent;
  readonly readOnly: boolean;
  readonly #overlay = new Map<number, Uint8Array>();
  /** Contents that a saved overlay holds too. */
  readonly #shared = new WeakSet<Uint8Array>();
  /** Writes and discards so far: for digests. */
  writes = 0;

  constructor(base: Uint8Array | DiskContent, readOnly: boolean) {
    this.base = base instanceof Uint8Array ? new RawContent(base) : base;
    this.readOnly = readOnly;
  }

  /** Whole sectors. */
  get sectors(): number {
    return Math.floor(this.base.length / SECTOR_BYTES);
  }

  /** True if `count` sectors from `sector` on are all there. */
  has(sector: number, count: number): boolean {
    return Number.isSafeInteger(sector) && sector >= 0 && sector + count <= this.sectors;
  }

  read(sector: number, into: Uint8Array): void {
    this.#blocks(sector, into.length, (block, at, done, count) => {
      const changed = this.#overlay.get(block);
      if (changed) into.set(changed.subarray(at, at + count), done);
      else this.base.read(block * BLOCK_BYTES + at, into.subarray(done, done + count));
    });
  }

  write(sector: number, bytes: Uint8Array): void {
    this.writes++;
    this.#blocks(sector, bytes.length, (block, at, done, count) => {
      this.#own(block).set(bytes.subarray(done, done + count), at);
    });
  }

  /** Discarded sectors read as zeros. */
  discard(sector: number, count: number): void {
    this.writes++;
    this.#blocks(sector, count * SECTOR_BYTES, (block, at, _done, length) => {
      this.#own(block).fill(0, at, at + length);
    });
  }

  /** Bytes that the overlay takes. */
  get changedBytes(): number {
    return this.#overlay.size * BLOCK_BYTES;
  }

  /** The content as it is now. */
  content(): Uint8Array {
    const all = new Uint8Array(this.base.length);
    this.base.read(0, all);
    for (const [block, content] of this.#overlay)
      all.set(content.subarray(0, Math.min(BLOCK_BYTES, all.length - block * BLOCK_BYTES)), block * BLOCK_BYTES);
    return all;
  }

  /** Blocks are never written in place after this: a saved overlay stays as it is. */
  save(): Overlay {
    const blocks = [...this.#overlay].sort(([a], [b]) => a - b);
    for (const [, content] of blocks) this.#shared.add(content);
    return { writes: this.writes, blocks };
  }
  restore({ writes, blocks }: Overlay): void {
    this.writes = writes;
    this.#overlay.clear();
    for (const [block, content] of blocks) {
      this.#overlay.set(block, content);
      this.#shared.add(content);
    }
  }

  #own(block: number): Uint8Array {
    const there = this.#overlay.get(block);
    if (there && !this.#shared.has(there)) return there;
    const own = new Uint8Array(BLOCK_BYTES);
    const from = block * BLOCK_BYTES;
    if (there) own.set(there);
    else this.base.read(from, own.subarray(0, Math.min(BLOCK_BYTES, this.base.length - from)));
    this.#overlay.set(block, own);
    return own;
  }

  #blocks(
    sector: number,
    length: number,
    visit: (block: number, at: number, done: number, count: number) => void,
  ): void {
    for (let done = 0; done < length; ) {
      const from = sector * SECTOR_BYTES + done;
      const at = from % BLOCK_BYTES;
      const count = Math.min(length - done, BLOCK_BYTES - at);
      visit((from - at) / BLOCK_BYTES, at, done, count);
      done += count;
    }
  }
}

import { type BlockRange, BlockRanges } from './block-ranges.ts';

/** Sectors of blkif are 512 bytes, whatever the disk's own are. */
export const SECTOR_BYTES = 512;
const BLOCK_BYTES = 4096;
/**
 * What an overlay holds at the most: 4 GiB. It lies in the host's memory, which a guest must not use up; beyond it, writes
 * fail, as they do on a host whose disk is full.
 */
export const MAX_OVERLAY_BLOCKS = 2 ** 20;

/** Blocks that differ from the base, both ascending. A block that is in both was written after it was discarded. */
export interface Overlay {
  readonly writes: number;
  readonly blocks: readonly (readonly [block: number, content: Uint8Array])[];
  /** Discarded: they read as zeros. */
  readonly zeros?: readonly BlockRange[];
}

/** What a disk begins with. */
export interface DiskContent {
  /** Bytes. */
  readonly length: number;
  /** Fills `into` from `offset` on; all of it lies within `length`. */
  read(offset: number, into: Uint8Array): void;
}

/** A file that is the disk, byte for byte, in memory. */
export class RawContent implements DiskContent {
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
  readonly #zeros = new BlockRanges();
  /** Blocks of the overlay that are among `#zeros` as well. */
  #writtenZeros = 0;
  readonly #mostBlocks: number;
  /** Writes and discards so far: for digests. */
  writes = 0;

  constructor(base: Uint8Array | DiskContent, readOnly: boolean, mostBlocks = MAX_OVERLAY_BLOCKS) {
    this.base = base instanceof Uint8Array ? new RawContent(base) : base;
    this.readOnly = readOnly;
    this.#mostBlocks = mostBlocks;
  }

  /** Whole sectors. */
  get sectors(): number {
    return Math.floor(this.base.length / SECTOR_BYTES);
  }

  /** True if `count` sectors from `sector` on are all there. */
  has(sector: number, count: number): boolean {
    return Number.isSafeInteger(sector) && sector >= 0 && sector + count <= this.sectors;
  }

  /** True if `bytes` more can surely be written. */
  hasRoom(bytes: number): boolean {
    return this.#overlay.size + Math.ceil(bytes / BLOCK_BYTES) + 1 <= this.#mostBlocks;
  }

  read(sector: number, into: Uint8Array): void {
    this.readBytes(sector * SECTOR_BYTES, into);
  }

  /** Fills `into` from byte `offset` on: the disk as it is now. */
  readBytes(offset: number, into: Uint8Array): void {
    eachBlock(offset, into.length, (block, at, done, count) => {
      const part = into.subarray(done, done + count);
      const changed = this.#overlay.get(block);
      if (changed) part.set(changed.subarray(at, at + count));
      else if (this.#zeros.has(block)) part.fill(0);
      else this.base.read(block * BLOCK_BYTES + at, part);
    });
  }

  /** Only if there is room. */
  write(sector: number, bytes: Uint8Array): void {
    this.writes++;
    eachBlock(sector * SECTOR_BYTES, bytes.length, (block, at, done, count) => {
      this.#own(block).set(bytes.subarray(done, done + count), at);
    });
  }

  /** Discarded sectors read as zeros. Whole blocks cost nothing, however many there are. */
  discard(sector: number, count: number): void {
    this.writes++;
    const [from, to] = [sector * SECTOR_BYTES, (sector + count) * SECTOR_BYTES];
    const [first, end] = [Math.ceil(from / BLOCK_BYTES), Math.floor(to / BLOCK_BYTES)];
    const zero = (offset: number, length: number): void =>
      eachBlock(offset, length, (block, at, _done, bytes) => void this.#own(block).fill(0, at, at + bytes));
    if (first >= end) {
      zero(from, to - from);
      return;
    }
    zero(from, first * BLOCK_BYTES - from);
    this.#forget(first, end);
    this.#zeros.add(first, end);
    zero(end * BLOCK_BYTES, to - end * BLOCK_BYTES);
  }

  /** Bytes of the blocks that were written or discarded. */
  get changedBytes(): number {
    return (this.#overlay.size + this.#zeros.size - this.#writtenZeros) * BLOCK_BYTES;
  }

  /** Blocks are never written in place after this: a saved overlay stays as it is. */
  save(): Overlay {
    const blocks = [...this.#overlay].sort(([a], [b]) => a - b);
    for (const [, content] of blocks) this.#shared.add(content);
    return { writes: this.writes, blocks, zeros: this.#zeros.save() };
  }
  restore({ writes, blocks, zeros = [] }: Overlay): void {
    this.writes = writes;
    this.#zeros.restore(zeros);
    this.#overlay.clear();
    this.#writtenZeros = 0;
    for (const [block, content] of blocks) {
      this.#overlay.set(block, content);
      this.#shared.add(content);
      if (this.#zeros.has(block)) this.#writtenZeros++;
    }
  }

  /** Drops what the overlay has of blocks `first` to `end`. */
  #forget(first: number, end: number): void {
    const drop = (block: number): void => {
      if (this.#overlay.delete(block) && this.#zeros.has(block)) this.#writtenZeros--;
    };
    if (end - first <= this.#overlay.size) for (let block = first; block < end; block++) drop(block);
    else for (const block of [...this.#overlay.keys()]) if (block >= first && block < end) drop(block);
  }

  #own(block: number): Uint8Array {
    const there = this.#overlay.get(block);
    if (there && !this.#shared.has(there)) return there;
    const own = new Uint8Array(BLOCK_BYTES);
    const from = block * BLOCK_BYTES;
    if (there) own.set(there);
    else if (this.#zeros.has(block)) this.#writtenZeros++;
    else this.base.read(from, own.subarray(0, Math.min(BLOCK_BYTES, this.base.length - from)));
    this.#overlay.set(block, own);
    return own;
  }
}

/** Visits the blocks that `length` bytes from `offset` on lie in: offset in the block, bytes before, bytes in it. */
function eachBlock(
  offset: number,
  length: number,
  visit: (block: number, at: number, done: number, count: number) => void,
): void {
  for (let done = 0; done < length; ) {
    const at = (offset + done) % BLOCK_BYTES;
    const count = Math.min(length - done, BLOCK_BYTES - at);
    visit((offset + done - at) / BLOCK_BYTES, at, done, count);
    done += count;
  }
}

/**
 * Where decoded blocks live: pools in linear memory, tables from page offset to block, and what must be known to drop them.
 *
 * A *code page* is a machine frame decoded in one code mode. Its table has one u32 for each byte of the page: the first record of the
 * block that starts there, or 0. Frames that hold decoded code have their fast write path shut; a write that hits
 * decoded bytes drops the whole page.
 */
import { CODE_CHANGED } from '../layout.ts';
import { CODE_MODES } from './code-mode.ts';
import * as R from './records.ts';

export const TABLE_BYTES = 4096 * 4;
/** Marks the length of a block's last record. */
export const LAST = 0x80;
/** Marks the length of a transfer that holds links to other blocks (T_TAKEN, T_FALL_NEXT): others keep operands there. */
export const LINKS = 0x40;
/** The length itself: no instruction is longer than 15 bytes. */
export const LENGTH = 0x0f;

export interface CodeCacheArea {
  /** First byte and size of the record pool. */
  readonly pool: number;
  readonly poolBytes: number;
  /** First byte and number of the tables. */
  readonly tables: number;
  readonly tableCount: number;
}

export class CodeCache {
  readonly #area: CodeCacheArea;
  readonly #u32: Uint32Array;
  readonly #u8: Uint8Array;
  /** Byte offset of the instruction within its block, and its length, for each record of the pool. */
  readonly #offsets: Uint16Array;
  readonly #lengths: Uint8Array;
  #nextRecord: number;
  #nextTable = 0;
  /** Table address by `mfn * CODE_MODES + mode`. */
  readonly #tableOf = new Map<number, number>();
  /** Bytes of a frame that decoded instructions came from, one bit a byte. */
  readonly #decoded = new Map<number, Uint8Array>();
  /** 1 where a frame holds decoded code. */
  readonly hasCode: Uint8Array;
  /** Counts up whenever a frame's code is dropped. */
  readonly generation: Uint32Array;

  constructor(buffer: ArrayBufferLike, area: CodeCacheArea, frameCount: number) {
    this.#area = area;
    this.#u32 = new Uint32Array(buffer);
    this.#u8 = new Uint8Array(buffer);
    const records = area.poolBytes / R.RECORD_BYTES;
    this.#offsets = new Uint16Array(records);
    this.#lengths = new Uint8Array(records);
    this.#nextRecord = area.pool;
    this.hasCode = new Uint8Array(frameCount);
    this.generation = new Uint32Array(frameCount);
  }

  /** True if a block of `records` records and one more table still fit. */
  hasRoom(records: number): boolean {
    const end = this.#area.pool + this.#area.poolBytes;
    return this.#nextRecord + (records + 4) * R.RECORD_BYTES <= end && this.#nextTable < this.#area.tableCount;
  }

  /** The table for a code page, made if need be. */
  table(mfn: number, mode: number): number {
    const key = mfn * CODE_MODES + mode;
    let at = this.#tableOf.get(key);
    if (at === undefined) {
      at = this.#area.tables + this.#nextTable++ * TABLE_BYTES;
      this.#tableOf.set(key, at);
    }
    return at;
  }

  /** Copies `words` (4 a record) into the pool. @returns address of the first record. */
  install(words: Int32Array, records: number, offsets: Uint16Array, lengths: Uint8Array): number {
    const at = this.#nextRecord;
    this.#nextRecord += records * R.RECORD_BYTES;
    this.#u32.set(words.subarray(0, records * 4), at >> 2);
    const first = (at - this.#area.pool) / R.RECORD_BYTES;
    this.#offsets.set(offsets.subarray(0, records), first);
    this.#lengths.set(lengths.subarray(0, records), first);
    return at;
  }

  /** Notes that bytes `from` to `to` of frame `mfn` were decoded. @returns true if it is the frame's first code. */
  markDecoded(mfn: number, from: number, to: number): boolean {
    let bits = this.#decoded.get(mfn);
    if (bits === undefined) {
      bits = new Uint8Array(512);
      this.#decoded.set(mfn, bits);
    }
    for (let i = from; i < to; i++) bits[i >> 3]! |= 1 << (i & 7);
    if (this.hasCode[mfn] !== 0) return false;
    this.hasCode[mfn] = 1;
    return true;
  }

  /** Does a write of `length` bytes at `offset` hit decoded bytes? */
  hits(mfn: number, offset: number, length: number): boolean {
    const bits = this.#decoded.get(mfn);
    if (bits === undefined) return false;
    for (let i = offset; i < offset + length; i++) if ((bits[i >> 3]! & (1 << (i & 7))) !== 0) return true;
    return false;
  }

  /** Forgets every block of a frame. Records stay where they are until the next `clear`. */
  drop(mfn: number): void {
    for (let mode = 0; mode < CODE_MODES; mode++) {
      const at = this.#tableOf.get(mfn * CODE_MODES + mode);
      if (at !== undefined) this.#u8.fill(0, at, at + TABLE_BYTES);
    }
    this.#decoded.delete(mfn);
    this.hasCode[mfn] = 0;
    this.generation[mfn]!++;
  }

  /** Forgets everything. */
  clear(): void {
    for (const at of this.#tableOf.values()) this.#u8.fill(0, at, at + TABLE_BYTES);
    this.#tableOf.clear();
    this.#decoded.clear();
    this.hasCode.fill(0);
    for (let i = 0; i < this.generation.length; i++) this.generation[i]!++;
    this.#nextRecord = this.#area.pool;
    this.#nextTable = 0;
  }

  /** Byte offset within its block of the instruction that record `pc` belongs to. */
  offsetOf(pc: number): number {
    return this.#offsets[(pc - this.#area.pool) / R.RECORD_BYTES]!;
  }
  lengthOf(pc: number): number {
    return this.#lengths[(pc - this.#area.pool) / R.RECORD_BYTES]! & LENGTH;
  }
  #hasLinks(pc: number): boolean {
    return (this.#lengths[(pc - this.#area.pool) / R.RECORD_BYTES]! & LINKS) !== 0;
  }
  /** True for the record that ends its block. */
  endsBlock(pc: number): boolean {
    return (this.#lengths[(pc - this.#area.pool) / R.RECORD_BYTES]! & LAST) !== 0;
  }

  /** Turns every instruction of the running block behind the one of record `pc` into `staleOp`, and unlinks its end. */
  makeStale(pc: number, staleOp: number): void {
    this.#u32[CODE_CHANGED >> 2] = 1;
    const running = this.#u8[pc + R.R_LEFT]!;
    let before = running;
    for (let at = pc; ; at += R.RECORD_BYTES) {
      const left = this.#u8[at + R.R_LEFT]!;
      if (left !== running && left !== before) this.#u32[at >> 2] = (this.#u32[at >> 2]! & 0xffff0000) | staleOp;
      before = left;
      if (!this.endsBlock(at)) continue;
      if (left === running && this.#hasLinks(at)) {
        // The running instruction is itself the transfer: it must look its target up.
        this.#u32[(at + R.T_TAKEN) >> 2] = 0;
        this.#u32[(at + R.T_FALL_NEXT) >> 2] = 0;
      }
      return;
    }
  }
}

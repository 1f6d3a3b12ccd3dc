/**
 * Translation look-aside buffers of one vcpu, in linear memory, direct-mapped.
 *
 * What they hold is visible to guests (Linux clears accessed bits without a flush), so fill, replacement and flush
 * are the same whoever executes: generated code only ever reads them.
 *
 * There is one data TLB for each *view*, the rights with which an access is made, so that a hit needs no check of rights:
 *
 *     view 0 USER            CPL 3
 *     view 1 SUPERVISOR      CPL 0..2 and implicit accesses; SMAP enforced
 *     view 2 SUPERVISOR_AC   CPL 0..2 with RFLAGS.AC: SMAP suspended
 *
 * Data entry, 32 bytes:
 *
 *      0                8               16        20        24        28
 *     ┌────────────────┬────────────────┬─────────┬─────────┬─────────┬─────────┐
 *     │ read tag       │ write tag      │ host    │ flags   │ mfn     │ -       │
 *     └────────────────┴────────────────┴─────────┴─────────┴─────────┴─────────┘
 *     read tag:  linear address of the page
 *     write tag: the same if a write may go straight to memory. Cleared for *host* reasons too (decoded code on the
 *                page, dirty tracking): then flag WRITABLE still says that the guest may write, without another walk.
 *     host:      address of the page in linear memory
 *     flags:     READ_SHUT is the host's: a debugger watches reads of the page, so the read tag has its lowest bit turned,
 *                matches nothing, and the slow path takes the entry for what it is
 *
 * Instruction entry, 16 bytes, views 0 and 1 only:
 *
 *      0                8         12
 *     ┌────────────────┬─────────┬─────────┐
 *     │ tag            │ table   │ mfn+flag│   table: the code page's block table, or the all-zero one
 *     └────────────────┴─────────┴─────────┘   bit 31 of the last word: global
 *
 * A hit is `(linear ^ tag) <= 4096 - size`, which also rejects accesses that leave the page. An empty entry `i` carries the
 * address of a page that maps to entry `i ^ 1`, so nothing that selects it can match.
 */
export const TLB_ENTRIES = 512;
export const TLB_ENTRY_BYTES = 32;
export const TLB_VIEW_BYTES = TLB_ENTRIES * TLB_ENTRY_BYTES;
export const ITLB_ENTRIES = 256;
export const ITLB_ENTRY_BYTES = 16;
export const ITLB_VIEW_BYTES = ITLB_ENTRIES * ITLB_ENTRY_BYTES;
export const DATA_VIEWS = 3;
export const FETCH_VIEWS = 2;
export const View = { USER: 0, SUPERVISOR: 1, SUPERVISOR_AC: 2 } as const;
/** Bytes of all TLBs of one vcpu. */
export const TLB_SET_BYTES = DATA_VIEWS * TLB_VIEW_BYTES + FETCH_VIEWS * ITLB_VIEW_BYTES;

export const TLB_WRITE_TAG = 8;
export const TLB_HOST = 16;
export const TLB_FLAGS = 20;
export const TLB_MFN = 24;
export const ITLB_TABLE = 8;
export const ITLB_MFN = 12;

export const TlbFlag = { VALID: 1, WRITABLE: 2, GLOBAL: 4, READ_SHUT: 8 } as const;
/** Carries READ_SHUT to the lowest bit of a page's address. */
const SHUT_TO_TAG = 9;
const ITLB_GLOBAL = 0x80000000;

/** Fills a data view at `base` such that no address hits. */
export function writeMissingView(buffer: ArrayBufferLike, base: number): void {
  const u32 = new Uint32Array(buffer);
  for (let e = 0, i = base >> 2; e < TLB_ENTRIES; e++, i += TLB_ENTRY_BYTES >> 2) {
    u32[i] = (e ^ 1) << 12;
    u32[i + 2] = (e ^ 1) << 12;
  }
}

/** The TLBs of one vcpu at `base` of linear memory. Addresses come as two unsigned halves. */
export class TlbSet {
  readonly base: number;
  readonly #u32: Uint32Array;
  readonly #emptyTable: number;
  /** Addresses of the entries that may hold something: a flush looks at these only. */
  readonly #used = new Uint32Array(DATA_VIEWS * TLB_ENTRIES + FETCH_VIEWS * ITLB_ENTRIES);
  #usedCount = 0;

  /** @param emptyTable address of the block table that is all zero */
  constructor(buffer: ArrayBufferLike, base: number, emptyTable: number) {
    this.base = base;
    this.#u32 = new Uint32Array(buffer);
    this.#emptyTable = emptyTable;
    for (let v = 0; v < DATA_VIEWS; v++) {
      for (let e = 0, at = this.dataView(v); e < TLB_ENTRIES; e++, at += TLB_ENTRY_BYTES) this.#empty(at);
    }
    for (let v = 0; v < FETCH_VIEWS; v++) {
      for (let e = 0, at = this.fetchView(v); e < ITLB_ENTRIES; e++, at += ITLB_ENTRY_BYTES) this.#empty(at);
    }
  }

  dataView(view: number): number {
    return this.base + view * TLB_VIEW_BYTES;
  }
  fetchView(view: number): number {
    return this.base + DATA_VIEWS * TLB_VIEW_BYTES + view * ITLB_VIEW_BYTES;
  }

  /** Address of the data entry that `linear` selects. */
  dataEntry(view: number, lo: number): number {
    return this.dataView(view) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
  }
  fetchEntry(view: number, lo: number): number {
    return this.fetchView(view) + ((lo >>> 12) & (ITLB_ENTRIES - 1)) * ITLB_ENTRY_BYTES;
  }

  /** True if data entry `at` holds the page of `hi:lo`, whether or not its fast paths are open. */
  holdsData(at: number, lo: number, hi: number): boolean {
    const i = at >> 2;
    return this.#pageOf(i) === (lo & 0xfffff000) >>> 0 && this.#u32[i + 1]! === hi;
  }

  /** True if fetch entry `at` holds the page of `hi:lo`. */
  holds(at: number, lo: number, hi: number): boolean {
    const i = at >> 2;
    return this.#u32[i]! === (lo & 0xfffff000) >>> 0 && this.#u32[i + 1]! === hi;
  }

  fillData(
    view: number,
    lo: number,
    hi: number,
    host: number,
    mfn: number,
    flags: number,
    hostWritable: boolean,
  ): void {
    const at = this.dataEntry(view, lo);
    const i = at >> 2;
    const page = (lo & 0xfffff000) >>> 0;
    if (this.#u32[i + 5] === 0) this.#used[this.#usedCount++] = at;
    this.#u32[i] = page;
    this.#u32[i + 1] = hi;
    this.#u32[i + 4] = host;
    this.#u32[i + 5] = flags | TlbFlag.VALID;
    this.#u32[i + 6] = mfn;
    this.#setWriteTag(i, hostWritable && (flags & TlbFlag.WRITABLE) !== 0);
  }

  fillFetch(view: number, lo: number, hi: number, mfn: number, global: boolean): number {
    const at = this.fetchEntry(view, lo);
    const i = at >> 2;
    if (!this.#isFetchUsed(i)) this.#used[this.#usedCount++] = at;
    this.#u32[i] = (lo & 0xfffff000) >>> 0;
    this.#u32[i + 1] = hi;
    this.#u32[i + 2] = this.#emptyTable;
    this.#u32[i + 3] = mfn | (global ? ITLB_GLOBAL : 0);
    return at;
  }

  /** Opens (or shuts) the fast path for writes of a data entry, for host reasons. */
  setHostWritable(at: number, writable: boolean): void {
    this.#setWriteTag(at >> 2, writable);
  }

  /** Shuts the fast read path of data entry `at`, until `openReads`. */
  shutRead(at: number): void {
    const i = at >> 2;
    if ((this.#u32[i + 5]! & TlbFlag.READ_SHUT) !== 0) return;
    this.#u32[i]! ^= 0x1000;
    this.#u32[i + 5]! |= TlbFlag.READ_SHUT;
  }

  /** Shuts the fast read path of every entry for machine frame `mfn`; -1 opens that of all. */
  shutReads(mfn: number): void {
    if (mfn < 0) this.openReads();
    const fetches = this.fetchView(0);
    for (let n = 0; n < this.#usedCount; n++) {
      const at = this.#used[n]!;
      if (at < fetches && this.#u32[(at >> 2) + 6] === mfn) this.shutRead(at);
    }
  }

  /** Opens the fast read path of every entry. */
  openReads(): void {
    const fetches = this.fetchView(0);
    for (let n = 0; n < this.#usedCount; n++) {
      const i = this.#used[n]! >> 2;
      if (this.#used[n]! >= fetches) continue;
      this.#u32[i] = this.#pageOf(i);
      this.#u32[i + 5]! &= ~TlbFlag.READ_SHUT;
    }
  }

  /** Shuts the fast write path of every entry for machine frame `mfn`, or of all entries for -1. */
  protectFrame(mfn: number): void {
    const fetches = this.fetchView(0);
    for (let n = 0; n < this.#usedCount; n++) {
      const at = this.#used[n]!;
      if (at < fetches && (mfn < 0 || this.#u32[(at >> 2) + 6] === mfn)) this.#setWriteTag(at >> 2, false);
    }
  }

  /** Forgets the block tables that fetch entries point to (of one frame, or all for -1): decoded code changed, not the translation. */
  forgetTables(mfn: number): void {
    const fetches = this.fetchView(0);
    for (let n = 0; n < this.#usedCount; n++) {
      const i = this.#used[n]! >> 2;
      if (this.#used[n]! >= fetches && (mfn < 0 || (this.#u32[i + 3]! & 0x7fffffff) === mfn))
        this.#u32[i + 2] = this.#emptyTable;
    }
  }

  /** After the entries' bytes were restored from a snapshot: finds out which are used, and shuts their host-side short cuts. */
  restored(): void {
    this.#usedCount = 0;
    for (let at = this.base; at < this.fetchView(0); at += TLB_ENTRY_BYTES) {
      if (this.#u32[(at >> 2) + 5] !== 0) this.#used[this.#usedCount++] = at;
    }
    for (let at = this.fetchView(0); at < this.base + TLB_SET_BYTES; at += ITLB_ENTRY_BYTES) {
      if (this.#isFetchUsed(at >> 2)) this.#used[this.#usedCount++] = at;
    }
    this.openReads();
    this.protectFrame(-1);
    this.forgetTables(-1);
  }

  /** Drops all entries, or all but the global ones. */
  flush(global: boolean): void {
    let kept = 0;
    for (let n = 0; n < this.#usedCount; n++) {
      const at = this.#used[n]!;
      if (!global && this.#isGlobal(at)) this.#used[kept++] = at;
      else this.#empty(at);
    }
    this.#usedCount = kept;
  }

  /** Drops the entries for one page in every view. */
  flushPage(lo: number, hi: number): void {
    for (let v = 0; v < DATA_VIEWS; v++) {
      const at = this.dataEntry(v, lo);
      if (this.holdsData(at, lo, hi)) this.#drop(at);
    }
    for (let v = 0; v < FETCH_VIEWS; v++) {
      const at = this.fetchEntry(v, lo);
      if (this.holds(at, lo, hi)) this.#drop(at);
    }
  }

  /** The page of the data entry at word `i`. */
  #pageOf(i: number): number {
    return (this.#u32[i]! ^ ((this.#u32[i + 5]! & TlbFlag.READ_SHUT) << SHUT_TO_TAG)) >>> 0;
  }

  #setWriteTag(i: number, writable: boolean): void {
    const page = this.#pageOf(i);
    this.#u32[i + 2] = writable ? page : (page ^ 0x1000) >>> 0;
    this.#u32[i + 3] = this.#u32[i + 1]!;
  }

  #isGlobal(at: number): boolean {
    const i = at >> 2;
    if (at < this.fetchView(0)) return (this.#u32[i + 5]! & TlbFlag.GLOBAL) !== 0;
    return (this.#u32[i + 3]! & ITLB_GLOBAL) !== 0;
  }

  /** A used fetch entry carries a page that selects it; an empty one does not. */
  #isFetchUsed(i: number): boolean {
    const e = ((i << 2) - this.fetchView(0)) / ITLB_ENTRY_BYTES;
    return ((this.#u32[i]! >>> 12) & (ITLB_ENTRIES - 1)) === (e & (ITLB_ENTRIES - 1));
  }

  #drop(at: number): void {
    const n = this.#used.subarray(0, this.#usedCount).indexOf(at);
    this.#used[n] = this.#used[--this.#usedCount]!;
    this.#empty(at);
  }

  #empty(at: number): void {
    const i = at >> 2;
    const isData = at < this.fetchView(0);
    const e = isData
      ? ((at - this.base) / TLB_ENTRY_BYTES) & (TLB_ENTRIES - 1)
      : ((at - this.fetchView(0)) / ITLB_ENTRY_BYTES) & (ITLB_ENTRIES - 1);
    const page = (e ^ 1) << 12;
    this.#u32[i] = page;
    this.#u32[i + 1] = 0;
    if (!isData) {
      this.#u32[i + 2] = this.#emptyTable;
      this.#u32[i + 3] = 0;
      return;
    }
    this.#u32[i + 2] = page;
    this.#u32[i + 3] = 0;
    this.#u32[i + 4] = 0;
    this.#u32[i + 5] = 0;
    this.#u32[i + 6] = 0;
  }
}

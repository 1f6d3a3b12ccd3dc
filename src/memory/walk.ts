import { TlbFlag, View } from './tlb.ts';

/** What an access wants, as bits: they are also those of the page-fault error code. */
export const Access = { READ: 0, WRITE: 2, FETCH: 16 } as const;

/** Control state that steers a walk. */
export interface PagingState {
  readonly cr0: number;
  readonly cr3: bigint;
  readonly cr4: number;
  readonly efer: number;
}

/** How the walker reaches page tables in guest-physical memory. Addresses are multiples of 4. */
export interface TableMemory {
  /** u32 at `gpa`; a hole reads as all ones, as a bus nobody answers. */
  read32(gpa: number): number;
  write32(gpa: number, value: number): void;
}

const CR0_WP = 1 << 16;
const CR0_PG = 0x80000000;
const CR4_PSE = 1 << 4;
const CR4_PAE = 1 << 5;
const CR4_PGE = 1 << 7;
const CR4_SMEP = 1 << 20;
const CR4_SMAP = 1 << 21;
const EFER_LMA = 1 << 10;
const EFER_NXE = 1 << 11;

/**
 * Table entry, low half (Intel SDM 3A 4.3 to 4.5):
 *
 *     31            12 11  9 8 7  6 5 4   3   2   1   0
 *     address ........ avl   G PS D A PCD PWT U/S R/W P
 *
 * and in the high half bit 31 = XD, bits 19..0 = address 51..32, bits 30..20 available or reserved by mode.
 */
const P = 1;
const RW = 2;
const US = 4;
const A = 0x20;
const D = 0x40;
const PS = 0x80;
const G = 0x100;
const XD = 0x80000000;
const ERROR_RESERVED = 8;
/** Physical address bits 39..32 may be used; above them reserved (CPUID 0x80000008: 40 bits). */
const HIGH_RESERVED = 0x000fff00;

/**
 * The page walker: all four forms of paging, with permission checks and the accessed and dirty bits.
 * The result of the last walk stays in its fields.
 */
export class PageWalker {
  /** Guest frame of the last walk. */
  gfn = 0;
  /** TlbFlag.WRITABLE (writes need no further walk) and TlbFlag.GLOBAL. */
  flags = 0;
  readonly #memory: TableMemory;
  // One path from root to leaf: where each entry lies, and its low half.
  readonly #at = new Float64Array(4);
  readonly #low = new Uint32Array(4);
  #depth = 0;
  #rights = 0;
  #xd = 0;
  #reserved = false;
  #leafHigh = 0;
  #pageShift = 12;

  constructor(memory: TableMemory) {
    this.#memory = memory;
  }

  /**
   * Translates linear address `hi:lo` (canonical) for `access` with the rights of `view`.
   * @returns 0, or 1 + the page-fault error code (so that a code of 0 is told apart). Accessed and dirty bits are set only on success.
   */
  walk(s: PagingState, lo: number, hi: number, access: number, view: number): number {
    if ((s.cr0 & CR0_PG) === 0) {
      this.gfn = lo >>> 12;
      this.flags = TlbFlag.WRITABLE;
      return 0;
    }
    const user = view === View.USER;
    const base = (user ? 4 : 0) | (access & 2) | (access & 16 && this.#fetchBit(s) ? 16 : 0);
    const present =
      (s.efer & EFER_LMA) !== 0
        ? this.#descend64(s, lo, hi)
        : (s.cr4 & CR4_PAE) !== 0
          ? this.#descendPae(s, lo)
          : this.#descend32(s, lo);
    if (!present) return 1 + base;
    if (this.#reserved) return 1 + (base | 1 | ERROR_RESERVED);
    if (!this.#permitted(s, access, view)) return 1 + (base | 1);
    this.#mark(access);
    const low = this.#low[this.#depth - 1]!;
    const writable = (this.#rights & RW) !== 0 || (!user && (s.cr0 & CR0_WP) === 0);
    const dirty = (low & D) !== 0 || (access & 2) !== 0;
    this.flags =
      (writable && dirty ? TlbFlag.WRITABLE : 0) | ((low & G) !== 0 && (s.cr4 & CR4_PGE) !== 0 ? TlbFlag.GLOBAL : 0);
    this.gfn = this.#frame(low, lo);
    return 0;
  }

  #fetchBit(s: PagingState): boolean {
    return ((s.efer & EFER_NXE) !== 0 && (s.cr4 & CR4_PAE) !== 0) || (s.cr4 & CR4_SMEP) !== 0;
  }

  #permitted(s: PagingState, access: number, view: number): boolean {
    const userPage = (this.#rights & US) !== 0;
    if ((access & 16) !== 0) {
      if (this.#xd !== 0) return false;
      return view === View.USER ? userPage : !userPage || (s.cr4 & CR4_SMEP) === 0;
    }
    if (view === View.USER) return userPage && ((access & 2) === 0 || (this.#rights & RW) !== 0);
    if (userPage && view === View.SUPERVISOR && (s.cr4 & CR4_SMAP) !== 0) return false;
    return (access & 2) === 0 || (this.#rights & RW) !== 0 || (s.cr0 & CR0_WP) === 0;
  }

  #mark(access: number): void {
    for (let i = 0; i < this.#depth; i++) {
      const set = i === this.#depth - 1 && (access & 2) !== 0 ? A | D : A;
      // PDPTEs of PAE paging have neither bit: their low half is entered here with both set.
      if ((this.#low[i]! & set) !== set) this.#memory.write32(this.#at[i]!, this.#low[i]! | set);
    }
  }

  #frame(low: number, lo: number): number {
    const shift = this.#pageShift;
    const base = (this.#leafHigh & 0xfffff) * 0x100000 + (low >>> 12);
    if (shift === 12) return base;
    const mask = 2 ** (shift - 12) - 1;
    return base - (base % (mask + 1)) + ((lo >>> 12) & mask);
  }

  #start(): void {
    this.#depth = 0;
    this.#rights = RW | US;
    this.#xd = 0;
    this.#reserved = false;
    this.#leafHigh = 0;
    this.#pageShift = 12;
  }

  /** Reads one 8-byte entry and takes it into the path. @returns false if it is not present. */
  #entry64(s: PagingState, at: number): boolean {
    const low = this.#memory.read32(at);
    if ((low & P) === 0) return false;
    const high = this.#memory.read32(at + 4);
    this.#at[this.#depth] = at;
    this.#low[this.#depth++] = low;
    this.#leafHigh = high;
    this.#rights &= low;
    if ((high & XD) !== 0) {
      if ((s.efer & EFER_NXE) === 0) this.#reserved = true;
      else this.#xd = 1;
    }
    if ((high & HIGH_RESERVED) !== 0) this.#reserved = true;
    return true;
  }

  #next(): number {
    return (this.#leafHigh & 0xfffff) * 0x100000000 + ((this.#low[this.#depth - 1]! & 0xfffff000) >>> 0);
  }

  #descend64(s: PagingState, lo: number, hi: number): boolean {
    this.#start();
    let table = Number(s.cr3 & 0xffffffffff000n);
    const index = [(hi >>> 7) & 511, ((hi << 2) | (lo >>> 30)) & 511, (lo >>> 21) & 511, (lo >>> 12) & 511];
    for (let level = 0; level < 4; level++) {
      if (!this.#entry64(s, table + index[level]! * 8)) return false;
      const low = this.#low[level]!;
      if (level < 3 && (low & PS) !== 0) {
        if (level === 0) this.#reserved = true;
        this.#pageShift = level === 1 ? 30 : 21;
        if (level > 0 && (low & (level === 1 ? 0x3fffe000 : 0x1fe000)) !== 0) this.#reserved = true;
        return true;
      }
      table = this.#next();
    }
    return true;
  }

  #descendPae(s: PagingState, lo: number): boolean {
    this.#start();
    const pdpte = Number(s.cr3 & 0xffffffe0n) + (lo >>> 30) * 8;
    const low = this.#memory.read32(pdpte);
    if ((low & P) === 0) return false;
    const high = this.#memory.read32(pdpte + 4);
    let table = (high & 0xfffff) * 0x100000000 + ((low & 0xfffff000) >>> 0);
    if (!this.#entry64(s, table + ((lo >>> 21) & 511) * 8)) return false;
    if ((this.#leafHigh & 0x7ff00000) !== 0) this.#reserved = true;
    if ((this.#low[0]! & PS) !== 0) {
      this.#pageShift = 21;
      if ((this.#low[0]! & 0x1fe000) !== 0) this.#reserved = true;
      return true;
    }
    table = this.#next();
    if (!this.#entry64(s, table + ((lo >>> 12) & 511) * 8)) return false;
    if ((this.#leafHigh & 0x7ff00000) !== 0) this.#reserved = true;
    return true;
  }

  #descend32(s: PagingState, lo: number): boolean {
    this.#start();
    const table = Number(s.cr3 & 0xfffff000n);
    if (!this.#entry32(table + (lo >>> 22) * 4)) return false;
    const pde = this.#low[0]!;
    if ((pde & PS) !== 0 && (s.cr4 & CR4_PSE) !== 0) {
      this.#pageShift = 22;
      if ((pde & 0x200000) !== 0) this.#reserved = true;
      // PSE-36: bits 20..13 are address bits 39..32.
      this.#leafHigh = (pde >>> 13) & 0xff;
      return true;
    }
    return this.#entry32(((pde & 0xfffff000) >>> 0) + ((lo >>> 12) & 1023) * 4);
  }

  #entry32(at: number): boolean {
    const low = this.#memory.read32(at);
    if ((low & P) === 0) return false;
    this.#at[this.#depth] = at;
    this.#low[this.#depth++] = low;
    this.#rights &= low;
    return true;
  }
}

import * as L from './layout.ts';

/** EFLAGS bits, Intel SDM 1 figure 3-8. */
export const FLAG = {
  CF: 1 << 0,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;
export const STATUS_FLAGS = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.OF;
/** Bits of EFLAGS that EFLAGS_REST holds (bit 1 is always set there). */
export const REST_FLAGS = 0x3f7702;

export const SEG = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;
export const REG = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
} as const;

export const CR0 = {
  PE: 1,
  MP: 2,
  EM: 4,
  TS: 8,
  ET: 16,
  NE: 32,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: 1 << 31,
} as const;
export const CR4 = {
  VME: 1,
  PVI: 2,
  TSD: 4,
  DE: 8,
  PSE: 16,
  PAE: 32,
  MCE: 64,
  PGE: 128,
  PCE: 256,
  OSFXSR: 512,
  OSXMMEXCPT: 1024,
  UMIP: 2048,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  OSXSAVE: 1 << 18,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
} as const;
export const EFER = { SCE: 1, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11 } as const;

/** Segment attribute word: descriptor bits 40..55 moved to bit 0 (limit bits 16..19 cleared); NULL marks an unusable register. */
export const ATTR = {
  TYPE: 0xf,
  S: 0x10,
  DPL_SHIFT: 5,
  P: 0x80,
  AVL: 0x1000,
  L: 0x2000,
  DB: 0x4000,
  G: 0x8000,
  NULL: 0x10000,
} as const;

/**
 * Typed access to the current vcpu's state in linear memory, by the offsets of layout.ts. u64 fields are `bigint`.
 * Holds no state of its own.
 */
export class CpuState {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  readonly i64: BigInt64Array;
  readonly f64: Float64Array;

  constructor(buffer: ArrayBufferLike) {
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.f64 = new Float64Array(buffer);
  }

  /** 64-bit general register `n`. */
  reg(n: number): bigint {
    return this.u64[n]!;
  }
  setReg(n: number, value: bigint): void {
    this.u64[n] = value;
  }
  /** Low half of register `n`, unsigned. */
  reg32(n: number): number {
    return this.u32[n * 2]!;
  }
  /** Writes 32 bits and clears the upper half, as 32-bit instructions do. */
  setReg32(n: number, value: number): void {
    this.u32[n * 2] = value;
    this.u32[n * 2 + 1] = 0;
  }
  /** u32 field at byte offset `at` of layout.ts (4-byte aligned). */
  get32(at: number): number {
    return this.u32[at >> 2]!;
  }
  set32(at: number, value: number): void {
    this.u32[at >> 2] = value;
  }
  get64(at: number): bigint {
    return this.u64[at >> 3]!;
  }
  set64(at: number, value: bigint): void {
    this.u64[at >> 3] = value;
  }

  selector(s: number): number {
    return this.u16[(L.SEGMENT + s * L.SEG_STRIDE) >> 1]!;
  }
  attributes(s: number): number {
    return this.get32(L.SEGMENT + s * L.SEG_STRIDE + L.SEG_ATTRIBUTES);
  }
  limit(s: number): number {
    return this.get32(L.SEGMENT + s * L.SEG_STRIDE + L.SEG_LIMIT);
  }
  /** Base of any segment register, LDTR and TR included. */
  base(s: number): bigint {
    return this.get64(s < 6 ? L.SLOT_SEG_BASE + s * 8 : L.LDTR_BASE + (s - 6) * 8);
  }
  setSegment(s: number, selector: number, base: bigint, limit: number, attributes: number): void {
    const at = L.SEGMENT + s * L.SEG_STRIDE;
    this.u16[at >> 1] = selector;
    this.set32(at + L.SEG_LIMIT, limit);
    this.set32(at + L.SEG_ATTRIBUTES, attributes);
    this.set64(s < 6 ? L.SLOT_SEG_BASE + s * 8 : L.LDTR_BASE + (s - 6) * 8, base);
  }

  /** The whole of RFLAGS, the lazy bits computed. */
  get eflags(): number {
    const resLow = this.u32[L.FLAG_RES >> 2]!;
    const resHigh = this.u32[(L.FLAG_RES >> 2) + 1]!;
    const auxLow = this.u32[L.FLAG_AUX >> 2]!;
    const auxHigh = this.u32[(L.FLAG_AUX >> 2) + 1]!;
    let parity = (resLow ^ (auxLow >>> 8)) & 0xff;
    parity ^= parity >> 4;
    let f = this.get32(L.EFLAGS_REST) | 2;
    if (auxHigh >>> 31) f |= FLAG.CF;
    if (((0x6996 >> (parity & 15)) & 1) === 0) f |= FLAG.PF;
    if (auxLow & 8) f |= FLAG.AF;
    if ((resLow | resHigh) === 0) f |= FLAG.ZF;
    if ((resHigh >>> 31) ^ ((auxLow >>> 4) & 1)) f |= FLAG.SF;
    if ((auxHigh ^ (auxHigh << 1)) >>> 31) f |= FLAG.OF;
    return f;
  }

  set eflags(f: number) {
    this.set32(L.EFLAGS_REST, (f & REST_FLAGS) | 2);
    const cf = f & 1;
    const of = (f >> 11) & 1;
    const sf = (f >> 7) & 1;
    const pf = (f >> 2) & 1;
    const zf = (f >> 6) & 1;
    // ZF needs RES = 0; sign and parity of a zero are then mended by the two delta fields.
    this.u32[L.FLAG_RES >> 2] = zf ? 0 : pf ? 3 : 1;
    this.u32[(L.FLAG_RES >> 2) + 1] = zf ? 0 : sf << 31;
    this.u32[L.FLAG_AUX >> 2] = ((f >> 4) & 1 ? 8 : 0) | (zf && sf ? 16 : 0) | (zf && !pf ? 0x100 : 0);
    this.u32[(L.FLAG_AUX >> 2) + 1] = ((cf << 31) | ((cf ^ of) << 30)) >>> 0;
  }

  get rip(): bigint {
    return this.get64(L.RIP);
  }
  set rip(value: bigint) {
    this.set64(L.RIP, value);
  }
  get cpl(): number {
    return this.get32(L.CPL);
  }
  get cr0(): number {
    return this.get32(L.CR0);
  }
  get cr3(): bigint {
    return this.get64(L.CR3);
  }
  get cr4(): number {
    return this.get32(L.CR4);
  }
  get efer(): number {
    return this.get32(L.EFER);
  }
  /** EFER.LMA: long mode (64-bit or compatibility). */
  get longMode(): boolean {
    return (this.efer & EFER.LMA) !== 0;
  }
  /** 64-bit code: long mode and CS.L. */
  get is64(): boolean {
    return this.longMode && (this.attributes(SEG.CS) & ATTR.L) !== 0;
  }
}

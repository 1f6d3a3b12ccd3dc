/**
 * The x87 register file as the unit sees it, and the meaning of its words (SDM vol. 1, 8.1).
 *
 *   FCW  | 15..13 | X 12 | RC 11..10 | PC 9..8 | 1 7..6 (bit 6 reads 1) | PM UM OM ZM DM IM 5..0 |
 *   FSW  | B 15 | C3 14 | TOP 13..11 | C2 10 | C1 9 | C0 8 | ES 7 | SF 6 | PE UE OE ZE DE IE 5..0 |
 *   FTW  | p7 ... p0 |   FXSAVE form: bit p set = physical register p is not empty
 */
import * as L from '../layout.ts';
import type { CpuState } from '../state.ts';

export const FSW_SF = 0x40;
export const FSW_ES = 0x80;
export const FSW_B = 0x8000;
export const FSW_C0 = 0x100;
export const FSW_C1 = 0x200;
export const FSW_C2 = 0x400;
export const FSW_C3 = 0x4000;
export const FSW_TOP = 0x3800;
export const FSW_EXCEPTIONS = 0x3f;

/** FCW after FNINIT. */
export const FCW_INIT = 0x37f;
/** Bits a program can load; bit 6 reads as one, bits 7 and 13..15 as zero. */
export const FCW_WRITABLE = 0x1f3f;
export const FCW_FIXED = 0x40;

export interface X87State {
  /** 80-bit content of a physical register, 0..7. */
  getReg(physical: number): bigint;
  setReg(physical: number, value: bigint): void;
  fcw: number;
  fsw: number;
  ftw: number;
  /** Last opcode: 11 bits. */
  fop: number;
  fip: bigint;
  fdp: bigint;
  fcs: number;
  fds: number;
}

const WORD64 = (1n << 64n) - 1n;

/** The register file inside the current vcpu's state in linear memory. Build a new one when the memory has grown. */
export class LinearX87State implements X87State {
  private readonly s: CpuState;

  constructor(s: CpuState) {
    this.s = s;
  }

  getReg(physical: number): bigint {
    const at = (L.X87_REGISTERS >> 3) + 2 * physical;
    return ((this.s.u64[at + 1] & 0xffffn) << 64n) | this.s.u64[at];
  }
  setReg(physical: number, value: bigint): void {
    const at = (L.X87_REGISTERS >> 3) + 2 * physical;
    this.s.u64[at] = value & WORD64;
    this.s.u64[at + 1] = value >> 64n;
  }
  get fcw(): number {
    return this.s.u16[L.X87_FCW >> 1];
  }
  set fcw(value: number) {
    this.s.u16[L.X87_FCW >> 1] = value;
  }
  get fsw(): number {
    return this.s.u16[L.X87_FSW >> 1];
  }
  set fsw(value: number) {
    this.s.u16[L.X87_FSW >> 1] = value;
  }
  get ftw(): number {
    return this.s.u8[L.X87_FTW];
  }
  set ftw(value: number) {
    this.s.u8[L.X87_FTW] = value;
  }
  get fop(): number {
    return this.s.u16[L.X87_FOP >> 1];
  }
  set fop(value: number) {
    this.s.u16[L.X87_FOP >> 1] = value;
  }
  get fip(): bigint {
    return this.s.u64[L.X87_FIP >> 3];
  }
  set fip(value: bigint) {
    this.s.u64[L.X87_FIP >> 3] = value;
  }
  get fdp(): bigint {
    return this.s.u64[L.X87_FDP >> 3];
  }
  set fdp(value: bigint) {
    this.s.u64[L.X87_FDP >> 3] = value;
  }
  get fcs(): number {
    return this.s.u16[L.X87_FCS >> 1];
  }
  set fcs(value: number) {
    this.s.u16[L.X87_FCS >> 1] = value;
  }
  get fds(): number {
    return this.s.u16[L.X87_FDS >> 1];
  }
  set fds(value: number) {
    this.s.u16[L.X87_FDS >> 1] = value;
  }
}

/** A register file of its own, for tests and for code without a machine. */
export class PlainX87State implements X87State {
  readonly registers: bigint[] = new Array<bigint>(8).fill(0n);
  fcw = FCW_INIT;
  fsw = 0;
  ftw = 0;
  fop = 0;
  fip = 0n;
  fdp = 0n;
  fcs = 0;
  fds = 0;

  getReg(physical: number): bigint {
    return this.registers[physical];
  }
  setReg(physical: number, value: bigint): void {
    this.registers[physical] = value;
  }
}

import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { ATTR, CR0, type CpuState, FLAG, SEG } from '../state.ts';

/**
 * A segment or gate descriptor as read from the GDT or LDT (Intel SDM 3A 3.4.5, 5.8.3, 8.2.2).
 *
 *     high  31      24 23 22 21 20 19   16 15 14 13 12 11   8 7      0
 *          ┌──────────┬──┬──┬──┬──┬───────┬──┬─────┬──┬──────┬────────┐
 *          │base 31:24│G │DB│L │AV│lim19:6│P │ DPL │S │ type │ b23:16 │
 *          └──────────┴──┴──┴──┴──┴───────┴──┴─────┴──┴──────┴────────┘
 *     low   31          base 15:0       16 15         limit 15:0      0
 *     gates keep the target offset 31:16 in high and selector, offset 15:0 in low
 */
export interface Descriptor {
  /** Selector it was read by, RPL included. */
  selector: number;
  /** Linear address of its eight bytes. */
  address: bigint;
  low: number;
  high: number;
}

/** System descriptor types, Intel SDM 3A table 3-2 (S = 0). */
export const SYSTEM = {
  TSS16: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL16: 4,
  TASK_GATE: 5,
  INT16: 6,
  TRAP16: 7,
  TSS32: 9,
  TSS32_BUSY: 11,
  CALL32: 12,
  INT32: 14,
  TRAP32: 15,
} as const;

const HIGH_S = 1 << 12;
const HIGH_P = 1 << 15;
const HIGH_CODE = 1 << 11;
const HIGH_CONFORMING = 1 << 10;
const HIGH_RW = 1 << 9;
const HIGH_ACCESSED = 1 << 8;

/** Five bits S:type; below 16 it is a system descriptor. */
export const typeOf = (d: Descriptor): number => (d.high >>> 8) & 0x1f;
export const dplOf = (d: Descriptor): number => (d.high >>> 13) & 3;
export const isPresent = (d: Descriptor): boolean => (d.high & HIGH_P) !== 0;
export const isCode = (d: Descriptor): boolean => (d.high & (HIGH_S | HIGH_CODE)) === (HIGH_S | HIGH_CODE);
export const isConforming = (d: Descriptor): boolean => isCode(d) && (d.high & HIGH_CONFORMING) !== 0;
export const isWritableData = (d: Descriptor): boolean =>
  (d.high & (HIGH_S | HIGH_CODE | HIGH_RW)) === (HIGH_S | HIGH_RW);
export const isReadable = (d: Descriptor): boolean =>
  (d.high & HIGH_S) !== 0 && ((d.high & HIGH_CODE) === 0 || (d.high & HIGH_RW) !== 0);
/** Data or non-conforming code: the kinds whose DPL restricts access. */
export const isRestricted = (d: Descriptor): boolean => (d.high & HIGH_S) !== 0 && !isConforming(d);
/** CS.L of a code descriptor. */
export const isLong = (d: Descriptor): boolean => (d.high & (1 << 21)) !== 0;
export const isBig = (d: Descriptor): boolean => (d.high & (1 << 22)) !== 0;
export const baseOf = (d: Descriptor): number =>
  ((d.low >>> 16) | ((d.high & 0xff) << 16) | (d.high & 0xff000000)) >>> 0;
/** Descriptor bits 40..55, limit bits cleared: the state's attribute word. */
export const attributesOf = (d: Descriptor): number => (d.high >>> 8) & 0xf0ff;
/** Limit in bytes, granularity applied. */
export function limitOf(d: Descriptor): number {
  const raw = (d.high & 0xf0000) | (d.low & 0xffff);
  return d.high & (1 << 23) ? ((raw << 12) | 0xfff) >>> 0 : raw;
}

export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;
/** Error code that names `selector`; `ext` is 1 when an event outside the program is being delivered. */
export const selectorError = (selector: number, ext = 0): number => (selector & 0xfffc) | ext;

export const isProtected = (s: CpuState): boolean => (s.cr0 & CR0.PE) !== 0;
export const isVm86 = (s: CpuState): boolean => (s.get32(L.EFLAGS_REST) & FLAG.VM) !== 0;
/** Real-address or virtual-8086 mode: selectors are paragraph numbers. */
export const isParagraphMode = (s: CpuState): boolean => (s.cr0 & CR0.PE) === 0 || isVm86(s);
export const ioplOf = (s: CpuState): number => (s.get32(L.EFLAGS_REST) >>> 12) & 3;

/** A cell that takes 64-bit values apart without allocating: `halves` are its low and high 32 bits. */
const cell = new BigUint64Array(1);
const halves = new Uint32Array(cell.buffer);

/** Canonical for 48-bit linear addresses: bits 63..47 are all equal. */
export function isCanonical(a: bigint): boolean {
  cell[0] = a;
  const top = halves[1]! >>> 15;
  return top === 0 || top === 0x1ffff;
}

/** Low and high half of `value`, in `SPLIT.low` and `SPLIT.high` until the next call. */
export const SPLIT = { low: 0, high: 0 };
export function split(value: bigint): void {
  cell[0] = value;
  SPLIT.low = halves[0]!;
  SPLIT.high = halves[1]!;
}
export const MASK32 = 0xffffffffn;

/** Keeps the linear-address width of the current mode: 32 bits outside long mode. */
export const linear = (s: CpuState, a: bigint): bigint => (s.longMode ? BigInt.asUintN(64, a) : a & MASK32);

/** Address of entry `selector` if `bytes` bytes of it lie within its table; -1n if not. */
function entryAddress(s: CpuState, selector: number, bytes: number): bigint {
  const index = selector & 0xfff8;
  if (selector & 4) {
    if (s.attributes(SEG.LDTR) & ATTR.NULL || index + bytes - 1 > s.limit(SEG.LDTR)) return -1n;
    return linear(s, s.base(SEG.LDTR) + BigInt(index));
  }
  if (index + bytes - 1 > s.get32(L.GDTR_LIMIT)) return -1n;
  return linear(s, s.get64(L.GDTR_BASE) + BigInt(index));
}

/** The descriptor `selector` names, or undefined when it lies beyond its table. May raise #PF. */
export function findDescriptor(cpu: ProcessorContext, selector: number): Descriptor | undefined {
  const address = entryAddress(cpu.s, selector, 8);
  if (address < 0n) return undefined;
  split(cpu.mem.read64(address, true));
  return { selector, address, low: SPLIT.low, high: SPLIT.high };
}

/** As findDescriptor; beyond the table raises `vector` with the selector as error code. */
export function fetchDescriptor(
  cpu: ProcessorContext,
  selector: number,
  ext = 0,
  vector: number = VECTOR.GP,
): Descriptor {
  return findDescriptor(cpu, selector) ?? raise(vector, selectorError(selector, ext));
}

/**
 * Upper eight bytes of a 16-byte descriptor of long mode; `undefined` beyond the table.
 * Returned as [bits 95..64, bits 127..96].
 */
export function findUpper(cpu: ProcessorContext, d: Descriptor): [number, number] | undefined {
  if (entryAddress(cpu.s, d.selector, 16) < 0n) return undefined;
  const { mem, s } = cpu;
  return [mem.read32(linear(s, d.address + 8n), true), mem.read32(linear(s, d.address + 12n), true)];
}

/** Base of an LDT or TSS descriptor: 64 bits in long mode. Raises #GP(selector) for a malformed upper half. */
export function systemBase(cpu: ProcessorContext, d: Descriptor): bigint {
  if (!cpu.s.longMode) return BigInt(baseOf(d));
  const upper = findUpper(cpu, d) ?? raise(VECTOR.GP, selectorError(d.selector));
  if (upper[1] & 0x1f00) raise(VECTOR.GP, selectorError(d.selector));
  const base = (BigInt(upper[0]) << 32n) | BigInt(baseOf(d));
  return isCanonical(base) ? base : raise(VECTOR.GP, selectorError(d.selector));
}

/** Sets the accessed bit in memory if it is clear, as every load of a segment register does. */
export function markAccessed(cpu: ProcessorContext, d: Descriptor): void {
  if (d.high & HIGH_ACCESSED) return;
  d.high |= HIGH_ACCESSED;
  cpu.mem.write8(linear(cpu.s, d.address + 5n), (d.high >>> 8) & 0xff, true);
}

/** Writes back the type byte of a TSS descriptor with its busy bit as asked. */
export function setBusy(cpu: ProcessorContext, d: Descriptor, busy: boolean): void {
  d.high = busy ? d.high | 0x200 : d.high & ~0x200;
  cpu.mem.write8(linear(cpu.s, d.address + 5n), (d.high >>> 8) & 0xff, true);
}

/** Loads the hidden part of segment register `seg` from `d`; no checks. */
export function commitSegment(s: CpuState, seg: number, d: Descriptor, selector = d.selector): void {
  s.setSegment(seg, selector & 0xffff, BigInt(baseOf(d)), limitOf(d), attributesOf(d));
}

/** Makes `seg` unusable, keeping `selector` (null with any RPL) visible. */
export function commitNull(s: CpuState, seg: number, selector: number): void {
  s.setSegment(seg, selector & 0xffff, 0n, 0, ATTR.NULL);
}

/** Loads `seg` the way real-address and virtual-8086 mode do (Intel SDM 3B 21.1, 21.2). */
export function commitParagraph(s: CpuState, seg: number, selector: number): void {
  const base = BigInt((selector & 0xffff) << 4);
  // Real mode keeps limit and attributes ("unreal mode"); VM86 always has 64 KiB data segments of DPL 3.
  if (isVm86(s)) s.setSegment(seg, selector & 0xffff, base, 0xffff, 0xf3);
  else if (s.attributes(seg) & ATTR.NULL) s.setSegment(seg, selector & 0xffff, base, 0xffff, 0x93);
  else s.setSegment(seg, selector & 0xffff, base, s.limit(seg), s.attributes(seg));
}

export function setCpl(s: CpuState, cpl: number): void {
  s.set32(L.CPL, cpl);
}

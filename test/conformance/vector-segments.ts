/**
 * The descriptor tables behind vectors that are not flat 64-bit code: as Linux has them for a program with a local table.
 * They lie where user mode cannot reach, in the upper half, so that its own addresses stay unmapped.
 *
 *     KERNEL + 0x0000  GDT, at + 0x800 the LDT      + 0x1000  IDT      + 0x2000  TSS, above it the stack of handlers
 */
import { ATTR, type CpuState, SEG } from '../../src/cpu/state.ts';
import * as L from '../../src/cpu/layout.ts';
import { GLOBAL, LOCAL, modeOf, rawDescriptor } from './take/descriptors.ts';
import type { Vector, VectorState } from './vector-machine.ts';

export const KERNEL = 0xffffc90000000000n;
const LDT_AT = 0x800;
const HANDLERS = KERNEL + 0x100000n;
const KERNEL_CODE = 0x10n;
/** Gates that user mode may call: INT3, INTO, and Linux's system call. */
const USER_GATES = [3, 4, 0x80];
const SEGMENTS = { es: SEG.ES, cs: SEG.CS, ss: SEG.SS, ds: SEG.DS, fs: SEG.FS, gs: SEG.GS } as const;
type SegmentName = keyof typeof SEGMENTS;
export const SEGMENT_NAMES = Object.keys(SEGMENTS) as SegmentName[];

/** Writes the three pages. */
export function writeTables(tables: Uint8Array, gates: Uint8Array, task: Uint8Array): void {
  const descriptors = new DataView(tables.buffer, tables.byteOffset);
  for (const [i, d] of GLOBAL.entries()) descriptors.setBigUint64(8 * i, d, true);
  for (const [i, d] of LOCAL.entries()) descriptors.setBigUint64(LDT_AT + 8 * i, rawDescriptor(d), true);
  const idt = new DataView(gates.buffer, gates.byteOffset);
  for (let vector = 0; vector < 256; vector++) {
    const handler = HANDLERS + BigInt(vector * 16);
    const access = USER_GATES.includes(vector) ? 0xee00n : 0x8e00n;
    idt.setBigUint64(
      16 * vector,
      (handler & 0xffffn) | (KERNEL_CODE << 16n) | (access << 32n) | (((handler >> 16n) & 0xffffn) << 48n),
      true,
    );
    idt.setBigUint64(16 * vector + 8, handler >> 32n, true);
  }
  const tss = new DataView(task.buffer, task.byteOffset);
  tss.setBigUint64(4, KERNEL + 0x3000n, true);
  tss.setUint16(0x66, 0xffff, true);
}

/** Table registers; they do not change from vector to vector. */
export function loadTables(s: CpuState): void {
  s.set64(L.GDTR_BASE, KERNEL);
  s.set32(L.GDTR_LIMIT, 0x7f);
  s.set64(L.IDTR_BASE, KERNEL + 0x1000n);
  s.set32(L.IDTR_LIMIT, 0xfff);
  s.setSegment(SEG.LDTR, 0x50, KERNEL + BigInt(LDT_AT), 8 * LOCAL.length - 1, 0x82);
  s.setSegment(SEG.TR, 0x40, KERNEL + 0x2000n, 0x67, 0x8b);
}

/** The mode's usual selectors: Linux's 64-bit and 32-bit user code. */
export function usualSelector(name: SegmentName, mode: number): number {
  if (name === 'cs') return mode === 64 ? 0x33 : 0x23;
  return name === 'ss' || mode !== 64 ? 0x2b : 0;
}

/** A selector as the state of vector `v` (before, or after) has it. */
export function selectorIn(v: Vector, name: SegmentName, after: boolean): number {
  const stated = (after ? v.out.segments?.[name] : undefined) ?? v.in.segments?.[name];
  return stated === undefined ? usualSelector(name, v.mode ?? 64) : Number(stated);
}

export function basesIn(v: Vector, after: boolean): NonNullable<VectorState['bases']> {
  return (after ? v.out.bases : undefined) ?? v.in.bases ?? { fs: '0x0', gs: '0x0' };
}

function loadSelector(s: CpuState, name: SegmentName, selector: number): void {
  if (selector < 4) {
    s.setSegment(SEGMENTS[name], selector, 0n, 0, ATTR.NULL);
    return;
  }
  const raw = selector & 4 ? rawDescriptor(LOCAL[selector >> 3]!) : (GLOBAL[selector >> 3] ?? 0n);
  const base = ((raw >> 16n) & 0xffffffn) | ((raw >> 56n) << 24n);
  const limit = Number((raw & 0xffffn) | ((raw >> 32n) & 0xf0000n));
  const scaled = (raw >> 55n) & 1n ? limit * 4096 + 4095 : limit;
  s.setSegment(SEGMENTS[name], selector, base, scaled >>> 0, Number((raw >> 40n) & 0xf0ffn));
}

/** Loads the segment registers of `v`, as a return to user mode would. */
export function loadSegments(s: CpuState, v: Vector): void {
  for (const name of SEGMENT_NAMES) loadSelector(s, name, selectorIn(v, name, false));
  if (modeOf(selectorIn(v, 'cs', false)) === 64) {
    const bases = basesIn(v, false);
    s.set64(L.SLOT_SEG_BASE + 8 * SEG.FS, BigInt(bases.fs));
    s.set64(L.SLOT_SEG_BASE + 8 * SEG.GS, BigInt(bases.gs));
  }
  s.set32(L.CPL, 3);
}

/**
 * A handler of the IDT was entered by INT3 or INTO: puts back what user mode had, as the frame on its stack says.
 * @returns the vector
 */
export function leaveHandler(s: CpuState, task: Uint8Array): number {
  const frame = new DataView(task.buffer, task.byteOffset + 0x1000 - 40);
  const vector = Number((s.rip - HANDLERS) / 16n);
  s.rip = frame.getBigUint64(0, true);
  s.eflags = Number(frame.getBigUint64(16, true));
  s.setReg(4, frame.getBigUint64(24, true));
  for (const name of ['cs', 'ss'] as const) loadSelector(s, name, frame.getUint16(name === 'cs' ? 8 : 32, true));
  s.set32(L.CPL, 3);
  return vector;
}

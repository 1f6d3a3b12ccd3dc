import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR0, FLAG, SEG } from '../state.ts';
import { writeCr3 } from './paging-control.ts';
import {
  baseOf,
  commitNull,
  commitParagraph,
  commitSegment,
  type Descriptor,
  dplOf,
  fetchDescriptor,
  findDescriptor,
  isCode,
  isConforming,
  isNull,
  isPresent,
  isReadable,
  isRestricted,
  isWritableData,
  limitOf,
  linear,
  markAccessed,
  selectorError,
  setBusy,
  setCpl,
  SYSTEM,
  typeOf,
} from './descriptors.ts';

/** Where a TSS keeps what (Intel SDM 3A figures 8-2 and 8-10). Register fields are `step` bytes apart. */
interface TssShape {
  size: number;
  minLimit: number;
  eip: number;
  eflags: number;
  registers: number;
  segments: number;
  segmentCount: number;
  ldt: number;
}
const TSS32: TssShape = {
  size: 4,
  minLimit: 0x67,
  eip: 0x20,
  eflags: 0x24,
  registers: 0x28,
  segments: 0x48,
  segmentCount: 6,
  ldt: 0x60,
};
const TSS16: TssShape = {
  size: 2,
  minLimit: 0x2b,
  eip: 0x0e,
  eflags: 0x10,
  registers: 0x12,
  segments: 0x22,
  segmentCount: 4,
  ldt: 0x2a,
};

export interface TaskSwitch {
  /** 'call' links back (CALL, interrupts), 'jump' and 'iret' free the old task. */
  reason: 'jump' | 'call' | 'iret';
  ext: number;
  /** EFLAGS and EIP to save in the old task. */
  flags: number;
  returnRip: bigint;
}

interface TaskImage {
  cr3: number;
  eip: number;
  eflags: number;
  registers: number[];
  selectors: number[];
  ldt: number;
  trap: boolean;
}

const shapeOf = (type: number): TssShape => (type & 8 ? TSS32 : TSS16);

function read(cpu: ProcessorContext, at: bigint, size: number): number {
  const address = linear(cpu.s, at);
  return size === 4 ? cpu.mem.read32(address, true) >>> 0 : cpu.mem.read16(address, true);
}
function write(cpu: ProcessorContext, at: bigint, size: number, value: number): void {
  const address = linear(cpu.s, at);
  if (size === 4) cpu.mem.write32(address, value >>> 0, true);
  else cpu.mem.write16(address, value & 0xffff, true);
}

function readImage(cpu: ProcessorContext, base: bigint, shape: TssShape): TaskImage {
  const { size } = shape;
  const at = (offset: number, bytes = size): number => read(cpu, base + BigInt(offset), bytes);
  const registers = Array.from({ length: 8 }, (_, i) => at(shape.registers + i * size));
  const selectors = Array.from({ length: shape.segmentCount }, (_, i) => at(shape.segments + i * size, 2));
  while (selectors.length < 6) selectors.push(0);
  return {
    cr3: size === 4 ? at(0x1c) : 0,
    eip: at(shape.eip),
    eflags: at(shape.eflags),
    registers,
    selectors,
    ldt: at(shape.ldt, 2),
    trap: size === 4 && (at(0x64, 2) & 1) !== 0,
  };
}

function saveOld(cpu: ProcessorContext, base: bigint, shape: TssShape, flags: number, rip: bigint): void {
  const { s } = cpu;
  const { size } = shape;
  write(cpu, base + BigInt(shape.eip), size, Number(BigInt.asUintN(32, rip)));
  write(cpu, base + BigInt(shape.eflags), size, flags);
  for (let i = 0; i < 8; i++) write(cpu, base + BigInt(shape.registers + i * size), size, s.reg32(i));
  for (let i = 0; i < shape.segmentCount; i++) write(cpu, base + BigInt(shape.segments + i * size), 2, s.selector(i));
}

/**
 * Switches to the task of `tss`, whose type, privilege and presence the caller has checked (Intel SDM 3A 8.3).
 * Faults up to the save of the old task leave everything as it was; later ones are raised in the new task.
 */
export function switchTask(cpu: ProcessorContext, tss: Descriptor, how: TaskSwitch): void {
  const { s, mem } = cpu;
  const shape = shapeOf(typeOf(tss));
  if (limitOf(tss) < shape.minLimit) raise(VECTOR.TS, selectorError(tss.selector, how.ext));
  const base = BigInt(baseOf(tss));
  const oldShape = shapeOf(s.attributes(SEG.TR) & 15);
  const oldBase = s.base(SEG.TR);
  const oldSelector = s.selector(SEG.TR);
  const image = readImage(cpu, base, shape);
  mem.probeWrite(linear(s, oldBase), oldShape.minLimit + 1, true);
  if (how.reason === 'call') mem.probeWrite(linear(s, base), 2, true);

  if (how.reason !== 'call') {
    const old = findDescriptor(cpu, oldSelector);
    if (old) setBusy(cpu, old, false);
  }
  saveOld(cpu, oldBase, oldShape, how.reason === 'iret' ? how.flags & ~FLAG.NT : how.flags, how.returnRip);
  if (how.reason === 'call') {
    write(cpu, base, 2, oldSelector);
    image.eflags |= FLAG.NT;
  }
  if (how.reason !== 'iret') setBusy(cpu, tss, true);
  s.setSegment(SEG.TR, tss.selector, base, limitOf(tss), ((tss.high >>> 8) & 0xf0ff) | 2);
  enterTask(cpu, image, shape.size === 4, how.ext);
}

function enterTask(cpu: ProcessorContext, image: TaskImage, is32: boolean, ext: number): void {
  const { s } = cpu;
  s.set64(L.CR0, s.get64(L.CR0) | BigInt(CR0.TS));
  if (is32 && (s.cr0 & CR0.PG) !== 0) writeCr3(cpu, BigInt(image.cr3));
  s.rip = BigInt(image.eip);
  s.eflags = image.eflags;
  for (let i = 0; i < 8; i++) s.setReg32(i, image.registers[i]!);
  // Local breakpoints belong to the old task (Intel SDM 3B 18.2.4).
  s.set64(L.DR + 56, s.get64(L.DR + 56) & ~0x155n);
  if (image.trap) s.set32(L.PENDING_DEBUG, s.get32(L.PENDING_DEBUG) | 0x8000);
  const vm86 = (image.eflags & FLAG.VM) !== 0;
  setCpl(s, vm86 ? 3 : image.selectors[SEG.CS]! & 3);
  for (let seg = 0; seg < 6; seg++) commitNull(s, seg, image.selectors[seg]!);
  commitNull(s, SEG.LDTR, image.ldt);
  cpu.modeChanged();
  loadLdt(cpu, image.ldt, ext);
  if (vm86) for (let seg = 0; seg < 6; seg++) commitParagraph(s, seg, image.selectors[seg]!);
  else loadTaskSegments(cpu, image.selectors, ext);
  cpu.modeChanged();
}

function loadLdt(cpu: ProcessorContext, selector: number, ext: number): void {
  if (isNull(selector)) return;
  const error = selectorError(selector, ext);
  if (selector & 4) raise(VECTOR.TS, error);
  const d = fetchDescriptor(cpu, selector, ext, VECTOR.TS);
  if (typeOf(d) !== SYSTEM.LDT || !isPresent(d)) raise(VECTOR.TS, error);
  commitSegment(cpu.s, SEG.LDTR, d);
}

/** Intel SDM 3A table 8-1, checks of the new task's segments: #TS, #NP and #SS name the selector. */
function loadTaskSegments(cpu: ProcessorContext, selectors: number[], ext: number): void {
  const { s } = cpu;
  const csSelector = selectors[SEG.CS]!;
  const cpl = csSelector & 3;
  if (isNull(csSelector)) raise(VECTOR.TS, selectorError(csSelector, ext));
  const cs = fetchDescriptor(cpu, csSelector, ext, VECTOR.TS);
  const csError = selectorError(csSelector, ext);
  if (!isCode(cs) || (isConforming(cs) ? dplOf(cs) > cpl : dplOf(cs) !== cpl)) raise(VECTOR.TS, csError);
  if (!isPresent(cs)) raise(VECTOR.NP, csError);
  markAccessed(cpu, cs);
  commitSegment(s, SEG.CS, cs);

  const ssSelector = selectors[SEG.SS]!;
  const ssError = selectorError(ssSelector, ext);
  if (isNull(ssSelector)) raise(VECTOR.TS, ssError);
  const ss = fetchDescriptor(cpu, ssSelector, ext, VECTOR.TS);
  if (!isWritableData(ss) || dplOf(ss) !== cpl || (ssSelector & 3) !== cpl) raise(VECTOR.TS, ssError);
  if (!isPresent(ss)) raise(VECTOR.SS, ssError);
  markAccessed(cpu, ss);
  commitSegment(s, SEG.SS, ss);

  for (const seg of [SEG.DS, SEG.ES, SEG.FS, SEG.GS]) {
    const selector = selectors[seg]!;
    if (isNull(selector)) continue;
    const error = selectorError(selector, ext);
    const d = fetchDescriptor(cpu, selector, ext, VECTOR.TS);
    if (!isReadable(d)) raise(VECTOR.TS, error);
    if (isRestricted(d) && ((selector & 3) > dplOf(d) || cpl > dplOf(d))) raise(VECTOR.TS, error);
    if (!isPresent(d)) raise(VECTOR.NP, error);
    markAccessed(cpu, d);
    commitSegment(s, seg, d);
  }
}

import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { FLAG, REG, SEG } from '../state.ts';
import {
  commitNull,
  commitSegment,
  type Descriptor,
  dplOf,
  fetchDescriptor,
  findDescriptor,
  isCode,
  isConforming,
  isNull,
  isPresent,
  isVm86,
  isWritableData,
  limitOf,
  linear,
  markAccessed,
  selectorError,
  setCpl,
  SYSTEM,
  typeOf,
} from './descriptors.ts';
import { extOf, flagsInHandler, type InterruptEvent, pushedFlags } from './events.ts';
import { StackView } from './stack.ts';
import { switchTask } from './task-switch.ts';

/** Protected and virtual-8086 mode: gates of 8 bytes (Intel SDM 3A 6.12, and INT n in volume 2). */
export function deliverProtected(cpu: ProcessorContext, event: InterruptEvent): void {
  const { s, mem } = cpu;
  const ext = extOf(event);
  const entry = event.vector * 8;
  const idtError = entry + 2 + ext;
  if (entry + 7 > s.get32(L.IDTR_LIMIT)) raise(VECTOR.GP, idtError);
  const at = linear(s, s.get64(L.IDTR_BASE) + BigInt(entry));
  const low = mem.read32(at, true);
  const high = mem.read32(linear(s, at + 4n), true);
  const type = (high >>> 8) & 0x1f;
  const isGate = type === SYSTEM.TASK_GATE || (type & 0x16) === 6;
  if (!isGate) raise(VECTOR.GP, idtError);
  if (event.kind === 'software-int' && ((high >>> 13) & 3) < s.cpl) raise(VECTOR.GP, idtError);
  if (!(high & 0x8000)) raise(VECTOR.NP, idtError);
  if (type === SYSTEM.TASK_GATE) deliverToTask(cpu, event, low >>> 16);
  else enterGate(cpu, event, low, high);
}

function deliverToTask(cpu: ProcessorContext, event: InterruptEvent, selector: number): void {
  const { s } = cpu;
  const ext = extOf(event);
  const error = selectorError(selector, ext);
  if (selector & 4) raise(VECTOR.GP, error);
  const tss = fetchDescriptor(cpu, selector, ext);
  const type = typeOf(tss);
  if (type !== SYSTEM.TSS16 && type !== SYSTEM.TSS32) raise(VECTOR.GP, error);
  if (!isPresent(tss)) raise(VECTOR.NP, error);
  const flags = pushedFlags(cpu, event);
  switchTask(cpu, tss, { reason: 'call', ext, flags, returnRip: s.rip + BigInt(event.instructionLength) });
  if (event.error >= 0) {
    const stack = StackView.current(cpu, ext);
    stack.push(BigInt(event.error), type === SYSTEM.TSS32 ? 4 : 2);
    stack.commitPointer();
  }
  if (s.rip > BigInt(s.limit(SEG.CS))) raise(VECTOR.GP, ext);
}

function enterGate(cpu: ProcessorContext, event: InterruptEvent, low: number, high: number): void {
  const { s } = cpu;
  const ext = extOf(event);
  const selector = low >>> 16;
  if (isNull(selector)) raise(VECTOR.GP, ext);
  const code = fetchDescriptor(cpu, selector, ext);
  const error = selectorError(selector, ext);
  if (!isCode(code) || dplOf(code) > s.cpl) raise(VECTOR.GP, error);
  if (!isPresent(code)) raise(VECTOR.NP, error);
  const is32 = (high & 0x800) !== 0;
  const offset = (is32 ? (high & 0xffff0000) | (low & 0xffff) : low & 0xffff) >>> 0;
  const inner = !isConforming(code) && dplOf(code) < s.cpl;
  if (isVm86(s) && (!inner || dplOf(code) !== 0)) raise(VECTOR.GP, error);
  if (inner) enterInner(cpu, event, code, offset, is32 ? 4 : 2);
  else enterSame(cpu, event, code, offset, is32 ? 4 : 2);
  s.rip = BigInt(offset);
  s.eflags = flagsInHandler(s.eflags, (high & 0x100) === 0);
  cpu.modeChanged();
}

function enterSame(cpu: ProcessorContext, event: InterruptEvent, code: Descriptor, offset: number, size: number): void {
  const { s } = cpu;
  const ext = extOf(event);
  const stack = StackView.current(cpu, ext);
  stack.reserve(event.error >= 0 ? 4 : 3, size);
  if (offset > limitOf(code)) raise(VECTOR.GP, ext);
  markAccessed(cpu, code);
  pushFrame(cpu, stack, event, size);
  stack.commitPointer();
  commitSegment(s, SEG.CS, code, (code.selector & ~3) | s.cpl);
}

/** To a more privileged level: the stack comes from the TSS; from VM86 the data segments are saved and nulled. */
function enterInner(
  cpu: ProcessorContext,
  event: InterruptEvent,
  code: Descriptor,
  offset: number,
  size: number,
): void {
  const { s } = cpu;
  const ext = extOf(event);
  const newCpl = dplOf(code);
  const { ss, pointer } = innerStack(cpu, newCpl, ext);
  const vm86 = isVm86(s);
  const stack = StackView.of(cpu, ss, pointer, selectorError(ss.selector, ext), newCpl);
  stack.reserve((event.error >= 0 ? 6 : 5) + (vm86 ? 4 : 0), size);
  if (offset > limitOf(code)) raise(VECTOR.GP, ext);
  markAccessed(cpu, ss);
  markAccessed(cpu, code);
  if (vm86) for (const seg of [SEG.GS, SEG.FS, SEG.DS, SEG.ES]) stack.push(BigInt(s.selector(seg)), size);
  stack.push(BigInt(s.selector(SEG.SS)), size);
  stack.push(s.reg(REG.RSP), size);
  pushFrame(cpu, stack, event, size);
  if (vm86) for (const seg of [SEG.GS, SEG.FS, SEG.DS, SEG.ES]) commitNull(s, seg, 0);
  s.set32(L.EFLAGS_REST, s.get32(L.EFLAGS_REST) & ~FLAG.VM);
  commitSegment(s, SEG.SS, ss);
  commitSegment(s, SEG.CS, code, (code.selector & ~3) | newCpl);
  setCpl(s, newCpl);
  stack.commitPointer();
}

function pushFrame(cpu: ProcessorContext, stack: StackView, event: InterruptEvent, size: number): void {
  const { s } = cpu;
  stack.push(BigInt(pushedFlags(cpu, event)), size);
  stack.push(BigInt(s.selector(SEG.CS)), size);
  stack.push(s.rip + BigInt(event.instructionLength), size);
  if (event.error >= 0) stack.push(BigInt(event.error), size);
}

/** SS:ESP for privilege `cpl` from the current 16- or 32-bit TSS, checked (#TS, #SS with EXT as given). */
export function innerStack(cpu: ProcessorContext, cpl: number, ext: number): { ss: Descriptor; pointer: bigint } {
  const { s, mem } = cpu;
  const is32 = (s.attributes(SEG.TR) & 8) !== 0;
  const offset = is32 ? 4 + cpl * 8 : 2 + cpl * 4;
  if (offset + (is32 ? 5 : 3) > s.limit(SEG.TR)) raise(VECTOR.TS, selectorError(s.selector(SEG.TR), ext));
  const at = s.base(SEG.TR) + BigInt(offset);
  const pointer = BigInt(is32 ? mem.read32(linear(s, at), true) >>> 0 : mem.read16(linear(s, at), true));
  const selector = mem.read16(linear(s, at + (is32 ? 4n : 2n)), true);
  if (isNull(selector)) raise(VECTOR.TS, ext);
  const error = selectorError(selector, ext);
  const ss = findDescriptor(cpu, selector) ?? raise(VECTOR.TS, error);
  if ((selector & 3) !== cpl || dplOf(ss) !== cpl || !isWritableData(ss)) raise(VECTOR.TS, error);
  if (!isPresent(ss)) raise(VECTOR.SS, error);
  return { ss, pointer };
}

import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { REG, SEG } from '../state.ts';
import {
  commitNull,
  commitSegment,
  type Descriptor,
  dplOf,
  fetchDescriptor,
  isBig,
  isCanonical,
  isCode,
  isConforming,
  isLong,
  isNull,
  isPresent,
  markAccessed,
  selectorError,
  setCpl,
} from './descriptors.ts';
import { extOf, flagsInHandler, type InterruptEvent, pushedFlags } from './events.ts';
import { StackView } from './stack.ts';

/**
 * Long mode (Intel SDM 3A 6.14): 16-byte gates, always a full frame, stack aligned to 16 bytes.
 *
 *     RSP+40 SS │ +32 RSP │ +24 RFLAGS │ +16 CS │ +8 RIP │ +0 error code (if any)
 */
export function deliverLong(cpu: ProcessorContext, event: InterruptEvent): void {
  const { s, mem } = cpu;
  const ext = extOf(event);
  const entry = event.vector * 16;
  const idtError = event.vector * 8 + 2 + ext;
  if (entry + 15 > s.get32(L.IDTR_LIMIT)) raise(VECTOR.GP, idtError);
  const at = s.get64(L.IDTR_BASE) + BigInt(entry);
  const low = mem.read32(BigInt.asUintN(64, at), true);
  const high = mem.read32(BigInt.asUintN(64, at + 4n), true);
  const upper = mem.read32(BigInt.asUintN(64, at + 8n), true);
  const type = (high >>> 8) & 0x1f;
  if (type !== 14 && type !== 15) raise(VECTOR.GP, idtError);
  if (event.kind === 'software-int' && ((high >>> 13) & 3) < s.cpl) raise(VECTOR.GP, idtError);
  if (!(high & 0x8000)) raise(VECTOR.NP, idtError);

  const target = handlerCode(cpu, low >>> 16, ext);
  const cpl = s.cpl;
  const newCpl = isConforming(target) ? cpl : dplOf(target);
  const istIndex = high & 7;
  const rip = (BigInt(upper >>> 0) << 32n) | BigInt(((high & 0xffff0000) | (low & 0xffff)) >>> 0);
  let pointer = s.reg(REG.RSP);
  if (istIndex !== 0) pointer = readTssStack(cpu, 0x1c + istIndex * 8, ext);
  else if (newCpl < cpl) pointer = readTssStack(cpu, 4 + newCpl * 8, ext);
  if (!isCanonical(pointer)) raise(VECTOR.SS, ext);
  if (!isCanonical(rip)) raise(VECTOR.GP, ext);

  const stack = StackView.long(cpu, pointer & ~15n, ext, newCpl);
  stack.reserve(event.error >= 0 ? 6 : 5, 8);
  markAccessed(cpu, target);
  const flags = pushedFlags(cpu, event);
  stack.push(BigInt(s.selector(SEG.SS)), 8);
  stack.push(s.reg(REG.RSP), 8);
  stack.push(BigInt(flags), 8);
  stack.push(BigInt(s.selector(SEG.CS)), 8);
  stack.push(s.rip + BigInt(event.instructionLength), 8);
  if (event.error >= 0) stack.push(BigInt(event.error), 8);

  s.setReg(REG.RSP, stack.pointer);
  commitSegment(s, SEG.CS, target, (target.selector & ~3) | newCpl);
  if (newCpl < cpl) commitNull(s, SEG.SS, newCpl);
  setCpl(s, newCpl);
  s.rip = rip;
  s.eflags = flagsInHandler(s.eflags, type === 14);
  cpu.modeChanged();
}

/** The handler's code segment: 64-bit code of at least the current privilege. */
function handlerCode(cpu: ProcessorContext, selector: number, ext: number): Descriptor {
  if (isNull(selector)) raise(VECTOR.GP, ext);
  const d = fetchDescriptor(cpu, selector, ext);
  const error = selectorError(selector, ext);
  if (!isCode(d) || dplOf(d) > cpu.s.cpl) raise(VECTOR.GP, error);
  if (!isLong(d) || isBig(d)) raise(VECTOR.GP, error);
  if (!isPresent(d)) raise(VECTOR.NP, error);
  return d;
}

/** A stack pointer of the 64-bit TSS, Intel SDM 3A figure 8-11. */
export function readTssStack(cpu: ProcessorContext, offset: number, ext: number): bigint {
  const { s, mem } = cpu;
  if (offset + 7 > s.limit(SEG.TR)) raise(VECTOR.TS, selectorError(s.selector(SEG.TR), ext));
  return mem.read64(BigInt.asUintN(64, s.base(SEG.TR) + BigInt(offset)), true);
}

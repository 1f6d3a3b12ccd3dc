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
  SPLIT,
  split,
} from './descriptors.ts';
import { extOf, flagsInHandler, type InterruptEvent, pushedFlags } from './events.ts';

/** The frame being built, lowest address first: error code, RIP, CS, RFLAGS, RSP, SS. */
const frame = new BigUint64Array(6);
const withError = new Uint8Array(frame.buffer);
const withoutError = withError.subarray(8);

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
  const upper = mem.read64(BigInt.asUintN(64, at + 8n), true);
  split(mem.read64(BigInt.asUintN(64, at), true));
  const { low, high } = SPLIT;
  const type = (high >>> 8) & 0x1f;
  if (type !== 14 && type !== 15) raise(VECTOR.GP, idtError);
  if (event.kind === 'software-int' && ((high >>> 13) & 3) < s.cpl) raise(VECTOR.GP, idtError);
  if (!(high & 0x8000)) raise(VECTOR.NP, idtError);

  const target = handlerCode(cpu, low >>> 16, ext);
  const cpl = s.cpl;
  const newCpl = isConforming(target) ? cpl : dplOf(target);
  const rip = BigInt.asUintN(64, (upper << 32n) | BigInt(((high & 0xffff0000) | (low & 0xffff)) >>> 0));
  const pointer = newStack(cpu, high & 7, newCpl, ext);
  if (!isCanonical(rip)) raise(VECTOR.GP, ext);
  const bytes = event.error >= 0 ? withError : withoutError;
  const top = BigInt.asUintN(64, (pointer & ~15n) - BigInt(bytes.length));
  if (!isCanonical(top)) raise(VECTOR.SS, ext);

  frame[0] = BigInt(event.error);
  frame[1] = s.rip + BigInt(event.instructionLength);
  frame[2] = BigInt(s.selector(SEG.CS));
  frame[3] = BigInt(pushedFlags(cpu, event));
  frame[4] = s.reg(REG.RSP);
  frame[5] = BigInt(s.selector(SEG.SS));
  markAccessed(cpu, target);
  mem.writeBytes(top, bytes, newCpl < 3 ? true : undefined);

  s.setReg(REG.RSP, top);
  commitSegment(s, SEG.CS, target, (target.selector & ~3) | newCpl);
  if (newCpl < cpl) commitNull(s, SEG.SS, newCpl);
  setCpl(s, newCpl);
  s.rip = rip;
  s.eflags = flagsInHandler(s.eflags, type === 14);
  cpu.modeChanged();
}

/** Where the frame goes: the interrupt stack table, the TSS stack of the new privilege, or the stack in use. */
function newStack(cpu: ProcessorContext, ist: number, newCpl: number, ext: number): bigint {
  let pointer: bigint;
  if (ist !== 0) pointer = readTssStack(cpu, 0x1c + ist * 8, ext);
  else if (newCpl < cpu.s.cpl) pointer = readTssStack(cpu, 4 + newCpl * 8, ext);
  else pointer = cpu.s.reg(REG.RSP);
  return isCanonical(pointer) ? pointer : raise(VECTOR.SS, ext);
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

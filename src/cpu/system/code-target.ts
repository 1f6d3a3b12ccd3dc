import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import { ATTR, SEG } from '../state.ts';
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
  isWritableData,
  limitOf,
  markAccessed,
  selectorError,
  setCpl,
} from './descriptors.ts';
import { dropPrivilegedSegments } from './segments.ts';
import type { StackView } from './stack.ts';
import { commitStackPointer } from './stack.ts';

/** True if code in `d` runs in 64-bit mode. */
export const is64Target = (cpu: ProcessorContext, d: Descriptor): boolean => cpu.s.longMode && isLong(d);

/** In long mode a code descriptor with both L and D is refused. */
export function requireSaneLong(cpu: ProcessorContext, d: Descriptor): void {
  if (cpu.s.longMode && isLong(d) && isBig(d)) raise(VECTOR.GP, selectorError(d.selector));
}

/** #GP(0) unless `rip` may be fetched from `d`. */
export function checkTarget(cpu: ProcessorContext, d: Descriptor, rip: bigint): void {
  if (is64Target(cpu, d) ? !isCanonical(rip) : rip > BigInt(limitOf(d))) raise(VECTOR.GP, 0);
}

/** Code segment of a direct far JMP or CALL, privileges checked (Intel SDM 3A 5.8.1). */
export function checkDirectCode(cpu: ProcessorContext, d: Descriptor): void {
  const error = selectorError(d.selector);
  const { cpl } = cpu.s;
  requireSaneLong(cpu, d);
  if (isConforming(d) ? dplOf(d) > cpl : (d.selector & 3) > cpl || dplOf(d) !== cpl) raise(VECTOR.GP, error);
  if (!isPresent(d)) raise(VECTOR.NP, error);
}

/** Code segment that RETF or IRET goes back to. */
export function fetchReturnCode(cpu: ProcessorContext, selector: number): Descriptor {
  if (isNull(selector)) raise(VECTOR.GP, 0);
  const d = fetchDescriptor(cpu, selector);
  const error = selectorError(selector);
  const rpl = selector & 3;
  if (!isCode(d) || rpl < cpu.s.cpl) raise(VECTOR.GP, error);
  requireSaneLong(cpu, d);
  if (isConforming(d) ? dplOf(d) > rpl : dplOf(d) !== rpl) raise(VECTOR.GP, error);
  if (!isPresent(d)) raise(VECTOR.NP, error);
  return d;
}

/**
 * Stack segment that a return to privilege `cpl` loads; undefined for the null selector, which is allowed
 * only on the way to 64-bit code above privilege 3.
 */
export function fetchReturnStack(
  cpu: ProcessorContext,
  selector: number,
  cpl: number,
  to64: boolean,
): Descriptor | undefined {
  if (isNull(selector)) {
    if (!to64 || cpl === 3 || (selector & 3) !== cpl) raise(VECTOR.GP, 0);
    return undefined;
  }
  const d = fetchDescriptor(cpu, selector);
  const error = selectorError(selector);
  if ((selector & 3) !== cpl || !isWritableData(d) || dplOf(d) !== cpl) raise(VECTOR.GP, error);
  if (!isPresent(d)) raise(VECTOR.SS, error);
  return d;
}

/** Loads CS for code that stays at the current privilege; the mode follows. */
export function commitCode(cpu: ProcessorContext, d: Descriptor, rip: bigint): void {
  const { s } = cpu;
  commitSegment(s, SEG.CS, d, (d.selector & ~3) | s.cpl);
  s.rip = rip;
}

/** Loads CS, SS, CPL and the stack pointer of an outer privilege level, and drops segments it may not keep. */
export function commitOuter(
  cpu: ProcessorContext,
  code: Descriptor,
  rip: bigint,
  ss: Descriptor | undefined,
  ssSelector: number,
  pointer: bigint,
): void {
  const { s } = cpu;
  const cpl = code.selector & 3;
  const dropped = cpl > s.cpl;
  commitSegment(s, SEG.CS, code);
  if (ss) commitSegment(s, SEG.SS, ss);
  else commitNull(s, SEG.SS, ssSelector);
  setCpl(s, cpl);
  s.rip = rip;
  const mask = is64Target(cpu, code) ? 0xffffffffffffffffn : s.attributes(SEG.SS) & ATTR.DB ? 0xffffffffn : 0xffffn;
  commitStackPointer(s, pointer, mask);
  if (dropped) dropPrivilegedSegments(cpu);
}

/** Accessed bits of what is about to be loaded; the last thing that can fault. */
export function markBoth(cpu: ProcessorContext, code: Descriptor, ss: Descriptor | undefined): void {
  markAccessed(cpu, code);
  if (ss) markAccessed(cpu, ss);
}

/** Pops `size` bytes as a selector. */
export const popSelector = (stack: StackView, size: number): number => Number(stack.pop(size) & 0xffffn);

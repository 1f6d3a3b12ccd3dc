/**
 * How code is decoded: everything about the processor's mode that a decoded record takes for granted. Blocks are kept
 * apart by it, so that records need not check it.
 *
 *      7        6      5        4          3         2         1  0
 *     ┌────────┬──────┬────────┬──────────┬─────────┬─────────┬─────────┐
 *     │ -      │ -    │ stack32│ flatStack│ flatCode│ flatData│ bits    │   bits: 0 16-bit, 1 32-bit, 2 64-bit code
 *     └────────┴──────┴────────┴──────────┴─────────┴─────────┴─────────┘
 *     flat: base 0, limit 4 GiB, present, readable and (data, stack) writable, expand-up
 */
import { ATTR, type CpuState, FLAG, SEG } from '../state.ts';
import * as L from '../layout.ts';
import type { Addressing, StackMode } from '../semantics/operation.ts';
import type { CodeShape } from './handlers.ts';

export const MODE_BITS = 3;
export const FLAT_DATA = 4;
export const FLAT_CODE = 8;
export const FLAT_STACK = 16;
export const STACK_32 = 32;
export const CODE_MODES = 64;

const WRITABLE_DATA = 0x2;
const EXPAND_DOWN = 0x4;
const CODE = 0x8;

/** Base 0, limit 4 GiB, writable data, not expand-down. */
function isFlatData(s: CpuState, seg: number): boolean {
  const a = s.attributes(seg);
  const type = a & ATTR.TYPE;
  return (
    (a & (ATTR.NULL | ATTR.P | ATTR.S)) === (ATTR.P | ATTR.S) &&
    (type & (CODE | EXPAND_DOWN | WRITABLE_DATA)) === WRITABLE_DATA &&
    s.limit(seg) === 0xffffffff &&
    s.base(seg) === 0n
  );
}

/** The mode of the current vcpu, from CS, SS, DS, ES and the control registers. */
export function codeMode(s: CpuState): number {
  if (s.is64) return 2 | FLAT_DATA | FLAT_CODE | FLAT_STACK;
  const cs = s.attributes(SEG.CS);
  const protectedMode = (s.cr0 & 1) !== 0 && (s.get32(L.EFLAGS_REST) & FLAG.VM) === 0;
  let mode = protectedMode && (cs & ATTR.DB) !== 0 ? 1 : 0;
  if (!protectedMode && (cs & ATTR.DB) !== 0) mode = 1;
  if (s.limit(SEG.CS) === 0xffffffff && s.base(SEG.CS) === 0n) mode |= FLAT_CODE;
  if (isFlatData(s, SEG.DS) && isFlatData(s, SEG.ES)) mode |= FLAT_DATA;
  if (isFlatData(s, SEG.SS)) mode |= FLAT_STACK;
  if ((s.attributes(SEG.SS) & ATTR.DB) !== 0) mode |= STACK_32;
  return mode;
}

/** Default operand and address size of the code. */
export function codeBits(mode: number): 16 | 32 | 64 {
  return (mode & MODE_BITS) === 2 ? 64 : (mode & MODE_BITS) === 1 ? 32 : 16;
}

export function stackModeOf(mode: number): StackMode {
  if ((mode & MODE_BITS) === 2) return 's64';
  return (mode & (FLAT_STACK | STACK_32)) === (FLAT_STACK | STACK_32) ? 's32' : 'sx';
}

/** How implicit addresses of the given address size are formed. `segment`: the source segment of strings and XLAT. */
export function shapeOf(mode: number, addressSize: number, segment: number): CodeShape {
  const stackMode = stackModeOf(mode);
  let addressing: Addressing;
  if ((mode & MODE_BITS) === 2) addressing = addressSize === 64 ? 'a64' : 'a32';
  else if (addressSize === 16) addressing = 'x16';
  else addressing = (mode & FLAT_DATA) !== 0 && (segment === SEG.DS || segment === SEG.ES) ? 'a32' : 'x32';
  return { stackMode, addressing };
}

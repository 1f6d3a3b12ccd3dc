import type { ProcessorContext } from '../context.ts';
import * as L from '../layout.ts';
import { CR4, type CpuState, FLAG } from '../state.ts';

/**
 * Debug registers, Intel SDM 3B 18.2.
 *
 *     DR6   15 BT │ 14 BS │ 13 BD │ 12 0 │ 11..4 ones │ 3..0 B3..B0           (bits 31..16 ones)
 *     DR7   31..16: LEN3 R/W3 … LEN0 R/W0 │ 13 GD │ 10 one │ 9 GE │ 8 LE │ 7..0: G3 L3 … G0 L0
 *     R/W   0 execute, 1 write, 2 port (CR4.DE), 3 read or write       LEN  0: 1, 1: 2, 2: 8, 3: 4 bytes
 */
export const DR6_BD = 1 << 13;
export const DR6_BS = 1 << 14;
export const DR6_BT = 1 << 15;
export const DR7_GD = 1 << 13;
const DR6_FIXED = 0xffff0ff0n;
const DR6_WRITABLE = 0xe00fn;
const DR7_FIXED = 0x400n;
const DR7_WRITABLE = 0xffff23ffn;
export const DR6_RESET = DR6_FIXED;
export const DR7_RESET = DR7_FIXED;

export const readDr6 = (s: CpuState): bigint => s.get64(L.DR + 48);
export function writeDr6(s: CpuState, value: bigint): void {
  s.set64(L.DR + 48, (value & DR6_WRITABLE) | DR6_FIXED);
}
export function writeDr7(cpu: ProcessorContext, value: bigint): void {
  cpu.s.set64(L.DR + 56, (value & DR7_WRITABLE) | DR7_FIXED);
  // Data breakpoints shut the fast path of memory accesses.
  cpu.modeChanged();
}

/** Sets `bits` in DR6. B0..B3 describe this exception alone and are replaced, the others stay until software clears them. */
export function noteDebug(s: CpuState, bits: number): void {
  const old = s.get64(L.DR + 48);
  s.set64(L.DR + 48, (old & ~0xfn) | BigInt(bits) | DR6_FIXED);
}

const KIND_EXECUTE = 0;
const KIND_WRITE = 1;
const KIND_IO = 2;
const KIND_ACCESS = 3;
const LENGTHS = [1n, 2n, 8n, 4n];

const dr7Of = (s: CpuState): number => s.get32(L.DR + 56);
const kindOf = (dr7: number, n: number): number => (dr7 >>> (16 + n * 4)) & 3;
const isEnabled = (dr7: number, n: number): boolean => ((dr7 >>> (n * 2)) & 3) !== 0;

/** True if DR7 enables any breakpoint of the kinds in the mask (bit = R/W code). */
function anyEnabled(s: CpuState, kinds: number): boolean {
  const dr7 = dr7Of(s);
  if ((dr7 & 0xff) === 0) return false;
  for (let n = 0; n < 4; n++) if (isEnabled(dr7, n) && (kinds >>> kindOf(dr7, n)) & 1) return true;
  return false;
}
export const hasInstructionBreakpoints = (s: CpuState): boolean => anyEnabled(s, 1 << KIND_EXECUTE);
export const hasDataBreakpoints = (s: CpuState): boolean => anyEnabled(s, (1 << KIND_WRITE) | (1 << KIND_ACCESS));
export const hasIoBreakpoints = (s: CpuState): boolean => (s.cr4 & CR4.DE) !== 0 && anyEnabled(s, 1 << KIND_IO);

/** Bits B0..B3 of the enabled breakpoints in `kinds` whose range meets [address, address + size). */
function matches(s: CpuState, kinds: number, address: bigint, size: number): number {
  const dr7 = dr7Of(s);
  let bits = 0;
  for (let n = 0; n < 4; n++) {
    const kind = kindOf(dr7, n);
    if (!isEnabled(dr7, n) || !((kinds >>> kind) & 1)) continue;
    const length = kind === KIND_EXECUTE ? 1n : LENGTHS[(dr7 >>> (18 + n * 4)) & 3]!;
    const start = s.get64(L.DR + n * 8) & ~(length - 1n);
    if (start < address + BigInt(size) && address < start + length) bits |= 1 << n;
  }
  return bits;
}

/**
 * DR6 bits of instruction breakpoints at linear address `linear`, 0 for none or while RF is set. The caller raises #DB as a
 * fault before executing the instruction, after `noteDebug`.
 */
export function instructionBreakpoint(s: CpuState, linear: bigint): number {
  if (s.get32(L.EFLAGS_REST) & FLAG.RF) return 0;
  return matches(s, 1 << KIND_EXECUTE, linear, 1);
}

/** DR6 bits of data breakpoints hit by an access: traps, to be added to PENDING_DEBUG. */
export function dataBreakpoint(s: CpuState, linear: bigint, size: number, write: boolean): number {
  return matches(s, write ? (1 << KIND_WRITE) | (1 << KIND_ACCESS) : 1 << KIND_ACCESS, linear, size);
}

/** DR6 bits of port breakpoints (CR4.DE), a trap after IN, OUT, INS, OUTS. */
export function ioBreakpoint(s: CpuState, port: number, size: number): number {
  return s.cr4 & CR4.DE ? matches(s, 1 << KIND_IO, BigInt(port), size) : 0;
}

/** Adds trap bits that the run loop delivers when the instruction has retired. */
export function pendDebug(s: CpuState, bits: number): void {
  if (bits) s.set32(L.PENDING_DEBUG, s.get32(L.PENDING_DEBUG) | bits);
}

/** Bit of PENDING_DEBUG that is none of DR6: no single-step trap behind this instruction. */
const SUPPRESS_STEP = 0x80000000;

/**
 * No single-step trap behind an instruction that ran with RFLAGS.TF in `before`: INT n, INT3, INTO, SYSCALL that masked TF,
 * and loads of SS (Intel SDM 3B 18.3.1.4, 3A 6.8.3).
 */
export function suppressSingleStep(s: CpuState, before: number): void {
  if (before & FLAG.TF) s.set32(L.PENDING_DEBUG, (s.get32(L.PENDING_DEBUG) | SUPPRESS_STEP) >>> 0);
}

/** To be called when an instruction that began with RFLAGS.TF set has retired. */
export function singleStep(s: CpuState): void {
  const pending = s.get32(L.PENDING_DEBUG);
  if (pending & SUPPRESS_STEP) s.set32(L.PENDING_DEBUG, pending & ~SUPPRESS_STEP);
  else pendDebug(s, DR6_BS);
}

/** Takes the pending trap bits into DR6. @returns false if there were none; else the caller delivers #DB as a trap. */
export function takePendingDebug(s: CpuState): boolean {
  const bits = s.get32(L.PENDING_DEBUG) & ~SUPPRESS_STEP;
  s.set32(L.PENDING_DEBUG, 0);
  if (bits === 0) return false;
  noteDebug(s, bits);
  return true;
}

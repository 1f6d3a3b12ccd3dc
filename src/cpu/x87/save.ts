/**
 * FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, and XSAVE with its standard and compacted forms (SDM vol. 1, chapter 13)
 * for x87, SSE and AVX:
 *
 *   0..511 legacy region (fxsave.ts) | 512 XSTATE_BV | 520 XCOMP_BV | 528..575 reserved | 576..831 YMM upper halves
 *
 * With only these three components the compacted form has the same offsets.
 */
import type { ProcessorContext, SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR0, CR4, type CpuState, REG, SEG } from '../state.ts';
import { requireVectors } from '../sse/operands.ts';
import { FXSAVE_WRITTEN, MXCSR_MASK, restoreSse, restoreX87, saveSse, saveX87 } from './fxsave.ts';
import { requireX87, unitOf } from './instructions.ts';
import { FCW_INIT } from './state.ts';

const MXCSR_INIT = 0x1f80;
const X87 = 1;
const SSE = 2;
const AVX = 4;
const XSTATE_BV = 512;
const XCOMP_BV = 520;
const AVX_OFFSET = 576;
const AVX_END = 832;
const COMPACTED = 1n << 63n;

type Instruction = Parameters<SystemInstruction>[1];

const image = new DataView(new ArrayBuffer(AVX_END));
const imageBytes = new Uint8Array(image.buffer);

function vectors(s: CpuState): Uint8Array {
  return s.u8.subarray(L.YMM, L.YMM + 512);
}

/** XMM and YMM registers that the mode can name. */
function registerCount(s: CpuState): number {
  return s.is64 ? 16 : 8;
}

function aligned(cpu: ProcessorContext, insn: Instruction, bytes: number, write: boolean, alignment: bigint): bigint {
  // In 64-bit code alignment is judged before the address is found canonical (measured).
  if (cpu.s.is64) {
    const { segment } = insn.memory;
    const at = cpu.effectiveOffset(insn) + (segment >= SEG.FS ? cpu.s.base(segment) : 0n);
    if (at % alignment !== 0n) raise(VECTOR.GP, 0);
  }
  const linear = cpu.effectiveLinear(insn, bytes, write);
  if (linear % alignment !== 0n) raise(VECTOR.GP, 0);
  return linear;
}

/** `bytes` behind `linear`: addresses of 16 and 32 bits wrap (measured, where the image lies across the end). */
function behind(cpu: ProcessorContext, insn: Instruction, linear: bigint, bytes: number): bigint {
  if (insn.addressSize === 64) return linear + BigInt(bytes);
  const offset = cpu.effectiveOffset(insn);
  return linear - offset + BigInt.asUintN(insn.addressSize, offset + BigInt(bytes));
}

function checkMxcsr(value: number): void {
  if (value & ~MXCSR_MASK) raise(VECTOR.GP, 0);
}

const fxsave: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  requireX87(s);
  const linear = aligned(cpu, insn, 512, true, 16n);
  imageBytes.fill(0, 0, FXSAVE_WRITTEN);
  saveX87(unitOf(s).state, image, insn.rexW);
  const count = registerCount(s);
  saveSse(s.get32(L.MXCSR), vectors(s), count, image);
  const written = 160 + 16 * count;
  // Processors look at the last byte first, as CR2 shows when the image lies in missing pages.
  cpu.mem.probeWrite(behind(cpu, insn, linear, 511), 1);
  cpu.mem.probeWrite(linear, 512);
  cpu.mem.writeBytes(linear, imageBytes.subarray(0, written));
  return Flow.NEXT;
};

const fxrstor: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  requireX87(s);
  const linear = aligned(cpu, insn, 512, false, 16n);
  cpu.mem.read8(behind(cpu, insn, linear, 511));
  cpu.mem.readBytes(linear, imageBytes.subarray(0, 512));
  checkMxcsr(image.getUint32(24, true));
  restoreX87(unitOf(s).state, image, insn.rexW);
  s.set32(L.MXCSR, restoreSse(vectors(s), registerCount(s), image));
  return Flow.NEXT;
};

const ldmxcsr: SystemInstruction = (cpu, insn) => {
  requireVectors(cpu.s, insn.vex);
  const value = cpu.mem.read32(cpu.effectiveLinear(insn, 4, false)) >>> 0;
  checkMxcsr(value);
  cpu.s.set32(L.MXCSR, value);
  return Flow.NEXT;
};

const stmxcsr: SystemInstruction = (cpu, insn) => {
  requireVectors(cpu.s, insn.vex);
  cpu.mem.write32(cpu.effectiveLinear(insn, 4, true), cpu.s.get32(L.MXCSR));
  return Flow.NEXT;
};

function requireXsave(s: CpuState): void {
  if (!(s.cr4 & CR4.OSXSAVE)) raise(VECTOR.UD);
  if (s.cr0 & CR0.TS) raise(VECTOR.NM);
}

/** EDX:EAX and XCR0: the components to act on. */
function requested(s: CpuState): number {
  return s.reg32(REG.RAX) & Number(s.get64(L.XCR0) & 7n);
}

/**
 * XINUSE: components not in their initial configuration (SDM vol. 1, 13.6). Registers that the mode cannot name do not count, and
 * neither does MXCSR.
 */
export function componentsInUse(s: CpuState): number {
  const x87 = unitOf(s).state;
  let used = 0;
  const initial = x87.fcw === FCW_INIT && x87.fsw === 0 && x87.ftw === 0 && x87.fop === 0;
  const zeroPointers = x87.fip === 0n && x87.fdp === 0n && x87.fcs === 0 && x87.fds === 0;
  if (!initial || !zeroPointers || !allZero(s, L.X87_REGISTERS, 128, 0, 16, 16)) used |= X87;
  const count = registerCount(s);
  if (!allZero(s, L.YMM, 32 * count, 0, 16, 32)) used |= SSE;
  if (!allZero(s, L.YMM, 32 * count, 16, 32, 32)) used |= AVX;
  return used;
}

/** True when bytes `from`..`to` of every slot of `stride` bytes are zero. */
function allZero(s: CpuState, start: number, length: number, from: number, to: number, stride: number): boolean {
  for (let slot = start; slot < start + length; slot += stride) {
    for (let at = slot + from; at < slot + to; at += 8) if (s.u64[at >> 3] !== 0n) return false;
  }
  return true;
}

type XsaveForm = 'XSAVE' | 'XSAVEOPT' | 'XSAVEC';

/**
 * XSAVE writes every requested component; XSAVEOPT and XSAVEC leave those in their initial configuration out.
 * (XSAVEOPT's "modified" optimization is never used: an implementation may decline it.)
 */
const xsave =
  (form: XsaveForm): SystemInstruction =>
  (cpu, insn) => {
    const { s } = cpu;
    requireXsave(s);
    const wanted = requested(s);
    const linear = aligned(cpu, insn, AVX_OFFSET, true, 64n);
    const length = wanted & AVX ? AVX_END : AVX_OFFSET;
    // First byte, last byte, then the rest, as CR2 shows where the area ends in a missing page.
    cpu.mem.probeWrite(linear, 1);
    cpu.mem.probeWrite(linear + BigInt(length - 1), 1);
    cpu.mem.probeWrite(linear, length);
    cpu.mem.readBytes(linear, imageBytes.subarray(0, length));
    // XSAVEC counts MXCSR as part of SSE's state, the others write it whenever it is wanted (SDM vol. 2, XSAVEC).
    const keepsMxcsr = form === 'XSAVEC' && s.get32(L.MXCSR) !== MXCSR_INIT;
    const used = componentsInUse(s) | (keepsMxcsr ? SSE : 0);
    const write = form === 'XSAVE' ? wanted : wanted & used;
    saveComponents(s, insn.rexW, write, wanted, form === 'XSAVEC');
    const before = form === 'XSAVEC' ? 0 : image.getUint8(XSTATE_BV) & ~wanted;
    image.setUint8(XSTATE_BV, before | (wanted & used));
    if (form === 'XSAVEC') {
      image.setBigUint64(XSTATE_BV, BigInt(wanted & used), true);
      image.setBigUint64(XCOMP_BV, COMPACTED | BigInt(wanted), true);
    }
    cpu.mem.writeBytes(linear, imageBytes.subarray(0, length));
    return Flow.NEXT;
  };

function saveComponents(s: CpuState, wide: boolean, write: number, wanted: number, compact: boolean): void {
  const count = registerCount(s);
  if (write & X87) {
    imageBytes.fill(0, 0, 24);
    saveX87(unitOf(s).state, image, wide);
  }
  // MXCSR belongs to SSE and AVX alike; XSAVEC writes it with SSE only.
  const mxcsr = compact ? write & SSE : wanted & (SSE | AVX);
  if (mxcsr) {
    image.setUint32(24, s.get32(L.MXCSR), true);
    image.setUint32(28, MXCSR_MASK, true);
  }
  if (write & SSE) saveSse(s.get32(L.MXCSR), vectors(s), count, image);
  if (write & AVX) {
    for (let n = 0; n < count; n++) {
      imageBytes.set(s.u8.subarray(L.YMM + 32 * n + 16, L.YMM + 32 * n + 32), AVX_OFFSET + 16 * n);
    }
  }
}

const xrstor: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  requireXsave(s);
  const wanted = requested(s);
  const linear = aligned(cpu, insn, AVX_OFFSET, false, 64n);
  // Start, header, and the end of all that is requested, whether or not XSTATE_BV names it: CR2 shows it.
  for (const at of [0, XSTATE_BV]) cpu.mem.read8(linear + BigInt(at));
  cpu.mem.readBytes(linear, imageBytes.subarray(0, AVX_OFFSET));
  const compact = checkHeader(s);
  const laidOut = compact ? Number(image.getBigUint64(XCOMP_BV, true) & 7n) : 7;
  if (wanted & laidOut & AVX) cpu.mem.read8(linear + BigInt(AVX_END - 1));
  const present = image.getUint8(XSTATE_BV);
  const readsMxcsr = compact ? present & wanted & SSE : wanted & (SSE | AVX);
  const mxcsr = image.getUint32(24, true);
  if (readsMxcsr) checkMxcsr(mxcsr);
  if (wanted & present & AVX) {
    cpu.mem.readBytes(linear + BigInt(AVX_OFFSET), imageBytes.subarray(AVX_OFFSET, AVX_END));
  }
  restoreComponents(s, insn.rexW, wanted, present);
  if (readsMxcsr) s.set32(L.MXCSR, mxcsr);
  else if (compact && wanted & SSE) s.set32(L.MXCSR, MXCSR_INIT);
  return Flow.NEXT;
};

/** #GP for a header that names what is not enabled or has reserved bits (SDM vol. 1, 13.8). @returns compacted? */
function checkHeader(s: CpuState): boolean {
  const present = image.getBigUint64(XSTATE_BV, true);
  const layout = image.getBigUint64(XCOMP_BV, true);
  const enabled = s.get64(L.XCR0);
  if (present & ~enabled) raise(VECTOR.GP, 0);
  const compact = (layout & COMPACTED) !== 0n;
  const components = layout & ~COMPACTED;
  if (compact ? components & ~enabled || present & ~components : layout !== 0n) raise(VECTOR.GP, 0);
  // Standard form: bytes 23..16 of the header must be zero; compacted: all the rest.
  const end = compact ? AVX_OFFSET : 536;
  for (let at = 528; at < end; at += 8) if (image.getBigUint64(at, true) !== 0n) raise(VECTOR.GP, 0);
  return compact;
}

function restoreComponents(s: CpuState, wide: boolean, wanted: number, present: number): void {
  const count = registerCount(s);
  if (wanted & X87) {
    if (!(present & X87)) {
      imageBytes.fill(0, 0, 24);
      imageBytes.fill(0, 32, 160);
      image.setUint16(0, FCW_INIT, true);
    }
    restoreX87(unitOf(s).state, image, wide);
    if (!(present & X87)) {
      s.u16[L.X87_FCS >> 1] = 0;
      s.u16[L.X87_FDS >> 1] = 0;
    }
  }
  if (wanted & SSE) {
    if (!(present & SSE)) imageBytes.fill(0, 160, FXSAVE_WRITTEN);
    restoreSse(vectors(s), count, image);
  }
  if (wanted & AVX) {
    if (!(present & AVX)) imageBytes.fill(0, AVX_OFFSET, AVX_END);
    for (let n = 0; n < count; n++) {
      s.u8.set(imageBytes.subarray(AVX_OFFSET + 16 * n, AVX_OFFSET + 16 * n + 16), L.YMM + 32 * n + 16);
    }
  }
}

/** By mnemonic. XSAVES and XRSTORS are not offered by CPUID and stay undefined. */
export const saveInstructions: Readonly<Record<string, SystemInstruction>> = {
  FXSAVE: fxsave,
  FXRSTOR: fxrstor,
  LDMXCSR: ldmxcsr,
  STMXCSR: stmxcsr,
  VLDMXCSR: ldmxcsr,
  VSTMXCSR: stmxcsr,
  XSAVE: xsave('XSAVE'),
  XSAVEOPT: xsave('XSAVEOPT'),
  XSAVEC: xsave('XSAVEC'),
  XRSTOR: xrstor,
};

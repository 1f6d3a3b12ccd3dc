/**
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM and their VEX forms (Intel SDM Vol. 2, 4.1).
 *
 *      7   6        5      4 3         2 1       0
 *     ┌───┬────────┬────────┬───────────┬─────────┐
 *     │ - │ output │polarity│aggregation│ format  │
 *     └───┴────────┴────────┴───────────┴─────────┘
 *     format       bit 0: words, bit 1: signed
 *     aggregation  0 any of the set, 1 in a range, 2 each with its partner, 3 substring
 *     polarity     bit 0: negate, bit 1: only where the second operand is valid
 *     output       index of the last one, or a mask of elements; else of the first one, or of bits
 */
import type { ProcessorContext, SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import * as L from '../layout.ts';
import { type CpuState, FLAG, REG, STATUS_FLAGS } from '../state.ts';
import { requireVectors } from '../sse/operands.ts';
import { setRegister, sourceBytes } from './operands.ts';

const ANY = 0;
const RANGES = 1;
const EACH = 2;

const first = new Int32Array(16);
const second = new Int32Array(16);

/** Puts 16 bytes at `at` into `out`, one element each. @returns how many elements the format has */
function unpack(u8: Uint8Array, at: number, imm: number, out: Int32Array): number {
  const signed = (imm & 2) !== 0;
  if ((imm & 1) === 0) {
    for (let i = 0; i < 16; i++) out[i] = signed ? (u8[at + i]! << 24) >> 24 : u8[at + i]!;
    return 16;
  }
  for (let i = 0; i < 8; i++) {
    const word = u8[at + 2 * i]! | (u8[at + 2 * i + 1]! << 8);
    out[i] = signed ? (word << 16) >> 16 : word;
  }
  return 8;
}

/** Up to the first zero, or all `n`. */
function implicitLength(x: Int32Array, n: number): number {
  let length = 0;
  while (length < n && x[length] !== 0) length++;
  return length;
}

/** The magnitude of a signed register, saturated. */
function explicitLength(s: CpuState, reg: number, wide: boolean, most: number): number {
  const value = BigInt.asIntN(wide ? 64 : 32, s.reg(reg));
  const magnitude = value < 0n ? -value : value;
  return magnitude > BigInt(most) ? most : Number(magnitude);
}

/** Whether element `j` of the second operand is one of the first's, lies in one of its ranges, and so on. */
function matches(mode: number, n: number, na: number, nb: number, j: number): boolean {
  const b = second[j]!;
  if (mode === EACH) return j < na && j < nb ? first[j] === b : j >= na && j >= nb;
  if (mode === ANY || mode === RANGES) {
    if (j >= nb) return false;
    if (mode === ANY) for (let i = 0; i < na; i++) if (first[i] === b) return true;
    if (mode === RANGES) for (let i = 0; i + 1 < na; i += 2) if (b >= first[i]! && b <= first[i + 1]!) return true;
    return false;
  }
  for (let i = 0; i < na && i + j < n; i++) if (i + j >= nb || first[i] !== second[i + j]) return false;
  return true;
}

/** One bit an element of the second operand. `na`, `nb`: how many elements are valid. */
function aggregate(mode: number, n: number, na: number, nb: number): number {
  let result = 0;
  for (let j = 0; j < n; j++) if (matches(mode, n, na, nb, j)) result |= 1 << j;
  return result;
}

function withPolarity(imm: number, bits: number, n: number, nb: number): number {
  if ((imm & 0x10) === 0) return bits;
  return bits ^ ((imm & 0x20) !== 0 ? (1 << nb) - 1 : (1 << n) - 1);
}

function setFlags(s: CpuState, bits: number, n: number, na: number, nb: number): void {
  let flags = s.eflags & ~STATUS_FLAGS;
  if (bits !== 0) flags |= FLAG.CF;
  if (nb < n) flags |= FLAG.ZF;
  if (na < n) flags |= FLAG.SF;
  if (bits & 1) flags |= FLAG.OF;
  s.eflags = flags;
}

function indexOf(imm: number, bits: number, n: number): number {
  if (bits === 0) return n;
  return imm & 0x40 ? 31 - Math.clz32(bits) : 31 - Math.clz32(bits & -bits);
}

function maskOf(imm: number, bits: number, n: number): Uint8Array {
  const out = new Uint8Array(16);
  if ((imm & 0x40) === 0) {
    out[0] = bits & 0xff;
    out[1] = bits >> 8;
    return out;
  }
  const width = 16 / n;
  for (let i = 0; i < 16; i++) out[i] = (bits >> Math.floor(i / width)) & 1 ? 0xff : 0;
  return out;
}

function unpackOperands(cpu: ProcessorContext, insn: Instruction, imm: number): number {
  const { u8 } = cpu.s;
  if (insn.hasMem) unpack(sourceBytes(cpu, insn), 0, imm, second);
  else unpack(u8, L.YMM + 32 * insn.rm, imm, second);
  return unpack(u8, L.YMM + 32 * insn.reg, imm, first);
}

const compare =
  (explicit: boolean, index: boolean): SystemInstruction =>
  (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, insn.vex);
    const imm = insn.imm & 0xff;
    const n = unpackOperands(cpu, insn, imm);
    const na = explicit ? explicitLength(s, REG.RAX, insn.rexW, n) : implicitLength(first, n);
    const nb = explicit ? explicitLength(s, REG.RDX, insn.rexW, n) : implicitLength(second, n);
    const bits = withPolarity(imm, aggregate((imm >> 2) & 3, n, na, nb), n, nb);
    if (index) s.setReg32(REG.RCX, indexOf(imm, bits, n));
    else setRegister(s, 0, maskOf(imm, bits, n), insn.vex);
    setFlags(s, bits, n, na, nb);
    return Flow.NEXT;
  };

export const stringCompare: Record<string, SystemInstruction> = {
  PCMPESTRI: compare(true, true),
  PCMPESTRM: compare(true, false),
  PCMPISTRI: compare(false, true),
  PCMPISTRM: compare(false, false),
};

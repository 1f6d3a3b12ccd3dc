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
import type { SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import { type CpuState, FLAG, REG, STATUS_FLAGS } from '../state.ts';
import { requireVectors } from '../sse/operands.ts';
import { register, setRegister, sourceBytes } from './operands.ts';

const ANY = 0;
const RANGES = 1;
const EACH = 2;

/** Elements of 16 bytes as the format wants them. */
function elements(bytes: Uint8Array, imm: number): Int32Array {
  const words = (imm & 1) !== 0;
  const out = new Int32Array(words ? 8 : 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  for (let i = 0; i < out.length; i++) {
    if (words) out[i] = imm & 2 ? view.getInt16(2 * i, true) : view.getUint16(2 * i, true);
    else out[i] = imm & 2 ? view.getInt8(i) : view.getUint8(i);
  }
  return out;
}

/** Up to the first zero, or all. */
function implicitLength(x: Int32Array): number {
  const end = x.indexOf(0);
  return end < 0 ? x.length : end;
}

/** The magnitude of a signed register, saturated. */
function explicitLength(s: CpuState, reg: number, wide: boolean, most: number): number {
  const value = BigInt.asIntN(wide ? 64 : 32, s.reg(reg));
  const magnitude = value < 0n ? -value : value;
  return magnitude > BigInt(most) ? most : Number(magnitude);
}

/** One bit an element of `b`. `na`, `nb`: how many elements are valid. */
function aggregate(mode: number, a: Int32Array, b: Int32Array, na: number, nb: number): number {
  const n = a.length;
  let result = 0;
  for (let j = 0; j < n; j++) {
    let hit = false;
    if (mode === ANY) hit = j < nb && a.subarray(0, na).includes(b[j]!);
    else if (mode === RANGES) {
      for (let i = 0; i + 1 < na && j < nb && !hit; i += 2) hit = b[j]! >= a[i]! && b[j]! <= a[i + 1]!;
    } else if (mode === EACH) hit = j < na && j < nb ? a[j] === b[j] : j >= na && j >= nb;
    else {
      hit = true;
      for (let i = 0; i < na && i + j < n && hit; i++) hit = i + j < nb && a[i] === b[i + j];
    }
    if (hit) result |= 1 << j;
  }
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

const compare =
  (explicit: boolean, index: boolean): SystemInstruction =>
  (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, insn.vex);
    const imm = insn.imm & 0xff;
    const b = elements(sourceBytes(cpu, insn), imm);
    const a = elements(register(s, insn.reg, 16), imm);
    const n = a.length;
    const na = explicit ? explicitLength(s, REG.RAX, insn.rexW, n) : implicitLength(a);
    const nb = explicit ? explicitLength(s, REG.RDX, insn.rexW, n) : implicitLength(b);
    const bits = withPolarity(imm, aggregate((imm >> 2) & 3, a, b, na, nb), n, nb);
    if (index) s.setReg(REG.RCX, BigInt(indexOf(imm, bits, n)));
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

/**
 * What every SSE and AVX floating-point instruction in TypeScript does around its arithmetic: availability, vector
 * registers, memory operands, MXCSR and #XM.
 *
 *   YMM + 32 n │ XMM n: bits 127..0 │ bits 255..128 │     legacy encodings keep the upper half, VEX clears it
 */
import type { ProcessorContext } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { SseUnit } from '../softfloat/index.ts';
import { CR0, CR4, type CpuState, FLAG, SEG } from '../state.ts';

const SSE_AND_AVX = 6n;

/** The one unit: it holds nothing between instructions. */
export const unit = new SseUnit();

/** #UD and #NM by CR0, CR4 and XCR0 (Intel SDM 3A, 14.1 and Vol. 2, tables 2-16 and 2-18). */
export function requireVectors(s: CpuState, vex: boolean): void {
  if (vex) {
    const isProtected = (s.cr0 & CR0.PE) !== 0 && (s.get32(L.EFLAGS_REST) & FLAG.VM) === 0;
    if (!isProtected || !(s.cr4 & CR4.OSXSAVE) || (s.get64(L.XCR0) & SSE_AND_AVX) !== SSE_AND_AVX) raise(VECTOR.UD);
  } else if (s.cr0 & CR0.EM || !(s.cr4 & CR4.OSFXSR)) raise(VECTOR.UD);
  if (s.cr0 & CR0.TS) raise(VECTOR.NM);
}

/** The low `bits` (up to 256) of vector register `n`. */
export function readVector(s: CpuState, n: number, bits: number): bigint {
  const at = (L.YMM >> 3) + 4 * n;
  let value = s.u64[at]!;
  for (let i = 1; i * 64 < bits; i++) value |= s.u64[at + i]! << BigInt(64 * i);
  return BigInt.asUintN(bits, value);
}

/** Writes the low `bits` (32, 64, 128, 256) of vector register `n` and keeps the rest. */
export function writeVector(s: CpuState, n: number, bits: number, value: bigint): void {
  const at = (L.YMM >> 3) + 4 * n;
  if (bits === 32) {
    s.u32[at * 2] = Number(value & 0xffffffffn);
    return;
  }
  for (let i = 0; i * 64 < bits; i++) s.u64[at + i] = value >> BigInt(64 * i);
}

/**
 * Writes `bits` of the destination in ModRM.reg. VEX: the rest of 128 bits comes from `above`, where given (scalar
 * forms: VEX.vvvv), and all higher bits become zero.
 */
export function writeDestination(s: CpuState, insn: Instruction, bits: number, value: bigint, above?: bigint): void {
  if (!insn.vex) {
    writeVector(s, insn.reg, bits, value);
    return;
  }
  const rest = above === undefined ? 0n : (above >> BigInt(bits)) << BigInt(bits);
  writeVector(s, insn.reg, 256, rest | value);
}

/**
 * Memory operand of `bits`. Legacy encodings want 16-byte operands aligned: #GP(0), which comes before page faults and
 * before #SS (measured on AMD's).
 */
export function readMemory(cpu: ProcessorContext, insn: Instruction, bits: number): bigint {
  const { segment } = insn.memory;
  const wantsAligned = bits === 128 && !insn.vex;
  if (wantsAligned && segment === SEG.SS && ((cpu.effectiveOffset(insn) + stackBase(cpu.s)) & 15n) !== 0n)
    raise(VECTOR.GP, 0);
  const linear = cpu.effectiveLinear(insn, bits / 8, false);
  if (wantsAligned && (linear & 15n) !== 0n) raise(VECTOR.GP, 0);
  if (bits === 32) return BigInt(cpu.mem.read32(linear) >>> 0);
  let value = 0n;
  for (let i = 0; i * 64 < bits; i++) value |= cpu.mem.read64(linear + BigInt(8 * i)) << BigInt(64 * i);
  return value;
}

const stackBase = (s: CpuState): bigint => (s.is64 ? 0n : s.base(SEG.SS));

/** The register or memory operand of ModRM.rm, `bits` wide. */
export function readSource(cpu: ProcessorContext, insn: Instruction, bits: number): bigint {
  return insn.hasMem ? readMemory(cpu, insn, bits) : readVector(cpu.s, insn.rm, bits);
}

/** Puts `unit` to work under the current MXCSR. */
export function begin(s: CpuState): SseUnit {
  return unit.begin(s.get32(L.MXCSR));
}

/** Sets MXCSR's flags; an unmasked one raises #XM, or #UD where the system does not handle it (CR4.OSXMMEXCPT = 0). */
export function settle(s: CpuState): void {
  const flags = unit.finish();
  s.set32(L.MXCSR, s.get32(L.MXCSR) | flags);
  if (unit.fault) raise(s.cr4 & CR4.OSXMMEXCPT ? VECTOR.XM : VECTOR.UD);
}

/** What a memory operand holds before the instruction: values at edges, images, pointers and selectors. */
import type { Instruction } from '../../../src/cpu/decode/instruction.ts';
import type { MachineState } from './case.ts';
import { modeOf, SELECTORS } from './descriptors.ts';
import { elementOf } from './forms.ts';
import { extended, float, integer, type Random, vector } from './random.ts';

export const CODE = 0x10000000;
const M64 = (1n << 64n) - 1n;
const [RAX, RDX] = [0, 2] as const;
/** MXCSR.MM, which AMD's MISALIGNSSE brings and ours does not offer. */
const MISALIGNED_MASK = 0x20000n;

export function bytesOf(value: bigint, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** Rounding, FTZ, DAZ and flags as they come; exceptions mostly masked. */
export function mxcsr(r: Random): number {
  const masks = r.chance(80) ? 0x1f80 : r.below(64) << 7;
  const flush = (r.chance(25) ? 0x8000 : 0) | (r.chance(25) ? 0x40 : 0);
  return masks | (r.below(4) << 13) | flush | (r.chance(40) ? r.below(64) : 0);
}

/** The operand's `width` bytes. */
export function operandContents(r: Random, insn: Instruction, state: MachineState, width: number): Uint8Array {
  const { row } = insn;
  const name = row.mnemonic;
  const { gpr } = state;
  const join = (low: bigint, lowBytes: number, high: bigint): Uint8Array =>
    bytesOf((low & ((1n << BigInt(8 * lowBytes)) - 1n)) | (high << BigInt(8 * lowBytes)), width);
  if (/^(FXRSTOR|XRSTOR|FLDENV|FRSTOR)/.test(name)) return image(r, name, width);
  if (/^(CALL|JMP)$/.test(name)) return bytesOf(target(r, state), width);
  if (/^(CALLF|JMPF|L[DEFGS]S)$/.test(name)) return join(target(r, state), width - 2, BigInt(r.pick(SELECTORS)));
  if (width === 2 && /^(LAR|LSL|VERR|VERW|ARPL|MOV)$/.test(name) && r.chance(80))
    return bytesOf(BigInt(r.pick(SELECTORS)), 2);
  if (name === 'CMPXCHG' && r.chance(50)) return bytesOf(gpr[RAX]!, width);
  if (/^CMPXCHG(8|16)B$/.test(name) && r.chance(60)) return join(gpr[RAX]!, width / 2, gpr[RDX]!);
  if (name === 'LDMXCSR') return bytesOf(r.chance(85) ? BigInt(mxcsr(r)) : r.bits(32) & ~MISALIGNED_MASK, 4);
  if (row.feature === 'x87' || name === 'FISTTP') return bytesOf(x87Number(r, name, width), width);
  const element = elementOf(row);
  const v = element === 'int' && width <= 8 ? integer(r, width * 8) : vector(r, width * 8, element);
  return bytesOf(v, width);
}

/** Where to go: mostly into the code page. */
function target(r: Random, state: MachineState): bigint {
  const base = modeOf(state.cs) === 64 || state.cs === 0x23 ? CODE : 0;
  return r.chance(90) ? BigInt(base + r.below(4096)) : integer(r, 64);
}

function x87Number(r: Random, name: string, width: number): bigint {
  if (name === 'FBLD') {
    let v = r.chance(50) ? 0n : 0x80n;
    for (let i = 0; i < 18; i++) v = (v << 4n) | BigInt(r.chance(2) ? r.below(16) : r.below(10));
    return v;
  }
  if (name === 'FLDCW') return 0x40n | (r.bits(16) & (r.chance(80) ? 0x1f3fn : 0xffffn)) | (r.chance(60) ? 0x3fn : 0n);
  if (name.startsWith('FI') || width === 2) return integer(r, width * 8);
  if (width === 10) return extended(r);
  return width === 4 ? float(r, 8, 23) : float(r, 11, 52);
}

/** FXRSTOR's, XRSTOR's, FLDENV's and FRSTOR's images: random registers, headers mostly valid. */
function image(r: Random, name: string, width: number): Uint8Array {
  const bytes = r.bytes(width);
  const view = new DataView(bytes.buffer);
  if (r.chance(70)) view.setUint16(0, 0x37f | (r.below(4) << 10), true);
  if (/^F(LDENV|RSTOR)/.test(name)) {
    const short = width === 14 || width === 94;
    if (r.chance(50)) bytes.fill(0, short ? 6 : 12, short ? 14 : 28);
    return bytes;
  }
  if (r.chance(92)) view.setUint32(24, mxcsr(r), true);
  for (let i = 0; i < 8; i++) {
    const v = extended(r);
    view.setBigUint64(32 + 16 * i, v & M64, true);
    view.setUint16(40 + 16 * i, Number(v >> 64n), true);
  }
  if (!name.startsWith('X')) return bytes;
  bytes.fill(0, 512, 576);
  view.setUint32(512, r.below(8) | (r.chance(4) ? 8 : 0), true);
  if (r.chance(20)) {
    view.setUint32(520, view.getUint32(512, true) | r.below(8), true);
    view.setUint32(524, 0x80000000, true);
  }
  if (r.chance(4)) bytes[520 + r.below(56)] = 1 << r.below(8);
  return bytes;
}

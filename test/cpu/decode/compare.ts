/** Second opinion: iced-x86 decodes the same bytes; length, validity, mnemonic and operands must agree. */
import {
  Decoder as IcedDecoder,
  DecoderOptions,
  type Instruction as IcedInstruction,
  MemorySizeExt,
  OpKind,
  Register,
} from 'iced-x86';
import { Instruction, type Operand } from '../../../src/cpu/decode/instruction.ts';
import { Decoder } from '../../../src/cpu/decoder.ts';
import { icedName, icedNames, isNotOffered } from '../../isa/iced-names.ts';

export type Mode = 16 | 32 | 64;

const LOW = ['AX', 'CX', 'DX', 'BX', 'SP', 'BP', 'SI', 'DI'];
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];
/** Rows with memory or register operands that are implied here and listed there. */
const IMPLIED: readonly string[] = ['XLAT', 'MASKMOVQ', 'MASKMOVDQU', 'VMASKMOVDQU', 'FNOP', 'ENTER'];

/** Areas whose width iced leaves open, counts by operand size, or takes for a byte. */
const UNSIZED = /^(XSAVE|XRSTOR|CLWB|CLFLUSH|FLDENV|FNSTENV|FRSTOR|FNSAVE)/;

/** Selector instructions use 16 bits of a register that iced names with the operand size. */
const SELECTORS: readonly string[] = ['ARPL', 'LLDT', 'LTR', 'VERR', 'VERW', 'LMSW'];

function gprName(reg: number, size: number, high8: boolean): string {
  if (size === 8 && high8) return `${'ACDB'[reg]}H`;
  if (reg >= 8) return `R${reg}${{ 8: 'L', 16: 'W', 32: 'D', 64: '' }[size as 8]}`;
  const low = LOW[reg]!;
  if (size === 8) return reg < 4 ? `${low[0]}L` : `${low}L`;
  return { 16: '', 32: 'E', 64: 'R' }[size as 16] + low;
}

function registerName({ kind, reg, size, high8 }: Operand): string {
  switch (kind) {
    case 'reg8':
    case 'gpr':
      return gprName(reg, size, high8);
    case 'sreg':
      return SEGMENTS[reg]!;
    case 'creg':
      return `CR${reg}`;
    case 'dreg':
      return `DR${reg}`;
    case 'mmx':
      return `MM${reg}`;
    case 'st':
      return `ST${reg}`;
    default:
      return `${kind.toUpperCase()}${reg}`;
  }
}

function addressRegister(reg: number, size: number, vsibBits: number): string {
  if (reg < 0) return 'None';
  if (vsibBits > 0) return `${vsibBits === 256 ? 'YMM' : 'XMM'}${reg}`;
  return gprName(reg, size, false);
}

function memoryText(ins: Instruction): string {
  const { memory, addressSize } = ins;
  const base = memory.ripRelative ? (addressSize === 64 ? 'RIP' : 'EIP') : addressRegister(memory.base, addressSize, 0);
  const index = addressRegister(memory.index, addressSize, memory.vsibBits);
  const disp = BigInt.asUintN(addressSize, (BigInt(memory.dispHi) << 32n) | BigInt(memory.disp >>> 0));
  return `${SEGMENTS[memory.segment]}:${base}+${index}<<${memory.scale}+${disp}`;
}

/** iced shows ES, CS, SS and DS overrides of 64-bit mode; the processor ignores them (and so do we, silently). */
function icedSegment(ins: Instruction, iced: IcedInstruction): string {
  const name = Register[iced.memorySegment]!.toUpperCase();
  if (ins.mode !== 64 || name === 'FS' || name === 'GS') return name;
  return SEGMENTS[ins.memory.segment]!;
}

function icedMemoryText(ins: Instruction, iced: IcedInstruction): string {
  const base = Register[iced.memoryBase]!.toUpperCase();
  const rip = base === 'RIP' || base === 'EIP';
  const target = iced.memoryDisplacement;
  const disp = BigInt.asUintN(ins.addressSize, rip ? target - iced.nextIP : target);
  const name = (register: Register) => (register === Register.None ? 'None' : Register[register]!.toUpperCase());
  const scale = iced.memoryIndex === Register.None ? 0 : Math.log2(iced.memoryIndexScale);
  return `${icedSegment(ins, iced)}:${name(iced.memoryBase)}+${name(iced.memoryIndex)}<<${scale}+${disp}`;
}

function operandText(ins: Instruction, operand: Operand, immediates: number): string {
  switch (operand.kind) {
    case 'mem':
    case 'vsib':
      return memoryText(ins);
    case 'si':
      return 'si';
    case 'di':
      return 'di';
    case 'imm':
      return immediates > 0
        ? `imm2 ${ins.imm2}`
        : `imm ${BigInt.asUintN(operand.size, (BigInt(ins.immHi) << 32n) | BigInt(ins.imm >>> 0))}`;
    case 'rel':
      return `rel ${BigInt.asUintN(ins.operandSize, 0x1000n + BigInt(ins.length) + BigInt(ins.imm))}`;
    case 'far':
      return `far ${ins.imm2}:${ins.operandSize === 16 ? ins.imm & 0xffff : ins.imm >>> 0}`;
    default:
      return registerName(operand);
  }
}

function icedOperandText(ins: Instruction, iced: IcedInstruction, n: number, immediates: number): string {
  const kind = iced.opKind(n);
  const name = OpKind[kind]!;
  if (kind === OpKind.Register) return Register[iced.opRegister(n)]!.toUpperCase();
  if (kind === OpKind.Memory) return icedMemoryText(ins, iced);
  if (name.startsWith('MemorySeg')) return 'si';
  if (name.startsWith('MemoryES')) return 'di';
  if (name.startsWith('NearBranch')) return `rel ${iced.nearBranchTarget}`;
  if (name === 'FarBranch16') return `far ${iced.farBranchSelector}:${iced.farBranch16}`;
  if (name === 'FarBranch32') return `far ${iced.farBranchSelector}:${iced.farBranch32}`;
  if (immediates > 0) return `imm2 ${iced.immediate(n)}`;
  return `imm ${BigInt.asUintN(ins.operands[n]!.size, iced.immediate(n))}`;
}

function operandDifference(ins: Instruction, iced: IcedInstruction): string | null {
  if (IMPLIED.includes(ins.row.mnemonic)) return null;
  let immediates = 0;
  for (let n = 0; n < ins.operandCount; n++) {
    const operand = ins.operands[n]!;
    const ours = operandText(ins, operand, immediates);
    const theirs = icedOperandText(ins, iced, n, immediates);
    if (operand.kind === 'imm') immediates++;
    if (SELECTORS.includes(ins.row.mnemonic) && [`E${ours}`, `R${ours}`].includes(theirs)) continue;
    if (operand.kind === 'mem' && !UNSIZED.test(ins.row.mnemonic)) {
      const bits = MemorySizeExt.size(iced.memorySize) * 8;
      if (bits !== operand.size) return `memory width ${operand.size}, iced ${bits}`;
    }
    if (ours !== theirs) return `operand ${n}: ${ours}, iced ${theirs}`;
  }
  return null;
}

function difference(result: string, ins: Instruction, iced: IcedInstruction): string | null {
  if (iced.isInvalid) return result === 'ok' ? `${ins.row.selector} ${ins.row.mnemonic}, iced invalid` : null;
  const name = icedName(iced);
  // Measured on silicon, where iced follows another processor: 0F 0D with a register is #UD, UD0 and UD1 have no ModRM.
  if (name === 'RESERVEDNOP' && scratch.opcode === 0x0d) return result === 'ud' ? null : 'expected #UD';
  if (name === 'UD0' || name === 'UD1') return ins.row.mnemonic === name ? null : ins.row.mnemonic;
  // Measured, too: VEX.W of VPINSRD and VPEXTRD is #UD outside 64-bit mode.
  if (result === 'ud' && ins.mode !== 64 && /^VP(INSR|EXTR)D$/.test(name)) return null;
  // AMD's LOCK MOV CR0 for CR8 is a feature of its own (CPUID 0x80000001, ECX bit 4), which is not offered.
  const isAltCr8 = ins.lock && (ins.opcode === 0x20 || ins.opcode === 0x22) && name === 'MOV';
  if (result === 'ud' && isAltCr8) return null;
  if (result !== 'ok') return isNotOffered(iced) ? null : `${result}, iced ${name}`;
  if (!icedNames(ins).includes(name)) return `${ins.row.selector} ${ins.row.mnemonic}, iced ${name}`;
  if (ins.length !== iced.length) return `${name} length ${ins.length}, iced ${iced.length}`;
  if (ins.row.mnemonic === 'NOP' || ins.row.mnemonic === 'PREFETCH') return null;
  return operandDifference(ins, iced);
}

const decoder = new Decoder();
const scratch = new Instruction();

/** Null when both agree (or differ on purpose), else one line with bytes, mode and the difference. */
export function compareWithIced(bytes: Uint8Array, mode: Mode): string | null {
  const result = decoder.decode(bytes, 0, bytes.length, mode, scratch);
  const icedDecoder = new IcedDecoder(mode, bytes, DecoderOptions.AMD);
  icedDecoder.ip = 0x1000n;
  const iced = icedDecoder.decode();
  const found = difference(result, scratch, iced);
  iced.free();
  icedDecoder.free();
  return found === null ? null : `${mode}: ${Buffer.from(bytes.subarray(0, 15)).toString('hex')}: ${found}`;
}

/** xorshift32: the same bytes on every run. */
export function makeRandom(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const STARTS: readonly (readonly number[])[] = [
  [],
  [],
  [],
  [0x0f],
  [0x0f, 0x38],
  [0x0f, 0x3a],
  [0x66, 0x0f],
  [0xf3, 0x0f],
  [0xf2, 0x0f],
  [0xf0],
  [0x66],
  [0x67],
  [0x48],
  [0x66, 0x0f, 0x38],
  [0x66, 0x0f, 0x3a],
  [0xc5],
  [0xc4],
  [0xc4],
  [0x66, 0x48, 0x0f],
  [0xf3, 0x48, 0x0f],
  [0x44, 0x0f],
];

/** Random bytes that begin like an instruction, so that rare maps are reached often enough. */
export function randomCode(random: () => number, mode: Mode): Uint8Array {
  const bytes = Uint8Array.from({ length: 20 }, () => random() >>> 9);
  const start = STARTS[(random() >>> 5) % STARTS.length]!;
  bytes.set(start);
  if (start[0] === 0xc4) bytes[1] = (bytes[1]! & 0xe0) | (1 + ((random() >>> 7) % 3));
  // VEX: half of the time no vvvv register, as most rows without one ask.
  if ((start[0] === 0xc4 || start[0] === 0xc5) && random() & 0x100) bytes[start[0] === 0xc4 ? 2 : 1]! |= 0x78;
  if ((start[0] === 0xc4 || start[0] === 0xc5) && mode !== 64) bytes[1]! |= 0xc0;
  return bytes;
}

/** Compares `count` random codes; returns the first few differences, each with the seed that repeats it. */
export function fuzz(seed: number, count: number): string[] {
  const random = makeRandom(seed);
  const differences: string[] = [];
  for (let n = 0; n < count && differences.length < 10; n++) {
    const mode = ([16, 32, 64] as const)[n % 3]!;
    const found = compareWithIced(randomCode(random, mode), mode);
    if (found) differences.push(`seed ${seed}, number ${n}: ${found}`);
  }
  return differences;
}

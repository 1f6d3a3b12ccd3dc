/** A decoded instruction: plain, mutable, filled in place by the decoder, so that decoding allocates nothing. */
import type { InstructionRow, OperandKind } from '../../isa/row.ts';

export const MAX_OPERANDS = 5;
/** Longest legal instruction, in bytes (Intel SDM Vol. 2, 2.3.11). */
export const MAX_LENGTH = 15;

/** Segment register numbers, as encoded in ModRM.reg of MOV Sreg. */
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;

/** Values of `Instruction.rep`. */
export const REP_NONE = 0;
export const REP_Z = 1;
export const REP_NZ = 2;

/**
 * One operand.
 *
 * kind        reg                              size (bits)
 * reg8        0..15, or 0..3 with high8        8
 * gpr         0..15                            16, 32, 64
 * mem, vsib   (see Instruction.memory)         access width; 0 when only the address counts (LEA, INVLPG)
 * si, di      6, 7                             element width; memory at seg:rSI, ES:rDI
 * imm, rel    (see Instruction.imm, immHi)     width of the operation; `rel` is relative to the next instruction
 * far         (imm = offset, imm2 = selector)  32 or 48
 * sreg..st    register number                  16 (sreg), 32/64 (creg, dreg), 64 (mmx), element or vector width, 80
 */
export class Operand {
  kind: OperandKind = 'none';
  reg = 0;
  size = 0;
  /** AH, CH, DH, BH: `reg` is the register that holds the byte in bits 15:8. */
  high8 = false;

  copyFrom(other: Operand): void {
    this.kind = other.kind;
    this.reg = other.reg;
    this.size = other.size;
    this.high8 = other.high8;
  }
}

/** address = segment.base + base + (index << scale) + disp, cut to `Instruction.addressSize` before the segment base. */
export class MemoryOperand {
  /** Effective segment: the override, else SS for rBP and rSP bases, else DS. Also set when there is no ModRM memory
   * operand (strings, XLAT, MASKMOVQ): the override, else DS. */
  segment = DS;
  /** 0..15 or -1. In 16-bit forms BX, BP, SI, DI are 3, 5, 6, 7. */
  base = -1;
  /** 0..15 or -1; a vector register number for `vsib`. */
  index = -1;
  /** log2 of the index factor, 0..3. */
  scale = 0;
  /** Low half of the displacement, sign-extended to 32 bits. */
  disp = 0;
  /** High half: copies of the sign, except for 64-bit memory offsets. */
  dispHi = 0;
  /** Relative to the address of the next instruction (64-bit mode). */
  ripRelative = false;
  /** Bits of the vector of indices (128, 256) for gathers, else 0. */
  vsibBits = 0;

  copyFrom(other: MemoryOperand): void {
    this.segment = other.segment;
    this.base = other.base;
    this.index = other.index;
    this.scale = other.scale;
    this.disp = other.disp;
    this.dispHi = other.dispHi;
    this.ripRelative = other.ripRelative;
    this.vsibBits = other.vsibBits;
  }
}

export class Instruction {
  /** The table's row. Meaningless after a result other than 'ok'. */
  row: InstructionRow = null as unknown as InstructionRow;
  /** Bytes, prefixes included. */
  length = 0;
  /** Last opcode byte (the map is in the row). */
  opcode = 0;
  mode: 16 | 32 | 64 = 64;

  lock = false;
  /** REP_NONE, REP_Z (F3), REP_NZ (F2); always REP_NONE when the row takes no repeat prefix. */
  rep = REP_NONE;
  /** Segment override 0..5 in effect, or -1. */
  segment = -1;
  /** Effective operand size; 8 for byte operations. */
  operandSize = 0;
  addressSize: 16 | 32 | 64 = 64;
  /** 66 was present (also when it was a mandatory prefix). */
  has66 = false;

  /** REX byte in effect, 0 when none. Bits R, X, B, W also come from VEX. */
  rex = 0;
  rexW = false;
  vex = false;
  /** 0: 128 bits or scalar; 1: 256 bits. */
  vexL = 0;
  /** Register number in VEX.vvvv (already inverted). */
  vvvv = 0;

  /** ModRM byte, -1 when the instruction has none. */
  modrm = -1;
  mod = 0;
  /** ModRM.reg, extended by REX.R. */
  reg = 0;
  /** ModRM.rm, extended by REX.B. */
  rm = 0;
  hasMem = false;
  readonly memory = new MemoryOperand();

  /** Low and high half of the immediate, sign-extended to 64 bits (bytes and words as the instruction defines). */
  imm = 0;
  immHi = 0;
  /** ENTER's level, a far pointer's selector, EXTRQ's second byte. */
  imm2 = 0;

  operandCount = 0;
  /** MAX_OPERANDS reusable objects; only the first `operandCount` count. */
  readonly operands: readonly Operand[] = Array.from({ length: MAX_OPERANDS }, () => new Operand());

  clone(): Instruction {
    const copy = new Instruction();
    const { memory, operands, ...plain } = this;
    Object.assign(copy, plain);
    copy.memory.copyFrom(memory);
    for (let i = 0; i < MAX_OPERANDS; i++) copy.operands[i]!.copyFrom(operands[i]!);
    return copy;
  }
}

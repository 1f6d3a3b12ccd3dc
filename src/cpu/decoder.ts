/**
 * The instruction decoder: bytes to `Instruction`, driven by the instruction table.
 *
 *   [legacy prefixes] [REX] opcode [ModRM [SIB] [disp]] [imm]           one byte, 0F, 0F38, 0F3A maps
 *   VEX2 = C5 RvvvvLpp      VEX3 = C4 RXBmmmmm WvvvvLpp                 V0F, V0F38, V0F3A maps
 *
 * Where Intel and AMD differ it is AMD's way, measured: 66 makes near branches of 64-bit mode 16 bits wide, far pointers with
 * REX.W stay m16:32, F3 90 with REX.B is XCHG.
 */
import { LOOKUP_64, LOOKUP_LEGACY, ROWS, XCHG_R8_ROW } from '../isa/instruction-table.ts';
import { type Lookup, type OpcodeEntry, slotIndex } from '../isa/lookup.ts';
import type { InstructionRow } from '../isa/row.ts';
import { type Instruction, MAX_LENGTH, REP_NONE, REP_NZ, REP_Z } from './decode/instruction.ts';
import { clearMemoryOperand, readMemoryOperand } from './decode/memory-operand.ts';
import { readOperands } from './decode/operands.ts';
import { ByteReader } from './decode/reader.ts';

export { Instruction, MemoryOperand, Operand } from './decode/instruction.ts';

/**
 * 'need-more': the instruction goes on past `end`; fetch more bytes or raise the fetch's page fault.
 * 'ud': #UD. 'gp': longer than 15 bytes, #GP(0).
 */
export type DecodeResult = 'ok' | 'need-more' | 'ud' | 'gp';

/** Prefix byte classes; 0 is "not a prefix". */
const P_SEGMENT_LEGACY = 1;
const P_SEGMENT_FS_GS = 2;
const P_OPERAND = 3;
const P_ADDRESS = 4;
const P_LOCK = 5;
const P_REP = 6;
const P_REX = 7;

const PREFIX_CLASS = new Uint8Array(256);
for (const byte of [0x26, 0x2e, 0x36, 0x3e]) PREFIX_CLASS[byte] = P_SEGMENT_LEGACY;
for (const byte of [0x64, 0x65]) PREFIX_CLASS[byte] = P_SEGMENT_FS_GS;
PREFIX_CLASS[0x66] = P_OPERAND;
PREFIX_CLASS[0x67] = P_ADDRESS;
PREFIX_CLASS[0xf0] = P_LOCK;
for (const byte of [0xf2, 0xf3]) PREFIX_CLASS[byte] = P_REP;
for (let byte = 0x40; byte < 0x50; byte++) PREFIX_CLASS[byte] = P_REX;

/** Map numbers as in lookup.ts' OPCODE_MAPS. */
const MAP_1B = 0;
const MAP_0F = 1;
const MAP_0F38 = 2;
const MAP_0F3A = 3;
const MAP_VEX_0F = 4;

/** Mandatory prefix numbers as in VEX.pp. */
const PP_66 = 1;
const PP_F3 = 2;
const PP_F2 = 3;

const NO_VVVV = 0;

function firstOperandIsMemory(out: Instruction): boolean {
  return out.operands[0]!.kind === 'mem';
}

/** Registers of MOV CR/DR that do not exist: CR1, CR5 to CR7, CR9 and up, DR8 and up (Intel SDM Vol. 2, MOV). */
function hasBadSystemRegister(out: Instruction): boolean {
  for (let i = 0; i < out.operandCount; i++) {
    const { kind, reg } = out.operands[i]!;
    if (kind === 'creg') return !(reg === 0 || reg === 2 || reg === 3 || reg === 4 || reg === 8);
    if (kind === 'dreg') return reg > 7;
  }
  return false;
}

/** MOV to CS, and segment register numbers 6 and 7. */
function hasBadSegmentRegister(out: Instruction): boolean {
  const { opcode } = out;
  if (out.row.map !== '1B' || (opcode !== 0x8c && opcode !== 0x8e)) return false;
  const number = out.reg & 7;
  return number > 5 || (opcode === 0x8e && number === 1);
}

/** A gather's destination, mask and index must be three different registers (Intel SDM Vol. 2, VPGATHERDD). */
function hasGatherClash(out: Instruction): boolean {
  const { vvvv, reg, memory } = out;
  return vvvv === reg || memory.index === reg || memory.index === vvvv;
}

export class Decoder {
  readonly #reader = new ByteReader();
  #pp = 0;
  /** VEX.vvvv inverted, all four bits, also outside 64-bit mode where only three name a register. */
  #rawVvvv = 0;
  /** LOCK, 66, F2, F3 or REX before VEX: #UD, once all of the instruction is fetched. */
  #badVex = false;
  /** REX.W, or VEX.W also outside 64-bit mode, where it selects rows (FMA) but no 64-bit registers. */
  #w = 0;

  /**
   * Decodes one instruction at `bytes[offset]`, reading no byte at or after `end`.
   * `mode` is the default size of the code segment; 16 also serves real and virtual-8086 mode.
   */
  decode(bytes: Uint8Array, offset: number, end: number, mode: 16 | 32 | 64, out: Instruction): DecodeResult {
    const reader = this.#reader;
    const limit = Math.min(end, offset + MAX_LENGTH, bytes.length);
    reader.reset(bytes, offset, limit);
    out.mode = mode;
    const valid = this.#decode(out, reader);
    out.length = reader.position - offset;
    if (reader.exhausted) return limit === offset + MAX_LENGTH ? 'gp' : 'need-more';
    return valid ? 'ok' : 'ud';
  }

  #decode(out: Instruction, reader: ByteReader): boolean {
    const first = this.#readPrefixes(out, reader);
    const map = this.#readMap(out, reader, first);
    if (map < 0 || reader.exhausted) return false;
    const is64 = out.mode === 64;
    const lookup: Lookup = is64 ? LOOKUP_64 : LOOKUP_LEGACY;
    // An opcode that 64-bit mode took away is still read to its end first: its fetch may fault before its #UD.
    const entry = lookup[map]![out.opcode] ?? LOOKUP_LEGACY[map]![out.opcode];
    if (!entry) return this.#refuse(out, map, reader);
    const row = this.#selectRow(out, reader, entry);
    if (!row) return this.#refuse(out, map, reader);
    out.row = row;
    out.rep = row.rep === 'none' ? REP_NONE : out.rep;
    if (this.#rawVvvv !== NO_VVVV && !row.usesVvvv) return false;
    this.#setOperandSize(out, row);
    clearMemoryOperand(out);
    out.hasMem = out.modrm >= 0 && out.mod !== 3 && !row.ignoresMod;
    if (out.hasMem && !this.#readMemory(out, reader, row)) return false;
    readOperands(out, reader);
    return !reader.exhausted && this.#isLegal(out, row);
  }

  /**
   * No such opcode. In the maps where all have a ModRM byte the instruction is fetched to its end nonetheless, and that may fault
   * (measured on AMD's).
   */
  #refuse(out: Instruction, map: number, reader: ByteReader): boolean {
    if (map < MAP_0F38 || this.#badVex) return false;
    if (out.modrm < 0) this.#readModrm(out, reader);
    if (out.mod !== 3) readMemoryOperand(out, reader, false);
    if (map === MAP_0F3A || map === MAP_VEX_0F + 2) reader.u8();
    return false;
  }

  #readModrm(out: Instruction, reader: ByteReader): void {
    const modrm = reader.u8();
    const { rex } = out;
    out.modrm = modrm;
    out.mod = modrm >> 6;
    out.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
    out.rm = (modrm & 7) | ((rex & 1) << 3);
  }

  /** Reads prefixes into `out`; returns the first byte that is none. */
  #readPrefixes(out: Instruction, reader: ByteReader): number {
    const is64 = out.mode === 64;
    let rex = 0;
    let address = false;
    out.lock = false;
    out.rep = REP_NONE;
    out.segment = -1;
    out.has66 = false;
    out.vex = false;
    this.#badVex = false;
    out.modrm = -1;
    out.vexL = 0;
    out.vvvv = NO_VVVV;
    this.#rawVvvv = NO_VVVV;
    let byte = reader.u8();
    for (;;) {
      const kind = PREFIX_CLASS[byte]!;
      if (kind === 0 || reader.exhausted) break;
      if (kind === P_REX) {
        if (!is64) break;
        rex = byte;
      } else {
        // A REX that is not the last prefix is ignored (Intel SDM Vol. 2, 2.2.1).
        rex = 0;
        if (kind === P_SEGMENT_LEGACY) {
          if (!is64) out.segment = (byte >> 3) & 3;
        } else if (kind === P_SEGMENT_FS_GS) out.segment = byte - 0x60;
        else if (kind === P_OPERAND) out.has66 = true;
        else if (kind === P_ADDRESS) address = true;
        else if (kind === P_LOCK) out.lock = true;
        else out.rep = byte === 0xf3 ? REP_Z : REP_NZ;
      }
      byte = reader.u8();
    }
    out.rex = rex;
    out.rexW = (rex & 8) !== 0;
    this.#w = (rex >> 3) & 1;
    out.addressSize = address ? (out.mode === 32 ? 16 : 32) : out.mode;
    // F2 and F3 win over 66; the last of them counts.
    this.#pp = out.rep === REP_Z ? PP_F3 : out.rep === REP_NZ ? PP_F2 : out.has66 ? PP_66 : 0;
    return byte;
  }

  /** Escape bytes and VEX: sets `out.opcode`, returns the map number or -1 for #UD. */
  #readMap(out: Instruction, reader: ByteReader, first: number): number {
    out.opcode = first;
    if (first === 0x0f) {
      const second = reader.u8();
      const map = second === 0x38 ? MAP_0F38 : second === 0x3a ? MAP_0F3A : MAP_0F;
      out.opcode = map === MAP_0F ? second : reader.u8();
      return map;
    }
    if ((first === 0xc4 || first === 0xc5) && this.#isVex(out, reader)) return this.#readVex(out, reader, first);
    return MAP_1B;
  }

  /** Outside 64-bit mode C4 and C5 are LES and LDS unless the next byte has both top bits set. */
  #isVex(out: Instruction, reader: ByteReader): boolean {
    if (out.mode === 64) return true;
    if (reader.position >= reader.limit) return false;
    return reader.bytes[reader.position]! >= 0xc0;
  }

  #readVex(out: Instruction, reader: ByteReader, first: number): number {
    // LOCK, 66, F2, F3 and REX before VEX: #UD (Intel SDM Vol. 2, 2.3.2 and 2.3.3).
    const badPrefix = out.lock || out.has66 || out.rep !== REP_NONE || out.rex !== 0;
    const is64 = out.mode === 64;
    const byte1 = reader.u8();
    let map = 1;
    let rex = byte1 & 0x80 ? 0 : 4;
    let tail = byte1;
    if (first === 0xc4) {
      map = byte1 & 31;
      rex = (~byte1 >> 5) & 7;
      tail = reader.u8();
      if (tail & 0x80) rex |= 8;
    }
    out.opcode = reader.u8();
    out.vex = true;
    this.#badVex = badPrefix;
    if (map < 1 || map > 3) return -1;
    out.rexW = is64 && (rex & 8) !== 0;
    this.#w = (rex >> 3) & 1;
    out.rex = is64 ? 0x40 | rex : 0;
    out.vexL = (tail >> 2) & 1;
    const vvvv = (~tail >> 3) & 15;
    this.#rawVvvv = vvvv;
    out.vvvv = is64 ? vvvv : vvvv & 7;
    this.#pp = tail & 3;
    return MAP_VEX_0F + map - 1;
  }

  #selectRow(out: Instruction, reader: ByteReader, entry: OpcodeEntry): InstructionRow | undefined {
    if (entry.needsModrm) this.#readModrm(out, reader);
    else {
      out.modrm = -1;
      out.mod = 0;
      out.reg = 0;
      out.rm = 0;
    }
    const id = entry.slots[slotIndex(entry, this.#pp, out.modrm, this.#w, out.vexL)]!;
    if (id < 0) return undefined;
    const row = ROWS[id]!;
    const isNop = out.opcode === 0x90 && row.map === '1B';
    return isNop && (out.rex & 1) !== 0 ? XCHG_R8_ROW : row;
  }

  #setOperandSize(out: Instruction, row: InstructionRow): void {
    const { mode, has66 } = out;
    if (row.byteSized) out.operandSize = 8;
    else if (mode === 64) {
      if (row.force64 || out.rexW) out.operandSize = row.ignoresW ? 32 : 64;
      else if (has66) out.operandSize = 16;
      else out.operandSize = row.default64 ? 64 : 32;
    } else out.operandSize = has66 === (mode === 32) ? 16 : 32;
  }

  /** SIB and displacement. False for #UD. */
  #readMemory(out: Instruction, reader: ByteReader, row: InstructionRow): boolean {
    // Vector indices live in a SIB byte, which 16-bit addressing lacks.
    if (row.usesVsib && ((out.modrm & 7) !== 4 || out.addressSize === 16)) return false;
    readMemoryOperand(out, reader, row.usesVsib);
    return true;
  }

  #isLegal(out: Instruction, row: InstructionRow): boolean {
    if (row.invalid64 && out.mode === 64) return false;
    if (this.#badVex) return false;
    if (out.lock && !(row.lockable && firstOperandIsMemory(out))) return false;
    if (row.privilege === 'cpl0' && row.ignoresMod && hasBadSystemRegister(out)) return false;
    if (hasBadSegmentRegister(out)) return false;
    if (out.memory.vsibBits !== 0 && hasGatherClash(out)) return false;
    return true;
  }
}

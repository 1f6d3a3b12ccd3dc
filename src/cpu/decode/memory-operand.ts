/**
 * ModRM and SIB to a memory operand (Intel SDM Vol. 2, 2.1.5, tables 2-1 to 2-3).
 *
 *     7 6   5 4 3   2 1 0        7 6    5 4 3   2 1 0
 *   +-----+-------+-------+    +------+-------+------+
 *   | mod |  reg  |  rm   |    |scale | index | base |
 *   +-----+-------+-------+    +------+-------+------+
 */
import { DS, type Instruction, SS } from './instruction.ts';
import type { ByteReader } from './reader.ts';

const BASE_16: readonly number[] = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEX_16: readonly number[] = [6, 7, 6, 7, -1, -1, -1, -1];
const REG_SP = 4;
const REG_BP = 5;

function read16(out: Instruction, reader: ByteReader): void {
  const { memory } = out;
  const rm = out.modrm & 7;
  memory.base = BASE_16[rm]!;
  memory.index = INDEX_16[rm]!;
  memory.scale = 0;
  if (out.mod === 1) memory.disp = reader.i8();
  else if (out.mod === 2) memory.disp = reader.i16();
  else if (rm === 6) {
    memory.base = -1;
    memory.disp = reader.i16();
  }
}

function readSib(out: Instruction, reader: ByteReader, vsib: boolean): number {
  const { memory, rex } = out;
  const sib = reader.u8();
  const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
  if (index !== REG_SP || vsib) {
    memory.index = index;
    memory.scale = sib >> 6;
  }
  return sib & 7;
}

function read32or64(out: Instruction, reader: ByteReader, vsib: boolean): void {
  const { memory, mod } = out;
  const rm = out.modrm & 7;
  const low = rm === REG_SP ? readSib(out, reader, vsib) : rm;
  if (mod === 0 && low === REG_BP) {
    memory.disp = reader.i32();
    memory.ripRelative = rm === REG_BP && out.mode === 64;
    return;
  }
  memory.base = low | ((out.rex & 1) << 3);
  if (mod === 1) memory.disp = reader.i8();
  else if (mod === 2) memory.disp = reader.i32();
}

/** Fills `out.memory` from the ModRM byte already in `out` (mod is not 3) and the bytes that follow it. */
export function readMemoryOperand(out: Instruction, reader: ByteReader, vsib: boolean): void {
  const { memory } = out;
  if (out.addressSize === 16) read16(out, reader);
  else read32or64(out, reader, vsib);
  memory.dispHi = memory.disp >> 31;
  if (out.segment < 0) memory.segment = memory.base === REG_SP || memory.base === REG_BP ? SS : DS;
}

/** The default segment and no address: for instructions whose memory, if any, is implied. */
export function clearMemoryOperand(out: Instruction): void {
  const { memory } = out;
  memory.segment = out.segment < 0 ? DS : out.segment;
  memory.base = -1;
  memory.index = -1;
  memory.scale = 0;
  memory.disp = 0;
  memory.dispHi = 0;
  memory.ripRelative = false;
  memory.vsibBits = 0;
}

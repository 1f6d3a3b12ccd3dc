/** Data movement without flags. */
import { i32, i64, type Expr } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { mask, type Semantics } from './operation.ts';

const move: Semantics = (o) =>
  o.write(0, o.operands[1]!.kind === 'i' && o.size === 64 && o.operands[1]!.size === 64 ? o.fields.imm64() : o.read(1));

/** XCHG: the memory write is checked before the register changes. */
const exchange: Semantics = (o) => {
  const [first, second] = o.isMemory(1) ? [1, 0] : [0, 1];
  const other = o.let(o.read(second), 'other');
  const old = o.f.local('i64', 'exchanged');
  o.modify(first, (v) => {
    o.f.set(old, v);
    return other;
  });
  o.write(second, old);
};

/** Bytes of the low `size` bits in reverse order. */
function swapBytes(v: Expr<'i64'>, size: number): Expr<'i64'> {
  let out: Expr<'i64'> = i64.const(0);
  for (let i = 0; i < size / 8; i++) {
    const byte = i64.and(i64.shr_u(v, i64.const(8 * i)), i64.const(0xff));
    out = i64.or(out, i64.shl(byte, i64.const(size - 8 - 8 * i)));
  }
  return out;
}

/** BSWAP of a 16-bit register is undefined; silicon clears it. */
const bswap: Semantics = (o) => o.write(0, o.size === 16 ? i64.const(0) : swapBytes(o.let(o.read(0)), o.size));

/** Sign extension within rAX: CBW, CWDE, CDQE. */
const cbw: Semantics = (o) => o.setReg(0, o.regSigned(0, o.size / 2));
/** Sign of rAX into rDX: CWD, CDQ, CQO. */
const cwd: Semantics = (o) => o.setReg(2, i64.shr_s(o.regSigned(0), i64.const(63)));

/** LEA: the offset alone; segments do not enter. */
const lea: Semantics = (o) => o.write(0, i64.and(o.offset(), i64.const(mask(o.size))));

/** LAHF and SAHF: SF ZF AF PF CF, in AH. */
const lahf: Semantics = (o) => {
  const image = i64.or(i64.and(o.flags.statusFlags(o.f), i64.const(0xd5)), i64.const(2));
  const rax = i64.and(o.reg(0, 64), i64.const(~0xff00n));
  o.setReg(0, i64.or(rax, i64.shl(image, i64.const(8))), 64);
};
const sahf: Semantics = (o) => {
  const overflow = i64.and(o.flags.statusFlags(o.f), i64.const(0x800));
  o.flags.setStatusFlags(o.f, i64.or(overflow, i64.and(i64.shr_u(o.reg(0, 64), i64.const(8)), i64.const(0xd5))));
};

/** CRC-32C byte by byte. Operand 0 is 32 or 64 bit wide, the result always 32. */
const crc32: Semantics = (o) => {
  const bits = o.width(1);
  const crc = o.let(i64.xor(i64.and(o.read(0), i64.const(0xffffffffn)), o.read(1)), 'crc');
  for (let done = 0; done < bits; done += 8) {
    const at = i32.shl(i32.and(i32.wrap_i64(crc), i32.const(0xff)), i32.const(2));
    o.f.set(crc, i64.xor(i64.shr_u(crc, i64.const(8)), i64.load32_u(at, L.CRC_TABLE)));
  }
  o.write(0, crc);
};

/** Puts the table of CRC32 where generated code finds it. The polynomial is 0x1edc6f41, bits reversed. */
export function writeCrcTable(u32: Uint32Array): void {
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    u32[(L.CRC_TABLE >> 2) + byte] = crc;
  }
}

const nothing: Semantics = () => {};

export const moves: Record<string, Semantics> = {
  MOV: move,
  MOVNTI: move,
  MOVZX: (o) => o.write(0, o.read(1)),
  MOVSX: (o) => o.write(0, o.readSigned(1)),
  MOVSXD: (o) => o.write(0, o.readSigned(1)),
  MOVBE: (o) => o.write(0, swapBytes(o.let(o.read(1)), o.size)),
  XCHG: exchange,
  BSWAP: bswap,
  CBW: cbw,
  CWD: cwd,
  LEA: lea,
  LAHF: lahf,
  SAHF: sahf,
  CRC32: crc32,
  NOP: nothing,
  ENDBR64: nothing,
  ENDBR32: nothing,
  PREFETCH: nothing,
  PREFETCHW: nothing,
  PREFETCHNTA: nothing,
  PREFETCHT0: nothing,
  PREFETCHT1: nothing,
  PREFETCHT2: nothing,
  LFENCE: nothing,
  MFENCE: nothing,
  SFENCE: nothing,
};

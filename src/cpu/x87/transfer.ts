/** Loads, stores, constants, FXCH and the stack pointer. */
import type { FloatEnv, FloatFormat } from '../softfloat/index.ts';
import {
  BCD_INDEFINITE,
  convert,
  F32,
  F80,
  FLAG_DENORMAL,
  FLAG_INVALID,
  fromBcd,
  KIND_SNAN,
  ROUND_ZERO,
  roundPack,
  toBcd,
  toInteger,
  unpackRaw,
  widenRaw,
  zeroOf,
} from '../softfloat/index.ts';
import { CONSTANTS } from './fixed.ts';
import type { X87Unit } from './unit.ts';

/** Read the memory operand of an arithmetic instruction as f80, raising DE; SNaNs stay for the operation to judge. */
export function floatOperand(u: X87Unit, format: FloatFormat): bigint {
  const bits = format === F32 ? BigInt(u.operand.getUint32(0, true)) : u.operand.getBigUint64(0, true);
  if (unpackRaw(format, bits).denormal) u.env.raise(FLAG_DENORMAL);
  return widenRaw(format, F80, bits);
}

/** Read a signed integer operand of 2, 4 or 8 bytes as f80: always exact, whatever the precision control. */
export function integerOperand(u: X87Unit, size: number): bigint {
  const value =
    size === 2
      ? BigInt(u.operand.getInt16(0, true))
      : size === 4
        ? BigInt(u.operand.getInt32(0, true))
        : u.operand.getBigInt64(0, true);
  if (value === 0n) return 0n;
  const magnitude = value < 0n ? -value : value;
  const length = magnitude.toString(2).length;
  return zeroOf(F80, value < 0n ? 1 : 0) | (BigInt(F80.bias + length - 1) << 64n) | (magnitude << BigInt(64 - length));
}

/** FLD m32, m64: quiets SNaNs (IE), reports denormals (DE), and pushes them even if DE is not masked, as AMD's do (measured). */
export function loadFloat(u: X87Unit, format: FloatFormat): void {
  u.pushChecked(() => {
    const wide = floatOperand(u, format);
    const a = unpackRaw(F80, wide);
    if (a.kind !== KIND_SNAN) return wide;
    u.env.raise(FLAG_INVALID);
    return wide | F80.quietBit;
  }, FLAG_DENORMAL);
}

export function loadInteger(u: X87Unit, size: number): void {
  u.pushChecked(() => integerOperand(u, size));
}

/** FLD m80: any bits at all, no exceptions. */
export function loadExtended(u: X87Unit): void {
  u.pushChecked(() => read80(u));
}

export function read80(u: X87Unit, at = 0): bigint {
  return (BigInt(u.operand.getUint16(at + 8, true)) << 64n) | u.operand.getBigUint64(at, true);
}

export function write80(u: X87Unit, value: bigint, at = 0): void {
  u.operand.setBigUint64(at, BigInt.asUintN(64, value), true);
  u.operand.setUint16(at + 8, Number(value >> 64n), true);
}

export function loadBcd(u: X87Unit): void {
  u.pushChecked(() => {
    u.env.precision = 64;
    return fromBcd(u.env, F80, read80(u));
  });
}

export function loadStack(u: X87Unit, i: number): void {
  if (u.isEmpty(i)) {
    if (u.stackFault(false)) u.push(F80.defaultNaN);
  } else if (!u.isEmpty(7)) {
    if (u.stackFault(true)) u.push(F80.defaultNaN);
  } else {
    u.clearC1();
    u.push(u.st(i));
  }
}

/** Write `bits` (little-endian) of 2, 4, 8 or 10 bytes to the operand buffer. */
function putOperand(u: X87Unit, bits: bigint, size: number): void {
  if (size === 2) u.operand.setUint16(0, Number(bits), true);
  else if (size === 4) u.operand.setUint32(0, Number(bits), true);
  else if (size === 8) u.operand.setBigUint64(0, bits, true);
  else write80(u, bits);
}

/** Common part of stores: `produce` converts ST(0); `indefinite` is stored for an empty register. */
function store(u: X87Unit, size: number, indefinite: bigint, pop: boolean, produce: (bits: bigint) => bigint): boolean {
  if (u.isEmpty(0)) {
    if (!u.stackFault(false)) return false;
    putOperand(u, indefinite, size);
  } else {
    const result = produce(u.st(0));
    if (!u.commitStore()) return false;
    putOperand(u, result, size);
  }
  if (pop) u.pop();
  return true;
}

/** FST(P) m32, m64. A denormal ST(0) raises no DE (SDM vol. 1, table 8-9 notes; the vectors agree). */
export function storeFloat(u: X87Unit, format: FloatFormat, pop: boolean): boolean {
  return store(u, format === F32 ? 4 : 8, format.defaultNaN, pop, (bits) => narrow(u.env, format, bits));
}

function narrow(env: FloatEnv, format: FloatFormat, bits: bigint): bigint {
  const result = convert(env, F80, format, bits);
  env.flags &= ~FLAG_DENORMAL;
  return result;
}

/** FSTP m80. */
export function storeExtended(u: X87Unit): boolean {
  return store(u, 10, F80.defaultNaN, true, (bits) => bits);
}

/** FIST(P), FISTTP. */
export function storeInteger(u: X87Unit, size: 2 | 4 | 8, pop: boolean, truncate: boolean): boolean {
  const width = (size * 8) as 16 | 32 | 64;
  const indefinite = 1n << BigInt(width - 1);
  return store(u, size, indefinite, pop, (bits) =>
    toInteger(u.env, F80, bits, { width, signed: true }, truncate ? ROUND_ZERO : u.env.rounding),
  );
}

/** FBSTP. */
export function storeBcd(u: X87Unit): boolean {
  return store(u, 10, BCD_INDEFINITE, true, (bits) => toBcd(u.env, F80, bits));
}

/** FST(P) ST(i). */
export function storeStack(u: X87Unit, i: number, pop: boolean): void {
  if (u.isEmpty(0)) {
    if (!u.stackFault(false)) return;
    u.setSt(i, F80.defaultNaN);
  } else {
    u.clearC1();
    u.setSt(i, u.st(0));
  }
  if (pop) u.pop();
}

/** FXCH: empty registers become default NaNs before the exchange. */
export function fxch(u: X87Unit, i: number): void {
  const emptyTop = u.isEmpty(0);
  const emptyOther = u.isEmpty(i);
  if (emptyTop || emptyOther) {
    if (!u.stackFault(false)) return;
  } else {
    u.clearC1();
  }
  const top = emptyTop ? F80.defaultNaN : u.st(0);
  const other = emptyOther ? F80.defaultNaN : u.st(i);
  u.setSt(0, other);
  u.setSt(i, top);
}

/** FSTPNCE (D9 D8+i): FSTP that takes an empty ST(0) without a word; measured: then nothing but TOP and C1 changes. */
export function storeStackQuietly(u: X87Unit, i: number): void {
  if (!u.isEmpty(0)) {
    storeStack(u, i, true);
    return;
  }
  u.clearC1();
  u.top = u.top + 1;
}

/** FFREE; FFREEP also pops, so that the old top is empty, too. */
export function ffree(u: X87Unit, i: number, pop: boolean): void {
  u.free(i);
  if (pop) u.pop();
}

export function moveTop(u: X87Unit, by: 1 | -1): void {
  u.top = u.top + by;
  u.clearC1();
}

/** FLD1 ... FLDZ: constants rounded by RC (SDM vol. 1, 8.3.8), never by PC, without PE. */
export function loadConstant(u: X87Unit, index: number): void {
  u.pushChecked(() => {
    const constant = CONSTANTS[index];
    if (constant === undefined) throw new Error(`x87: no constant ${index}`);
    if (constant.significand === 0n) return 0n;
    u.env.precision = 64;
    const bits = roundPack(u.env, F80, 0, constant.significand, constant.exponent, constant.sticky);
    u.env.flags = 0;
    u.env.roundedUp = false;
    return bits;
  });
}

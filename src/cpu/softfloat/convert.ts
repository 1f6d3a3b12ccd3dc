/** Conversions: between formats, to and from integers, to integral values. */
import type { FloatEnv } from './env.ts';
import { FLAG_INEXACT, FLAG_INVALID } from './env.ts';
import type { FloatFormat } from './format.ts';
import { infinityOf, zeroOf } from './format.ts';
import { roundPack, roundToInteger } from './round.ts';
import {
  bitLength,
  invalid,
  isNanLike,
  KIND_INFINITY,
  KIND_SNAN,
  KIND_UNSUPPORTED,
  KIND_ZERO,
  noteDenormals,
  propagateNan1,
  unpack,
  unpackRaw,
} from './unpacked.ts';

/** Convert between formats; NaN payloads keep their high bits. Raises IE (SNaN, unsupported), DE, OE, UE, PE. */
export function convert(env: FloatEnv, from: FloatFormat, to: FloatFormat, bits: bigint): bigint {
  const u = unpack(env, from, bits);
  if (u.kind === KIND_UNSUPPORTED) return invalid(env, to);
  if (isNanLike(u)) {
    if (u.kind === KIND_SNAN) env.raise(FLAG_INVALID);
    return moveNan(from, to, u.sign, u.significand) | to.quietBit;
  }
  if (u.kind === KIND_INFINITY) return infinityOf(to, u.sign);
  if (u.kind === KIND_ZERO) return zeroOf(to, u.sign);
  noteDenormals(env, u);
  return roundPack(env, to, u.sign, u.significand, u.exponent);
}

/**
 * Widen f16/f32/f64 to a wider format as it is: exact, no flags, signalling NaNs stay signalling.
 * x87 arithmetic with a memory operand works on this, so that its NaN rules see the operand itself.
 */
export function widenRaw(from: FloatFormat, to: FloatFormat, bits: bigint): bigint {
  const u = unpackRaw(from, bits);
  if (isNanLike(u)) return moveNan(from, to, u.sign, u.significand);
  if (u.kind === KIND_INFINITY) return infinityOf(to, u.sign);
  if (u.kind === KIND_ZERO) return zeroOf(to, u.sign);
  const length = bitLength(u.significand);
  const lead = u.exponent + length - 1;
  const significand = u.significand << BigInt(to.precision - length);
  return zeroOf(to, u.sign) | (BigInt(lead + to.bias) << to.field) | (significand & to.fieldMask);
}

function moveNan(from: FloatFormat, to: FloatFormat, sign: number, field: bigint): bigint {
  const fraction = field & ((1n << BigInt(from.precision - 1)) - 1n);
  const shift = to.precision - from.precision;
  const moved = shift >= 0 ? fraction << BigInt(shift) : fraction >> BigInt(-shift);
  return infinityOf(to, sign) | moved;
}

/** From a signed or unsigned integer of any size, rounding when it does not fit the precision. */
export function fromInteger(env: FloatEnv, format: FloatFormat, value: bigint): bigint {
  if (value === 0n) return 0n;
  return value < 0n ? roundPack(env, format, 1, -value, 0) : roundPack(env, format, 0, value, 0);
}

export interface IntegerTarget {
  readonly width: 8 | 16 | 32 | 64;
  readonly signed: boolean;
}

/** x86's "integer indefinite": the most negative value, or all ones for unsigned targets. As unsigned bits. */
export function integerIndefinite(target: IntegerTarget): bigint {
  return target.signed ? 1n << BigInt(target.width - 1) : (1n << BigInt(target.width)) - 1n;
}

/**
 * To an integer, as unsigned bits of the target's width. NaN, infinity and out of range raise IE (and only IE)
 * and give the integer indefinite. A denormal operand raises DE only on request: neither SSE nor x87 does.
 */
export function toInteger(
  env: FloatEnv,
  format: FloatFormat,
  bits: bigint,
  target: IntegerTarget,
  rounding: number = env.rounding,
): bigint {
  env.roundedUp = false;
  const u = unpack(env, format, bits);
  const width = BigInt(target.width);
  if (u.kind >= KIND_INFINITY || u.exponent > 64) {
    env.raise(FLAG_INVALID);
    return integerIndefinite(target);
  }
  const flagsBefore = env.flags;
  const magnitude = roundToInteger(env, rounding, u.sign, u.significand, u.exponent);
  const limit = target.signed ? 1n << (width - 1n) : 1n << width;
  const fits = u.sign ? (target.signed ? magnitude <= limit : magnitude === 0n) : magnitude < limit;
  if (!fits) {
    env.flags = flagsBefore | FLAG_INVALID;
    env.roundedUp = false;
    return integerIndefinite(target);
  }
  return BigInt.asUintN(target.width, u.sign ? -magnitude : magnitude);
}

/** Round to an integral value in the same format. `quiet` suppresses PE (bit 3 of ROUNDxx's imm8). */
export function roundToIntegral(
  env: FloatEnv,
  format: FloatFormat,
  bits: bigint,
  rounding: number = env.rounding,
  quiet = false,
): bigint {
  env.roundedUp = false;
  const u = unpack(env, format, bits);
  if (isNanLike(u)) return propagateNan1(env, format, u);
  if (u.kind === KIND_INFINITY) return bits;
  if (u.kind === KIND_ZERO) return zeroOf(format, u.sign);
  if (u.exponent >= 0) return bits;
  const magnitude = roundToInteger(env, rounding, u.sign, u.significand, u.exponent, quiet);
  if (magnitude === 0n) return zeroOf(format, u.sign);
  const length = bitLength(magnitude);
  const field = (magnitude << BigInt(format.precision - length)) & format.fieldMask;
  return zeroOf(format, u.sign) | (BigInt(length - 1 + format.bias) << format.field) | field;
}

const BCD_DIGITS = 18;
const BCD_LIMIT = 10n ** 18n;
/** FBSTP's packed BCD indefinite (SDM vol. 1, table 4-4). */
export const BCD_INDEFINITE = 0xffffc000000000000000n;

/**
 * To 18 packed BCD digits:  | s | 0000000 | d17 d16 ... d1 d0 |  (80 bits). Raises IE or PE.
 */
export function toBcd(env: FloatEnv, format: FloatFormat, bits: bigint): bigint {
  env.roundedUp = false;
  const u = unpack(env, format, bits);
  if (u.kind >= KIND_INFINITY || u.exponent > 64) {
    env.raise(FLAG_INVALID);
    return BCD_INDEFINITE;
  }
  const flagsBefore = env.flags;
  const magnitude = roundToInteger(env, env.rounding, u.sign, u.significand, u.exponent);
  if (magnitude >= BCD_LIMIT) {
    env.flags = (flagsBefore & ~FLAG_INEXACT) | FLAG_INVALID;
    env.roundedUp = false;
    return BCD_INDEFINITE;
  }
  return (u.sign ? 1n << 79n : 0n) | BigInt(`0x${magnitude.toString()}`);
}

/** From packed BCD; exact in f80. Digits above 9 are taken at their place value: the architecture leaves them open. */
export function fromBcd(env: FloatEnv, format: FloatFormat, bcd: bigint): bigint {
  let value = 0n;
  for (let digit = BCD_DIGITS - 1; digit >= 0; digit--) value = value * 10n + ((bcd >> BigInt(4 * digit)) & 15n);
  const sign = Number((bcd >> 79n) & 1n);
  if (value === 0n) return zeroOf(format, sign);
  return roundPack(env, format, sign, value, 0);
}

/**
 * The transcendental functions of x87 on f80 bit patterns: special operands, range reduction, one rounding.
 * Errors are far below one unit in the last place of the rounded result.
 */
import type { FloatEnv, Unpacked } from '../softfloat/index.ts';
import {
  bitLength,
  F80,
  FLAG_DIV_ZERO,
  FLAG_INEXACT,
  infinityOf,
  invalid,
  isNanLike,
  KIND_INFINITY,
  KIND_ZERO,
  noteDenormals,
  propagateNan,
  propagateNan1,
  roundPack,
  unpackRaw,
  zeroOf,
} from '../softfloat/index.ts';
import { atanFixed, expm1Fixed, ln2Fixed, log2eFixed, piFixed, sinCosFixed, twiceAtanhFixed } from './fixed.ts';

/** Fraction bits of the working precision for operands near one; smaller operands get more. */
const WORK_BITS = 220;
/** Below 2^-TINY a function is its first term and an infinitesimal. */
const TINY = 100;
/**
 * The pi that processors reduce with: 66 bits (SDM vol. 1, 8.3.8), so that large arguments lose accuracy
 * everywhere in the same way.
 */
const HARDWARE_PI = 0xc90fdaa22168c234cn;
const HARDWARE_PI_BITS = 66;
const ONE = 0x3fff8000000000000000n;

function lead(u: Unpacked): number {
  return u.exponent + bitLength(u.significand) - 1;
}

/** True when the trigonometric instructions refuse the operand: finite and |x| >= 2^63. */
export function outOfRange(bits: bigint): boolean {
  const u = unpackRaw(F80, bits);
  return u.kind < KIND_INFINITY && u.kind !== KIND_ZERO && lead(u) >= 63;
}

function round(env: FloatEnv, sign: number, magnitude: bigint, fractionBits: number): bigint {
  return roundPack(env, F80, sign, magnitude, -fractionBits, true);
}

/** x with an infinitesimal taken away (`toward` zero) or added. */
function nearly(env: FloatEnv, u: Unpacked, sign: number, toward: boolean): bigint {
  const wide = u.significand << 100n;
  return roundPack(env, F80, sign, toward ? wide - 1n : wide, u.exponent - 100, true);
}

interface Reduced {
  /** |x| mod pi/2, brought to 0..pi/4. */
  sine: bigint;
  cosine: bigint;
  /** Multiple of pi/2 taken away, mod 4. */
  quadrant: number;
  negative: boolean;
  bits: number;
}

/** sin and cos of the reduced argument of a finite nonzero x. */
function reduce(u: Unpacked): Reduced {
  const bits = WORK_BITS + Math.max(0, -lead(u));
  const x = u.significand << BigInt(bits + u.exponent);
  const half = HARDWARE_PI << BigInt(bits - HARDWARE_PI_BITS - 1);
  const n = (2n * x + half) / (2n * half);
  const rest = x - n * half;
  const [sine, cosine] = sinCosFixed(rest < 0n ? -rest : rest, bits);
  return { sine, cosine, quadrant: Number(n & 3n), negative: rest < 0n, bits };
}

/** sin or cos; the operand is in range. */
export function sineCosine(env: FloatEnv, bits: bigint, which: 'sin' | 'cos'): bigint {
  const u = unpackRaw(F80, bits);
  if (isNanLike(u)) return propagateNan1(env, F80, u);
  if (u.kind === KIND_INFINITY) return invalid(env, F80);
  if (u.kind === KIND_ZERO) return which === 'sin' ? bits : ONE;
  noteDenormals(env, u);
  if (lead(u) < -TINY)
    return which === 'sin' ? nearly(env, u, u.sign, true) : nearly(env, unpackRaw(F80, ONE), 0, true);
  const r = reduce(u);
  const odd = (r.quadrant & 1) === 1;
  if (which === 'sin') {
    const sign = u.sign ^ (r.quadrant >> 1) ^ (!odd && r.negative ? 1 : 0);
    return round(env, sign, odd ? r.cosine : r.sine, r.bits);
  }
  const sign = (r.quadrant === 1 || r.quadrant === 2 ? 1 : 0) ^ (odd && r.negative ? 1 : 0);
  return round(env, sign, odd ? r.sine : r.cosine, r.bits);
}

/** tan; the operand is in range. */
export function tangent(env: FloatEnv, bits: bigint): bigint {
  const u = unpackRaw(F80, bits);
  if (isNanLike(u)) return propagateNan1(env, F80, u);
  if (u.kind === KIND_INFINITY) return invalid(env, F80);
  if (u.kind === KIND_ZERO) return bits;
  noteDenormals(env, u);
  if (lead(u) < -TINY) return nearly(env, u, u.sign, false);
  const r = reduce(u);
  const odd = r.quadrant & 1;
  const [over, under] = odd ? [r.cosine, r.sine] : [r.sine, r.cosine];
  return round(env, u.sign ^ odd ^ (r.negative ? 1 : 0), (over << BigInt(r.bits)) / under, r.bits);
}

/** FPATAN: the angle of the point (x, y) = (st0, st1), SDM vol. 2, table 3-30. */
export function arctangent(env: FloatEnv, bitsX: bigint, bitsY: bigint): bigint {
  const x = unpackRaw(F80, bitsX);
  const y = unpackRaw(F80, bitsY);
  if (isNanLike(x) || isNanLike(y)) return propagateNan(env, F80, x, y);
  noteDenormals(env, x, y);
  if (y.kind === KIND_ZERO || (x.kind === KIND_INFINITY && y.kind !== KIND_INFINITY)) {
    return x.sign ? piFraction(env, y.sign, 1n, 0) : zeroOf(F80, y.sign);
  }
  if (y.kind === KIND_INFINITY && x.kind === KIND_INFINITY) return piFraction(env, y.sign, x.sign ? 3n : 1n, 2);
  if (y.kind === KIND_INFINITY || x.kind === KIND_ZERO) return piFraction(env, y.sign, 1n, 1);
  const distance = lead(y) - lead(x);
  if (distance < -TINY) return x.sign ? nearlyPi(env, y.sign, 0, true) : tinyQuotient(env, y, x);
  if (distance > TINY) return nearlyPi(env, y.sign, 1, x.sign === 0);
  const bits = WORK_BITS + Math.max(0, -distance);
  const exponent = Math.min(x.exponent, y.exponent);
  const ax = x.significand << BigInt(x.exponent - exponent);
  const ay = y.significand << BigInt(y.exponent - exponent);
  const pi = piFixed(bits);
  let angle =
    ay <= ax ? atanFixed((ay << BigInt(bits)) / ax, bits) : (pi >> 1n) - atanFixed((ax << BigInt(bits)) / ay, bits);
  if (x.sign) angle = pi - angle;
  return round(env, y.sign, angle, bits);
}

/** n * pi / 2^shift. */
function piFraction(env: FloatEnv, sign: number, n: bigint, shift: number): bigint {
  return round(env, sign, n * piFixed(WORK_BITS), WORK_BITS + shift);
}

/** pi / 2^shift, a little less or a little more: pi's own tail decides the rounding either way. */
function nearlyPi(env: FloatEnv, sign: number, shift: number, less: boolean): bigint {
  // The infinitesimal is below 2^-TINY, the constant's next bits after the 64th are not all equal.
  return round(env, sign, piFixed(WORK_BITS) + (less ? -1n : 1n), WORK_BITS + shift);
}

/** y / x for a quotient so small that atan is the identity but for an infinitesimal. */
function tinyQuotient(env: FloatEnv, y: Unpacked, x: Unpacked): bigint {
  const shift = BigInt(140 + bitLength(x.significand) - bitLength(y.significand));
  const wide = shift >= 0n ? y.significand << shift : y.significand >> -shift;
  const quotient = wide / x.significand;
  const exact = quotient * x.significand === wide;
  return roundPack(env, F80, y.sign, exact ? quotient - 1n : quotient, y.exponent - x.exponent - Number(shift), true);
}

/** Sign and magnitude in fixed point of log2 of significand * 2^exponent; `exact` for powers of two. */
function log2Of(significand: bigint, exponent: number): { sign: number; magnitude: bigint; exact: boolean } {
  const length = bitLength(significand);
  const one = 1n << BigInt(length - 1);
  let whole = exponent + length - 1;
  const f = BigInt(WORK_BITS);
  if (significand === one) {
    return { sign: whole < 0 ? 1 : 0, magnitude: BigInt(Math.abs(whole)) << f, exact: true };
  }
  // The mantissa in 0.75..1.5, so that the logarithm of a number near one loses nothing.
  let unit = one;
  if (2n * significand > 3n * one) {
    unit = one << 1n;
    whole++;
  }
  const ln = twiceAtanhFixed(significand - unit, significand + unit, WORK_BITS);
  const value = (BigInt(whole) << f) + ((ln * log2eFixed(WORK_BITS)) >> f);
  return { sign: value < 0n ? 1 : 0, magnitude: value < 0n ? -value : value, exact: false };
}

/** FYL2X: y * log2(x), SDM vol. 2, table 3-46. */
export function logarithm(env: FloatEnv, bitsX: bigint, bitsY: bigint): bigint {
  const x = unpackRaw(F80, bitsX);
  const y = unpackRaw(F80, bitsY);
  if (isNanLike(x) || isNanLike(y)) return propagateNan(env, F80, x, y);
  if (x.kind === KIND_ZERO) {
    if (y.kind === KIND_ZERO) return invalid(env, F80);
    if (y.kind !== KIND_INFINITY) env.raise(FLAG_DIV_ZERO);
    return infinityOf(F80, y.sign ^ 1);
  }
  if (x.sign) return invalid(env, F80);
  if (x.kind === KIND_INFINITY) {
    if (y.kind === KIND_ZERO) return invalid(env, F80);
    noteDenormals(env, y);
    return infinityOf(F80, y.sign);
  }
  const log = log2Of(x.significand, x.exponent);
  if (y.kind === KIND_INFINITY) {
    if (log.magnitude === 0n) return invalid(env, F80);
    noteDenormals(env, x);
    return infinityOf(F80, y.sign ^ log.sign);
  }
  noteDenormals(env, x, y);
  if (y.kind === KIND_ZERO || log.magnitude === 0n) return zeroOf(F80, y.sign ^ log.sign);
  const product = y.significand * log.magnitude;
  // PE is reported for powers of two, too, although their results are exact.
  env.raise(FLAG_INEXACT);
  return roundPack(env, F80, y.sign ^ log.sign, product, y.exponent - WORK_BITS, !log.exact);
}

/** FYL2XP1: y * log2(x + 1); the architecture defines it for |x| < 1 - sqrt(1/2). */
export function logarithmPlusOne(env: FloatEnv, bitsX: bigint, bitsY: bigint): bigint {
  const x = unpackRaw(F80, bitsX);
  const y = unpackRaw(F80, bitsY);
  if (isNanLike(x) || isNanLike(y)) return propagateNan(env, F80, x, y);
  if (x.kind === KIND_INFINITY) {
    if (x.sign || y.kind === KIND_ZERO) return invalid(env, F80);
    noteDenormals(env, y);
    return infinityOf(F80, y.sign);
  }
  if (x.kind === KIND_ZERO) {
    if (y.kind === KIND_INFINITY) return invalid(env, F80);
    noteDenormals(env, y);
    return zeroOf(F80, y.sign ^ x.sign);
  }
  const sign = y.sign ^ x.sign;
  if (y.kind === KIND_INFINITY) {
    noteDenormals(env, x);
    return infinityOf(F80, sign);
  }
  noteDenormals(env, x, y);
  if (y.kind === KIND_ZERO) return zeroOf(F80, sign);
  if (x.sign && lead(x) >= 0) {
    // x <= -1 has no defined result; processors were seen to return x with PE.
    env.raise(FLAG_INEXACT);
    return bitsX;
  }
  const { magnitude, exponent } = log2OnePlus(x);
  return roundPack(env, F80, sign, y.significand * magnitude, y.exponent + exponent, true);
}

/** |log2(1 + x)| for finite nonzero x > -1, as magnitude * 2^exponent. */
function log2OnePlus(x: Unpacked): { magnitude: bigint; exponent: number } {
  const size = lead(x);
  if (size < -TINY) return { magnitude: x.significand * log2eFixed(WORK_BITS), exponent: x.exponent - WORK_BITS };
  if (size >= -1) {
    // 1 + x is exact and not near one.
    const shift = Math.max(0, -x.exponent);
    const scaledX = x.significand << BigInt(Math.max(0, x.exponent));
    const sum = (1n << BigInt(shift)) + (x.sign ? -scaledX : scaledX);
    return { magnitude: log2Of(sum, -shift).magnitude, exponent: -WORK_BITS };
  }
  const bits = WORK_BITS - size;
  const two = 2n << BigInt(-x.exponent);
  const signed = x.sign ? -x.significand : x.significand;
  const ln = twiceAtanhFixed(signed, two + signed, bits);
  const value = (ln * log2eFixed(bits)) >> BigInt(bits);
  return { magnitude: value < 0n ? -value : value, exponent: -bits };
}

/** F2XM1: 2^x - 1, defined for -1 <= x <= 1; outside, the operand comes back with PE (as recorded). */
export function exponentialMinusOne(env: FloatEnv, bits: bigint): bigint {
  const u = unpackRaw(F80, bits);
  if (isNanLike(u)) return propagateNan1(env, F80, u);
  if (u.kind === KIND_INFINITY) return u.sign ? ONE | F80.signBit : bits;
  if (u.kind === KIND_ZERO) return bits;
  noteDenormals(env, u);
  const size = lead(u);
  if (size >= 0) return atOrBeyondOne(env, u);
  if (size < -TINY)
    return roundPack(env, F80, u.sign, u.significand * ln2Fixed(WORK_BITS), u.exponent - WORK_BITS, true);
  const work = WORK_BITS - size;
  const product = (u.significand * ln2Fixed(work)) << BigInt(work + u.exponent);
  const x = product >> BigInt(work);
  const value = expm1Fixed(u.sign ? -x : x, work);
  return round(env, u.sign, value < 0n ? -value : value, work);
}

function atOrBeyondOne(env: FloatEnv, u: Unpacked): bigint {
  if (u.bits === ONE) return ONE;
  // 2^-1 - 1 = -1/2.
  if (u.bits === (ONE | F80.signBit)) return 0xbffe8000000000000000n;
  env.raise(FLAG_INEXACT);
  return u.bits;
}

/** Addition, multiplication, division, square root and fused multiply-add: exact, then rounded once. */
import type { FloatEnv } from './env.ts';
import { FLAG_DIV_ZERO, FLAG_INVALID, ROUND_DOWN } from './env.ts';
import type { FloatFormat } from './format.ts';
import { infinityOf, zeroOf } from './format.ts';
import { roundPack } from './round.ts';
import type { Unpacked } from './unpacked.ts';
import {
  bitLength,
  invalid,
  isNanLike,
  KIND_INFINITY,
  KIND_SNAN,
  KIND_ZERO,
  noteDenormals,
  propagateNan,
  propagateNan1,
  unpack,
} from './unpacked.ts';

/** Exponent gaps beyond this are summed with a sticky bit instead of exactly: 128-bit operands cannot tell. */
const FAR_GAP = 300;
/** Quotients and roots are computed to at least this many bits, two more than the widest precision. */
const QUOTIENT_BITS = 67;

/** a + b. */
export function add(env: FloatEnv, format: FloatFormat, a: bigint, b: bigint): bigint {
  return addUnpacked(env, format, unpack(env, format, a), unpack(env, format, b), 0);
}

/** a - b. A NaN operand keeps its sign. */
export function sub(env: FloatEnv, format: FloatFormat, a: bigint, b: bigint): bigint {
  return addUnpacked(env, format, unpack(env, format, a), unpack(env, format, b), 1);
}

function addUnpacked(env: FloatEnv, format: FloatFormat, a: Unpacked, b: Unpacked, negateB: number): bigint {
  if (isNanLike(a) || isNanLike(b)) return propagateNan(env, format, a, b);
  const signB = b.sign ^ negateB;
  if (a.kind === KIND_INFINITY || b.kind === KIND_INFINITY) {
    if (a.kind === b.kind && a.sign !== signB) return invalid(env, format);
    noteDenormals(env, a, b);
    return infinityOf(format, a.kind === KIND_INFINITY ? a.sign : signB);
  }
  noteDenormals(env, a, b);
  return addExact(env, format, a.sign, a.significand, a.exponent, signB, b.significand, b.exponent);
}

/** Round the sum of two exact values; an exact zero gets the sign the rounding mode asks for. */
function addExact(
  env: FloatEnv,
  format: FloatFormat,
  signA: number,
  sigA: bigint,
  expA: number,
  signB: number,
  sigB: bigint,
  expB: number,
): bigint {
  if (sigA === 0n && sigB === 0n) {
    return zeroOf(format, signA === signB ? signA : env.rounding === ROUND_DOWN ? 1 : 0);
  }
  if (sigB === 0n) return roundPack(env, format, signA, sigA, expA);
  if (sigA === 0n) return roundPack(env, format, signB, sigB, expB);
  if (expA < expB) return addExact(env, format, signB, sigB, expB, signA, sigA, expA);
  const gap = expA - expB;
  if (gap > FAR_GAP) {
    // b lies far below a's last bit: it is a sticky bit, borrowed from a when the signs differ.
    const wide = sigA << 150n;
    return roundPack(env, format, signA, signA === signB ? wide : wide - 1n, expA - 150, true);
  }
  const aligned = sigA << BigInt(gap);
  const sum = signA === signB ? aligned + sigB : aligned - sigB;
  if (sum === 0n) return zeroOf(format, env.rounding === ROUND_DOWN ? 1 : 0);
  return sum > 0n ? roundPack(env, format, signA, sum, expB) : roundPack(env, format, signB, -sum, expB);
}

/** a * b. */
export function mul(env: FloatEnv, format: FloatFormat, bitsA: bigint, bitsB: bigint): bigint {
  const a = unpack(env, format, bitsA);
  const b = unpack(env, format, bitsB);
  if (isNanLike(a) || isNanLike(b)) return propagateNan(env, format, a, b);
  const sign = a.sign ^ b.sign;
  if (a.kind === KIND_INFINITY || b.kind === KIND_INFINITY) {
    if (a.kind === KIND_ZERO || b.kind === KIND_ZERO) return invalid(env, format);
    noteDenormals(env, a, b);
    return infinityOf(format, sign);
  }
  noteDenormals(env, a, b);
  if (a.kind === KIND_ZERO || b.kind === KIND_ZERO) return zeroOf(format, sign);
  return roundPack(env, format, sign, a.significand * b.significand, a.exponent + b.exponent);
}

/** a / b. */
export function div(env: FloatEnv, format: FloatFormat, bitsA: bigint, bitsB: bigint): bigint {
  const a = unpack(env, format, bitsA);
  const b = unpack(env, format, bitsB);
  if (isNanLike(a) || isNanLike(b)) return propagateNan(env, format, a, b);
  const sign = a.sign ^ b.sign;
  if (a.kind === KIND_INFINITY) {
    if (b.kind === KIND_INFINITY) return invalid(env, format);
    noteDenormals(env, b);
    return infinityOf(format, sign);
  }
  if (b.kind === KIND_ZERO) {
    if (a.kind === KIND_ZERO) return invalid(env, format);
    // Division by zero outranks a denormal dividend (SDM vol. 1, 4.9.2).
    env.raise(FLAG_DIV_ZERO);
    return infinityOf(format, sign);
  }
  noteDenormals(env, a, b);
  if (a.kind === KIND_ZERO || b.kind === KIND_INFINITY) return zeroOf(format, sign);
  const shift = Math.max(0, QUOTIENT_BITS + bitLength(b.significand) - bitLength(a.significand));
  const dividend = a.significand << BigInt(shift);
  const quotient = dividend / b.significand;
  const sticky = quotient * b.significand !== dividend;
  return roundPack(env, format, sign, quotient, a.exponent - b.exponent - shift, sticky);
}

/** Floor of the square root of a positive integer. */
export function integerSqrt(value: bigint): bigint {
  // Newton from above converges monotonically; the start is a double's root, raised past any rounding.
  const drop = Math.max(0, bitLength(value) - 1000) & ~1;
  let x = BigInt(Math.ceil(Math.sqrt(Number(value >> BigInt(drop))) * (1 + 2 ** -50))) + 1n;
  x <<= BigInt(drop / 2);
  for (;;) {
    const y = (x + value / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

/** Square root. */
export function sqrt(env: FloatEnv, format: FloatFormat, bits: bigint): bigint {
  const a = unpack(env, format, bits);
  if (isNanLike(a)) return propagateNan1(env, format, a);
  if (a.kind === KIND_ZERO) return zeroOf(format, a.sign);
  if (a.sign) return invalid(env, format);
  if (a.kind === KIND_INFINITY) return bits;
  noteDenormals(env, a);
  let shift = Math.max(0, 2 * QUOTIENT_BITS - bitLength(a.significand));
  if ((a.exponent - shift) & 1) shift++;
  const radicand = a.significand << BigInt(shift);
  const root = integerSqrt(radicand);
  return roundPack(env, format, 0, root, (a.exponent - shift) / 2, root * root !== radicand);
}

/** What an FMA instruction does with its exact product and its addend: VFNMADD negates the product, VFMSUB the addend. */
export interface FmaSigns {
  readonly negateProduct: boolean;
  readonly negateAddend: boolean;
}

/**
 * a * b + c with one rounding. A NaN result is the first NaN among a, b, c: the factors before the addend whichever
 * FMA form is executed (as the recorded vectors show). 0 * infinity + NaN raises nothing for a quiet NaN.
 */
export function fma(
  env: FloatEnv,
  format: FloatFormat,
  bitsA: bigint,
  bitsB: bigint,
  bitsC: bigint,
  signs: FmaSigns = { negateProduct: false, negateAddend: false },
): bigint {
  const a = unpack(env, format, bitsA);
  const b = unpack(env, format, bitsB);
  const c = unpack(env, format, bitsC);
  if (isNanLike(a) || isNanLike(b) || isNanLike(c)) return fmaNan(env, format, [a, b, c]);
  const productSign = a.sign ^ b.sign ^ (signs.negateProduct ? 1 : 0);
  const addendSign = c.sign ^ (signs.negateAddend ? 1 : 0);
  const infiniteProduct = a.kind === KIND_INFINITY || b.kind === KIND_INFINITY;
  if (infiniteProduct && (a.kind === KIND_ZERO || b.kind === KIND_ZERO)) return invalid(env, format);
  if (infiniteProduct && c.kind === KIND_INFINITY && productSign !== addendSign) return invalid(env, format);
  noteDenormals(env, a, b);
  noteDenormals(env, c);
  if (infiniteProduct) return infinityOf(format, productSign);
  if (c.kind === KIND_INFINITY) return infinityOf(format, addendSign);
  const product = a.significand * b.significand;
  return addExact(env, format, productSign, product, a.exponent + b.exponent, addendSign, c.significand, c.exponent);
}

function fmaNan(env: FloatEnv, format: FloatFormat, operands: readonly Unpacked[]): bigint {
  if (operands.some((u) => u.kind === KIND_SNAN)) env.raise(FLAG_INVALID);
  return operands.find(isNanLike)!.bits | format.quietBit;
}

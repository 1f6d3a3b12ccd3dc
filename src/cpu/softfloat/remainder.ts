/** FPREM and FPREM1: exact remainder, reduced by at most 63 bits of quotient at a time (SDM vol. 2, FPREM). */
import type { FloatEnv } from './env.ts';
import type { FloatFormat } from './format.ts';
import { zeroOf } from './format.ts';
import { roundPack } from './round.ts';
import {
  bitLength,
  invalid,
  isNanLike,
  KIND_INFINITY,
  KIND_ZERO,
  noteDenormals,
  propagateNan,
  unpack,
} from './unpacked.ts';

export interface RemainderResult {
  value: bigint;
  /** The three low bits of the quotient's magnitude; undefined for NaN and invalid results. */
  quotient: number | undefined;
  /** The reduction is not finished: x87's C2. */
  incomplete: boolean;
}

/**
 * Remainder of a by b. `nearest` rounds the quotient to nearest even (FPREM1, IEEE remainder), otherwise
 * toward zero (FPREM, C's fmod).
 */
export function remainder(
  env: FloatEnv,
  format: FloatFormat,
  bitsA: bigint,
  bitsB: bigint,
  nearest: boolean,
): RemainderResult {
  const a = unpack(env, format, bitsA);
  const b = unpack(env, format, bitsB);
  const done = (value: bigint): RemainderResult => ({ value, quotient: 0, incomplete: false });
  const special = (value: bigint): RemainderResult => ({ value, quotient: undefined, incomplete: false });
  if (isNanLike(a) || isNanLike(b)) return special(propagateNan(env, format, a, b));
  if (a.kind === KIND_INFINITY || b.kind === KIND_ZERO) return special(invalid(env, format));
  noteDenormals(env, a, b);
  if (a.kind === KIND_ZERO) return done(zeroOf(format, a.sign));
  if (b.kind === KIND_INFINITY) return done(roundPack(env, format, a.sign, a.significand, a.exponent));
  const leadA = a.exponent + bitLength(a.significand) - 1;
  const leadB = b.exponent + bitLength(b.significand) - 1;
  const distance = leadA - leadB;
  if (distance >= 64) return partial(env, format, a, b, distance);
  // Bring both to one exponent; distance < 64 bounds the shift.
  const exponent = Math.min(a.exponent, b.exponent);
  if (distance < -1) return done(roundPack(env, format, a.sign, a.significand, a.exponent));
  const x = a.significand << BigInt(a.exponent - exponent);
  const y = b.significand << BigInt(b.exponent - exponent);
  let quotient = x / y;
  let rest = x - quotient * y;
  let sign = a.sign;
  if (nearest && (2n * rest > y || (2n * rest === y && quotient & 1n))) {
    quotient += 1n;
    rest = y - rest;
    sign ^= 1;
  }
  const value = rest === 0n ? zeroOf(format, a.sign) : roundPack(env, format, sign, rest, exponent);
  return { value, quotient: Number(quotient & 7n), incomplete: false };
}

interface Finite {
  sign: number;
  significand: bigint;
  exponent: number;
}

/** One step of a long reduction: subtract a multiple of b * 2^(distance - N), N between 32 and 63. */
function partial(env: FloatEnv, format: FloatFormat, a: Finite, b: Finite, distance: number): RemainderResult {
  const step = 32 + (distance & 31);
  const scaled = b.exponent + (distance - step);
  const exponent = Math.min(a.exponent, scaled);
  const x = a.significand << BigInt(a.exponent - exponent);
  const y = b.significand << BigInt(scaled - exponent);
  const rest = x % y;
  const value = rest === 0n ? zeroOf(format, a.sign) : roundPack(env, format, a.sign, rest, exponent);
  return { value, quotient: 0, incomplete: true };
}

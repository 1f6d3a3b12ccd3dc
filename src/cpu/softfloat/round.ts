/** The one place where exact values become encodings: rounding, overflow, underflow, packing. */
import type { FloatEnv } from './env.ts';
import { FLAG_INEXACT, FLAG_OVERFLOW, FLAG_UNDERFLOW, ROUND_DOWN, ROUND_NEAREST, ROUND_UP, ROUND_ZERO } from './env.ts';
import type { FloatFormat } from './format.ts';
import { F80, infinityOf, zeroOf } from './format.ts';
import { bitLength } from './unpacked.ts';

/** What x87 adds to or takes from the exponent of an unmasked tiny or huge result (SDM vol. 1, 8.5.4 and 8.5.5). */
const BIAS_ADJUST = 0x6000;

/** Outcome of the last `roundShift`; module state so that the hot path allocates nothing. */
let inexact = false;
let increased = false;

/**
 * Drop the low `shift` bits of a magnitude (or append zeros when negative), rounding by `rounding`.
 * `sticky` says that the true value lies strictly between `significand` and `significand + 1`.
 */
function roundShift(rounding: number, sign: number, significand: bigint, shift: number, sticky: boolean): bigint {
  increased = false;
  if (shift <= 0) {
    inexact = sticky;
    // Only a bit below the integer is lost: less than one half unless callers break the precondition.
    const quotient = significand << BigInt(-shift);
    if (sticky && ((rounding === ROUND_UP && !sign) || (rounding === ROUND_DOWN && sign))) {
      increased = true;
      return quotient + 1n;
    }
    return quotient;
  }
  const amount = BigInt(shift);
  const quotient = significand >> amount;
  const rest = significand - (quotient << amount);
  inexact = sticky || rest !== 0n;
  if (!inexact) return quotient;
  if (rounding === ROUND_NEAREST) {
    const half = 1n << (amount - 1n);
    increased = rest > half || (rest === half && (sticky || (quotient & 1n) === 1n));
  } else if (rounding !== ROUND_ZERO) {
    increased = (rounding === ROUND_UP) === (sign === 0);
  }
  return increased ? quotient + 1n : quotient;
}

/**
 * Round `(-1)^sign * significand * 2^exponent` to an integer by a rounding mode.
 * Sets the inexact flag (unless `quiet`) and `roundedUp`. `significand` may be zero.
 */
export function roundToInteger(
  env: FloatEnv,
  rounding: number,
  sign: number,
  significand: bigint,
  exponent: number,
  quiet = false,
): bigint {
  // Far below one half the exact distance does not matter, and the shift must stay small.
  const shift = -exponent;
  const far = shift > 4096;
  const magnitude = far
    ? roundShift(rounding, sign, significand === 0n ? 0n : 1n, 4, false)
    : roundShift(rounding, sign, significand, shift, false);
  if (inexact && !quiet) env.raise(FLAG_INEXACT);
  env.roundedUp = increased;
  return magnitude;
}

/**
 * Round and pack a nonzero exact value `significand * 2^exponent` (plus something below one unit when `sticky`;
 * then `significand` must have at least two bits more than the format's precision).
 * Applies precision control, tininess after rounding, flush-to-zero, and the unmasked bias adjustment of x87.
 */
export function roundPack(
  env: FloatEnv,
  format: FloatFormat,
  sign: number,
  significand: bigint,
  exponent: number,
  sticky = false,
): bigint {
  const precision = format === F80 ? env.precision : format.precision;
  const length = bitLength(significand);
  let lead = exponent + length - 1;
  let rounded = roundShift(env.rounding, sign, significand, length - precision, sticky);
  if (increased && rounded >> BigInt(precision)) {
    rounded >>= 1n;
    lead++;
  }
  if (lead < format.minExp) {
    if (env.masked(FLAG_UNDERFLOW)) return packTiny(env, format, sign, significand, exponent, sticky, precision);
    env.raise(FLAG_UNDERFLOW);
    if (format === F80) lead += BIAS_ADJUST;
  } else if (lead > format.maxExp) {
    if (env.masked(FLAG_OVERFLOW)) return overflow(env, format, sign, precision);
    env.raise(FLAG_OVERFLOW);
    if (format === F80) lead -= BIAS_ADJUST;
  }
  env.roundedUp = increased;
  if (inexact) env.raise(FLAG_INEXACT);
  if (lead < format.minExp || lead > format.maxExp) return packBeyond(env, format, sign, lead > 0);
  return packNormal(format, sign, lead, rounded << BigInt(format.precision - precision));
}

/** Out of range even after the bias adjustment (FSCALE): inexact, and infinity counts as rounded up (measured). */
function packBeyond(env: FloatEnv, format: FloatFormat, sign: number, huge: boolean): bigint {
  if (format === F80) {
    env.raise(FLAG_INEXACT);
    env.roundedUp = huge;
  }
  return huge ? infinityOf(format, sign) : zeroOf(format, sign);
}

function packNormal(format: FloatFormat, sign: number, lead: number, significand: bigint): bigint {
  const high = BigInt(lead + format.bias) << format.field;
  return (sign ? format.signBit : 0n) | high | (significand & format.fieldMask);
}

/** A tiny result with underflow masked: zero by FTZ, else a denormal (or the smallest normal by rounding up). */
function packTiny(
  env: FloatEnv,
  format: FloatFormat,
  sign: number,
  significand: bigint,
  exponent: number,
  sticky: boolean,
  precision: number,
): bigint {
  if (env.flushToZero) {
    env.raise(FLAG_UNDERFLOW | FLAG_INEXACT);
    return zeroOf(format, sign);
  }
  const unit = format.minExp - (precision - 1);
  let shift = unit - exponent;
  const length = bitLength(significand);
  if (shift > length + 2) {
    // Everything is far below half a unit: any such value rounds the same.
    significand = 1n;
    shift = 2;
    sticky = true;
  }
  const rounded = roundShift(env.rounding, sign, significand, shift, sticky);
  env.roundedUp = increased;
  if (inexact) env.raise(FLAG_UNDERFLOW | FLAG_INEXACT);
  const field = rounded << BigInt(format.precision - precision);
  const magnitude = format.explicitInteger && field >> 63n ? field | (1n << format.field) : field; // f80: reaching j=1 makes it normal
  return (sign ? format.signBit : 0n) | magnitude;
}

/** A huge result with overflow masked (SDM vol. 1, table 4-11). */
function overflow(env: FloatEnv, format: FloatFormat, sign: number, precision: number): bigint {
  env.raise(FLAG_OVERFLOW | FLAG_INEXACT);
  const away = env.rounding === ROUND_NEAREST || env.rounding === (sign ? ROUND_DOWN : ROUND_UP);
  env.roundedUp = away;
  if (away) return infinityOf(format, sign);
  const ones = ((1n << BigInt(precision)) - 1n) << BigInt(format.precision - precision);
  return packNormal(format, sign, format.maxExp, ones);
}

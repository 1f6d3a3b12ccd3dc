/**
 * A bit pattern taken apart. A finite number is exactly `(-1)^sign * significand * 2^exponent` with an
 * integer significand, so that all arithmetic can be done exactly before one rounding.
 */
import type { FloatEnv } from './env.ts';
import { FLAG_DENORMAL, FLAG_INVALID } from './env.ts';
import type { FloatFormat } from './format.ts';

export const KIND_ZERO = 0;
export const KIND_FINITE = 1;
export const KIND_INFINITY = 2;
export const KIND_QNAN = 3;
export const KIND_SNAN = 4;
/** f80 encodings the 387 and later refuse: pseudo-NaN, pseudo-infinity, unnormal (SDM vol. 1, table 8-3). */
export const KIND_UNSUPPORTED = 5;

export interface Unpacked {
  /** KIND_*; NaNs and unsupported encodings are `kind >= KIND_QNAN`. */
  kind: number;
  sign: number;
  exponent: number;
  significand: bigint;
  /** Biased exponent 0 and not zero; f80 pseudo-denormals included. */
  denormal: boolean;
  bits: bigint;
}

const scratch = new DataView(new ArrayBuffer(8));

/** Number of bits of a positive bigint; 0 for 0n. */
export function bitLength(value: bigint): number {
  const approximation = Number(value);
  if (approximation === 0) return 0;
  if (approximation === Infinity) return value.toString(2).length;
  scratch.setFloat64(0, approximation);
  const exponent = ((scratch.getUint16(0) >> 4) & 0x7ff) - 1023;
  // Number() rounds: just below a power of two it may have landed on it.
  return exponent >= 53 && value >> BigInt(exponent) === 0n ? exponent : exponent + 1;
}

/** Take a bit pattern apart without judging it: no flags, no DAZ. */
export function unpackRaw(format: FloatFormat, bits: bigint): Unpacked {
  const high = Number(bits >> format.field);
  const biased = high & format.maxBiased;
  const sign = high > format.maxBiased ? 1 : 0;
  const field = bits & format.fieldMask;
  if (biased === format.maxBiased) return unpackSpecial(format, bits, sign, field);
  if (biased === 0) {
    const kind = field === 0n ? KIND_ZERO : KIND_FINITE;
    const exponent = format.minExp - (format.precision - 1);
    return { kind, sign, exponent, significand: field, denormal: kind === KIND_FINITE, bits };
  }
  const exponent = biased - format.bias - (format.precision - 1);
  if (!format.explicitInteger) {
    return { kind: KIND_FINITE, sign, exponent, significand: field | (1n << format.field), denormal: false, bits };
  }
  const kind = field >> 63n ? KIND_FINITE : KIND_UNSUPPORTED;
  return { kind, sign, exponent, significand: field, denormal: false, bits };
}

function unpackSpecial(format: FloatFormat, bits: bigint, sign: number, field: bigint): Unpacked {
  let kind: number;
  if (format.explicitInteger && field >> 63n === 0n) kind = KIND_UNSUPPORTED;
  else if (bits === format.infinity || bits === (format.infinity | format.signBit)) kind = KIND_INFINITY;
  else kind = (bits & format.quietBit) !== 0n ? KIND_QNAN : KIND_SNAN;
  return { kind, sign, exponent: 0, significand: field, denormal: false, bits };
}

/** Take an operand apart: denormals-are-zero applies, denormal flags are left to `noteDenormals`. */
export function unpack(env: FloatEnv, format: FloatFormat, bits: bigint): Unpacked {
  const u = unpackRaw(format, bits);
  if (u.denormal && env.denormalsAreZero) {
    u.kind = KIND_ZERO;
    u.significand = 0n;
    u.denormal = false;
  }
  return u;
}

/** Raise DE for denormal operands. Call it after NaNs and invalid operands are out of the way. */
export function noteDenormals(env: FloatEnv, a: Unpacked, b?: Unpacked): void {
  if (a.denormal || b?.denormal) env.raise(FLAG_DENORMAL);
}

/** True when the operand is a NaN or an unsupported encoding. */
export function isNanLike(u: Unpacked): boolean {
  return u.kind >= KIND_QNAN;
}

/** The NaN result of a two-operand operation at least one of whose operands is NaN-like. Raises IE as needed. */
export function propagateNan(env: FloatEnv, format: FloatFormat, a: Unpacked, b: Unpacked): bigint {
  if (a.kind === KIND_UNSUPPORTED || b.kind === KIND_UNSUPPORTED) return invalid(env, format);
  if (a.kind === KIND_SNAN || b.kind === KIND_SNAN) env.raise(FLAG_INVALID);
  if (!isNanLike(b)) return a.bits | format.quietBit;
  if (!isNanLike(a)) return b.bits | format.quietBit;
  if (env.nanRule === 'sse') return a.bits | format.quietBit;
  return largerNan(a, b) | format.quietBit;
}

/** x87: a QNaN beats an SNaN, then the larger significand, then the positive one (SDM vol. 1, table 4-7). */
function largerNan(a: Unpacked, b: Unpacked): bigint {
  if (a.kind !== b.kind) return a.kind === KIND_QNAN ? a.bits : b.bits;
  if (a.significand !== b.significand) return a.significand > b.significand ? a.bits : b.bits;
  return a.sign ? b.bits : a.bits;
}

/** The NaN result of a one-operand operation on a NaN-like operand. */
export function propagateNan1(env: FloatEnv, format: FloatFormat, a: Unpacked): bigint {
  if (a.kind === KIND_UNSUPPORTED) return invalid(env, format);
  if (a.kind === KIND_SNAN) env.raise(FLAG_INVALID);
  return a.bits | format.quietBit;
}

/** Raise IE and give the default NaN. */
export function invalid(env: FloatEnv, format: FloatFormat): bigint {
  env.raise(FLAG_INVALID);
  return format.defaultNaN;
}

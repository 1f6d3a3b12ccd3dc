/**
 * The binary floating-point formats of x86 as data. Bit patterns travel as unsigned `bigint`.
 *
 *   f16   | s | exp 5  | frac 10                      |
 *   f32   | s | exp 8  | frac 23                      |
 *   f64   | s | exp 11 | frac 52                      |
 *   f80   | s | exp 15 | j | frac 63                  |   j: explicit integer bit
 */
export interface FloatFormat {
  readonly name: 'f16' | 'f32' | 'f64' | 'f80';
  /** Bits of the whole encoding. */
  readonly width: number;
  /** Significand bits, the integer bit (implicit or not) included. */
  readonly precision: number;
  /** Bits of the significand field as stored: `precision` for f80, else `precision - 1`. */
  readonly fieldBits: number;
  readonly bias: number;
  /** The biased exponent of infinities and NaNs: all ones. */
  readonly maxBiased: number;
  /** Unbiased exponents of the smallest and of the largest normal numbers. */
  readonly minExp: number;
  readonly maxExp: number;
  readonly explicitInteger: boolean;
  readonly field: bigint;
  readonly fieldMask: bigint;
  readonly signShift: bigint;
  readonly signBit: bigint;
  /** The top bit of the fraction: set in quiet NaNs. */
  readonly quietBit: bigint;
  readonly infinity: bigint;
  /** "QNaN floating-point indefinite" (SDM vol. 1, 4.8.3.7): negative, quiet, zero payload. */
  readonly defaultNaN: bigint;
}

function makeFormat(name: FloatFormat['name'], exponentBits: number, precision: number): FloatFormat {
  const explicitInteger = name === 'f80';
  const fieldBits = explicitInteger ? precision : precision - 1;
  const field = BigInt(fieldBits);
  const bias = 2 ** (exponentBits - 1) - 1;
  const maxBiased = 2 ** exponentBits - 1;
  const signShift = BigInt(exponentBits) + field;
  const quietBit = 1n << BigInt(precision - 2);
  const integerBit = explicitInteger ? 1n << 63n : 0n;
  const infinity = (BigInt(maxBiased) << field) | integerBit;
  return {
    name,
    width: exponentBits + fieldBits + 1,
    precision,
    fieldBits,
    bias,
    maxBiased,
    minExp: 1 - bias,
    maxExp: bias,
    explicitInteger,
    field,
    fieldMask: (1n << field) - 1n,
    signShift,
    signBit: 1n << signShift,
    quietBit,
    infinity,
    defaultNaN: (1n << signShift) | infinity | quietBit,
  };
}

export const F16 = makeFormat('f16', 5, 11);
export const F32 = makeFormat('f32', 8, 24);
export const F64 = makeFormat('f64', 11, 53);
export const F80 = makeFormat('f80', 15, 64);

/** Zero of the given sign (0 or 1). */
export function zeroOf(format: FloatFormat, sign: number): bigint {
  return sign ? format.signBit : 0n;
}

/** Infinity of the given sign (0 or 1). */
export function infinityOf(format: FloatFormat, sign: number): bigint {
  return sign ? format.infinity | format.signBit : format.infinity;
}

/**
 * Elementary functions in fixed point: a value v with F fraction bits stands for v / 2^F. Errors stay below a few
 * units of 2^-F; callers choose F so that at least 70 correct bits remain for a 64-bit significand.
 */
import { integerSqrt } from '../softfloat/index.ts';

/** Fraction bits of the constants below. */
export const CONSTANT_BITS = 512;

function divideNearest(a: bigint, b: bigint): bigint {
  return (2n * a + b) / (2n * b);
}

/** 2 * atanh(1/n) * 2^bits, by its series. */
function twiceAtanhInverse(n: bigint, bits: number): bigint {
  let power = (2n << BigInt(bits)) / n;
  let sum = 0n;
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += power / k;
    power /= n * n;
  }
  return sum;
}

/** atan(1/n) * 2^bits. */
function atanInverse(n: bigint, bits: number): bigint {
  let power = (1n << BigInt(bits)) / n;
  let sum = 0n;
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += k & 2n ? -(power / k) : power / k;
    power /= n * n;
  }
  return sum;
}

const GUARD = 32;
const WIDE = CONSTANT_BITS + GUARD;
const piWide = 16n * atanInverse(5n, WIDE) - 4n * atanInverse(239n, WIDE);
const ln2Wide = twiceAtanhInverse(3n, WIDE);
/** ln 10 = 3 ln 2 + ln 1.25, and ln 1.25 = 2 atanh(1/9). */
const ln10Wide = 3n * ln2Wide + twiceAtanhInverse(9n, WIDE);

const PI = piWide >> BigInt(GUARD);
const LN2 = ln2Wide >> BigInt(GUARD);
const LOG2_E = (1n << BigInt(WIDE + CONSTANT_BITS)) / ln2Wide;

function scaled(constant: bigint, bits: number): bigint {
  return constant >> BigInt(CONSTANT_BITS - bits);
}

/** pi, ln 2 and log2(e) with F fraction bits, F <= CONSTANT_BITS. */
export function piFixed(bits: number): bigint {
  return scaled(PI, bits);
}
export function ln2Fixed(bits: number): bigint {
  return scaled(LN2, bits);
}
export function log2eFixed(bits: number): bigint {
  return scaled(LOG2_E, bits);
}

/** sin and cos of 0 <= x <= pi/4. */
export function sinCosFixed(x: bigint, bits: number): [bigint, bigint] {
  const f = BigInt(bits);
  const square = (x * x) >> f;
  let term = x;
  let sine = x;
  for (let k = 2n; term !== 0n; k += 2n) {
    term = -((term * square) >> f) / (k * (k + 1n));
    sine += term;
  }
  term = 1n << f;
  let cosine = term;
  for (let k = 1n; term !== 0n; k += 2n) {
    term = -((term * square) >> f) / (k * (k + 1n));
    cosine += term;
  }
  return [sine, cosine];
}

/** atan of 0 <= x <= 1: three half-angle steps, then the series. */
export function atanFixed(x: bigint, bits: number): bigint {
  const f = BigInt(bits);
  const one = 1n << f;
  let r = x;
  for (let step = 0; step < 3; step++) {
    r = (r << f) / (one + integerSqrt((one << f) + r * r));
  }
  const square = (r * r) >> f;
  let power = r;
  let sum = r;
  for (let k = 3n; power !== 0n; k += 2n) {
    power = -((power * square) >> f);
    sum += power / k;
  }
  return sum << 3n;
}

/** 2 * atanh(numerator / denominator) for a small quotient of either sign. */
export function twiceAtanhFixed(numerator: bigint, denominator: bigint, bits: number): bigint {
  const f = BigInt(bits);
  const s = (numerator << f) / denominator;
  const square = (s * s) >> f;
  let power = s;
  let sum = s;
  for (let k = 3n; power !== 0n && power !== -1n; k += 2n) {
    power = (power * square) >> f;
    sum += power / k;
  }
  return 2n * sum;
}

/** e^x - 1 for |x| < 1. */
export function expm1Fixed(x: bigint, bits: number): bigint {
  const f = BigInt(bits);
  let term = x;
  let sum = x;
  for (let k = 2n; term !== 0n && term !== -1n; k++) {
    term = ((term * x) >> f) / k;
    sum += term;
  }
  return sum;
}

/** A positive constant: significand * 2^exponent, and a little more when `sticky`. */
export interface Constant {
  readonly significand: bigint;
  readonly exponent: number;
  readonly sticky: boolean;
}

function constant(value: bigint): Constant {
  const drop = CONSTANT_BITS - 140;
  return { significand: value >> BigInt(drop), exponent: -140, sticky: true };
}

/** FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ, in the order of their encodings D9 E8 ... D9 EE. */
export const CONSTANTS: readonly Constant[] = [
  { significand: 1n, exponent: 0, sticky: false },
  constant(divideNearest(ln10Wide << BigInt(CONSTANT_BITS), ln2Wide)),
  constant(LOG2_E),
  constant(PI),
  constant(divideNearest(ln2Wide << BigInt(CONSTANT_BITS), ln10Wide)),
  constant(LN2),
  { significand: 0n, exponent: 0, sticky: false },
];

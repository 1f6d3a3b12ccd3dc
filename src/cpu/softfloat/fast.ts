/**
 * Short cuts through the host's doubles for the common case of SSE: round to nearest, operands and result well
 * inside the normal range. Whether a result is exact is decided exactly (the host rounds as IEEE 754 says), so
 * values and flags are those of the exact path. NaNs never come near: their payloads are the host's business.
 */
import type { FloatEnv } from './env.ts';
import { FLAG_INEXACT, ROUND_NEAREST } from './env.ts';
import type { FloatFormat } from './format.ts';
import { F32, F64 } from './format.ts';

/** "Take the exact path." Bit patterns are never negative. */
export const NOT_FAST = -1n;

const view = new DataView(new ArrayBuffer(16));

function doubleOf(bits: bigint): number {
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

function bitsOfDouble(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

function singleOf(bits: bigint): number {
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
}

function bitsOfSingle(value: number): bigint {
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
}

/** Limits so that no operation on two such numbers leaves the normal range, error terms included. */
const LIMITS = { f32: { low: 2 ** -50, high: 2 ** 50 }, f64: { low: 2 ** -300, high: 2 ** 300 } };

function inRange(value: number, limit: { low: number; high: number }): boolean {
  const magnitude = Math.abs(value);
  return magnitude >= limit.low && magnitude <= limit.high;
}

/** add, sub, mul, div when it is safe, else NOT_FAST. */
export function fastBinary(
  env: FloatEnv,
  format: FloatFormat,
  op: 'add' | 'sub' | 'mul' | 'div',
  bitsA: bigint,
  bitsB: bigint,
): bigint {
  if (env.rounding !== ROUND_NEAREST) return NOT_FAST;
  if (format === F64) return fastDouble(env, op, doubleOf(bitsA), doubleOf(bitsB));
  if (format === F32) return fastSingle(env, op, singleOf(bitsA), singleOf(bitsB));
  return NOT_FAST;
}

function fastDouble(env: FloatEnv, op: 'add' | 'sub' | 'mul' | 'div', a: number, b: number): bigint {
  if (!inRange(a, LIMITS.f64) || !inRange(b, LIMITS.f64)) return NOT_FAST;
  let result: number;
  let error: number;
  if (op === 'add' || op === 'sub') {
    const addend = op === 'sub' ? -b : b;
    result = a + addend;
    if (!inRange(result, LIMITS.f64)) return NOT_FAST;
    error = sumError(a, addend, result);
  } else if (op === 'mul') {
    result = a * b;
    error = productError(a, b, result);
  } else {
    result = a / b;
    // a - result*b is exact when split into the product and its error.
    const product = result * b;
    error = product - a + productError(result, b, product);
  }
  if (error !== 0) env.raise(FLAG_INEXACT);
  env.roundedUp = false;
  return bitsOfDouble(result);
}

/** Knuth's TwoSum: the exact error of `sum = a + b`. */
function sumError(a: number, b: number, sum: number): number {
  const t = sum - a;
  return a - (sum - t) + (b - t);
}

/** Dekker's product: the exact value of a*b - product. */
function productError(a: number, b: number, product: number): number {
  const splitter = 134217729;
  const ca = splitter * a;
  const ah = ca - (ca - a);
  const al = a - ah;
  const cb = splitter * b;
  const bh = cb - (cb - b);
  const bl = b - bh;
  return al * bl - (product - ah * bh - al * bh - ah * bl);
}

/** A double has more than twice a single's bits plus two, so rounding twice is rounding once. */
function fastSingle(env: FloatEnv, op: 'add' | 'sub' | 'mul' | 'div', a: number, b: number): bigint {
  if (!inRange(a, LIMITS.f32) || !inRange(b, LIMITS.f32)) return NOT_FAST;
  let result: number;
  let exact: boolean;
  if (op === 'add' || op === 'sub') {
    const addend = op === 'sub' ? -b : b;
    const sum = a + addend;
    if (!inRange(sum, LIMITS.f32)) return NOT_FAST;
    result = Math.fround(sum);
    exact = result === sum && sumError(a, addend, sum) === 0;
  } else if (op === 'mul') {
    result = Math.fround(a * b);
    exact = result === a * b;
  } else {
    result = Math.fround(a / b);
    exact = result * b === a;
  }
  if (!exact) env.raise(FLAG_INEXACT);
  env.roundedUp = false;
  return bitsOfSingle(result);
}

/** Square root of a positive number in the normal range, else NOT_FAST. */
export function fastSqrt(env: FloatEnv, format: FloatFormat, bits: bigint): bigint {
  if (env.rounding !== ROUND_NEAREST || (format !== F32 && format !== F64)) return NOT_FAST;
  const isSingle = format === F32;
  const a = isSingle ? singleOf(bits) : doubleOf(bits);
  if (!(a > 0) || !inRange(a, isSingle ? LIMITS.f32 : LIMITS.f64)) return NOT_FAST;
  const root = isSingle ? Math.fround(Math.sqrt(a)) : Math.sqrt(a);
  const square = root * root;
  const exact = square === a && (isSingle || productError(root, root, square) === 0);
  if (!exact) env.raise(FLAG_INEXACT);
  env.roundedUp = false;
  return isSingle ? bitsOfSingle(root) : bitsOfDouble(root);
}

import { Const, i32Const, i64Const, isTrivial } from './const.ts';
import { type Expr, Op } from './expr.ts';
import type { OpcodeRow } from './opcodes.ts';

type Fold32 = (a: number, b: number) => number;
type Fold64 = (a: bigint, b: bigint) => bigint | boolean;

// Divisions and remainders are left to run time: they can trap, and constant divisors are rare.
const FOLD32: Readonly<Record<string, Fold32>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: Math.imul,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shr_s: (a, b) => a >> b,
  shr_u: (a, b) => a >>> b,
  rotl: (a, b) => (a << b) | (a >>> -b),
  rotr: (a, b) => (a >>> b) | (a << -b),
  eq: (a, b) => +(a === b),
  ne: (a, b) => +(a !== b),
  lt_s: (a, b) => +(a < b),
  lt_u: (a, b) => +(a >>> 0 < b >>> 0),
  gt_s: (a, b) => +(a > b),
  gt_u: (a, b) => +(a >>> 0 > b >>> 0),
  le_s: (a, b) => +(a <= b),
  le_u: (a, b) => +(a >>> 0 <= b >>> 0),
  ge_s: (a, b) => +(a >= b),
  ge_u: (a, b) => +(a >>> 0 >= b >>> 0),
};

const u64 = (value: bigint) => BigInt.asUintN(64, value);

const FOLD64: Readonly<Record<string, Fold64>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << (b & 63n),
  shr_s: (a, b) => a >> (b & 63n),
  shr_u: (a, b) => u64(a) >> (b & 63n),
  rotl: (a, b) => (u64(a) << (b & 63n)) | (u64(a) >> (-b & 63n)),
  rotr: (a, b) => (u64(a) >> (b & 63n)) | (u64(a) << (-b & 63n)),
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt_s: (a, b) => a < b,
  lt_u: (a, b) => u64(a) < u64(b),
  gt_s: (a, b) => a > b,
  gt_u: (a, b) => u64(a) > u64(b),
  le_s: (a, b) => a <= b,
  le_u: (a, b) => u64(a) <= u64(b),
  ge_s: (a, b) => a >= b,
  ge_u: (a, b) => u64(a) >= u64(b),
};

const UNARY: Readonly<Record<string, (a: number | bigint) => number | bigint>> = {
  'i32.eqz': (a) => +(a === 0),
  'i64.eqz': (a) => +(a === 0n),
  'i32.wrap_i64': (a) => Number(BigInt.asIntN(32, a as bigint)),
  'i64.extend_i32_s': (a) => BigInt(a),
  'i64.extend_i32_u': (a) => BigInt((a as number) >>> 0),
  'i32.extend8_s': (a) => ((a as number) << 24) >> 24,
  'i32.extend16_s': (a) => ((a as number) << 16) >> 16,
  'i64.extend8_s': (a) => BigInt.asIntN(8, a as bigint),
  'i64.extend16_s': (a) => BigInt.asIntN(16, a as bigint),
  'i64.extend32_s': (a) => BigInt.asIntN(32, a as bigint),
};

const COMMUTES = new Set(['add', 'mul', 'and', 'or', 'xor', 'eq', 'ne']);
const SHIFTS = new Set(['shl', 'shr_s', 'shr_u', 'rotl', 'rotr']);

function integer(row: OpcodeRow, value: number | bigint | boolean): Const {
  return row.result === 'i32' ? i32Const(Number(value) | 0) : i64Const(BigInt.asIntN(64, BigInt(value)));
}

function foldUnary(row: OpcodeRow, a: Expr): Expr | undefined {
  const fold = UNARY[row.name];
  if (fold === undefined) return undefined;
  if (a instanceof Const) return integer(row, fold(a.value as number | bigint));
  // The low half of a widened 32-bit value is the value.
  if (row.name === 'i32.wrap_i64' && a instanceof Op && a.row.method.startsWith('extend_i32')) return a.a;
  return undefined;
}

function foldConstants(row: OpcodeRow, a: Const, b: Const): Expr | undefined {
  if (row.namespace === 'i32') {
    const fold = FOLD32[row.method];
    return fold && integer(row, fold(a.value as number, b.value as number) | 0);
  }
  const fold = FOLD64[row.method];
  return fold && integer(row, fold(a.value as bigint, b.value as bigint));
}

/** `x op constant` where the result is `x`, or the constant itself. */
function foldIdentity(row: OpcodeRow, x: Expr, constant: Const): Expr | undefined {
  const k = BigInt(constant.value as number | bigint);
  switch (row.method) {
    case 'add':
    case 'sub':
    case 'xor':
      return k === 0n ? x : undefined;
    case 'or':
      if (k === 0n) return x;
      return k === -1n && isTrivial(x) ? constant : undefined;
    case 'and':
      if (k === -1n) return x;
      return k === 0n && isTrivial(x) ? constant : undefined;
    case 'mul':
      if (k === 1n) return x;
      return k === 0n && isTrivial(x) ? constant : undefined;
    default:
      return SHIFTS.has(row.method) && (k & (row.namespace === 'i32' ? 31n : 63n)) === 0n ? x : undefined;
  }
}

/**
 * A cheaper expression with the same value as the integer operation `row` on `a` and `b`, or undefined.
 * Nothing that could trap or have an effect is left out, and a constant ends up on the right.
 */
export function fold(row: OpcodeRow, a: Expr | undefined, b: Expr | undefined): Expr | undefined {
  if (a === undefined || (row.namespace !== 'i32' && row.namespace !== 'i64') || row.immediate !== '') return undefined;
  if (b === undefined) return foldUnary(row, a);
  if (a instanceof Const) {
    if (b instanceof Const) return foldConstants(row, a, b);
    if (COMMUTES.has(row.method)) return foldIdentity(row, b, a) ?? new Op(row, b, a);
    return undefined;
  }
  if (!(b instanceof Const)) return undefined;
  const simpler = foldIdentity(row, a, b);
  if (simpler !== undefined) return simpler;
  // (x + k1) + k2 is x + (k1 + k2), modulo 2^n.
  if (row.method === 'add' && a instanceof Op && a.row === row && a.b instanceof Const) {
    const sum = foldConstants(row, a.b, b);
    if (sum instanceof Const) return foldIdentity(row, a.a as Expr, sum) ?? new Op(row, a.a, sum);
  }
  return undefined;
}

/** Comparison, and the minimum and maximum of SSE. */
import type { FloatEnv } from './env.ts';
import { FLAG_INVALID } from './env.ts';
import type { FloatFormat } from './format.ts';
import { zeroOf } from './format.ts';
import type { Unpacked } from './unpacked.ts';
import { isNanLike, KIND_INFINITY, KIND_QNAN, KIND_ZERO, noteDenormals, unpack } from './unpacked.ts';

/** Relations, as single bits so that a set of them is a mask. */
export const LESS = 1;
export const EQUAL = 2;
export const GREATER = 4;
export const UNORDERED = 8;

/**
 * Relation of a to b. Unordered raises IE for any NaN, or with `quiet` only for signalling NaNs and
 * unsupported encodings (UCOMISS, FUCOM). Denormal operands raise DE.
 */
export function compare(env: FloatEnv, format: FloatFormat, bitsA: bigint, bitsB: bigint, quiet: boolean): number {
  const a = unpack(env, format, bitsA);
  const b = unpack(env, format, bitsB);
  if (isNanLike(a) || isNanLike(b)) {
    if (!quiet || a.kind > KIND_QNAN || b.kind > KIND_QNAN) env.raise(FLAG_INVALID);
    return UNORDERED;
  }
  noteDenormals(env, a, b);
  return order(a, b);
}

function order(a: Unpacked, b: Unpacked): number {
  if (a.kind === KIND_ZERO && b.kind === KIND_ZERO) return EQUAL;
  if (a.kind === KIND_ZERO) return b.sign ? GREATER : LESS;
  if (b.kind === KIND_ZERO || a.sign !== b.sign) return a.sign ? LESS : GREATER;
  const magnitude = orderMagnitude(a, b);
  if (magnitude === 0) return EQUAL;
  return magnitude < 0 === (a.sign === 0) ? LESS : GREATER;
}

function orderMagnitude(a: Unpacked, b: Unpacked): number {
  if (a.kind === KIND_INFINITY || b.kind === KIND_INFINITY) {
    return a.kind === b.kind ? 0 : a.kind === KIND_INFINITY ? 1 : -1;
  }
  // Within one format a larger exponent means a larger magnitude: denormals have the smallest.
  if (a.exponent !== b.exponent) return a.exponent - b.exponent;
  return a.significand === b.significand ? 0 : a.significand < b.significand ? -1 : 1;
}

/** MINxx / MAXxx: the second operand when either is a NaN (IE) or both are zero; not IEEE minimum. */
export function minMax(env: FloatEnv, format: FloatFormat, a: bigint, b: bigint, wanted: typeof LESS | typeof GREATER) {
  const relation = compare(env, format, a, b, false);
  const chosen = relation === wanted ? a : b;
  const u = unpack(env, format, chosen);
  // DAZ shows in the result; a NaN is forwarded as it is, not quieted.
  return u.kind === KIND_ZERO ? zeroOf(format, u.sign) : chosen;
}

/**
 * The 32 predicates of CMPxx / VCMPxx (SDM vol. 2, table 3-1) as the set of relations that answer true.
 * The second table holds those that raise IE for quiet NaNs too.
 */
const PREDICATE_RELATIONS = [
  EQUAL,
  LESS,
  LESS | EQUAL,
  UNORDERED,
  LESS | GREATER | UNORDERED,
  GREATER | EQUAL | UNORDERED,
  GREATER | UNORDERED,
  LESS | EQUAL | GREATER,
  EQUAL | UNORDERED,
  LESS | UNORDERED,
  LESS | EQUAL | UNORDERED,
  0,
  LESS | GREATER,
  GREATER | EQUAL,
  GREATER,
  LESS | EQUAL | GREATER | UNORDERED,
] as const;
const PREDICATE_SIGNALS = 0b0110_0110_0110_0110;

/** Evaluate compare predicate 0..31 (the legacy encodings use 0..7). */
export function comparePredicate(env: FloatEnv, format: FloatFormat, a: bigint, b: bigint, predicate: number): boolean {
  const index = predicate & 15;
  // Predicates 16..31 are the first sixteen with the opposite signalling.
  const signals = ((PREDICATE_SIGNALS >> index) & 1) !== predicate >> 4;
  return (compare(env, format, a, b, !signals) & PREDICATE_RELATIONS[index]) !== 0;
}

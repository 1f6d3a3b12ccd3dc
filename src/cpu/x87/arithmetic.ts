/** FADD ... FDIVR in all forms, FSQRT, FSCALE, FXTRACT, FPREM, FRNDINT, FABS, FCHS. */
import type { FloatEnv, FloatFormat } from '../softfloat/index.ts';
import {
  add,
  div,
  F80,
  FLAG_DIV_ZERO,
  fromInteger,
  infinityOf,
  invalid,
  isNanLike,
  KIND_INFINITY,
  KIND_ZERO,
  mul,
  noteDenormals,
  propagateNan,
  propagateNan1,
  remainder,
  roundPack,
  roundToIntegral,
  sqrt,
  sub,
  unpackRaw,
  zeroOf,
} from '../softfloat/index.ts';
import { FSW_C0, FSW_C1, FSW_C2, FSW_C3 } from './state.ts';
import type { X87Unit } from './unit.ts';

export type Arithmetic = (env: FloatEnv, format: FloatFormat, a: bigint, b: bigint) => bigint;

const subReversed: Arithmetic = (env, format, a, b) => sub(env, format, b, a);
const divReversed: Arithmetic = (env, format, a, b) => div(env, format, b, a);

/** The eight operations by the reg field of modrm (2 and 3 are the comparisons). */
export const ARITHMETIC: readonly (Arithmetic | undefined)[] = [
  add,
  mul,
  undefined,
  undefined,
  sub,
  subReversed,
  div,
  divReversed,
];

/** ST(dest) = ST(dest) op ST(source), then pop if asked. */
export function arithmeticStack(u: X87Unit, op: Arithmetic, dest: number, source: number, pop: boolean): void {
  if (u.isEmpty(dest) || u.isEmpty(source)) {
    if (!u.stackFault(false)) return;
    u.setSt(dest, F80.defaultNaN);
  } else {
    const result = op(u.env, F80, u.st(dest), u.st(source));
    if (!u.commit()) return;
    u.setSt(dest, result);
  }
  if (pop) u.pop();
}

/** ST(0) = ST(0) op memory operand; `operand` widens it and may raise DE. */
export function arithmeticMemory(u: X87Unit, op: Arithmetic, operand: () => bigint): void {
  if (u.isEmpty(0)) {
    if (u.stackFault(false)) u.setSt(0, F80.defaultNaN);
    return;
  }
  const before = u.st(0);
  const b = operand();
  // A NaN or an invalid operation outranks the memory operand's DE (SDM vol. 1, 8.5).
  const operandFlags = u.env.flags;
  u.env.flags = 0;
  const result = op(u.env, F80, before, b);
  const outranked = (u.env.flags & 1) !== 0 || isNanLike(unpackRaw(F80, before)) || (u.env.flags & FLAG_DIV_ZERO) !== 0;
  if (!outranked) u.env.flags |= operandFlags;
  if (u.commit()) u.setSt(0, result);
}

/** ST(0) = f(ST(0)) with the stack check. */
function unary(u: X87Unit, operation: (a: bigint) => bigint): void {
  if (u.isEmpty(0)) {
    if (u.stackFault(false)) u.setSt(0, F80.defaultNaN);
    return;
  }
  const result = operation(u.st(0));
  if (u.commit()) u.setSt(0, result);
}

export function fsqrt(u: X87Unit): void {
  unary(u, (a) => sqrt(u.env, F80, a));
}

/** FABS and FCHS touch the sign of anything, NaNs included. */
export function fabs(u: X87Unit): void {
  unary(u, (a) => a & ~F80.signBit);
}

export function fchs(u: X87Unit): void {
  unary(u, (a) => a ^ F80.signBit);
}

export function frndint(u: X87Unit): void {
  unary(u, (a) => {
    const operand = unpackRaw(F80, a);
    const result = roundToIntegral(u.env, F80, a);
    noteDenormals(u.env, operand);
    return result;
  });
}

/**
 * FPREM (nearest false) and FPREM1: C0 C3 C1 = quotient bits 2 1 0, C2 = incomplete. Without a quotient (NaN,
 * invalid, stack fault) C2 is cleared and C0, C3 stay.
 */
export function fprem(u: X87Unit, nearest: boolean): void {
  u.setConditions(FSW_C2, 0);
  if (u.isEmpty(0) || u.isEmpty(1)) {
    if (u.stackFault(false)) u.setSt(0, F80.defaultNaN);
    return;
  }
  // Precision control does not apply: remainders are exact.
  u.env.precision = 64;
  const { value, quotient, incomplete } = remainder(u.env, F80, u.st(0), u.st(1), nearest);
  if (!u.commit()) return;
  u.setSt(0, value);
  if (quotient === undefined) return;
  const codes =
    (quotient & 4 ? FSW_C0 : 0) | (quotient & 2 ? FSW_C3 : 0) | (quotient & 1 ? FSW_C1 : 0) | (incomplete ? FSW_C2 : 0);
  u.setConditions(FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3, codes);
}

/** FSCALE: ST(0) * 2^trunc(ST(1)). */
export function fscale(u: X87Unit): void {
  if (u.isEmpty(0) || u.isEmpty(1)) {
    if (u.stackFault(false)) u.setSt(0, F80.defaultNaN);
    return;
  }
  const result = scale(u.env, u.st(0), u.st(1));
  if (u.commit()) u.setSt(0, result);
}

function scale(env: FloatEnv, bitsA: bigint, bitsB: bigint): bigint {
  const a = unpackRaw(F80, bitsA);
  const b = unpackRaw(F80, bitsB);
  if (isNanLike(a) || isNanLike(b)) return propagateNan(env, F80, a, b);
  if (b.kind === KIND_INFINITY) {
    // 0 * 2^+inf and inf * 2^-inf have no value.
    if (b.sign ? a.kind === KIND_INFINITY : a.kind === KIND_ZERO) return invalid(env, F80);
    noteDenormals(env, a);
    return b.sign ? zeroOf(F80, a.sign) : infinityOf(F80, a.sign);
  }
  noteDenormals(env, a, b);
  if (a.kind !== KIND_ZERO && a.kind !== KIND_INFINITY) {
    const amount = truncatedExponent(b.sign, b.significand, b.exponent);
    // FSCALE ignores precision control.
    const precision = env.precision;
    env.precision = 64;
    const result = roundPack(env, F80, a.sign, a.significand, a.exponent + amount);
    env.precision = precision;
    return result;
  }
  return bitsA;
}

/** trunc(b), limited to where every result has long since overflowed or vanished. */
function truncatedExponent(sign: number, significand: bigint, exponent: number): number {
  if (exponent > 0) return sign ? -0x20000 : 0x20000;
  const magnitude = exponent < -64 ? 0n : significand >> BigInt(-exponent);
  const limited = magnitude > 0x20000n ? 0x20000 : Number(magnitude);
  return sign ? -limited : limited;
}

/** FXTRACT: ST(0) becomes its exponent, then its significand is pushed. */
export function fxtract(u: X87Unit): void {
  const underflow = u.isEmpty(0);
  if (underflow || !u.isEmpty(7)) {
    if (!u.stackFault(!underflow)) return;
    u.setSt(0, F80.defaultNaN);
    u.push(F80.defaultNaN);
    return;
  }
  const bits = u.st(0);
  const [exponent, significand] = extract(u.env, bits);
  if (!u.commit()) return;
  u.setSt(0, exponent);
  u.push(significand);
}

function extract(env: FloatEnv, bits: bigint): [bigint, bigint] {
  const a = unpackRaw(F80, bits);
  if (isNanLike(a)) {
    const nan = propagateNan1(env, F80, a);
    return [nan, nan];
  }
  if (a.kind === KIND_INFINITY) return [infinityOf(F80, 0), bits];
  if (a.kind === KIND_ZERO) {
    env.raise(FLAG_DIV_ZERO);
    return [infinityOf(F80, 1), bits];
  }
  noteDenormals(env, a);
  const shift = 64 - a.significand.toString(2).length;
  const exponent = fromInteger(env, F80, BigInt(a.exponent + 63 - shift));
  const significand = zeroOf(F80, a.sign) | (BigInt(F80.bias) << 64n) | (a.significand << BigInt(shift));
  return [exponent, significand];
}

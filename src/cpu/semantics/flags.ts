/**
 * Writing and reading the lazy status flags (see layout.ts for FLAG_RES and FLAG_AUX).
 *
 * AUX is mostly a carry-out vector: bit n of `(a & b) | ((a | b) & ~r)` is the carry out of bit n of a + b = r, and
 * with a complemented the borrow of a - b. Shifted so that the operation's top bit comes to bit 63, it holds CF there and CF ^ OF
 * (the carry into the top bit) below; bit 3 of the unshifted vector is AF.
 */
import { type Expr, type FunctionBuilder, i32, i64, type Local } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { signExtend } from './sized.ts';

const AT = i32.const(0);
const CF_AND_OF = 0xc000000000000000n;

export const res = (): Expr<'i64'> => i64.load(AT, L.FLAG_RES);
export const aux = (): Expr<'i64'> => i64.load(AT, L.FLAG_AUX);
export const setRes = (f: FunctionBuilder, value: Expr<'i64'>, size: number): void =>
  f.do(i64.store(AT, signExtend(value, size), L.FLAG_RES));
export const setAux = (f: FunctionBuilder, value: Expr<'i64'>): void => f.do(i64.store(AT, value, L.FLAG_AUX));

/** AUX from a carry (or borrow) vector of a `size`-bit operation. */
function auxOf(f: FunctionBuilder, vector: Expr<'i64'>, size: number): Expr<'i64'> {
  if (size === 64) return i64.and(vector, i64.const(CF_AND_OF | 8n));
  const v = f.let(vector, 'carries');
  return i64.or(i64.shl(v, i64.const(64 - size)), i64.and(v, i64.const(8)));
}

/** The flags of a + b (+ carry) = r. Inputs zero-extended. */
export function afterAdd(f: FunctionBuilder, a: Local<'i64'>, b: Expr<'i64'>, r: Local<'i64'>, size: number): void {
  setRes(f, r, size);
  setAux(f, auxOf(f, i64.or(i64.and(a, b), i64.and(i64.or(a, b), i64.xor(r, i64.const(-1)))), size));
}

/** The flags of a - b (- borrow) = r. */
export function afterSub(f: FunctionBuilder, a: Local<'i64'>, b: Expr<'i64'>, r: Local<'i64'>, size: number): void {
  setRes(f, r, size);
  const na = f.let(i64.xor(a, i64.const(-1)), 'not_a');
  setAux(f, auxOf(f, i64.or(i64.and(na, b), i64.and(i64.or(na, b), r)), size));
}

/** As afterAdd/afterSub for INC and DEC (b = 1): CF stays. */
export function keepingCarry(f: FunctionBuilder, set: () => void): void {
  const before = f.let(aux(), 'aux_before');
  set();
  const now = f.let(aux(), 'aux_now');
  // Flipping bits 63 and 62 together flips CF and keeps OF.
  const differs = i64.shr_s(i64.xor(before, now), i64.const(63));
  setAux(f, i64.xor(now, i64.and(differs, i64.const(CF_AND_OF))));
}

/** The flags of a logical result: CF, OF, AF clear. */
export function afterLogic(f: FunctionBuilder, r: Expr<'i64'>, size: number): void {
  setRes(f, r, size);
  setAux(f, i64.const(0));
}

/** SF, ZF, PF from r; CF and OF given as 0 or 1; AF clear. */
export function afterShift(f: FunctionBuilder, r: Expr<'i64'>, size: number, cf: Expr<'i64'>, of: Expr<'i64'>): void {
  setRes(f, r, size);
  setAux(f, carryAndOverflow(f, cf, of));
}

/** AUX bits for CF and OF, each an i64 of 0 or 1. */
function carryAndOverflow(f: FunctionBuilder, cf: Expr<'i64'>, of: Expr<'i64'>): Expr<'i64'> {
  const c = f.let(cf, 'cf');
  return i64.or(i64.shl(c, i64.const(63)), i64.shl(i64.xor(c, of), i64.const(62)));
}

/** Replaces CF and OF only. */
export function setCarryAndOverflow(f: FunctionBuilder, cf: Expr<'i64'>, of: Expr<'i64'>): void {
  const bits = f.let(carryAndOverflow(f, cf, of), 'cf_of');
  setAux(f, i64.or(i64.and(aux(), i64.const(0x3fffffffffffffffn)), bits));
}

/** Replaces CF only. `cf` is an i64 of 0 or 1. */
export function setCarry(f: FunctionBuilder, cf: Expr<'i64'>): void {
  const a = f.let(aux(), 'aux');
  const differs = i64.sub(i64.const(0), i64.xor(i64.shr_u(a, i64.const(63)), cf));
  setAux(f, i64.xor(a, i64.and(differs, i64.const(CF_AND_OF))));
}

/** Replaces OF only. */
export function setOverflow(f: FunctionBuilder, of: Expr<'i64'>): void {
  setCarryAndOverflow(f, i64.shr_u(aux(), i64.const(63)), of);
}

/** CF as an i64 of 0 or 1. */
export const carry = (): Expr<'i64'> => i64.shr_u(aux(), i64.const(63));

/** RFLAGS bits of the status flags, as an i64. */
export function statusFlags(f: FunctionBuilder): Local<'i64'> {
  const one = (cond: Expr<'i32'>, bit: number) => i64.shl(i64.extend_i32_u(cond), i64.const(bit));
  let all: Expr<'i64'> = one(condition(f, 2), 0);
  for (const [cc, bit] of [
    [10, 2],
    [4, 6],
    [8, 7],
    [0, 11],
  ] as const)
    all = i64.or(all, one(condition(f, cc), bit));
  return f.let(i64.or(all, i64.shl(i64.and(i64.shr_u(aux(), i64.const(3)), i64.const(1)), i64.const(4))), 'status');
}

/** Sets all six status flags from an RFLAGS image (mirrors CpuState.eflags). */
export function setStatusFlags(f: FunctionBuilder, image: Expr<'i64'>): void {
  const e = f.let(image, 'image');
  const bit = (n: number) => i64.and(i64.shr_u(e, i64.const(n)), i64.const(1));
  const [cf, pf, af, zf, sf, of] = [0, 2, 4, 6, 7, 11].map((n) => f.let(bit(n))) as Local<'i64'>[];
  const nonZero = i64.or(i64.shl(sf!, i64.const(63)), i64.add(i64.shl(pf!, i64.const(1)), i64.const(1)));
  f.do(i64.store(AT, f.select(i64.const(0), nonZero, i32.wrap_i64(zf!)), L.FLAG_RES));
  const deltas = i64.mul(zf!, i64.or(i64.shl(sf!, i64.const(4)), i64.shl(i64.xor(pf!, i64.const(1)), i64.const(8))));
  setAux(f, i64.or(i64.or(carryAndOverflow(f, cf!, of!), i64.shl(af!, i64.const(3))), deltas));
}

/** Sets ZF only, keeping the others (CMPXCHG8B, LAR, ...). `zf` is an i64 of 0 or 1. */
export function setZero(f: FunctionBuilder, zf: Expr<'i64'>): void {
  const z = f.let(zf);
  const others = i64.and(statusFlags(f), i64.const(~0x40n & 0xfffn));
  setStatusFlags(f, i64.or(others, i64.shl(z, i64.const(6))));
}

/** Condition `cc` (0..15, encoding order O NO B NB Z NZ BE NBE S NS P NP L NL LE NLE) as an i32 of 0 or 1. */
export function condition(f: FunctionBuilder, cc: number): Expr<'i32'> {
  const positive = positiveCondition(f, cc & ~1);
  return (cc & 1) === 0 ? positive : i32.eqz(positive);
}

function positiveCondition(f: FunctionBuilder, cc: number): Expr<'i32'> {
  const zero = i64.const(0);
  switch (cc) {
    case 0: {
      const a = f.let(aux());
      return i64.lt_s(i64.xor(a, i64.shl(a, i64.const(1))), zero);
    }
    case 2:
      return i64.lt_s(aux(), zero);
    case 4:
      return i64.eqz(res());
    case 6:
      return i32.or(i64.lt_s(aux(), zero), i64.eqz(res()));
    case 8:
      return i64.lt_s(i64.xor(res(), i64.shl(aux(), i64.const(59))), zero);
    case 10: {
      const low = i64.and(i64.xor(res(), i64.shr_u(aux(), i64.const(8))), i64.const(0xff));
      return i64.eqz(i64.and(i64.popcnt(low), i64.const(1)));
    }
    case 12:
      return i64.lt_s(signXorOverflow(f), zero);
    case 14:
      return i32.or(i64.eqz(res()), i64.lt_s(signXorOverflow(f), zero));
    default:
      throw new Error(`no condition ${cc}`);
  }
}

/** Bit 63 is SF ^ OF. */
function signXorOverflow(f: FunctionBuilder): Expr<'i64'> {
  const a = f.let(aux());
  return i64.xor(i64.xor(res(), i64.shl(a, i64.const(59))), i64.xor(a, i64.shl(a, i64.const(1))));
}

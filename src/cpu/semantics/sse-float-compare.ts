/** COMISS … UCOMISD, CMPSS … CMPPD and ROUND in generated code, for operands that are not NaN or denormal (see sse-float.ts). */
import { type Expr, i32, i32x4, i64, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import {
  type Attempt,
  clean,
  forms,
  lanesOf,
  lanewise,
  read,
  readPair,
  requireLanes,
  usualMxcsr,
  withVex,
} from './sse-float.ts';

/**
 * ZF = equal, CF = less, all others clear, in the lazy form of layout.ts: RES = 1 is no zero and has odd parity; RES = 0
 * needs a parity delta of 1.
 */
const compareFlags = (a: Attempt): void => {
  const { width } = a;
  const { f } = a.v;
  const F = lanesOf(width);
  const [x, y] = [read(a, 0), read(a, 1)];
  requireLanes(a, v128.and(clean(width, x), clean(width, y)));
  const isEqual = f.let(i32.and(i32x4.bitmask(F.eq(x, y)), i32.const(1)));
  const isLess = i32.and(i32x4.bitmask(F.lt(x, y)), i32.const(1));
  f.do(i64.store(i32.const(0), i64.extend_i32_u(i32.xor(isEqual, i32.const(1))), L.FLAG_RES));
  const carry = f.select(i64.const(0xc000000000000000n), i64.const(0), isLess);
  f.do(i64.store(i32.const(0), i64.or(carry, i64.shl(i64.extend_i32_u(isEqual), i64.const(8))), L.FLAG_AUX));
};

/**
 * The relations (less 1, equal 2, greater 4) that make predicate 0..7 true, four bits each: EQ LT LE UNORD NEQ NLT NLE ORD.
 * No operand is a NaN here, and then the 32 predicates of VEX are these eight four times over.
 */
const TRUE_FOR = 0x74650312;

const compareMask = lanewise((a) => {
  const { width, v } = a;
  const { f } = v;
  const F = lanesOf(width);
  const [x, y] = readPair(a);
  requireLanes(a, v128.and(clean(width, x), clean(width, y)));
  const predicate = i32.and(v.imm(), i32.const(7));
  const wanted = f.let(i32.shr_u(i32.const(TRUE_FOR), i32.shl(predicate, i32.const(2))));
  const when = (bit: number): Expr<'v128'> =>
    i32x4.splat(i32.sub(i32.const(0), i32.and(i32.shr_u(wanted, i32.const(bit)), i32.const(1))));
  const less = v128.and(F.lt(x, y), when(0));
  const equal = v128.and(F.eq(x, y), when(1));
  const greater = v128.and(F.gt(x, y), when(2));
  return v128.or(v128.or(less, equal), greater);
});

const DAZ = 0x40;
const USE_MXCSR = 4;
const KEEP_PE = 8;

/** ROUND: imm8 | PE suppressed (3) | use MXCSR.RC (2) | RC (1..0) |. Denormals raise nothing here, but DAZ changes them. */
const round = lanewise((a) => {
  const { width, v } = a;
  const { f } = v;
  const F = lanesOf(width);
  const imm = f.let(v.imm(), 'imm');
  const isFixed = i32.eq(i32.and(imm, i32.const(USE_MXCSR | KEEP_PE)), i32.const(KEEP_PE));
  const isDaz = i32.and(i32.load(i32.const(0), L.MXCSR), i32.const(DAZ));
  f.brIf(a.giveUp, i32.eqz(i32.or(usualMxcsr(), i32.and(isFixed, i32.eqz(isDaz)))));
  const x = read(a, a.second);
  requireLanes(a, F.eq(x, x));
  const r = f.local('v128', 'r');
  // Where MXCSR decides, it says nearest.
  const mode = f.select(i32.const(0), i32.and(imm, i32.const(3)), i32.and(imm, i32.const(USE_MXCSR)));
  f.switch(mode, [() => f.set(r, F.nearest(x)), () => f.set(r, F.floor(x)), () => f.set(r, F.ceil(x))], () =>
    f.set(r, F.trunc(x)),
  );
  return r;
});

export const sseFloatCompare: Record<string, Semantics> = {
  ...withVex('COMISS', 32, true, compareFlags),
  ...withVex('UCOMISS', 32, true, compareFlags),
  ...withVex('COMISD', 64, true, compareFlags),
  ...withVex('UCOMISD', 64, true, compareFlags),
  ...forms('CMP', compareMask),
  ...forms('ROUND', round),
};

/** The common conversions in generated code (see sse-float.ts). An exact result needs nothing of MXCSR. */
import { f32, f32x4, f64, f64x2, i32, i32x4, i64, type Local, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import {
  type Attempt,
  attempt,
  clean,
  lanesOf,
  lanewise,
  read,
  requireExact,
  requireLanes,
  requireModes,
  usualMxcsr,
  withVex,
  write,
} from './sse-float.ts';
import { joinLow, type V128, zero } from './vector-operation.ts';

/** Scalar operand 1 as a double: exact for singles; NaNs and denormals must be kept out by the caller's comparisons. */
function readDouble(a: Attempt): Local<'f64'> {
  const { v, width } = a;
  const at = v.o.isMemory(1) ? v.host(1) : v.base(1);
  const offset = v.o.isMemory(1) ? 0 : L.YMM;
  return v.f.let(width === 64 ? f64.load(at, offset) : f64.promote_f32(f32.load(at, offset)), 'x');
}

/** CVTSI2SS, CVTSI2SD: integers below 2^24 or 2^53 convert exactly. */
const fromInteger = (a: Attempt): void => {
  const { width, v } = a;
  const { f, o } = v;
  const source = f.let(o.readSigned(a.second), 'n');
  const limit = width === 64 ? 2n ** 53n : 2n ** 24n;
  if (o.width(a.second) === 64 || width === 32) {
    const isExact = i64.lt_u(i64.add(source, i64.const(limit)), i64.const(2n * limit));
    f.brIf(a.giveUp, i32.eqz(i32.or(isExact, usualMxcsr())));
  }
  write(a, width === 64 ? f64x2.splat(f64.convert_i64_s(source)) : f32x4.splat(f32.convert_i64_s(source)));
};

/** CVT(T)SS2SI, CVT(T)SD2SI. In range and whole needs nothing of MXCSR; NaNs are in no range. */
const toInteger =
  (truncate: boolean) =>
  (a: Attempt): void => {
    const { f, o } = a.v;
    const size = o.width(0);
    const x = readDouble(a);
    const whole = f.let(truncate ? f64.trunc(x) : f64.nearest(x), 'whole');
    const isInRange = f64.lt(f64.abs(whole), f64.const(2 ** (size - 1)));
    f.brIf(a.giveUp, i32.eqz(i32.and(isInRange, i32.or(f64.eq(whole, x), usualMxcsr()))));
    o.write(0, i64.trunc_sat_f64_s(whole));
  };

/** CVTSS2SD: always exact. */
const widen = (a: Attempt): void => {
  const x = read(a, a.second);
  requireLanes(a, clean(32, x));
  write({ ...a, width: 64 }, f64x2.promote_low_f32x4(x));
};

/** Doubles to singles in the low half, zeros above. */
function narrowed(a: Attempt, x: Local<'v128'>): Local<'v128'> {
  const { f } = a.v;
  requireLanes(a, clean(64, x));
  const r = f.let(f32x4.demote_f64x2_zero(x), 'r');
  const back = f.let(f64x2.promote_low_f32x4(r));
  requireExact(a, () => f64x2.eq(back, x));
  // As doubles the limits of singles are plain numbers; a double that rounds to the smallest of them was tiny before.
  const magnitude = f.let(f64x2.abs(back));
  const least = f64x2.splat(f64.const(2 ** -126));
  const isSafe = v128.and(f64x2.gt(magnitude, least), f64x2.lt(magnitude, f64x2.splat(f64.const(Infinity))));
  requireLanes(a, v128.or(isSafe, f64x2.eq(x, zero())));
  return r;
}

/** CVTSD2SS. */
const narrow = (a: Attempt): void => {
  requireModes(a);
  write({ ...a, width: 32 }, narrowed(a, read(a, a.second)));
};

/** CVTPD2PS: two or four doubles. */
const narrowAll = (a: Attempt): void => {
  requireModes(a);
  toLowHalf(a, (h) => narrowed(h, read(h, 1)));
};

/** Writes results half as wide as their sources: `compute` leaves those of a half in 64 bits, zeros above. */
function toLowHalf(a: Attempt, compute: (a: Attempt) => Local<'v128'>): void {
  const { v } = a;
  const low = compute(a);
  v.write(0, v.halves === 1 ? low : joinLow(low, compute({ ...a, half: 1 })));
}

/** CVTPS2PD and CVTDQ2PD, always exact: each half of the destination from 64 bits. */
const fromNarrow =
  (convert: (a: Attempt, x: Local<'v128'>) => V128) =>
  (a: Attempt): void => {
    const { v } = a;
    const half = (h: number): Local<'v128'> => v.f.let(convert(a, v.f.let(v.readLow(1, 64, 8 * h))));
    const low = half(0);
    v.write(0, low, v.halves === 1 ? undefined : half(1));
  };
const widenAll = fromNarrow((a, x) => {
  requireLanes({ ...a, width: 32 }, clean(32, x));
  return f64x2.promote_low_f32x4(x);
});
const integersToDoubles = fromNarrow((_, x) => f64x2.convert_low_i32x4_s(x));

/** CVTDQ2PS. */
const integersToSingles = lanewise((a) => {
  a.v.f.brIf(a.giveUp, i32.eqz(usualMxcsr()));
  return f32x4.convert_i32x4_s(read(a, 1));
});

/** The whole numbers that CVT(T)PS2DQ and CVT(T)PD2DQ find, if they fit into 32 bits. */
function wholeNumbers(a: Attempt, truncate: boolean): Local<'v128'> {
  const { width } = a;
  const { f } = a.v;
  const F = lanesOf(width);
  requireModes(a);
  const x = read(a, 1);
  const whole = f.let(truncate ? F.trunc(x) : F.nearest(x), 'whole');
  const limit = width === 32 ? i32x4.splat(i32.const(0x4f000000)) : f64x2.splat(f64.const(2 ** 31));
  requireLanes(a, F.lt(F.abs(whole), limit));
  requireExact(a, () => F.eq(whole, x));
  return whole;
}
const singlesToIntegers = (truncate: boolean) => lanewise((a) => i32x4.trunc_sat_f32x4_s(wholeNumbers(a, truncate)));
const doublesToIntegers =
  (truncate: boolean) =>
  (a: Attempt): void =>
    toLowHalf(a, (h) => h.v.f.let(i32x4.trunc_sat_f64x2_s_zero(wholeNumbers(h, truncate))));

/**
 * VCVTPH2PS: always exact. Shifted to a single's place, the exponent lacks 112; the product with 2^112 is exact for denormal halves,
 * too. Infinities and NaNs are left to TypeScript.
 */
const halvesToSingles = (a: Attempt): void => {
  const { v } = a;
  const { f } = v;
  const half = (h: number): Local<'v128'> => {
    const x = f.let(i32x4.extend_low_i16x8_u(v.readLow(1, 64, 8 * h)));
    const magnitude = f.let(i32x4.shl(v128.and(x, i32x4.splat(i32.const(0x7fff))), i32.const(13)));
    requireLanes(a, i32x4.lt_s(magnitude, i32x4.splat(i32.const(0x0f800000))));
    const value = f32x4.mul(magnitude, f32x4.splat(f32.const(2 ** 112)));
    return f.let(v128.or(value, i32x4.shl(v128.and(x, i32x4.splat(i32.const(0x8000))), i32.const(16))));
  };
  const low = half(0);
  v.write(0, low, v.halves === 1 ? undefined : half(1));
};

/** Named after the width of the float that the conversion looks at. */
export const sseFloatConvert: Record<string, Semantics> = {
  ...withVex('CVTSI2SS', 32, true, fromInteger),
  ...withVex('CVTSI2SD', 64, true, fromInteger),
  ...withVex('CVTTSS2SI', 32, true, toInteger(true)),
  ...withVex('CVTTSD2SI', 64, true, toInteger(true)),
  ...withVex('CVTSS2SI', 32, true, toInteger(false)),
  ...withVex('CVTSD2SI', 64, true, toInteger(false)),
  ...withVex('CVTSS2SD', 32, true, widen),
  ...withVex('CVTSD2SS', 64, true, narrow),
  ...withVex('CVTPD2PS', 64, false, narrowAll),
  ...withVex('CVTPS2PD', 32, false, widenAll),
  ...withVex('CVTDQ2PS', 32, false, integersToSingles),
  ...withVex('CVTDQ2PD', 64, false, integersToDoubles),
  ...withVex('CVTPS2DQ', 32, false, singlesToIntegers(false)),
  ...withVex('CVTTPS2DQ', 32, false, singlesToIntegers(true)),
  ...withVex('CVTPD2DQ', 64, false, doublesToIntegers(false)),
  ...withVex('CVTTPD2DQ', 64, false, doublesToIntegers(true)),
  VCVTPH2PS: attempt(32, false, true, halvesToSingles),
};

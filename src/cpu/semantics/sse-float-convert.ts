/** The common conversions in generated code (see sse-float.ts). An exact result needs nothing of MXCSR. */
import { f32, f32x4, f64, f64x2, i32, i32x4, i64, type Local, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import {
  type Attempt,
  attempt,
  clean,
  lanesOf,
  read,
  requireExact,
  requireLanes,
  requireModes,
  safe,
  usualMxcsr,
  type Width,
  write,
} from './sse-float.ts';

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
  const source = f.let(o.readSigned(1), 'n');
  const limit = width === 64 ? 2n ** 53n : 2n ** 24n;
  if (o.width(1) === 64 || width === 32) {
    const isExact = i64.lt_u(i64.add(source, i64.const(limit)), i64.const(2n * limit));
    f.brIf(a.giveUp, i32.eqz(i32.or(isExact, usualMxcsr())));
  }
  if (width === 64) f.do(f64.store(v.base(0), f64.convert_i64_s(source), L.YMM));
  else f.do(f32.store(v.base(0), f32.convert_i64_s(source), L.YMM));
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
  const { v } = a;
  const x = read(a, 1);
  requireLanes(a, clean(32, x));
  v.f.do(v128.store64_lane(v.base(0), f64x2.promote_low_f32x4(x), 0, L.YMM));
};

/** CVTSD2SS. */
const narrow = (a: Attempt): void => {
  const { v } = a;
  const { f } = v;
  requireModes(a);
  const x = read(a, 1);
  requireLanes(a, clean(64, x));
  const r = f.let(f32x4.demote_f64x2_zero(x), 'r');
  requireExact(a, () => f64x2.eq(f64x2.promote_low_f32x4(r), x));
  const single: Attempt = { ...a, width: 32 };
  // A mask of 64 bits serves as one of 32 just as well.
  requireLanes(single, v128.or(safe(f, 32, r), f64x2.eq(x, v128.const(0n, 0n))));
  write(single, r);
};

/** CVTDQ2PS, and CVTDQ2PD, which is exact. */
const fromIntegers = (a: Attempt): void => {
  const { v, width } = a;
  if (width === 64) {
    v.write(0, f64x2.convert_low_i32x4_s(v.readLow(1, 64)));
    return;
  }
  v.f.brIf(a.giveUp, i32.eqz(usualMxcsr()));
  v.write(0, f32x4.convert_i32x4_s(v.read(1)));
};

/** CVT(T)PS2DQ. */
const toIntegers =
  (truncate: boolean) =>
  (a: Attempt): void => {
    const { f } = a.v;
    const F = lanesOf(32);
    requireModes(a);
    const x = read(a, 1);
    const whole = f.let(truncate ? F.trunc(x) : F.nearest(x), 'whole');
    const limit = i32x4.splat(i32.const(0x4f000000));
    requireLanes(a, F.lt(F.abs(whole), limit));
    requireExact(a, () => F.eq(whole, x));
    write(a, i32x4.trunc_sat_f32x4_s(whole));
  };

/** CVTPS2PD: always exact. */
const widenPair = (a: Attempt): void => {
  const x = a.v.f.let(a.v.readLow(1, 64));
  requireLanes(a, clean(32, x));
  write(a, f64x2.promote_low_f32x4(x));
};

const scalar = (width: Width, body: (a: Attempt) => void): Semantics => attempt(width, true, body);

/** Named after the width of the float that the conversion looks at. */
export const sseFloatConvert: Record<string, Semantics> = {
  CVTSI2SS: scalar(32, fromInteger),
  CVTSI2SD: scalar(64, fromInteger),
  CVTTSS2SI: scalar(32, toInteger(true)),
  CVTTSD2SI: scalar(64, toInteger(true)),
  CVTSS2SI: scalar(32, toInteger(false)),
  CVTSD2SI: scalar(64, toInteger(false)),
  CVTSS2SD: scalar(32, widen),
  CVTSD2SS: scalar(64, narrow),
  CVTDQ2PS: attempt(32, false, fromIntegers),
  CVTDQ2PD: attempt(64, false, fromIntegers),
  CVTPS2DQ: attempt(32, false, toIntegers(false)),
  CVTTPS2DQ: attempt(32, false, toIntegers(true)),
  CVTPS2PD: attempt(32, false, widenPair),
};

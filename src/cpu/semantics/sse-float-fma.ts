/**
 * FMA3 in generated code (see sse-float.ts). WebAssembly has no fused operation, so the exact product is kept in two numbers and
 * the sum rounded once:
 *
 *   - singles: a product of two is exact as a double. Its sum with the addend is rounded to odd (the last bit stands for all that
 *     was lost), which rounding to a single then treats as it would the exact value: 53 bits are more than 24 + 2.
 *   - doubles: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd"
 *     (IEEE Transactions on Computers 57, 2008): uh + ul = x * y, th + tl = z + ul, vh + vl = uh + th, r = vh + odd(tl + vl).
 *
 * Both give NaN for lanes that they cannot decide: unusual operands, results that may underflow, an inexact result while PE is
 * clear, another MXCSR than the usual one.
 */
import { f32x4, f64x2, i32, i32x4, i64x2, i8x16, type Local, v128 } from '../../wasm/index.ts';
import type { FunctionBuilder } from '../../wasm/index.ts';
import type { Semantics } from './operation.ts';
import {
  type Attempt,
  attempt,
  clean,
  isInexactNoted,
  isModeUsual,
  lanesOf,
  read,
  requireLanes,
  safe,
  type Width,
  write,
} from './sse-float.ts';
import { shared, type V128, zero } from './vector-operation.ts';

/** What rounding took from s = x + y, exactly (Knuth's TwoSum). */
function lost(f: FunctionBuilder, x: V128, y: V128, s: V128): Local<'v128'> {
  const t = f.let(f64x2.sub(s, x));
  return f.let(f64x2.add(f64x2.sub(x, f64x2.sub(s, t)), f64x2.sub(y, t)));
}

/** s + e with |e| less than half a unit in the last place of s: rounded to odd. */
function toOdd(f: FunctionBuilder, s: Local<'v128'>, e: Local<'v128'>): Local<'v128'> {
  const one = v128.const(1n, 1n);
  const isEven = i64x2.eq(v128.and(s, one), zero());
  const isLost = f64x2.ne(e, zero());
  // One unit towards e: up in magnitude if the signs agree, else down.
  const signs = i64x2.shr_s(v128.xor(s, e), i32.const(63));
  return f.let(i64x2.add(s, v128.and(v128.and(isEven, isLost), v128.or(signs, one))));
}

/** x * y - p for p = x * y rounded, exactly (Dekker); NaN for factors near the largest. */
function productRest(f: FunctionBuilder, x: Local<'v128'>, y: Local<'v128'>, p: Local<'v128'>): Local<'v128'> {
  const splitter = v128.const(0x41a0000002000000n, 0x41a0000002000000n);
  const halves = (n: Local<'v128'>): [Local<'v128'>, Local<'v128'>] => {
    const c = f.let(f64x2.mul(splitter, n));
    const high = f.let(f64x2.sub(c, f64x2.sub(c, n)));
    return [high, f.let(f64x2.sub(n, high))];
  };
  const [xh, xl] = halves(x);
  const [yh, yl] = halves(y);
  const rest = f64x2.sub(f64x2.sub(f64x2.sub(p, f64x2.mul(xh, yh)), f64x2.mul(xl, yh)), f64x2.mul(xh, yl));
  return f.let(f64x2.sub(f64x2.mul(xl, yl), rest));
}

/** r where `good`, else NaN; nothing but NaN under an unusual MXCSR, and for lanes outside `exact` while PE is clear. */
function decided(r: V128, good: V128, exact: V128): V128 {
  const inexactIsFine = i32x4.splat(i32.sub(i32.const(0), isInexactNoted()));
  const isUsual = i32x4.splat(i32.sub(i32.const(0), isModeUsual()));
  const fine = v128.and(v128.and(good, isUsual), v128.or(exact, inexactIsFine));
  return v128.or(r, v128.xor(fine, v128.const(0xffffffffffffffffn, 0xffffffffffffffffn)));
}

const fma64 = shared('fma64', ['v128', 'v128', 'v128'], 'v128', (f, x, y, z) => {
  const p = f.let(f64x2.mul(x, y));
  const ul = productRest(f, x, y, p);
  const plain = f.let(f64x2.add(p, z));
  const th = f.let(f64x2.add(z, ul));
  const tl = lost(f, z, ul, th);
  const vh = f.let(f64x2.add(p, th));
  const vl = lost(f, p, th, vh);
  const s = f.let(f64x2.add(tl, vl));
  const w = toOdd(f, s, lost(f, tl, vl, s));
  // An exact product needs one addition only, which knows the signs of zeros, too.
  const isProduct = f.let(f64x2.eq(ul, zero()));
  const r = f.let(v128.bitselect(plain, f64x2.add(vh, w), isProduct));
  // Below, the low part of the product may have been lost.
  const least = v128.const(0x07b0000000000000n, 0x07b0000000000000n);
  const isZero = v128.or(f64x2.eq(x, zero()), f64x2.eq(y, zero()));
  const isTold = v128.or(f64x2.ge(f64x2.abs(p), least), isZero);
  const operands = v128.and(v128.and(clean(64, x), clean(64, y)), clean(64, z));
  const isBounded = f64x2.eq(f64x2.sub(r, r), zero());
  const exact = v128.bitselect(f64x2.eq(lost(f, p, z, plain), zero()), f64x2.eq(s, zero()), isProduct);
  return decided(r, v128.and(v128.and(operands, isTold), isBounded), exact);
});

/** Two lanes of singles in the low half: the result, whether the exact one is zero or finite, and whether they are the same. */
const fma32Pair = (
  f: FunctionBuilder,
  x: V128,
  y: V128,
  z: V128,
): Record<'r' | 'isZero' | 'isBounded' | 'exact', Local<'v128'>> => {
  const p = f.let(f64x2.mul(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y)));
  const addend = f.let(f64x2.promote_low_f32x4(z));
  const s = f.let(f64x2.add(p, addend));
  const e = lost(f, p, addend, s);
  const r = f.let(f32x4.demote_f64x2_zero(toOdd(f, s, e)));
  const exact = v128.and(f64x2.eq(e, zero()), f64x2.eq(f64x2.promote_low_f32x4(r), s));
  const isBounded = f.let(f64x2.eq(f64x2.sub(s, s), zero()));
  return { r, isZero: f.let(f64x2.eq(s, zero())), isBounded, exact: f.let(exact) };
};

const HIGH_PAIR = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
/** The low half of each. */
const LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
/** Every other single of each: masks of doubles to masks of singles. */
const EVERY_OTHER = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];

const fma32 = shared('fma32', ['v128', 'v128', 'v128'], 'v128', (f, x, y, z) => {
  const high = (n: V128): V128 => i8x16.shuffle(n, n, HIGH_PAIR);
  const a = fma32Pair(f, x, y, z);
  const b = fma32Pair(f, high(x), high(y), high(z));
  const r = f.let(i8x16.shuffle(a.r, b.r, LOW_HALVES));
  const isZero = i8x16.shuffle(a.isZero, b.isZero, EVERY_OTHER);
  const operands = v128.and(v128.and(clean(32, x), clean(32, y)), clean(32, z));
  const isBounded = i8x16.shuffle(a.isBounded, b.isBounded, EVERY_OTHER);
  const good = v128.and(v128.and(operands, isBounded), v128.or(safe(f, 32, r), isZero));
  return decided(r, good, i8x16.shuffle(a.exact, b.exact, EVERY_OTHER));
});

const FUSED = { 32: fma32, 64: fma64 };

/** Signs of the lanes that subtract the addend: ADDSUB in even ones, SUBADD in odd ones. */
const SIGNS: Record<Width, Record<string, V128>> = {
  32: {
    SUB: v128.const(0x8000000080000000n, 0x8000000080000000n),
    ADDSUB: v128.const(0x80000000n, 0x80000000n),
    SUBADD: v128.const(0x8000000000000000n, 0x8000000000000000n),
  },
  64: {
    SUB: v128.const(1n << 63n, 1n << 63n),
    ADDSUB: v128.const(1n << 63n, 0n),
    SUBADD: v128.const(0n, 1n << 63n),
  },
};

/** Which operands are the two factors and the addend. */
const ORDERS = { 132: [0, 2, 1], 213: [1, 0, 2], 231: [1, 2, 0] } as const;

const fused =
  (order: keyof typeof ORDERS, negated: boolean, kind: string) =>
  (a: Attempt): void => {
    const { v, width } = a;
    const { f } = v;
    const F = lanesOf(width);
    const compute = (h: Attempt): Local<'v128'> => {
      const [x, y, z] = ORDERS[order].map((i) => read(h, i)) as unknown as [V128, V128, V128];
      const signs = SIGNS[width][kind];
      const factor = negated ? v128.xor(x, SIGNS[width]['SUB']!) : x;
      const r = f.let(FUSED[width](v, factor, y, signs === undefined ? z : v128.xor(z, signs)));
      requireLanes(a, F.eq(r, r));
      return r;
    };
    const low = compute(a);
    if (a.scalar || v.halves === 1) write(a, low, 0);
    else v.write(0, low, compute({ ...a, half: 1 }));
  };

function all(): Record<string, Semantics> {
  const out: Record<string, Semantics> = {};
  for (const order of [132, 213, 231] as const) {
    for (const kind of ['ADD', 'SUB']) {
      for (const negated of [false, true]) {
        const name = `VF${negated ? 'N' : ''}M${kind}${order}`;
        for (const [suffix, width, scalar] of [
          ['PS', 32, false],
          ['PD', 64, false],
          ['SS', 32, true],
          ['SD', 64, true],
        ] as const)
          out[name + suffix] = attempt(width, scalar, true, fused(order, negated, kind));
      }
    }
    for (const kind of ['ADDSUB', 'SUBADD']) {
      out[`VFM${kind}${order}PS`] = attempt(32, false, true, fused(order, false, kind));
      out[`VFM${kind}${order}PD`] = attempt(64, false, true, fused(order, false, kind));
    }
  }
  return out;
}

export const sseFloatFma: Record<string, Semantics> = all();

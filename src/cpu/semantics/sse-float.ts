/**
 * Floating point on vectors in generated code: the common case only. Every instruction also has an exact form in TypeScript
 * (src/cpu/sse), to which it is handed over, unchanged, when the fast form cannot prove that value and MXCSR come out alike:
 *
 *   - MXCSR rounds to nearest, masks everything, and PE is set already (it is sticky, and the first inexact
 *     result of a program sets it) or the result is found to be exact. Operations that never round do not ask for this.
 *   - no operand is a NaN or denormal, so that neither IE nor DE arises from it;
 *   - the result is finite, and if it could be inexact, larger than the smallest normal number: neither OE, ZE nor UE. (The
 *     smallest normal number itself may be the result of rounding a tiny one, which counts as underflow.)
 *
 * Values are v128 throughout, scalars in lane 0: host SIMD rounds as IEEE 754 says, and no NaN gets near the guest.
 */
import { type Expr, f32x4, f64x2, i32, i32x4, i64x2, i8x16, type Label, type Local, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import { shared, type V128, Vectors } from './vector-operation.ts';

export type Width = 32 | 64;

/** RC, FTZ, DAZ and all masks. */
const MXCSR_MODES = 0xffc0;
const MXCSR_DEFAULT = 0x1f80;
const MXCSR_PE = 0x20;
/** FTZ and DAZ. */
const MXCSR_FLUSH = 0x8040;

/** Lane-wise operations of a width: both have the same names. */
export const lanesOf = (width: Width): typeof f32x4 | typeof f64x2 => (width === 32 ? f32x4 : f64x2);

const splat64 = (bits: bigint): V128 => v128.const(bits, bits);
const splat = (width: Width, bits: bigint): V128 => splat64(width === 64 ? bits : (bits << 32n) | bits);
const smallestNormal = (width: Width): V128 => splat(width, width === 32 ? 0x00800000n : 0x0010000000000000n);
const infinity = (width: Width): V128 => splat(width, width === 32 ? 0x7f800000n : 0x7ff0000000000000n);
const zeros = (): V128 => v128.const(0n, 0n);

const mxcsr = (): Expr<'i32'> => i32.load(i32.const(0), L.MXCSR);

/** 1 when MXCSR is as generated code needs it for inexact results: the modes are the default ones, PE is set. */
export const usualMxcsr = (): Expr<'i32'> =>
  i32.eq(i32.and(mxcsr(), i32.const(MXCSR_MODES | MXCSR_PE)), i32.const(MXCSR_DEFAULT | MXCSR_PE));

/** 1 when all is masked and rounding is to nearest. FTZ and DAZ may be on: where nothing is denormal they change nothing. */
export const isModeUsual = (): Expr<'i32'> =>
  i32.eq(i32.and(mxcsr(), i32.const(MXCSR_MODES & ~MXCSR_FLUSH)), i32.const(MXCSR_DEFAULT));

/** 1 when PE is set. */
export const isInexactNoted = (): Expr<'i32'> => i32.and(i32.shr_u(mxcsr(), i32.const(5)), i32.const(1));

/** Gives up unless the modes are usual. PE is then `requireExact`'s to look after. */
export function requireModes(a: Attempt): void {
  a.v.f.brIf(a.giveUp, i32.eqz(isModeUsual()));
}

/** While PE is clear, gives up unless all lanes are set in `exact`. */
export function requireExact(a: Attempt, exact: () => V128): void {
  a.v.f.if(i32.eqz(i32.and(mxcsr(), i32.const(MXCSR_PE))), () => requireLanes(a, exact()));
}

/** One instruction in the making: its operands, lanes, and the way out to TypeScript. */
export interface Attempt {
  readonly v: Vectors;
  readonly width: Width;
  readonly scalar: boolean;
  readonly giveUp: Label;
  /** Which 128 bits of packed operands are read. */
  readonly half: number;
  /** Numbers of the operands that are combined: the first source is the destination itself in legacy encodings. */
  readonly first: number;
  readonly second: number;
}

/** Operand `i`: lane 0 with zeros above, or the whole vector. */
export function read(a: Attempt, i: number): Local<'v128'> {
  return a.v.f.let(a.scalar ? a.v.readLow(i, a.width) : a.v.read(i, a.half));
}

/** The two sources. */
export const readPair = (a: Attempt): [Local<'v128'>, Local<'v128'>] => [read(a, a.first), read(a, a.second)];

/** A body that computes each half (or the scalar) by itself; all must succeed before one is written. */
export const lanewise =
  (compute: (a: Attempt) => V128) =>
  (a: Attempt): void => {
    const { v } = a;
    if (a.scalar || v.halves === 1) write(a, compute(a));
    else {
      const low = v.f.let(compute(a), 'low');
      v.write(0, low, v.f.let(compute({ ...a, half: 1 }), 'high'));
    }
  };

/** Lane masks: neither NaN nor denormal. */
export function clean(width: Width, x: Local<'v128'>): V128 {
  const F = lanesOf(width);
  return v128.or(F.ge(F.abs(x), smallestNormal(width)), F.eq(x, zeros()));
}

/** Lane masks: neither NaN nor infinite. */
const finite = (width: Width, x: V128): V128 => lanesOf(width).lt(lanesOf(width).abs(x), infinity(width));

/** Lane masks: zero, or normal and finite. */
function bounded(width: Width, x: Local<'v128'>): V128 {
  return v128.and(clean(width, x), finite(width, x));
}

/** Lane masks: a rounded result that neither overflowed nor may have underflowed. */
export function safe(f: Vectors['f'], width: Width, x: V128): V128 {
  const F = lanesOf(width);
  const magnitude = f.let(F.abs(x));
  return v128.and(F.gt(magnitude, smallestNormal(width)), F.lt(magnitude, infinity(width)));
}

/** Gives up unless all lanes that count are set in the masks `good`. */
export function requireLanes(a: Attempt, good: V128): void {
  const bits = a.width === 32 ? i32x4.bitmask(good) : i64x2.bitmask(good);
  const all = a.scalar ? 1 : a.width === 32 ? 15 : 3;
  const low = a.scalar ? i32.and(bits, i32.const(1)) : bits;
  a.v.f.brIf(a.giveUp, i32.ne(low, i32.const(all)));
}

const LOW_LANE = { 32: [0, 1, 2, 3], 64: [0, 1, 2, 3, 4, 5, 6, 7] };

/** Writes operand 0: lane 0 only, or the whole register. With VEX the other lanes come from operand `rest`. */
export function write(a: Attempt, value: V128, rest = 1): void {
  const { v } = a;
  if (!a.scalar) v.write(0, value);
  else if (v.vex) {
    const low = LOW_LANE[a.width];
    const lanes = Array.from({ length: 16 }, (_, i) => low[i] ?? 16 + i);
    v.write(0, i8x16.shuffle(value, v.read(rest), lanes));
  } else if (a.width === 64) v.f.do(v128.store64_lane(v.base(0), value, 0, L.YMM));
  else v.f.do(v128.store32_lane(v.base(0), value, 0, L.YMM));
}

type Body = (a: Attempt) => void;

/** A semantics function that tries `body` first. */
export const attempt =
  (width: Width, scalar: boolean, vex: boolean, body: Body): Semantics =>
  (o) => {
    const v = new Vectors(o, vex);
    const second = o.operands.filter((x) => x.kind !== 'i').length - 1;
    o.control.attempt((giveUp) => body({ v, width, scalar, giveUp, half: 0, first: second - 1, second }));
  };

/** An instruction and its VEX form. */
export const withVex = (name: string, width: Width, scalar: boolean, body: Body): Record<string, Semantics> => ({
  [name]: attempt(width, scalar, false, body),
  [`V${name}`]: attempt(width, scalar, true, body),
});

/** The packed forms of an instruction: PS, PD, each with and without VEX. */
export const packedForms = (name: string, body: Body): Record<string, Semantics> => ({
  ...withVex(`${name}PS`, 32, false, body),
  ...withVex(`${name}PD`, 64, false, body),
});

/** All forms of an instruction: PS, PD, SS, SD, each with and without VEX. */
export const forms = (name: string, body: Body): Record<string, Semantics> => ({
  ...packedForms(name, body),
  ...withVex(`${name}SS`, 32, true, body),
  ...withVex(`${name}SD`, 64, true, body),
});

/**
 * Knuth's TwoSum: what rounding took from r = x + y (or x - y), exactly, whatever the magnitudes. NaN if they overflow.
 */
function sumError(a: Attempt, op: 'add' | 'sub', x: Local<'v128'>, y: Local<'v128'>, r: Local<'v128'>): V128 {
  const F = lanesOf(a.width);
  const t = a.v.f.let(F.sub(r, x));
  const fromX = F.sub(x, F.sub(r, t));
  return op === 'add' ? F.add(fromX, F.sub(y, t)) : F.sub(fromX, F.add(y, t));
}

/** Dekker's product: x * y - p for p = x * y rounded; NaN where it cannot tell because of large factors. */
const defineProductError = (width: Width) =>
  shared(`product_error${width}`, ['v128', 'v128', 'v128'], 'v128', (f, x, y, p) => {
    const F = lanesOf(width);
    const splitter = splat(width, width === 32 ? 0x45800800n : 0x41a0000002000000n);
    const halves = (n: Local<'v128'>): [Local<'v128'>, Local<'v128'>] => {
      const c = f.let(F.mul(splitter, n));
      const high = f.let(F.sub(c, F.sub(c, n)));
      return [high, f.let(F.sub(n, high))];
    };
    const [xh, xl] = halves(x);
    const [yh, yl] = halves(y);
    const rest = F.sub(F.sub(F.sub(p, F.mul(xh, yh)), F.mul(xl, yh)), F.mul(xh, yl));
    return F.sub(F.mul(xl, yl), rest);
  });
const productErrors = { 32: defineProductError(32), 64: defineProductError(64) };

/** Lane masks: x * y is exactly p. Products so small that their low parts may be lost do not count, except zero. */
function isProduct(a: Attempt, x: V128, y: V128, p: Local<'v128'>): V128 {
  const F = lanesOf(a.width);
  const least = splat(a.width, a.width === 32 ? 0x12800000n : 0x07b0000000000000n);
  const isTold = v128.or(F.ge(F.abs(p), least), F.eq(p, zeros()));
  return v128.and(F.eq(productErrors[a.width](a.v, x, y, p), zeros()), isTold);
}

/** x + y or x - y. A tiny sum is exact, but FTZ would make it zero. */
export function sumOf(a: Attempt, op: 'add' | 'sub', x: Local<'v128'>, y: Local<'v128'>): Local<'v128'> {
  const { width } = a;
  const r = a.v.f.let(lanesOf(width)[op](x, y));
  requireLanes(a, v128.and(v128.and(clean(width, x), clean(width, y)), bounded(width, r)));
  requireExact(a, () => lanesOf(width).eq(sumError(a, op, x, y, r), zeros()));
  return r;
}

/** x * y or x / y. A zero is exact when it comes from a zero. */
export function productOf(a: Attempt, op: 'mul' | 'div', x: Local<'v128'>, y: Local<'v128'>): Local<'v128'> {
  const { width } = a;
  const { f } = a.v;
  const F = lanesOf(width);
  const r = f.let(F[op](x, y));
  const fromZero = op === 'mul' ? v128.or(F.eq(x, zeros()), F.eq(y, zeros())) : F.eq(x, zeros());
  const exactZero = v128.and(F.eq(r, zeros()), fromZero);
  const good = v128.or(safe(f, width, r), exactZero);
  requireLanes(a, v128.and(v128.and(clean(width, x), clean(width, y)), good));
  requireExact(a, () => (op === 'mul' ? isProduct(a, x, y, r) : isQuotient(a, x, y, r)));
  return r;
}

const sum = (op: 'add' | 'sub') =>
  lanewise((a) => {
    requireModes(a);
    return sumOf(a, op, ...readPair(a));
  });

const product = (op: 'mul' | 'div') =>
  lanewise((a) => {
    requireModes(a);
    return productOf(a, op, ...readPair(a));
  });

/** Lane masks: r * y is exactly x. */
function isQuotient(a: Attempt, x: V128, y: V128, r: V128): V128 {
  const F = lanesOf(a.width);
  const back = a.v.f.let(F.mul(r, y));
  return v128.and(F.eq(back, x), isProduct(a, r, y, back));
}

const squareRoot = lanewise((a) => {
  const { width } = a;
  requireModes(a);
  const x = read(a, a.second);
  const r = a.v.f.let(lanesOf(width).sqrt(x));
  requireLanes(a, v128.and(clean(width, x), finite(width, r)));
  requireExact(a, () => isQuotient(a, x, r, r));
  return r;
});

/** MIN and MAX give the second operand when the two are equal, as zeros of both signs are; so does pmin(second, first). */
const extreme = (op: 'pmin' | 'pmax') =>
  lanewise((a) => {
    const { width } = a;
    const [x, y] = readPair(a);
    requireLanes(a, v128.and(clean(width, x), clean(width, y)));
    return lanesOf(width)[op](y, x);
  });

export const sseFloat: Record<string, Semantics> = {
  ...forms('ADD', sum('add')),
  ...forms('SUB', sum('sub')),
  ...forms('MUL', product('mul')),
  ...forms('DIV', product('div')),
  ...forms('SQRT', squareRoot),
  ...forms('MIN', extreme('pmin')),
  ...forms('MAX', extreme('pmax')),
};

/** HADD, HSUB, ADDSUB, DP, RCP and RSQRT in generated code (see sse-float.ts): arithmetic between lanes, and its approximations. */
import { f32x4, f64x2, i32, i32x4, i64, i64x2, i8x16, type Local, v128 } from '../../wasm/index.ts';
import type { Semantics } from './operation.ts';
import {
  type Attempt,
  clean,
  lanesOf,
  lanewise,
  packedForms,
  productOf,
  read,
  readPair,
  requireLanes,
  requireModes,
  sumOf,
  type Width,
  withVex,
} from './sse-float.ts';
import { type V128, zero } from './vector-operation.ts';

/** Byte numbers that take the elements `lanes` (counted through both operands) of `width` bits. */
const bytesOf = (width: Width, lanes: readonly number[]): number[] =>
  lanes.flatMap((lane) => Array.from({ length: width / 8 }, (_, i) => (lane * width) / 8 + i));

const EVEN = { 32: bytesOf(32, [0, 2, 4, 6]), 64: bytesOf(64, [0, 2]) };
const ODD = { 32: bytesOf(32, [1, 3, 5, 7]), 64: bytesOf(64, [1, 3]) };
/** Signs of the even lanes. */
const EVEN_SIGNS = { 32: v128.const(0x80000000n, 0x80000000n), 64: v128.const(1n << 63n, 0n) };

const horizontal = (op: 'add' | 'sub') =>
  lanewise((a) => {
    requireModes(a);
    const [x, y] = readPair(a);
    const { f } = a.v;
    return sumOf(a, op, f.let(i8x16.shuffle(x, y, EVEN[a.width])), f.let(i8x16.shuffle(x, y, ODD[a.width])));
  });

/** Even lanes subtract: they add the negated operand, which is no NaN. */
const addSub = lanewise((a) => {
  requireModes(a);
  const [x, y] = readPair(a);
  return sumOf(a, 'add', x, a.v.f.let(v128.xor(y, EVEN_SIGNS[a.width])));
});

/** Lanes whose bit of the immediate, from bit `shift` on, is set: all ones. */
function chosen(a: Attempt, imm: Local<'i32'>, shift: number): V128 {
  const bits = i32.shr_u(imm, i32.const(shift));
  if (a.width === 32) return i32x4.ne(v128.and(i32x4.splat(bits), v128.const(0x200000001n, 0x800000004n)), zero());
  return i64x2.ne(v128.and(i64x2.splat(i64.extend_i32_u(bits)), v128.const(1n, 2n)), zero());
}

/** The sum of all products in every lane, then the lanes that are wanted. A product that is not chosen is +0. */
const dotProduct = lanewise((a) => {
  const { f } = a.v;
  requireModes(a);
  const imm = f.let(a.v.imm(), 'imm');
  const [x, y] = readPair(a);
  const used = f.let(chosen(a, imm, 4));
  let sum = productOf(a, 'mul', f.let(v128.and(x, used)), f.let(v128.and(y, used)));
  const swaps = a.width === 32 ? [bytesOf(32, [1, 0, 3, 2]), bytesOf(32, [2, 3, 0, 1])] : [bytesOf(64, [1, 0])];
  for (const swap of swaps) sum = sumOf(a, 'add', sum, f.let(i8x16.shuffle(sum, sum, swap)));
  return v128.and(sum, chosen(a, imm, 0));
});

/**
 * The value correctly rounded to a single and then to 12 significant bits after the leading one, as softfloat's
 * `approximateReciprocal` has it: through a double, from which it is rounded once more.
 */
const approximate = (squareRoot: boolean) =>
  lanewise((a) => {
    const { f } = a.v;
    const x = read(a, a.second);
    // Scalars carry zeros above lane 0, which count as infinities that nobody looks at.
    const least = i32x4.splat(i32.const(0x00800000));
    const isUsable = squareRoot ? f32x4.ge(x, least) : clean(32, x);
    requireLanes(a, isUsable);
    const half = (pair: Local<'v128'>): V128 => {
      const wide = f64x2.promote_low_f32x4(pair);
      const one = v128.const(0x3ff0000000000000n, 0x3ff0000000000000n);
      return f32x4.demote_f64x2_zero(f64x2.div(one, squareRoot ? f64x2.sqrt(wide) : wide));
    };
    const high = f.let(i8x16.shuffle(x, x, bytesOf(32, [2, 3, 2, 3])));
    const r = f.let(i8x16.shuffle(half(x), half(high), bytesOf(32, [0, 1, 4, 5])));
    const F = lanesOf(32);
    const magnitude = f.let(F.abs(r));
    requireLanes(
      a,
      v128.and(F.ge(magnitude, least), F.lt(magnitude, v128.const(0x7f8000007f800000n, 0x7f8000007f800000n))),
    );
    return v128.and(i32x4.add(r, i32x4.splat(i32.const(0x400))), i32x4.splat(i32.const(~0x7ff)));
  });

export const sseFloatLanes: Record<string, Semantics> = {
  ...packedForms('HADD', horizontal('add')),
  ...packedForms('HSUB', horizontal('sub')),
  ...packedForms('ADDSUB', addSub),
  ...packedForms('DP', dotProduct),
  ...withVex('RCPPS', 32, false, approximate(false)),
  ...withVex('RCPSS', 32, true, approximate(false)),
  ...withVex('RSQRTPS', 32, false, approximate(true)),
  ...withVex('RSQRTSS', 32, true, approximate(true)),
};

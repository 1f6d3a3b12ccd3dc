/**
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM and their VEX forms in generated code (Intel SDM Vol. 2, 4.1); the immediate is drawn in
 * src/cpu/vector/string-compare.ts, which executes the explicit forms with REX.W.
 */
import { type Expr, type FunctionBuilder, i16x8, i32, i32x4, i64, i8x16, type Local, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Operation, Semantics } from './operation.ts';
import { shared, type V128, Vectors, zero } from './vector-operation.ts';

const WORDS = 1;
const SIGNED = 2;
const NEGATED = 0x10;
const VALID_ONLY = 0x20;
/** Index of the last one, or a mask of elements. */
const WIDE_OUTPUT = 0x40;

const has = (imm: Expr<'i32'>, bit: number): Expr<'i32'> => i32.and(imm, i32.const(bit));
/** How many elements the format has. */
const countOf = (imm: Expr<'i32'>): Expr<'i32'> => i32.shr_u(i32.const(16), has(imm, WORDS));
const onesBelow = (n: Expr<'i32'>): Expr<'i32'> => i32.sub(i32.shl(i32.const(1), n), i32.const(1));

/** Element `i` of `a` in all lanes. */
function spread(bits: 8 | 16, a: V128, i: Expr<'i32'>): V128 {
  if (bits === 8) return i8x16.swizzle(a, i8x16.splat(i));
  const both = i32.add(i32.mul(i, i32.const(0x202)), i32.const(0x100));
  return i8x16.swizzle(a, i16x8.splat(both));
}

type Params = readonly [Local<'v128'>, Local<'v128'>, Local<'i32'>, Local<'i32'>, Local<'i32'>];

/** Sets `result`, one bit an element of b, for elements of `bits`, before polarity. */
function aggregate(f: FunctionBuilder, bits: 8 | 16, [a, b, na, nb, imm]: Params, result: Local<'i32'>): void {
  const lanes = bits === 8 ? i8x16 : i16x8;
  const n = i32.const(128 / bits);
  const all = i32.const(2 ** (128 / bits) - 1);
  const validB = f.let(onesBelow(nb));
  const i = f.let(i32.const(0), 'i');
  const found = f.let(zero(), 'found');
  /** Runs `body` while i, counted in steps of `step`, leaves so many elements of a. */
  const each = (step: number, body: () => void): void =>
    f.block((done) =>
      f.loop((again) => {
        f.brIf(done, i32.gt_u(i32.add(i, i32.const(step)), na));
        body();
        f.set(i, i32.add(i, i32.const(step)));
        f.br(again);
      }),
    );
  const any = (): void => {
    each(1, () => f.set(found, v128.or(found, lanes.eq(b, spread(bits, a, i)))));
    f.set(result, i32.and(lanes.bitmask(found), validB));
  };
  const ranges = (): void => {
    each(2, () => {
      const low = f.let(spread(bits, a, i));
      const high = f.let(spread(bits, a, i32.add(i, i32.const(1))));
      const add = (inside: V128): void => f.set(found, v128.or(found, inside));
      f.if(
        has(imm, SIGNED),
        () => add(v128.and(lanes.ge_s(b, low), lanes.le_s(b, high))),
        () => add(v128.and(lanes.ge_u(b, low), lanes.le_u(b, high))),
      );
    });
    f.set(result, i32.and(lanes.bitmask(found), validB));
  };
  const pairs = (): void => {
    const validA = f.let(onesBelow(na));
    const equal = i32.and(lanes.bitmask(lanes.eq(a, b)), i32.and(validA, validB));
    const neither = i32.and(i32.xor(i32.or(validA, validB), i32.const(-1)), all);
    f.set(result, i32.or(equal, neither));
  };
  const substring = (): void => {
    f.set(result, all);
    each(1, () => {
      // Element i of a stands at i + j of b; beyond the end of the register it is not asked for.
      const here = i32.and(lanes.bitmask(lanes.eq(b, spread(bits, a, i))), validB);
      const beyond = i32.shl(all, i32.sub(n, i));
      f.set(result, i32.and(result, i32.or(i32.shr_u(here, i), beyond)));
    });
  };
  f.switch(i32.and(i32.shr_u(imm, i32.const(2)), i32.const(3)), [any, ranges, pairs], substring);
}

const resultBits = shared('string_bits', ['v128', 'v128', 'i32', 'i32', 'i32'], 'i32', (f, a, b, na, nb, imm) => {
  const result = f.let(i32.const(0), 'result');
  const params = [a, b, na, nb, imm] as const;
  f.if(
    has(imm, WORDS),
    () => aggregate(f, 16, params, result),
    () => aggregate(f, 8, params, result),
  );
  f.if(has(imm, NEGATED), () => {
    const turned = f.select(onesBelow(nb), onesBelow(countOf(imm)), has(imm, VALID_ONLY));
    f.set(result, i32.xor(result, turned));
  });
  return result;
});

/** Elements before the first zero. */
const implicitLength = shared('string_length', ['v128', 'i32'], 'i32', (f, x, imm) => {
  const zeros = f.local('i32', 'zeros');
  f.if(
    has(imm, WORDS),
    () => f.set(zeros, i16x8.bitmask(i16x8.eq(x, zero()))),
    () => f.set(zeros, i8x16.bitmask(i8x16.eq(x, zero()))),
  );
  return i32.ctz(i32.or(zeros, i32.shl(i32.const(1), countOf(imm))));
});

/** The magnitude of a signed 32-bit register, saturated. */
function explicitLength(o: Operation, register: number, n: Local<'i32'>): Local<'i32'> {
  const value = o.let(o.regSigned(register, 32));
  const magnitude = o.let(o.f.select(i64.sub(i64.const(0), value), value, i64.lt_s(value, i64.const(0))));
  return o.let(o.f.select(n, i32.wrap_i64(magnitude), i64.gt_u(magnitude, i64.extend_i32_u(n))));
}

const BIT_OF_BYTE = v128.const(0x8040201008040201n, 0x8040201008040201n);
const BIT_OF_WORD = v128.const([1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0, 64, 0, 128, 0]);
const LOW_THEN_HIGH = v128.const(0n, 0x0101010101010101n);

const maskOf = shared('string_mask', ['i32', 'i32'], 'v128', (f, bits, imm) => {
  const mask = f.let(i32x4.replace_lane(zero(), bits, 0));
  f.if(has(imm, WIDE_OUTPUT), () => {
    f.if(
      has(imm, WORDS),
      () => f.set(mask, i16x8.ne(v128.and(i16x8.splat(bits), BIT_OF_WORD), zero())),
      () => f.set(mask, i8x16.ne(v128.and(i8x16.swizzle(mask, LOW_THEN_HIGH), BIT_OF_BYTE), zero())),
    );
  });
  return mask;
});

const compare =
  (explicit: boolean, index: boolean, vex: boolean): Semantics =>
  (o) => {
    const v = new Vectors(o, vex, 'never');
    const { f } = o;
    o.control.attempt(() => {
      const imm = f.let(v.imm(), 'imm');
      const a = f.let(v.read(0));
      const b = f.let(v.read(1));
      const n = f.let(countOf(imm), 'n');
      const na = explicit ? explicitLength(o, 0, n) : f.let(implicitLength(v, a, imm));
      const nb = explicit ? explicitLength(o, 2, n) : f.let(implicitLength(v, b, imm));
      const bits = f.let(resultBits(v, a, b, na, nb, imm), 'bits');
      if (index) {
        const last = i32.sub(i32.const(31), i32.clz(bits));
        const chosen = f.select(last, i32.ctz(bits), has(imm, WIDE_OUTPUT));
        o.setReg(1, i64.extend_i32_u(f.select(chosen, n, bits)), 32);
      } else {
        f.do(v128.store(i32.const(0), maskOf(v, bits, imm), L.YMM));
        if (vex) f.do(v128.store(i32.const(0), zero(), L.YMM + 16));
      }
      const flag = (on: Expr<'i32'>, bit: number): Expr<'i32'> => i32.shl(on, i32.const(bit));
      const image = i32.or(
        i32.or(i32.ne(bits, i32.const(0)), flag(i32.lt_u(nb, n), 6)),
        i32.or(flag(i32.lt_u(na, n), 7), flag(i32.and(bits, i32.const(1)), 11)),
      );
      o.flags.setStatusFlags(f, i64.extend_i32_u(image));
    });
  };

export const vectorStrings: Record<string, Semantics> = {};
for (const [name, explicit, index] of [
  ['PCMPESTRI', true, true],
  ['PCMPESTRM', true, false],
  ['PCMPISTRI', false, true],
  ['PCMPISTRM', false, false],
] as const) {
  vectorStrings[name] = compare(explicit, index, false);
  vectorStrings[`V${name}`] = compare(explicit, index, true);
}

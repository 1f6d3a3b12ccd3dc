/** The exact arithmetic against the host's IEEE doubles and singles, and against its own definitions. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  add,
  compare,
  convert,
  div,
  EQUAL,
  F16,
  F32,
  F64,
  F80,
  FLAG_DENORMAL,
  FLAG_DIV_ZERO,
  FLAG_INEXACT,
  FLAG_INVALID,
  FLAG_OVERFLOW,
  FLAG_UNDERFLOW,
  FloatEnv,
  fma,
  fromBcd,
  fromInteger,
  mul,
  remainder,
  roundToIntegral,
  SseUnit,
  sqrt,
  sub,
  toBcd,
  toInteger,
  widenRaw,
} from '../../../src/cpu/softfloat/index.ts';

const view = new DataView(new ArrayBuffer(8));
function bits64(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}
function value64(bits: bigint): number {
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}
function bits32(value: number): bigint {
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
}
function value32(bits: bigint): number {
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
}

const anyDouble = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
/** Exponents near one another, so that sums cancel and quotients round interestingly. */
const closeDouble = fc
  .tuple(fc.boolean(), fc.integer({ min: 1000, max: 1060 }), fc.bigInt({ min: 0n, max: 2n ** 52n - 1n }))
  .map(([s, e, f]) => (s ? 1n << 63n : 0n) | (BigInt(e) << 52n) | f);
const pairs = fc.oneof(fc.tuple(anyDouble, anyDouble), fc.tuple(closeDouble, closeDouble));
const anySingle = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });

const HOST = {
  add: (a: number, b: number) => a + b,
  sub: (a: number, b: number) => a - b,
  mul: (a: number, b: number) => a * b,
  div: (a: number, b: number) => a / b,
};
const OURS = { add, sub, mul, div };
const NAMES = ['add', 'sub', 'mul', 'div'] as const;

describe.each(NAMES)('%s', (op) => {
  test('f64 equals the host for every pair that gives a number', () => {
    fc.assert(
      fc.property(pairs, ([a, b]) => {
        const host = HOST[op](value64(a), value64(b));
        const got = OURS[op](new FloatEnv(), F64, a, b);
        if (Number.isNaN(host)) expect(Number.isNaN(value64(got))).toBe(true);
        else expect(got).toBe(bits64(host));
      }),
      { numRuns: 1500 },
    );
  });

  test('f32 equals the host', () => {
    fc.assert(
      fc.property(anySingle, anySingle, (a, b) => {
        const host = Math.fround(HOST[op](value32(a), value32(b)));
        const got = OURS[op](new FloatEnv(), F32, a, b);
        if (Number.isNaN(host)) expect(Number.isNaN(value32(got))).toBe(true);
        else expect(got).toBe(bits32(host));
      }),
      { numRuns: 1500 },
    );
  });

  test('the short cuts give the value and flags of the exact path', () => {
    fc.assert(
      fc.property(fc.oneof(fc.tuple(closeDouble, closeDouble), pairs), fc.boolean(), ([a, b], coarse) => {
        // Short significands make exact results, which the flags must tell.
        const cut = (x: bigint) => (coarse ? x & ~0xff_ffff_ffffn : x);
        const env = new FloatEnv();
        const exact = OURS[op](env, F64, cut(a), cut(b));
        const unit = new SseUnit().begin(0x1f80);
        expect(unit.binary(op, F64, cut(a), cut(b))).toBe(exact);
        expect(unit.finish()).toBe(env.flags);
        const small = [a & 0x3fff_f000n, (b & 0x1fff_0000n) | 0x2000_0000n];
        const env32 = new FloatEnv();
        const exact32 = OURS[op](env32, F32, small[0], small[1]);
        const unit32 = new SseUnit().begin(0x1f80);
        expect(unit32.binary(op, F32, small[0], small[1])).toBe(exact32);
        expect(unit32.finish()).toBe(env32.flags);
      }),
      { numRuns: 1500 },
    );
  });

  test('f80 with 53-bit precision control equals f64 where no exponent limit is near', () => {
    fc.assert(
      fc.property(closeDouble, closeDouble, fc.integer({ min: 0, max: 3 }), (a, b, rounding) => {
        const narrow = new FloatEnv();
        narrow.rounding = rounding;
        const wide = new FloatEnv().loadFcw(0x27f | (rounding << 10));
        const expected = OURS[op](narrow, F64, a, b);
        const got = OURS[op](wide, F80, widenRaw(F64, F80, a), widenRaw(F64, F80, b));
        expect(got).toBe(widenRaw(F64, F80, expected));
        expect(wide.flags).toBe(narrow.flags);
      }),
      { numRuns: 800 },
    );
  });
});

test('sqrt equals the host in both formats', () => {
  fc.assert(
    fc.property(anyDouble, (a) => {
      const positive = a & ~F64.signBit;
      const host = Math.sqrt(value64(positive));
      if (!Number.isNaN(host)) expect(sqrt(new FloatEnv(), F64, positive)).toBe(bits64(host));
      const single = a & 0x7fffffffn;
      const host32 = Math.fround(Math.sqrt(value32(single)));
      if (!Number.isNaN(host32)) expect(sqrt(new FloatEnv(), F32, single)).toBe(bits32(host32));
    }),
    { numRuns: 1500 },
  );
});

test('directed roundings enclose the exact result and differ by one unit when inexact', () => {
  fc.assert(
    fc.property(closeDouble, closeDouble, fc.constantFrom(...NAMES), (a, b, op) => {
      const results = [1, 2].map((rounding) => {
        const env = new FloatEnv();
        env.rounding = rounding;
        return { bits: OURS[op](env, F64, a, b), inexact: (env.flags & FLAG_INEXACT) !== 0 };
      });
      const [down, up] = results;
      expect(down.inexact).toBe(up.inexact);
      if (!down.inexact) expect(value64(up.bits)).toBe(value64(down.bits));
      else expect(up.bits - down.bits).toBe(up.bits & F64.signBit ? -1n : 1n);
    }),
    { numRuns: 1000 },
  );
});

test('fma rounds once', () => {
  // (1 + 2^-52)^2 - (1 + 2^-51) = 2^-104 exactly; two roundings would give 0.
  const a = bits64(1 + 2 ** -52);
  expect(fma(new FloatEnv(), F64, a, a, bits64(-(1 + 2 ** -51)))).toBe(bits64(2 ** -104));
});

test('flags: tininess after rounding, overflow, division by zero, denormal operand', () => {
  const run = (op: keyof typeof OURS, a: bigint, b: bigint, masks = 0x3f) => {
    const env = new FloatEnv();
    env.masks = masks;
    OURS[op](env, F64, a, b);
    return env.flags;
  };
  const smallest = bits64(2 ** -1022);
  // 2^-1022 * (1 - 2^-53) has 53 bits: tiny, although it rounds up to the smallest normal as a denormal.
  expect(run('mul', bits64(2 ** -1021), bits64(0.5 - 2 ** -54))).toBe(FLAG_UNDERFLOW | FLAG_INEXACT);
  expect(run('mul', smallest, bits64(0.5))).toBe(0);
  expect(run('mul', smallest, bits64(0.5), 0x2f)).toBe(FLAG_UNDERFLOW);
  expect(run('mul', bits64(1e300), bits64(1e300))).toBe(FLAG_OVERFLOW | FLAG_INEXACT);
  expect(run('div', bits64(1), 0n)).toBe(FLAG_DIV_ZERO);
  expect(run('div', 0n, 0n)).toBe(FLAG_INVALID);
  expect(run('add', 1n, bits64(1))).toBe(FLAG_DENORMAL | FLAG_INEXACT);
});

test('integers survive the way through f80', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (n) => {
      const env = new FloatEnv().loadFcw(0x37f);
      const there = fromInteger(env, F80, n);
      expect(BigInt.asIntN(64, toInteger(env, F80, there, { width: 64, signed: true }))).toBe(n);
      expect(env.flags).toBe(0);
    }),
  );
});

test('packed BCD survives the way through f80', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 18n - 1n), max: 10n ** 18n - 1n }), (n) => {
      const env = new FloatEnv().loadFcw(0x37f);
      const bcd = toBcd(env, F80, fromInteger(env, F80, n));
      const digits = (bcd & ((1n << 72n) - 1n)).toString(16);
      expect(BigInt(digits)).toBe(n < 0n ? -n : n);
      expect(fromBcd(env, F80, bcd)).toBe(fromInteger(env, F80, n));
    }),
  );
});

test('unsupported f80 encodings are invalid, pseudo-denormals are numbers', () => {
  for (const bits of [0x7fff0000000000000000n, 0x7fff4000000000000000n, 0x3fff0000000000000001n]) {
    const env = new FloatEnv().loadFcw(0x37f);
    expect(add(env, F80, bits, F80.infinity)).toBe(F80.defaultNaN);
    expect(env.flags).toBe(FLAG_INVALID);
  }
  const env = new FloatEnv().loadFcw(0x37f);
  expect(compare(env, F80, 0x00008000000000000000n, 0x00018000000000000000n, true)).toBe(EQUAL);
  expect(env.flags).toBe(FLAG_DENORMAL);
});

test('remainder agrees with the host where the reduction is complete', () => {
  fc.assert(
    fc.property(closeDouble, closeDouble, (a, b) => {
      const env = new FloatEnv().loadFcw(0x37f);
      const result = remainder(env, F80, widenRaw(F64, F80, a), widenRaw(F64, F80, b), false);
      expect(result.incomplete).toBe(false);
      expect(result.value).toBe(widenRaw(F64, F80, bits64(value64(a) % value64(b))));
      const quotient = Math.trunc(value64(a) / value64(b));
      if (Math.abs(quotient) < 2 ** 40) expect(result.quotient).toBe(Math.abs(quotient) & 7);
    }),
  );
});

test('rounding to integral follows the four modes', () => {
  const round = (x: number, mode: number) => value64(roundToIntegral(new FloatEnv(), F64, bits64(x), mode));
  expect([0, 1, 2, 3].map((mode) => round(2.5, mode))).toEqual([2, 2, 3, 2]);
  expect([0, 1, 2, 3].map((mode) => round(-0.25, mode))).toEqual([-0, -1, -0, -0]);
});

test('f16 conversions reach every encoding and come back', () => {
  for (let h = 0n; h < 0x10000n; h += 7n) {
    const env = new FloatEnv();
    const wide = convert(env, F16, F32, h);
    const quieted = (h & 0x7fffn) > 0x7c00n ? h | 0x200n : h;
    expect(convert(env, F32, F16, wide)).toBe(quieted);
  }
});

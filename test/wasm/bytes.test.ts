import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteSink } from '../../src/wasm/bytes.ts';
import { f32, f64, i32, i64, ModuleBuilder, v128 } from '../../src/wasm/index.ts';
import { type Fn, instantiate } from './harness.ts';

const encode = (write: (out: ByteSink) => void): number[] => {
  const out = new ByteSink(1);
  write(out);
  return [...out.view()];
};

/** LEB128 as the specification defines it, on BigInts. */
function decode(bytes: readonly number[], signed: boolean): bigint {
  const value = bytes.reduce((sum, byte, i) => sum | (BigInt(byte & 0x7f) << BigInt(7 * i)), 0n);
  expect(bytes.map((byte) => byte >> 7)).toEqual(bytes.map((_, i) => (i < bytes.length - 1 ? 1 : 0)));
  return signed ? BigInt.asIntN(7 * bytes.length, value) : value;
}

/** Values beside every place where the encoding gets a byte longer, or the sign bit turns. */
const edges = (bits: number) => {
  const steps = Array.from({ length: bits }, (_, i) => 1n << BigInt(i));
  return [...new Set(steps.flatMap((step) => [step - 1n, step, step + 1n, -step, -step - 1n, 1n - step]))];
};

describe('LEB128', () => {
  test('known encodings', () => {
    expect(encode((out) => out.u32(624485))).toEqual([0xe5, 0x8e, 0x26]);
    expect(encode((out) => out.s32(-123456))).toEqual([0xc0, 0xbb, 0x78]);
    expect(encode((out) => out.s32(64))).toEqual([0xc0, 0x00]);
    expect(encode((out) => out.s32(-64))).toEqual([0x40]);
    expect(encode((out) => out.s64(-(1n << 63n)))).toEqual([
      0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f,
    ]);
  });

  test('edges come back, in the fewest bytes', () => {
    for (const value of edges(32).filter((edge) => edge >= 0n && edge < 1n << 32n)) {
      const bytes = encode((out) => out.u32(Number(value)));
      expect(decode(bytes, false)).toBe(value);
      expect(bytes.length).toBe(Math.max(1, Math.ceil(value.toString(2).length / 7)));
    }
    for (const bits of [32, 64] as const) {
      for (const value of edges(bits).filter((edge) => BigInt.asIntN(bits, edge) === edge)) {
        const bytes = encode((out) => (bits === 32 ? out.s32(Number(value)) : out.s64(value)));
        expect(decode(bytes, true), `${bits} bits: ${value}`).toBe(value);
        const magnitude = value < 0n ? -value - 1n : value;
        const needed = (magnitude === 0n ? 0 : magnitude.toString(2).length) + 1;
        expect(bytes.length).toBe(Math.ceil(needed / 7));
      }
    }
  });

  test('any i64 comes back', () => {
    fc.assert(
      fc.property(fc.bigInt(-(1n << 63n), (1n << 63n) - 1n), (value) => {
        expect(
          decode(
            encode((out) => out.s64(value)),
            true,
          ),
        ).toBe(value);
      }),
    );
  });

  test('a reserved size is patched with what was written since', () => {
    for (const length of [0, 1, 127, 128, 20_000, 3_000_000]) {
      const out = new ByteSink(1);
      out.u8(9);
      const at = out.reserveU32();
      out.bytes(new Uint8Array(length));
      out.patchSize(at);
      expect(decode([...out.view(1, 6)], false)).toBe(BigInt(length));
      expect(out.length).toBe(6 + length);
    }
  });
});

describe('constants as the engine reads them', () => {
  test('i32 and i64', () => {
    const b = new ModuleBuilder();
    const words = edges(32).filter((value) => value >= -(1n << 31n) && value < 1n << 32n);
    const quads = edges(64).filter((value) => value >= -(1n << 63n));
    for (const value of words)
      b.func(`w${value}`, [], ['i32'], () => i32.const(Number(value)), { exportAs: `w${value}` });
    for (const value of quads) b.func(`q${value}`, [], ['i64'], () => i64.const(value), { exportAs: `q${value}` });
    const exports = instantiate(b.finish()) as Record<string, Fn>;
    for (const value of words) expect(exports[`w${value}`]()).toBe(Number(BigInt.asIntN(32, value)));
    for (const value of quads) expect(exports[`q${value}`]()).toBe(BigInt.asIntN(64, value));
  });

  test('floats, NaN payloads and vectors keep their bits', () => {
    const b = new ModuleBuilder();
    b.memory(1, 1, { exportAs: 'memory' });
    b.func(
      'run',
      [],
      [],
      (f) => {
        f.do(f32.store(i32.const(0), f32.const(-1.5)));
        f.do(f64.store(i32.const(8), f64.const(-0)));
        f.do(i32.store(i32.const(16), i32.reinterpret_f32(f32.constBits(0xffa00123))));
        f.do(i64.store(i32.const(24), i64.reinterpret_f64(f64.constBits(0xfff4000000000123n))));
        f.do(v128.store(i32.const(32), v128.const(1n, -2n)));
        f.do(v128.store(i32.const(48), v128.const(Array.from({ length: 16 }, (_, i) => i * 17))));
      },
      { exportAs: 'run' },
    );
    const exports = instantiate(b.finish());
    (exports.run as Fn)();
    const view = new DataView((exports.memory as WebAssembly.Memory).buffer);
    expect(view.getFloat32(0, true)).toBe(-1.5);
    expect(view.getFloat64(8, true)).toBe(-0);
    expect(view.getUint32(16, true)).toBe(0xffa00123);
    expect(view.getBigUint64(24, true)).toBe(0xfff4000000000123n);
    expect([view.getBigUint64(32, true), view.getBigUint64(40, true)]).toEqual([1n, 0xfffffffffffffffen]);
    expect(Array.from({ length: 16 }, (_, i) => view.getUint8(48 + i))).toEqual(
      Array.from({ length: 16 }, (_, i) => i * 17),
    );
  });

  test('what is no constant of the type is refused', () => {
    for (const value of [0.5, Number.NaN, 2 ** 32, -(2 ** 31) - 1]) expect(() => i32.const(value)).toThrow(/i32.const/);
    for (const value of [1n << 64n, -(1n << 63n) - 1n, 2 ** 53, 0.5])
      expect(() => i64.const(value)).toThrow(/i64.const/);
    expect(() => v128.const([1, 2, 3])).toThrow(/3 bytes instead of 16/);
  });
});

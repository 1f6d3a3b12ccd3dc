/** AVX and AVX2: broadcasts, permutations across halves, conditional moves of elements, shifts with a count an element. */
import { type Expr, i16x8, i32, i32x4, i64, i64x2, i8x16, type Local, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import { type Binary, binary } from './vector-arithmetic.ts';
import { shared, type V128, type VectorSemantics, type Vectors, vexOnly, zero } from './vector-operation.ts';
import { dwordIndices, quadwordPair } from './vector-shuffles.ts';

/** Loads one element into all. */
const broadcast =
  (load: (at: Expr<'i32'>, offset?: number) => V128): VectorSemantics =>
  (v) => {
    const isMemory = v.o.isMemory(1);
    const x = v.f.let(load(isMemory ? v.host(1) : v.base(1), isMemory ? 0 : v.origin(1)));
    v.each(() => x);
  };

/** VPERMILPS, VPERMILPD by a register: within each half, by the low bits of each control element. */
const permuteDwords: Binary = shared('VPERMILPS', ['v128', 'v128'], 'v128', (_, a, b) => {
  const chosen = i32x4.shl(v128.and(b, v128.const(0x0000000300000003n, 0x0000000300000003n)), i32.const(2));
  const spread = i8x16.swizzle(chosen, v128.const([0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12]));
  return i8x16.swizzle(a, i8x16.add(spread, v128.const(0x0302010003020100n, 0x0302010003020100n)));
});
/** The choosing bit of VPERMILPD is bit 1. */
const permuteQuadwords: Binary = shared('VPERMILPD', ['v128', 'v128'], 'v128', (_, a, b) => {
  const mask = i64x2.shr_s(i64x2.shl(b, i32.const(62)), i32.const(63));
  const low = i8x16.shuffle(a, a, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7]);
  const high = i8x16.shuffle(a, a, [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);
  return v128.bitselect(high, low, mask);
});

const permilps: VectorSemantics = (v) => {
  if (v.o.kind(2) !== 'i') {
    binary(permuteDwords)(v);
    return;
  }
  const indices = v.f.let(dwordIndices(v, v.imm()));
  v.each((h) => i8x16.swizzle(v.read(1, h), indices));
};
const permilpd: VectorSemantics = (v) => {
  if (v.o.kind(2) !== 'i') {
    binary(permuteQuadwords)(v);
    return;
  }
  v.each((h) => {
    const x = v.f.let(v.read(1, h));
    return quadwordPair(v, x, x, i32.shr_u(v.imm(), i32.const(2 * h)));
  });
};

// Across halves: the source register or memory is addressed element by element.

/** Address and constant offset of vector operand `i`, wherever it is. */
function place(v: Vectors, i: number): { at: Local<'i32'>; offset: number } {
  const isMemory = v.o.isMemory(i);
  return { at: isMemory ? v.host(i) : v.f.let(v.base(i)), offset: isMemory ? 0 : v.origin(i) };
}

/** VPERMQ, VPERMPD: four quadwords chosen by the immediate. */
const permuteByImmediate: VectorSemantics = (v) => {
  const { at, offset } = place(v, 1);
  const imm = v.f.let(v.imm());
  const quadword = (n: number): Expr<'i64'> => {
    const chosen = i32.and(
      n < 2 ? i32.shl(imm, i32.const(3 - 2 * n)) : i32.shr_u(imm, i32.const(2 * n - 3)),
      i32.const(24),
    );
    return i64x2Load(i32.add(at, chosen), offset);
  };
  v.each((h) => i64x2.replace_lane(i64x2.splat(quadword(2 * h)), quadword(2 * h + 1), 1));
};
const i64x2Load = (at: Expr<'i32'>, offset: number): Expr<'i64'> => i64.load(at, offset);

/** VPERMD, VPERMPS: eight dwords chosen by the first source. */
const permuteByRegister: VectorSemantics = (v) => {
  const { at, offset } = place(v, 2);
  const control = v.f.let(v.base(1));
  const dword = (n: number): Expr<'i32'> => {
    const chosen = i32.and(i32.load(control, L.YMM + 4 * n), i32.const(7));
    return i32.load(i32.add(at, i32.shl(chosen, i32.const(2))), offset);
  };
  v.each((h) => {
    let x: V128 = i32x4.splat(dword(4 * h));
    for (let n = 1; n < 4; n++) x = i32x4.replace_lane(x, dword(4 * h + n), n);
    return x;
  });
};

/**
 *      7      6 5     4   3      2 1     0
 *     ┌──┬─────┬───────┬──┬─────┬───────┐
 *     │ 0│  -  │ high  │ 0│  -  │ low   │   VPERM2F128: which half of first (0, 1) and second source (2, 3); bits 3, 7 clear
 *     └──┴─────┴───────┴──┴─────┴───────┘
 */
const permuteHalves: VectorSemantics = (v) => {
  const { f } = v;
  const first = f.let(v.base(1));
  const second = place(v, 2);
  const imm = f.let(v.imm());
  v.each((h) => {
    const control = f.let(i32.shr_u(imm, i32.const(4 * h)));
    const side = f.let(i32.shl(i32.and(control, i32.const(1)), i32.const(4)));
    const a = v128.load(i32.add(first, side), L.YMM);
    const b = v128.load(i32.add(second.at, side), second.offset);
    const chosen = f.select(b, a, i32.and(control, i32.const(2)));
    return f.select(zero(), chosen, i32.and(control, i32.const(8)));
  });
};

const insertHalf: VectorSemantics = (v) => {
  const x = v.f.let(v.read(2), 'inserted');
  const at = i32.and(v.imm(), i32.const(1));
  const low = v.f.select(v.read(1, 0), x, at);
  v.write(0, low, v.f.select(x, v.read(1, 1), at));
};
const extractHalf: VectorSemantics = (v) => {
  const side = i32.shl(i32.and(v.imm(), i32.const(1)), i32.const(4));
  v.write(0, v128.load(i32.add(v.base(1), side), L.YMM));
};
const broadcastHalf: VectorSemantics = (v) => {
  const x = v.f.let(v.read(1));
  v.write(0, x, x);
};

// A count an element

type Shift32 = (a: Expr<'i32'>, n: Expr<'i32'>) => Expr<'i32'>;
const variableDwords = (name: string, op: Shift32, signed: boolean): Binary =>
  shared(name, ['v128', 'v128'], 'v128', (f, a, b) => {
    const most = v128.const(0x0000001f0000001fn, 0x0000001f0000001fn);
    const outside = i32x4.gt_u(b, most);
    const counts = f.let(signed ? i32x4.min_u(b, most) : b);
    let x: V128 = a;
    for (let n = 0; n < 4; n++) {
      x = i32x4.replace_lane(x, op(i32x4.extract_lane(a, n), i32x4.extract_lane(counts, n)), n);
    }
    return signed ? x : v128.andnot(x, outside);
  });
const variableQuadwords = (name: string, op: (a: Expr<'i64'>, n: Expr<'i64'>) => Expr<'i64'>): Binary =>
  shared(name, ['v128', 'v128'], 'v128', (f, a, b) => {
    let x: V128 = a;
    for (let n = 0; n < 2; n++) {
      const count = f.let(i64x2.extract_lane(b, n));
      const shifted = op(i64x2.extract_lane(a, n), count);
      x = i64x2.replace_lane(x, f.select(shifted, i64.const(0), i64.lt_u(count, i64.const(64))), n);
    }
    return x;
  });

// Dot products added to the destination (AVX-VNNI)

const dotBytes = (name: string, saturates: boolean) =>
  shared(name, ['v128', 'v128', 'v128'], 'v128', (f, sum, a, b) => {
    const halves = [
      [i16x8.extend_low_i8x16_u(a), i16x8.extend_low_i8x16_s(b)],
      [i16x8.extend_high_i8x16_u(a), i16x8.extend_high_i8x16_s(b)],
    ] as const;
    const [low, high] = halves.map(([x, y]) => f.let(i32x4.dot_i16x8_s(x, y)));
    const even = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
    const products = f.let(
      i32x4.add(
        i8x16.shuffle(low!, high!, even),
        i8x16.shuffle(
          low!,
          high!,
          even.map((x) => x + 4),
        ),
      ),
    );
    return saturates ? saturatingAdd(sum, products, zero()) : i32x4.add(sum, products);
  });
const dotWords = shared('VPDPWSSD', ['v128', 'v128', 'v128'], 'v128', (_, sum, a, b) =>
  i32x4.add(sum, i32x4.dot_i16x8_s(a, b)),
);
/** Both products may be 2^30, so their sum does not fit a dword: they are added in 64 bits. */
const dotWordsSaturating = shared('VPDPWSSDS', ['v128', 'v128', 'v128'], 'v128', (f, sum, a, b) => {
  const low = f.let(i32x4.extmul_low_i16x8_s(a, b));
  const high = f.let(i32x4.extmul_high_i16x8_s(a, b));
  const even = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
  const first = f.let(i8x16.shuffle(low, high, even));
  const second = f.let(
    i8x16.shuffle(
      low,
      high,
      even.map((x) => x + 4),
    ),
  );
  return saturatingAdd(sum, first, second);
});

/** Dwords a + b + c with signed saturation of the whole. */
function saturatingAdd(a: V128, b: V128, c: V128): V128 {
  const wide = (low: boolean): V128 => {
    const extend = low ? i64x2.extend_low_i32x4_s : i64x2.extend_high_i32x4_s;
    const sum = i64x2.add(i64x2.add(extend(a), extend(b)), extend(c));
    const most = v128.const(0x7fffffffn, 0x7fffffffn);
    const least = v128.const(-0x80000000n & 0xffffffffffffffffn, -0x80000000n & 0xffffffffffffffffn);
    const capped = v128.bitselect(most, sum, i64x2.gt_s(sum, most));
    return v128.bitselect(least, capped, i64x2.lt_s(sum, least));
  };
  return i8x16.shuffle(wide(true), wide(false), [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
}

const accumulate =
  (op: (v: Vectors, sum: V128, a: V128, b: V128) => V128): VectorSemantics =>
  (v) =>
    v.each((h) => op(v, v.read(0, h), v.read(1, h), v.read(2, h)));

export const vectorPermutes: Record<string, Semantics> = {
  ...vexOnly('VBROADCASTSS', broadcast(v128.load32_splat)),
  ...vexOnly('VBROADCASTSD', broadcast(v128.load64_splat)),
  ...vexOnly('VPBROADCASTB', broadcast(v128.load8_splat)),
  ...vexOnly('VPBROADCASTW', broadcast(v128.load16_splat)),
  ...vexOnly('VPBROADCASTD', broadcast(v128.load32_splat)),
  ...vexOnly('VPBROADCASTQ', broadcast(v128.load64_splat)),
  ...vexOnly('VBROADCASTF128', broadcastHalf),
  ...vexOnly('VBROADCASTI128', broadcastHalf),
  ...vexOnly('VPERMILPS', permilps),
  ...vexOnly('VPERMILPD', permilpd),
  ...vexOnly('VPERMQ', permuteByImmediate),
  ...vexOnly('VPERMPD', permuteByImmediate),
  ...vexOnly('VPERMD', permuteByRegister),
  ...vexOnly('VPERMPS', permuteByRegister),
  ...vexOnly('VPERM2F128', permuteHalves),
  ...vexOnly('VPERM2I128', permuteHalves),
  ...vexOnly('VINSERTF128', insertHalf),
  ...vexOnly('VINSERTI128', insertHalf),
  ...vexOnly('VEXTRACTF128', extractHalf),
  ...vexOnly('VEXTRACTI128', extractHalf),
  ...vexOnly('VPSLLVD', binary(variableDwords('VPSLLVD', i32.shl, false))),
  ...vexOnly('VPSRLVD', binary(variableDwords('VPSRLVD', i32.shr_u, false))),
  ...vexOnly('VPSRAVD', binary(variableDwords('VPSRAVD', i32.shr_s, true))),
  ...vexOnly('VPSLLVQ', binary(variableQuadwords('VPSLLVQ', i64.shl))),
  ...vexOnly('VPSRLVQ', binary(variableQuadwords('VPSRLVQ', i64.shr_u))),
  ...vexOnly('VPDPBUSD', accumulate(dotBytes('VPDPBUSD', false))),
  ...vexOnly('VPDPBUSDS', accumulate(dotBytes('VPDPBUSDS', true))),
  ...vexOnly('VPDPWSSD', accumulate(dotWords)),
  ...vexOnly('VPDPWSSDS', accumulate(dotWordsSaturating)),
};

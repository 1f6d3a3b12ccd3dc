/** Vector shuffles, interleavings, blends and extensions. */
import { type Expr, i16x8, i32, i32x4, i64, i64x2, i8x16, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import { type Binary, binary } from './vector-arithmetic.ts';
import { both, legacy, shared, type V128, type VectorSemantics, vexOnly, zero } from './vector-operation.ts';

/** Elements of `bytes` from a and b in turn, of the low or high half. */
function interleave(bytes: number, high: boolean): readonly number[] {
  const start = high ? 8 / bytes : 0;
  const lanes: number[] = [];
  for (let i = 0; i < 8 / bytes; i++) {
    for (const from of [0, 16]) for (let k = 0; k < bytes; k++) lanes.push(from + (start + i) * bytes + k);
  }
  return lanes;
}

const HIGH_QUADWORD = [8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0];

/** The high half of two quadwords interleaved is the high half of their low interleaving. */
const unpack = (bytes: number, high: boolean): VectorSemantics => {
  const lanes = interleave(bytes, high);
  const whole: Binary = (_, a, b) => i8x16.shuffle(a, b, lanes);
  return (v) => {
    if (!v.mmx || !high) {
      binary(whole)(v);
      return;
    }
    const both64 = v.f.let(i8x16.shuffle(v.read(0), v.read(1), interleave(bytes, false)));
    v.write(0, i8x16.shuffle(both64, both64, HIGH_QUADWORD));
  };
};

/** PSHUFB: bit 7 clears; for quadwords bit 3 of the index does not count. */
const shuffleBytes: Binary = (v, a, b) => {
  const kept = v.mmx ? 0x8787878787878787n : 0x8f8f8f8f8f8f8f8fn;
  return i8x16.swizzle(a, v128.and(b, v128.const(kept, kept)));
};

/** The four 2-bit selectors of an immediate, one a byte of an i32. */
function selectors(imm: Expr<'i32'>): Expr<'i32'> {
  const spread = (bits: number) => i32.shl(imm, i32.const(bits));
  const all = i32.or(i32.or(imm, spread(6)), i32.or(spread(12), spread(18)));
  return i32.and(all, i32.const(0x03030303));
}

const FOURFOLD = v128.const([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
const TWOFOLD = v128.const([0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1, 2, 2, 3, 3]);
const DWORD_BYTES = v128.const(0x0302010003020100n, 0x0302010003020100n);
const WORD_BYTES = v128.const(0x0100010001000100n, 0x0100010001000100n);

/** Byte indices for dwords chosen by the immediate. */
export const dwordIndices = shared('dword_indices', ['i32'], 'v128', (_, imm) => {
  const chosen = i8x16.swizzle(i32x4.splat(selectors(imm)), FOURFOLD);
  return i8x16.add(i8x16.shl(chosen, i32.const(2)), DWORD_BYTES);
});
/** Byte indices for words 0 to 3 chosen by the immediate, in both halves. */
const wordIndices = shared('word_indices', ['i32'], 'v128', (_, imm) => {
  const chosen = i8x16.swizzle(i32x4.splat(selectors(imm)), TWOFOLD);
  return i8x16.add(i8x16.shl(chosen, i32.const(1)), WORD_BYTES);
});

const pshufd: VectorSemantics = (v) => {
  const indices = v.f.let(dwordIndices(v, v.imm()));
  v.each((h) => i8x16.swizzle(v.read(1, h), indices));
};
const shufps: VectorSemantics = (v) => {
  const indices = v.f.let(dwordIndices(v, v.imm()));
  v.each((h) => {
    const low = i8x16.swizzle(v.read(v.first, h), indices);
    const high = i8x16.swizzle(v.read(v.second, h), indices);
    return i8x16.shuffle(low, high, [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31]);
  });
};
/** PSHUFLW, PSHUFW; PSHUFHW. The other quadword stays. */
const shuffleWords =
  (high: boolean): VectorSemantics =>
  (v) => {
    const chosen = wordIndices(v, v.imm());
    const indices = v.f.let(
      high
        ? i8x16.shuffle(
            v128.const(0x0706050403020100n, 0n),
            i8x16.add(chosen, v128.const(0n, 0x0808080808080808n)),
            [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31],
          )
        : i64x2.replace_lane(chosen, i64.const(0x0f0e0d0c0b0a0908n), 1),
    );
    v.each((h) => i8x16.swizzle(v.read(1, h), indices));
  };

/** Low quadword from a, high from b; bits 0 and 1 choose which half of each. */
export const quadwordPair = shared('SHUFPD', ['v128', 'v128', 'i32'], 'v128', (f, a, b, imm) => {
  const pick = (x: V128, bit: number): Expr<'i64'> =>
    f.select(i64x2.extract_lane(x, 1), i64x2.extract_lane(x, 0), i32.and(imm, i32.const(bit)));
  return i64x2.replace_lane(i64x2.splat(pick(a, 1)), pick(b, 2), 1);
});
const shufpd: VectorSemantics = (v) =>
  v.each((h) => quadwordPair(v, v.read(v.first, h), v.read(v.second, h), i32.shr_u(v.imm(), i32.const(2 * h))));

// Blends

const WORD_BITS = v128.const([1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0, 64, 0, 128, 0]);
const DWORD_BITS = v128.const([1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0]);
const QWORD_BITS = v128.const(1n, 2n);

/** Elements of b where the immediate has a bit. `shift`: bits used up by each half. */
const blend =
  (maskOf: (imm: Expr<'i32'>) => V128, shift: number): VectorSemantics =>
  (v) =>
    v.each((h) => {
      const mask = maskOf(i32.shr_u(v.imm(), i32.const(shift * h)));
      return v128.bitselect(v.read(v.second, h), v.read(v.first, h), mask);
    });
const wordMask = (imm: Expr<'i32'>): V128 => i16x8.ne(v128.and(i16x8.splat(imm), WORD_BITS), zero());
const dwordMask = (imm: Expr<'i32'>): V128 => i32x4.ne(v128.and(i32x4.splat(imm), DWORD_BITS), zero());
const qwordMask = (imm: Expr<'i32'>): V128 =>
  i64x2.ne(v128.and(i64x2.splat(i64.extend_i32_u(imm)), QWORD_BITS), zero());

/** By sign bits of a register: the fourth with VEX, XMM0 else. */
const blendVariable =
  (spread: (mask: V128) => V128): VectorSemantics =>
  (v) =>
    v.each((h) => {
      const mask = v.vex ? v.read(3, h) : v128.load(i32.const(0), L.YMM);
      return v128.bitselect(v.read(v.second, h), v.read(v.first, h), spread(mask));
    });

// Extensions

type Extend = (x: V128) => V128;
const SIGNED = {
  BW: i16x8.extend_low_i8x16_s,
  WD: i32x4.extend_low_i16x8_s,
  DQ: i64x2.extend_low_i32x4_s,
};
const UNSIGNED = {
  BW: i16x8.extend_low_i8x16_u,
  WD: i32x4.extend_low_i16x8_u,
  DQ: i64x2.extend_low_i32x4_u,
};
/** Each half of the destination takes its own part of the source. */
const extend =
  (factor: 2 | 4 | 8, op: Extend): VectorSemantics =>
  (v) =>
    v.each((h) => op(v.readLow(1, 128 / factor, (h * 16) / factor)));

function extensions(): Record<string, Semantics> {
  const all: Record<string, Semantics> = {};
  for (const [name, x] of [
    ['PMOVSX', SIGNED],
    ['PMOVZX', UNSIGNED],
  ] as const) {
    const add = (suffix: string, factor: 2 | 4 | 8, op: Extend): void => {
      Object.assign(all, both(`${name}${suffix}`, extend(factor, op)));
    };
    add('BW', 2, x.BW);
    add('BD', 4, (a) => x.WD(x.BW(a)));
    add('BQ', 8, (a) => x.DQ(x.WD(x.BW(a))));
    add('WD', 2, x.WD);
    add('WQ', 4, (a) => x.DQ(x.WD(a)));
    add('DQ', 2, x.DQ);
  }
  return all;
}

const bySign = {
  BLENDVPS: blendVariable((m) => i32x4.shr_s(m, i32.const(31))),
  BLENDVPD: blendVariable((m) => i64x2.shr_s(m, i32.const(63))),
  PBLENDVB: blendVariable((m) => i8x16.shr_s(m, i32.const(7))),
};

export const vectorShuffles: Record<string, Semantics> = {
  ...both('PUNPCKLBW', unpack(1, false)),
  ...both('PUNPCKLWD', unpack(2, false)),
  ...both('PUNPCKLDQ', unpack(4, false)),
  ...both('PUNPCKLQDQ', unpack(8, false)),
  ...both('PUNPCKHBW', unpack(1, true)),
  ...both('PUNPCKHWD', unpack(2, true)),
  ...both('PUNPCKHDQ', unpack(4, true)),
  ...both('PUNPCKHQDQ', unpack(8, true)),
  ...both('PSHUFB', binary(shuffleBytes)),
  ...both('PSHUFD', pshufd),
  ...both('PSHUFLW', shuffleWords(false)),
  ...both('PSHUFHW', shuffleWords(true)),
  ...legacy('PSHUFW', shuffleWords(false)),
  ...both('SHUFPS', shufps),
  ...both('SHUFPD', shufpd),
  ...both('BLENDPS', blend(dwordMask, 4)),
  ...both('BLENDPD', blend(qwordMask, 2)),
  ...both('PBLENDW', blend(wordMask, 0)),
  ...vexOnly('VPBLENDD', blend(dwordMask, 4)),
  ...both('BLENDVPS', bySign.BLENDVPS),
  ...both('BLENDVPD', bySign.BLENDVPD),
  ...both('PBLENDVB', bySign.PBLENDVB),
  ...extensions(),
};

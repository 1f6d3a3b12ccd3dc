/** Vector instructions that combine neighbouring elements: packs, horizontal sums, sums of products and of differences. */
import { i16x8, i32, i32x4, i64x2, i8x16, v128 } from '../../wasm/index.ts';
import type { Semantics } from './operation.ts';
import { type Binary, binary, unary } from './vector-arithmetic.ts';
import { both, joinLow, shared, type V128, type VectorSemantics } from './vector-operation.ts';

/**
 * An operation whose low half comes from its first operand and whose high half from the second. For 64-bit registers both
 * quadwords are joined first and given twice: the low half of the result is then the whole.
 */
const joined =
  (op: Binary): Binary =>
  (v, a, b) => {
    if (!v.mmx) return op(v, a, b);
    const pair = v.f.let(joinLow(a, b), 'pair');
    return op(v, pair, pair);
  };

const EVEN_WORDS = [0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29];
const ODD_WORDS = EVEN_WORDS.map((x) => x + 2);
const EVEN_DWORDS = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
const ODD_DWORDS = EVEN_DWORDS.map((x) => x + 4);

const horizontal = (name: string, op: (a: V128, b: V128) => V128, even: readonly number[], odd: readonly number[]) =>
  both(
    name,
    binary(
      joined(
        shared(name, ['v128', 'v128'], 'v128', (_, a, b) => op(i8x16.shuffle(a, b, even), i8x16.shuffle(a, b, odd))),
      ),
    ),
  );

/** Unsigned bytes of a times signed bytes of b, neighbours added with saturation. */
const mulAddBytes = shared('PMADDUBSW', ['v128', 'v128'], 'v128', (_, a, b) => {
  const eight = i32.const(8);
  const lowMask = v128.const(0x00ff00ff00ff00ffn, 0x00ff00ff00ff00ffn);
  const even = i16x8.mul(v128.and(a, lowMask), i16x8.shr_s(i16x8.shl(b, eight), eight));
  const odd = i16x8.mul(i16x8.shr_u(a, eight), i16x8.shr_s(b, eight));
  return i16x8.add_sat_s(even, odd);
});

const LOW_DWORDS = v128.const(0xffffffffn, 0xffffffffn);

/** Sum of absolute byte differences of each quadword. */
const sumDifferences = shared('PSADBW', ['v128', 'v128'], 'v128', (f, a, b) => {
  const difference = v128.or(i8x16.sub_sat_u(a, b), i8x16.sub_sat_u(b, a));
  const fours = f.let(i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(difference)));
  return i64x2.add(v128.and(fours, LOW_DWORDS), i64x2.shr_u(fours, i32.const(32)));
});

/**
 * MPSADBW on one half. Eight sums of four absolute differences, a window of `a` sliding against one block of `b`.
 *
 *      2        1      0
 *     ┌────────┬────────┐
 *     │ a at/4 │ b at/4 │   low bits of the immediate; the high half uses bits 5..3
 *     └────────┴────────┘
 */
const multipleSums = shared('MPSADBW', ['v128', 'v128', 'i32'], 'v128', (f, a, b, control) => {
  const iota = v128.const([0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
  const aStart = f.let(i32.and(control, i32.const(4)), 'a_start');
  const bStart = f.let(i32.shl(i32.and(control, i32.const(3)), i32.const(2)), 'b_start');
  let sum: V128 | undefined;
  for (let k = 0; k < 4; k++) {
    const window = i8x16.swizzle(a, i8x16.add(iota, i8x16.splat(i32.add(aStart, i32.const(k)))));
    const block = i8x16.swizzle(b, i8x16.splat(i32.add(bStart, i32.const(k))));
    const difference = i16x8.abs(i16x8.sub(i16x8.extend_low_i8x16_u(window), i16x8.extend_low_i8x16_u(block)));
    sum = sum === undefined ? difference : i16x8.add(sum, difference);
  }
  return sum!;
});
const mpsadbw: VectorSemantics = (v) =>
  v.each((h) => {
    const control = h === 0 ? v.imm() : i32.shr_u(v.imm(), i32.const(3));
    return multipleSums(v, v.read(v.first, h), v.read(v.second, h), control);
  });

/** The least word, and behind it its place. */
const minimumWord = shared('PHMINPOSUW', ['v128'], 'v128', (f, a) => {
  const least = f.let(a, 'least');
  for (const lanes of [
    [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7],
    [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11],
    [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13],
  ]) {
    f.set(least, i16x8.min_u(least, i8x16.shuffle(least, least, lanes)));
  }
  const place = i32.ctz(i16x8.bitmask(i16x8.eq(a, least)));
  const word = i16x8.extract_lane_u(least, 0);
  return i32x4.replace_lane(v128.const(0n, 0n), i32.or(word, i32.shl(place, i32.const(16))), 0);
});

const pack = (name: string, op: (a: V128, b: V128) => V128): Record<string, Semantics> =>
  both(name, binary(joined((_, a, b) => op(a, b))));

export const vectorPairs: Record<string, Semantics> = {
  ...pack('PACKSSWB', i8x16.narrow_i16x8_s),
  ...pack('PACKUSWB', i8x16.narrow_i16x8_u),
  ...pack('PACKSSDW', i16x8.narrow_i32x4_s),
  ...pack('PACKUSDW', i16x8.narrow_i32x4_u),
  ...horizontal('PHADDW', i16x8.add, EVEN_WORDS, ODD_WORDS),
  ...horizontal('PHADDD', i32x4.add, EVEN_DWORDS, ODD_DWORDS),
  ...horizontal('PHADDSW', i16x8.add_sat_s, EVEN_WORDS, ODD_WORDS),
  ...horizontal('PHSUBW', i16x8.sub, EVEN_WORDS, ODD_WORDS),
  ...horizontal('PHSUBD', i32x4.sub, EVEN_DWORDS, ODD_DWORDS),
  ...horizontal('PHSUBSW', i16x8.sub_sat_s, EVEN_WORDS, ODD_WORDS),
  ...both('PMADDUBSW', binary(mulAddBytes)),
  ...both('PSADBW', binary(sumDifferences)),
  ...both('MPSADBW', mpsadbw),
  ...both('PHMINPOSUW', unary(minimumWord)),
};

/** The references of the vector instructions (core specification 4.3.5, on lanes), added to those of the scalars. */
import {
  abs,
  bit,
  clamp,
  clampS,
  clampU,
  COMPARES,
  convert,
  count,
  FLOAT_BINARY,
  FLOAT_COMPARES,
  FLOAT_UNARY,
  fromFloat,
  type IntOp,
  join,
  ones,
  type Reference,
  REFERENCES,
  SHIFTS,
  S,
  split,
  toFloat,
  truncate,
  U,
  WRAPPING,
} from './reference.ts';

const LANE_BINARY: Record<string, IntOp> = {
  ...WRAPPING,
  add_sat_s: (a, b, n) => clampS(S(n, a) + S(n, b), n),
  add_sat_u: (a, b, n) => clampU(a + b, n),
  sub_sat_s: (a, b, n) => clampS(S(n, a) - S(n, b), n),
  sub_sat_u: (a, b, n) => clampU(a - b, n),
  min_s: (a, b, n) => (S(n, a) < S(n, b) ? a : b),
  min_u: (a, b) => clamp(a, 0n, b),
  max_s: (a, b, n) => (S(n, a) > S(n, b) ? a : b),
  max_u: (a, b, n) => clamp(a, b, ones(n)),
  avgr_u: (a, b) => (a + b + 1n) / 2n,
  q15mulr_sat_s: (a, b, n) => clampS((S(n, a) * S(n, b) + 0x4000n) >> 15n, n),
};

const each = (n: number, op: (lane: bigint) => bigint): Reference => {
  return ([v]) => join(split(v, n).map(op), n);
};

const pairwise = (n: number, op: (a: bigint, b: bigint) => bigint): Reference => {
  return ([v, w]) => {
    const right = split(w, n);
    return join(
      split(v, n).map((lane, i) => op(lane, right[i])),
      n,
    );
  };
};

/** References that more shapes have than the table: `i64x2.min_s` and the like are no instructions. */
const ABSENT = new Set<string>();
for (const name of ['mul', 'q15mulr_sat_s']) ABSENT.add(`i8x16.${name}`);
for (const name of ['add_sat_s', 'add_sat_u', 'sub_sat_s', 'sub_sat_u', 'avgr_u', 'q15mulr_sat_s']) {
  ABSENT.add(`i32x4.${name}`).add(`i64x2.${name}`);
}
for (const name of ['min_s', 'min_u', 'max_s', 'max_u', 'lt_u', 'gt_u', 'le_u', 'ge_u']) ABSENT.add(`i64x2.${name}`);

function laneIntegers(shape: string, n: number): void {
  const add = (name: string, reference: Reference) => {
    if (!ABSENT.has(`${shape}.${name}`)) REFERENCES[`${shape}.${name}`] = reference;
  };
  for (const [name, op] of Object.entries(LANE_BINARY))
    add(
      name,
      pairwise(n, (a, b) => op(a, b, n) as bigint),
    );
  for (const [name, op] of Object.entries(COMPARES)) {
    add(
      name,
      pairwise(n, (a, b) => (op(a, b, n) ? ones(n) : 0n)),
    );
  }
  for (const [name, op] of Object.entries(SHIFTS)) {
    add(name, ([v, by]) =>
      join(
        split(v, n).map((lane) => op(lane, by, n) as bigint),
        n,
      ),
    );
  }
  add(
    'abs',
    each(n, (a) => abs(S(n, a))),
  );
  add(
    'neg',
    each(n, (a) => -a),
  );
  add('all_true', ([v]) => bit(split(v, n).every((lane) => lane !== 0n)));
  add('bitmask', ([v]) => split(v, n).reduce((bits, lane, i) => bits | ((lane >> BigInt(n - 1)) << BigInt(i)), 0n));
}

function lanesOfAllShapes(): void {
  for (const [shape, n, scalar] of [
    ['i8x16', 8, 32],
    ['i16x8', 16, 32],
    ['i32x4', 32, 32],
    ['i64x2', 64, 64],
    ['f32x4', 32, 32],
    ['f64x2', 64, 64],
  ] as const) {
    REFERENCES[`${shape}.splat`] = ([a]) => join(Array(128 / n).fill(a), n);
    REFERENCES[`${shape}.replace_lane`] = ([v, a], lane) => join(split(v, n).with(lane, a), n);
    if (n < scalar) {
      REFERENCES[`${shape}.extract_lane_s`] = ([v], lane) => U(scalar, S(n, split(v, n)[lane]));
      REFERENCES[`${shape}.extract_lane_u`] = ([v], lane) => split(v, n)[lane];
    } else REFERENCES[`${shape}.extract_lane`] = ([v], lane) => split(v, n)[lane];
  }
}

/** Instructions of `wide` that take lanes half as wide (`narrow`), and the narrowing back. */
function widening(wide: string, narrow: string, n: number): void {
  const half = n / 2;
  const lanes = 128 / n;
  for (const signed of [true, false]) {
    const letter = signed ? 's' : 'u';
    const read = (v: bigint) => split(v, half).map((lane) => (signed ? S(half, lane) : lane));
    for (const part of ['low', 'high'] as const) {
      const cut = (v: bigint) => (part === 'low' ? read(v).slice(0, lanes) : read(v).slice(lanes));
      REFERENCES[`${wide}.extend_${part}_${narrow}_${letter}`] = ([v]) => join(cut(v), n);
      REFERENCES[`${wide}.extmul_${part}_${narrow}_${letter}`] = ([v, w]) =>
        join(
          cut(v).map((lane, i) => lane * cut(w)[i]),
          n,
        );
    }
    if (wide === 'i64x2') continue;
    REFERENCES[`${wide}.extadd_pairwise_${narrow}_${letter}`] = ([v]) => {
      const all = read(v);
      return join(
        Array.from({ length: lanes }, (_, i) => all[2 * i] + all[2 * i + 1]),
        n,
      );
    };
    REFERENCES[`${narrow}.narrow_${wide}_${letter}`] = ([v, w]) => {
      const all = [...split(v, n), ...split(w, n)].map((lane) => S(n, lane));
      return join(
        all.map((lane) => (signed ? clampS(lane, half) : clampU(lane, half))),
        half,
      );
    };
  }
}

function laneFloats(shape: string, scalar: 'f32' | 'f64', n: number): void {
  for (const name of ['abs', 'neg', ...Object.keys(FLOAT_UNARY)]) {
    REFERENCES[`${shape}.${name}`] = each(n, (a) => REFERENCES[`${scalar}.${name}`]([a], 0, []) as bigint);
  }
  for (const name of Object.keys(FLOAT_BINARY)) {
    REFERENCES[`${shape}.${name}`] = pairwise(n, (a, b) => REFERENCES[`${scalar}.${name}`]([a, b], 0, []) as bigint);
  }
  for (const [name, op] of Object.entries(FLOAT_COMPARES)) {
    REFERENCES[`${shape}.${name}`] = pairwise(n, (a, b) => (op(toFloat(a, n), toFloat(b, n)) ? ones(n) : 0n));
  }
  REFERENCES[`${shape}.pmin`] = pairwise(n, (a, b) => (toFloat(b, n) < toFloat(a, n) ? b : a));
  REFERENCES[`${shape}.pmax`] = pairwise(n, (a, b) => (toFloat(a, n) < toFloat(b, n) ? b : a));
}

function laneConversions(): void {
  for (const signed of [true, false]) {
    const letter = signed ? 's' : 'u';
    const integer = (lane: bigint) => (signed ? S(32, lane) : lane);
    REFERENCES[`i32x4.trunc_sat_f32x4_${letter}`] = each(
      32,
      (a) => truncate(toFloat(a, 32), 32, signed, true) as bigint,
    );
    REFERENCES[`i32x4.trunc_sat_f64x2_${letter}_zero`] = ([v]) =>
      join(
        split(v, 64).map((a) => truncate(toFloat(a, 64), 32, signed, true) as bigint),
        32,
      );
    REFERENCES[`f32x4.convert_i32x4_${letter}`] = each(32, (a) => convert(integer(a), 32));
    REFERENCES[`f64x2.convert_low_i32x4_${letter}`] = ([v]) =>
      join(
        split(v, 32)
          .slice(0, 2)
          .map((a) => convert(integer(a), 64)),
        64,
      );
  }
  REFERENCES['f32x4.demote_f64x2_zero'] = ([v]) =>
    join(
      split(v, 64).map((a) => fromFloat(toFloat(a, 64), 32)),
      32,
    );
  REFERENCES['f64x2.promote_low_f32x4'] = ([v]) =>
    join(
      split(v, 32)
        .slice(0, 2)
        .map((a) => fromFloat(toFloat(a, 32), 64)),
      64,
    );
}

function vectors(): void {
  REFERENCES['v128.not'] = ([v]) => v ^ ones(128);
  REFERENCES['v128.and'] = ([v, w]) => v & w;
  REFERENCES['v128.andnot'] = ([v, w]) => v & (w ^ ones(128));
  REFERENCES['v128.or'] = ([v, w]) => v | w;
  REFERENCES['v128.xor'] = ([v, w]) => v ^ w;
  REFERENCES['v128.bitselect'] = ([v, w, c]) => (v & c) | (w & (c ^ ones(128)));
  REFERENCES['v128.any_true'] = ([v]) => bit(v !== 0n);
  REFERENCES['i8x16.popcnt'] = each(8, count);
  REFERENCES['i8x16.swizzle'] = ([v, w]) => {
    const table = split(v, 8);
    return join(
      split(w, 8).map((index) => table[Number(index)] ?? 0n),
      8,
    );
  };
  REFERENCES['i8x16.shuffle'] = ([v, w], _lane, lanes) => {
    const both = [...split(v, 8), ...split(w, 8)];
    return join(
      lanes.map((lane) => both[lane]),
      8,
    );
  };
  REFERENCES['i32x4.dot_i16x8_s'] = ([v, w]) => {
    const products = split(v, 16).map((lane, i) => S(16, lane) * S(16, split(w, 16)[i]));
    return join(
      Array.from({ length: 4 }, (_, i) => products[2 * i] + products[2 * i + 1]),
      32,
    );
  };
}

laneIntegers('i8x16', 8);
laneIntegers('i16x8', 16);
laneIntegers('i32x4', 32);
laneIntegers('i64x2', 64);
lanesOfAllShapes();
widening('i16x8', 'i8x16', 16);
widening('i32x4', 'i16x8', 32);
widening('i64x2', 'i32x4', 64);
laneFloats('f32x4', 'f32', 32);
laneFloats('f64x2', 'f64', 64);
laneConversions();
vectors();

export { REFERENCES };

/**
 * What every computing instruction of WebAssembly gives, worked out from the core specification's chapter 4.3 in plain
 * BigInt and number arithmetic, apart from the emitter. Values are bit patterns: unsigned bigints of the type's width.
 */
export type Result = bigint | 'trap';
export type Reference = (args: readonly bigint[], lane: number, lanes: readonly number[]) => Result;
type IntOp = (a: bigint, b: bigint, n: number) => Result;
type FloatOp = (a: number, b: number) => number;

const U = BigInt.asUintN;
const S = BigInt.asIntN;
const view = new DataView(new ArrayBuffer(8));

export const ones = (n: number): bigint => (1n << BigInt(n)) - 1n;

export function toFloat(bits: bigint, n: number): number {
  if (n === 64) view.setBigUint64(0, bits);
  else view.setUint32(0, Number(bits));
  return n === 64 ? view.getFloat64(0) : view.getFloat32(0);
}

export function fromFloat(value: number, n: number): bigint {
  if (n === 64) view.setFloat64(0, value);
  else view.setFloat32(0, value);
  return n === 64 ? view.getBigUint64(0) : BigInt(view.getUint32(0));
}

export function isNaNBits(bits: bigint, n: number): boolean {
  const magnitude = bits & ones(n - 1);
  return magnitude > (n === 64 ? 0x7ff0000000000000n : 0x7f800000n);
}

export function split(v: bigint, n: number): bigint[] {
  return Array.from({ length: 128 / n }, (_, i) => U(n, v >> BigInt(i * n)));
}

export function join(lanes: readonly bigint[], n: number): bigint {
  return lanes.reduce((v, lane, i) => v | (U(n, lane) << BigInt(i * n)), 0n);
}

const bit = (yes: boolean): bigint => (yes ? 1n : 0n);
const clamp = (x: bigint, low: bigint, high: bigint): bigint => (x < low ? low : x > high ? high : x);
const clampS = (x: bigint, n: number): bigint => clamp(x, -(1n << BigInt(n - 1)), ones(n - 1));
const clampU = (x: bigint, n: number): bigint => clamp(x, 0n, ones(n));
const abs = (x: bigint): bigint => (x < 0n ? -x : x);
const count = (x: bigint): bigint => BigInt([...x.toString(2)].filter((digit) => digit === '1').length);
const bitLength = (x: bigint): number => (x === 0n ? 0 : x.toString(2).length);

function divide(a: bigint, b: bigint, n: number, signed: boolean): Result {
  if (b === 0n) return 'trap';
  const quotient = signed ? S(n, a) / S(n, b) : a / b;
  return signed && quotient === 1n << BigInt(n - 1) ? 'trap' : quotient;
}

function rotate(a: bigint, by: bigint, n: number): bigint {
  const k = ((by % BigInt(n)) + BigInt(n)) % BigInt(n);
  return (a << k) | (a >> (BigInt(n) - k));
}

const COMPARES: Record<string, (a: bigint, b: bigint, n: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt_s: (a, b, n) => S(n, a) < S(n, b),
  lt_u: (a, b) => a < b,
  gt_s: (a, b, n) => S(n, a) > S(n, b),
  gt_u: (a, b) => a > b,
  le_s: (a, b, n) => S(n, a) <= S(n, b),
  le_u: (a, b) => a <= b,
  ge_s: (a, b, n) => S(n, a) >= S(n, b),
  ge_u: (a, b) => a >= b,
};

const WRAPPING: Record<string, IntOp> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
};

const SHIFTS: Record<string, IntOp> = {
  shl: (a, b, n) => a << (b % BigInt(n)),
  shr_s: (a, b, n) => S(n, a) >> (b % BigInt(n)),
  shr_u: (a, b, n) => a >> (b % BigInt(n)),
};

const SCALAR_BINARY: Record<string, IntOp> = {
  ...WRAPPING,
  ...SHIFTS,
  div_s: (a, b, n) => divide(a, b, n, true),
  div_u: (a, b, n) => divide(a, b, n, false),
  rem_s: (a, b, n) => (b === 0n ? 'trap' : S(n, a) % S(n, b)),
  rem_u: (a, b) => (b === 0n ? 'trap' : a % b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  rotl: (a, b, n) => rotate(a, b, n),
  rotr: (a, b, n) => rotate(a, -b, n),
};

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

function nearest(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52 || x === 0) return x;
  const floor = Math.floor(x);
  const up = x - floor > 0.5 || (x - floor === 0.5 && floor % 2 !== 0);
  const rounded = up ? floor + 1 : floor;
  return rounded === 0 && x < 0 ? -0 : rounded;
}

const FLOAT_UNARY: Record<string, (a: number) => number> = {
  ceil: Math.ceil,
  floor: Math.floor,
  trunc: Math.trunc,
  nearest,
  sqrt: Math.sqrt,
};

const FLOAT_BINARY: Record<string, FloatOp> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: Math.min,
  max: Math.max,
};

const FLOAT_COMPARES: Record<string, (a: number, b: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  ge: (a, b) => a >= b,
};

/** Integer to float with one rounding, half to even. */
function convert(x: bigint, n: number): bigint {
  const precision = n === 64 ? 53 : 24;
  const size = abs(x);
  const drop = BigInt(Math.max(0, bitLength(size) - precision));
  let kept = size >> drop;
  const rest = size - (kept << drop);
  const half = drop === 0n ? 1n : 1n << (drop - 1n);
  if (rest > half || (rest === half && kept % 2n === 1n)) kept++;
  return fromFloat(Number(x < 0n ? -(kept << drop) : kept << drop), n);
}

function truncate(x: number, n: number, signed: boolean, saturate: boolean): Result {
  if (Number.isNaN(x)) return saturate ? 0n : 'trap';
  if (!Number.isFinite(x)) {
    if (!saturate) return 'trap';
    return x > 0 ? (signed ? ones(n - 1) : ones(n)) : signed ? 1n << BigInt(n - 1) : 0n;
  }
  const whole = BigInt(Math.trunc(x));
  const fitting = signed ? clampS(whole, n) : clampU(whole, n);
  return fitting === whole || saturate ? U(n, fitting) : 'trap';
}

/** All references by the instruction's name; filled below. */
export const REFERENCES: Record<string, Reference> = {};

function mask(n: number, result: Result): Result {
  return result === 'trap' ? result : U(n, result);
}

function scalarIntegers(type: 'i32' | 'i64', n: number): void {
  for (const [name, op] of Object.entries(SCALAR_BINARY)) {
    REFERENCES[`${type}.${name}`] = ([a, b]) => mask(n, op(a, b, n));
  }
  for (const [name, op] of Object.entries(COMPARES)) REFERENCES[`${type}.${name}`] = ([a, b]) => bit(op(a, b, n));
  REFERENCES[`${type}.eqz`] = ([a]) => bit(a === 0n);
  REFERENCES[`${type}.clz`] = ([a]) => BigInt(n - bitLength(a));
  REFERENCES[`${type}.ctz`] = ([a]) => BigInt(a === 0n ? n : bitLength(a & -a) - 1);
  REFERENCES[`${type}.popcnt`] = ([a]) => count(a);
  for (const from of [8, 16, 32].filter((width) => width < n)) {
    REFERENCES[`${type}.extend${from}_s`] = ([a]) => U(n, S(from, a));
  }
  for (const [float, width] of [
    ['f32', 32],
    ['f64', 64],
  ] as const) {
    for (const signed of [true, false]) {
      const tail = `${float}_${signed ? 's' : 'u'}`;
      REFERENCES[`${type}.trunc_${tail}`] = ([a]) => truncate(toFloat(a, width), n, signed, false);
      REFERENCES[`${type}.trunc_sat_${tail}`] = ([a]) => truncate(toFloat(a, width), n, signed, true);
    }
    for (const signed of [true, false]) {
      const name = `${float}.convert_${type}_${signed ? 's' : 'u'}`;
      REFERENCES[name] = ([a]) => convert(signed ? S(n, a) : a, width);
    }
  }
}

function scalarFloats(type: 'f32' | 'f64', n: number): void {
  const sign = 1n << BigInt(n - 1);
  for (const [name, op] of Object.entries(FLOAT_UNARY)) {
    REFERENCES[`${type}.${name}`] = ([a]) => fromFloat(op(toFloat(a, n)), n);
  }
  for (const [name, op] of Object.entries(FLOAT_BINARY)) {
    REFERENCES[`${type}.${name}`] = ([a, b]) => fromFloat(op(toFloat(a, n), toFloat(b, n)), n);
  }
  for (const [name, op] of Object.entries(FLOAT_COMPARES)) {
    REFERENCES[`${type}.${name}`] = ([a, b]) => bit(op(toFloat(a, n), toFloat(b, n)));
  }
  REFERENCES[`${type}.abs`] = ([a]) => a & ~sign;
  REFERENCES[`${type}.neg`] = ([a]) => a ^ sign;
  REFERENCES[`${type}.copysign`] = ([a, b]) => (a & ~sign) | (b & sign);
}

function conversions(): void {
  REFERENCES['i32.wrap_i64'] = ([a]) => U(32, a);
  REFERENCES['i64.extend_i32_s'] = ([a]) => U(64, S(32, a));
  REFERENCES['i64.extend_i32_u'] = ([a]) => a;
  for (const name of ['i32.reinterpret_f32', 'i64.reinterpret_f64', 'f32.reinterpret_i32', 'f64.reinterpret_i64']) {
    REFERENCES[name] = ([a]) => a;
  }
  REFERENCES['f32.demote_f64'] = ([a]) => fromFloat(toFloat(a, 64), 32);
  REFERENCES['f64.promote_f32'] = ([a]) => fromFloat(toFloat(a, 32), 64);
}

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

scalarIntegers('i32', 32);
scalarIntegers('i64', 64);
scalarFloats('f32', 32);
scalarFloats('f64', 64);
conversions();
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

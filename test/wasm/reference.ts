/**
 * What every computing instruction of WebAssembly gives, worked out from the core specification's chapter 4.3 in plain
 * BigInt and number arithmetic, apart from the emitter. Values are bit patterns: unsigned bigints of the type's width.
 */
export type Result = bigint | 'trap';
export type Reference = (args: readonly bigint[], lane: number, lanes: readonly number[]) => Result;
export type IntOp = (a: bigint, b: bigint, n: number) => Result;
type FloatOp = (a: number, b: number) => number;

export const U = BigInt.asUintN;
export const S = BigInt.asIntN;
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

export const bit = (yes: boolean): bigint => (yes ? 1n : 0n);
export const clamp = (x: bigint, low: bigint, high: bigint): bigint => (x < low ? low : x > high ? high : x);
export const clampS = (x: bigint, n: number): bigint => clamp(x, -(1n << BigInt(n - 1)), ones(n - 1));
export const clampU = (x: bigint, n: number): bigint => clamp(x, 0n, ones(n));
export const abs = (x: bigint): bigint => (x < 0n ? -x : x);
export const count = (x: bigint): bigint => BigInt([...x.toString(2)].filter((digit) => digit === '1').length);
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

export const COMPARES: Record<string, (a: bigint, b: bigint, n: number) => boolean> = {
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

export const WRAPPING: Record<string, IntOp> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
};

export const SHIFTS: Record<string, IntOp> = {
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

function nearest(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52 || x === 0) return x;
  const floor = Math.floor(x);
  const up = x - floor > 0.5 || (x - floor === 0.5 && floor % 2 !== 0);
  const rounded = up ? floor + 1 : floor;
  return rounded === 0 && x < 0 ? -0 : rounded;
}

export const FLOAT_UNARY: Record<string, (a: number) => number> = {
  ceil: Math.ceil,
  floor: Math.floor,
  trunc: Math.trunc,
  nearest,
  sqrt: Math.sqrt,
};

export const FLOAT_BINARY: Record<string, FloatOp> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: Math.min,
  max: Math.max,
};

export const FLOAT_COMPARES: Record<string, (a: number, b: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  ge: (a, b) => a >= b,
};

/** Integer to float with one rounding, half to even. */
export function convert(x: bigint, n: number): bigint {
  const precision = n === 64 ? 53 : 24;
  const size = abs(x);
  const drop = BigInt(Math.max(0, bitLength(size) - precision));
  let kept = size >> drop;
  const rest = size - (kept << drop);
  const half = drop === 0n ? 1n : 1n << (drop - 1n);
  if (rest > half || (rest === half && kept % 2n === 1n)) kept++;
  return fromFloat(Number(x < 0n ? -(kept << drop) : kept << drop), n);
}

export function truncate(x: number, n: number, signed: boolean, saturate: boolean): Result {
  if (Number.isNaN(x)) return saturate ? 0n : 'trap';
  if (!Number.isFinite(x)) {
    if (!saturate) return 'trap';
    return x > 0 ? (signed ? ones(n - 1) : ones(n)) : signed ? 1n << BigInt(n - 1) : 0n;
  }
  const whole = BigInt(Math.trunc(x));
  const fitting = signed ? clampS(whole, n) : clampU(whole, n);
  return fitting === whole || saturate ? U(n, fitting) : 'trap';
}

/** The references by the instruction's name: scalars here, vectors in lane-reference.ts. */
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

scalarIntegers('i32', 32);
scalarIntegers('i64', 64);
scalarFloats('f32', 32);
scalarFloats('f64', 64);
conversions();

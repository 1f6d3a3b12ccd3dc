/** GF(2^8) on byte vectors: tables computed from the field, AES (FIPS 197), GFNI, and the carry-less product. */
import { type Expr, i32, i32x4, i64, i64x2, i8x16, type FunctionBuilder, v128 } from '../../wasm/index.ts';
import type { Semantics } from './operation.ts';
import { binary, unary } from './vector-arithmetic.ts';
import { both, shared, type V128, type VectorSemantics, type Vectors, zero } from './vector-operation.ts';

/** x^8 + x^4 + x^3 + x + 1, without the leading bit. */
const REDUCTION = 0x1b;

function product(a: number, b: number): number {
  let sum = 0;
  for (let x = a, bit = 1; bit < 256; bit <<= 1, x = ((x << 1) ^ (x & 0x80 ? 0x100 | REDUCTION : 0)) & 0xff) {
    if (b & bit) sum ^= x;
  }
  return sum;
}

/** The multiplicative inverse, x^254; 0 for 0. */
function inverse(x: number): number {
  let power = 1;
  for (let i = 0; i < 254; i++) power = product(power, x);
  return power;
}

const bytes = Array.from({ length: 256 }, (_, x) => x);
const INVERSE = bytes.map(inverse);
/** FIPS 197, 5.1.1: the inverse, then an affine map. */
const S_BOX = INVERSE.map((x) => {
  const rotated = (n: number): number => ((x << n) | (x >> (8 - n))) & 0xff;
  return x ^ rotated(1) ^ rotated(2) ^ rotated(3) ^ rotated(4) ^ 0x63;
});
const INVERSE_S_BOX = bytes.map((x) => S_BOX.indexOf(x));

const splat8 = (x: number): V128 => v128.const(new Array<number>(16).fill(x));

/**
 * Looks all 16 bytes up in a table of 256: in each row of 16, only those bytes find an entry whose high half names the row;
 * SWIZZLE gives 0 to the others.
 */
const lookup = (name: string, table: readonly number[]) =>
  shared(name, ['v128'], 'v128', (f, x) => {
    const found = f.let(zero());
    for (let row = 0; row < 16; row++) {
      const entries = v128.const(table.slice(row * 16, row * 16 + 16));
      f.set(found, v128.or(found, i8x16.swizzle(entries, v128.xor(x, splat8(row * 16)))));
    }
    return found;
  });

const subBytes = lookup('sub_bytes', S_BOX);
const inverseSubBytes = lookup('inverse_sub_bytes', INVERSE_S_BOX);
const inverses = lookup('inverses', INVERSE);

/** Every byte times x. */
const times2 = (f: FunctionBuilder, v: V128): V128 => {
  const x = f.let(v);
  const carries = v128.and(i8x16.shr_s(x, i32.const(7)), splat8(REDUCTION));
  return v128.xor(i8x16.shl(x, i32.const(1)), carries);
};

// AES. Byte r + 4c of a register is row r, column c of the state.

const state = Array.from({ length: 16 }, (_, i) => ({ row: i & 3, column: i >> 2 }));
const SHIFT_ROWS = state.map(({ row, column }) => row + 4 * ((column + row) & 3));
const INVERSE_SHIFT_ROWS = state.map(({ row, column }) => row + 4 * ((column - row) & 3));
/** Each row takes the place of the one `n` above it. */
const rows = (n: number): number[] => state.map(({ row, column }) => ((row + n) & 3) + 4 * column);

function emitMixColumns(f: FunctionBuilder, x: V128): V128 {
  const v = f.let(x);
  const next = f.let(i8x16.shuffle(v, v, rows(1)));
  const pair = f.let(v128.xor(v, next));
  return v128.xor(v128.xor(times2(f, pair), next), i8x16.shuffle(pair, pair, rows(2)));
}
const mixColumns = shared('mix_columns', ['v128'], 'v128', (f, x) => emitMixColumns(f, x));
/** The inverse matrix is the forward one times (5, 0, 4, 0). */
const inverseMixColumns = shared('inverse_mix_columns', ['v128'], 'v128', (f, x) => {
  const fourfold = times2(f, times2(f, v128.xor(x, i8x16.shuffle(x, x, rows(2)))));
  return emitMixColumns(f, v128.xor(x, fourfold));
});

type Step = (v: Vectors, x: V128) => V128;
const round =
  (places: readonly number[], sub: Step, mix: Step): VectorSemantics =>
  (v) =>
    v.each((h) => {
      const x = v.f.let(v.read(v.first, h));
      return v128.xor(mix(v, sub(v, i8x16.shuffle(x, x, places))), v.read(v.second, h));
    });
const unmixed: Step = (_, x) => x;

/** SubWord and RotWord of dwords 1 and 3; the immediate goes to the rotated ones. */
const keyAssist: VectorSemantics = (v) => {
  const x = v.f.let(subBytes(v, v.read(1)));
  const chosen = i8x16.shuffle(x, x, [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12]);
  const odd = v128.const(0xffffffff00000000n, 0xffffffff00000000n);
  v.write(0, v128.xor(chosen, v128.and(i32x4.splat(v.imm()), odd)));
};

// GFNI

const multiply = shared('GF2P8MULB', ['v128', 'v128'], 'v128', (f, a, b) => {
  const sum = f.let(zero());
  for (let bit = 0; bit < 8; bit++) {
    const chosen = i8x16.shr_s(i8x16.shl(b, i32.const(7 - bit)), i32.const(7));
    f.set(sum, v128.xor(sum, v128.and(a, chosen)));
    if (bit < 7) f.set(a, times2(f, a));
  }
  return sum;
});

/** Bit i of each result byte: parity of the byte and row 7 - i of its quadword's matrix, then the constant. */
const affine = shared('GF2P8AFFINEQB', ['v128', 'v128', 'i32'], 'v128', (f, x, matrix, constant) => {
  const result = f.let(i8x16.splat(constant));
  for (let bit = 0; bit < 8; bit++) {
    const row = Array.from({ length: 16 }, (_, i) => (i & 8) + 7 - bit);
    const ones = i8x16.popcnt(v128.and(x, i8x16.shuffle(matrix, matrix, row)));
    const parity = v128.and(ones, splat8(1));
    f.set(result, v128.xor(result, i8x16.shl(parity, i32.const(bit))));
  }
  return result;
});
const affineOf =
  (prepare: Step): VectorSemantics =>
  (v) =>
    v.each((h) => affine(v, prepare(v, v.read(v.first, h)), v.read(v.second, h), v.imm()));

// PCLMULQDQ

const carryless = shared('PCLMULQDQ', ['i64', 'i64'], 'v128', (f, a, b) => {
  const low = f.let(i64.const(0), 'low');
  const high = f.let(i64.const(0), 'high');
  f.block((done) =>
    f.loop((again) => {
      f.brIf(done, i64.eqz(b));
      const n = f.let(i64.ctz(b));
      f.set(low, i64.xor(low, i64.shl(a, n)));
      // Two steps, because a shift by 64 would be none.
      f.set(high, i64.xor(high, i64.shr_u(i64.shr_u(a, i64.const(1)), i64.sub(i64.const(63), n))));
      f.set(b, i64.and(b, i64.sub(b, i64.const(1))));
      f.br(again);
    }),
  );
  return i64x2.replace_lane(i64x2.splat(low), high, 1);
});

/** Immediate bit 0 chooses the first source's quadword, bit 4 the second's. */
const pclmulqdq: VectorSemantics = (v) =>
  v.each((h) => {
    const pick = (x: V128, bit: number): Expr<'i64'> => {
      const both64 = v.f.let(x);
      const chosen = i32.and(v.imm(), i32.const(bit));
      return v.f.select(i64x2.extract_lane(both64, 1), i64x2.extract_lane(both64, 0), chosen);
    };
    return carryless(v, pick(v.read(v.first, h), 1), pick(v.read(v.second, h), 16));
  });

export const vectorGalois: Record<string, Semantics> = {
  ...both('AESENC', round(SHIFT_ROWS, subBytes, mixColumns)),
  ...both('AESENCLAST', round(SHIFT_ROWS, subBytes, unmixed)),
  ...both('AESDEC', round(INVERSE_SHIFT_ROWS, inverseSubBytes, inverseMixColumns)),
  ...both('AESDECLAST', round(INVERSE_SHIFT_ROWS, inverseSubBytes, unmixed)),
  ...both('AESIMC', unary(inverseMixColumns)),
  ...both('AESKEYGENASSIST', keyAssist),
  ...both('GF2P8MULB', binary(multiply)),
  ...both('GF2P8AFFINEQB', affineOf(unmixed)),
  ...both('GF2P8AFFINEINVQB', affineOf(inverses)),
  ...both('PCLMULQDQ', pclmulqdq),
};

/** Vector integer arithmetic and logic, element by element. */
import { i16x8, i32x4, i64x2, i8x16, v128 } from '../../wasm/index.ts';
import type { Semantics } from './operation.ts';
import { both, shared, type V128, type VectorSemantics, type Vectors, zero } from './vector-operation.ts';

export type Binary = (v: Vectors, a: V128, b: V128) => V128;

/** destination = op(first source, second source), half by half. */
export const binary =
  (op: Binary): VectorSemantics =>
  (v) =>
    v.each((h) => op(v, v.read(v.first, h), v.read(v.second, h)));

/** destination = op(source). */
export const unary =
  (op: (v: Vectors, a: V128) => V128): VectorSemantics =>
  (v) =>
    v.each((h) => op(v, v.read(1, h)));

const simple =
  (op: (a: V128, b: V128) => V128): Binary =>
  (_, a, b) =>
    op(a, b);

const PLAIN: Record<string, (a: V128, b: V128) => V128> = {
  PADDB: i8x16.add,
  PADDW: i16x8.add,
  PADDD: i32x4.add,
  PADDQ: i64x2.add,
  PSUBB: i8x16.sub,
  PSUBW: i16x8.sub,
  PSUBD: i32x4.sub,
  PSUBQ: i64x2.sub,
  PADDSB: i8x16.add_sat_s,
  PADDSW: i16x8.add_sat_s,
  PADDUSB: i8x16.add_sat_u,
  PADDUSW: i16x8.add_sat_u,
  PSUBSB: i8x16.sub_sat_s,
  PSUBSW: i16x8.sub_sat_s,
  PSUBUSB: i8x16.sub_sat_u,
  PSUBUSW: i16x8.sub_sat_u,
  PMULLW: i16x8.mul,
  PMULLD: i32x4.mul,
  PMADDWD: i32x4.dot_i16x8_s,
  PAVGB: i8x16.avgr_u,
  PAVGW: i16x8.avgr_u,
  PMINSB: i8x16.min_s,
  PMINUB: i8x16.min_u,
  PMINSW: i16x8.min_s,
  PMINUW: i16x8.min_u,
  PMINSD: i32x4.min_s,
  PMINUD: i32x4.min_u,
  PMAXSB: i8x16.max_s,
  PMAXUB: i8x16.max_u,
  PMAXSW: i16x8.max_s,
  PMAXUW: i16x8.max_u,
  PMAXSD: i32x4.max_s,
  PMAXUD: i32x4.max_u,
  PCMPEQB: i8x16.eq,
  PCMPEQW: i16x8.eq,
  PCMPEQD: i32x4.eq,
  PCMPEQQ: i64x2.eq,
  PCMPGTB: i8x16.gt_s,
  PCMPGTW: i16x8.gt_s,
  PCMPGTD: i32x4.gt_s,
  PCMPGTQ: i64x2.gt_s,
  PAND: v128.and,
  POR: v128.or,
  PXOR: v128.xor,
};

/** The first operand is the inverted one; WebAssembly inverts the second. */
const andNot = simple((a, b) => v128.andnot(b, a));

const HIGH_WORDS = [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31];
const EVEN_DWORDS = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];

const mulHigh = shared('PMULHW', ['v128', 'v128'], 'v128', (_, a, b) =>
  i8x16.shuffle(i32x4.extmul_low_i16x8_s(a, b), i32x4.extmul_high_i16x8_s(a, b), HIGH_WORDS),
);
const mulHighUnsigned = shared('PMULHUW', ['v128', 'v128'], 'v128', (_, a, b) =>
  i8x16.shuffle(i32x4.extmul_low_i16x8_u(a, b), i32x4.extmul_high_i16x8_u(a, b), HIGH_WORDS),
);
const mulEven = shared('PMULDQ', ['v128', 'v128'], 'v128', (_, a, b) =>
  i64x2.extmul_low_i32x4_s(i8x16.shuffle(a, a, EVEN_DWORDS), i8x16.shuffle(b, b, EVEN_DWORDS)),
);
const mulEvenUnsigned = shared('PMULUDQ', ['v128', 'v128'], 'v128', (_, a, b) =>
  i64x2.extmul_low_i32x4_u(i8x16.shuffle(a, a, EVEN_DWORDS), i8x16.shuffle(b, b, EVEN_DWORDS)),
);

/** -1 times -1 gives -1: WebAssembly saturates there, PMULHRSW wraps. */
const mulRound = shared('PMULHRSW', ['v128', 'v128'], 'v128', (_, a, b) => {
  const least = v128.const(0x8000800080008000n, 0x8000800080008000n);
  const wraps = v128.and(i16x8.eq(a, least), i16x8.eq(b, least));
  return v128.xor(i16x8.q15mulr_sat_s(a, b), wraps);
});

interface Lanes {
  neg(a: V128): V128;
  lt_s(a: V128, b: V128): V128;
  ne(a: V128, b: V128): V128;
}
/** PSIGN: a negated where b is negative, zero where b is zero. */
const sign = (name: string, lanes: Lanes): Binary =>
  shared(name, ['v128', 'v128'], 'v128', (_, a, b) =>
    v128.and(v128.bitselect(lanes.neg(a), a, lanes.lt_s(b, zero())), lanes.ne(b, zero())),
  );

export const vectorArithmetic: Record<string, Semantics> = Object.assign(
  {},
  ...Object.entries(PLAIN).map(([name, op]) => both(name, binary(simple(op)))),
  both('PANDN', binary(andNot)),
  both('PMULHW', binary(mulHigh)),
  both('PMULHUW', binary(mulHighUnsigned)),
  both('PMULDQ', binary(mulEven)),
  both('PMULUDQ', binary(mulEvenUnsigned)),
  both('PMULHRSW', binary(mulRound)),
  both('PSIGNB', binary(sign('PSIGNB', i8x16))),
  both('PSIGNW', binary(sign('PSIGNW', i16x8))),
  both('PSIGND', binary(sign('PSIGND', i32x4))),
  both(
    'PABSB',
    unary((_, a) => i8x16.abs(a)),
  ),
  both(
    'PABSW',
    unary((_, a) => i16x8.abs(a)),
  ),
  both(
    'PABSD',
    unary((_, a) => i32x4.abs(a)),
  ),
);

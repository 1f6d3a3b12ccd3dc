/** Vector shifts: of elements by one count for all, of the whole register by bytes. */
import { type Expr, i16x8, i32, i32x4, i64, i64x2, i8x16, v128 } from '../../wasm/index.ts';
import type { Semantics } from './operation.ts';
import { both, shared, type V128, type VectorSemantics, type Vectors, zero } from './vector-operation.ts';

type Shift = (a: V128, n: Expr<'i32'>) => V128;
type ShiftByCount = (v: Vectors, a: V128, count: Expr<'i64'>) => V128;

/** Counts are 64 bits wide and not taken modulo the width: beyond it all bits are gone. */
const logical = (name: string, op: Shift, width: number): ShiftByCount =>
  shared(name, ['v128', 'i64'], 'v128', (f, a, count) => {
    f.if(i64.ge_u(count, i64.const(width)), () => f.return(zero()));
    return op(a, i32.wrap_i64(count));
  });
/** Beyond the width all bits are the sign. */
const arithmetic = (name: string, op: Shift, width: number): ShiftByCount =>
  shared(name, ['v128', 'i64'], 'v128', (f, a, count) => {
    f.if(i64.ge_u(count, i64.const(width)), () => f.set(count, i64.const(width - 1)));
    return op(a, i32.wrap_i64(count));
  });

const byCount =
  (op: ShiftByCount): VectorSemantics =>
  (v) => {
    const i = v.second;
    const isImmediate = v.o.kind(i) === 'i';
    const source = isImmediate ? i64.extend_i32_u(v.imm()) : i64x2.extract_lane(v.read(i), 0);
    const count = v.f.let(source, 'count');
    v.each((h) => op(v, v.read(v.first, h), count));
  };

const IOTA = v128.const([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

/** `n` from 0 to 16, as the distance of a byte shift. Places that are not 0 to 15 give zero. */
const bytesRight = shared('PSRLDQ', ['v128', 'i32'], 'v128', (f, a, n) => {
  const distance = f.select(n, i32.const(16), i32.lt_u(n, i32.const(16)));
  return i8x16.swizzle(a, i8x16.add(IOTA, i8x16.splat(distance)));
});
const bytesLeft = shared('PSLLDQ', ['v128', 'i32'], 'v128', (f, a, n) => {
  const distance = f.select(n, i32.const(16), i32.lt_u(n, i32.const(16)));
  return i8x16.swizzle(a, i8x16.sub(IOTA, i8x16.splat(distance)));
});
const byBytes =
  (op: (v: Vectors, a: V128, n: Expr<'i32'>) => V128): VectorSemantics =>
  (v) =>
    v.each((h) => op(v, v.read(v.first, h), v.imm()));

/** PALIGNR: bytes `n` to n + 15 of a (high) and b (low) side by side. */
const align = shared('PALIGNR', ['v128', 'v128', 'i32'], 'v128', (f, a, b, n) => {
  const distance = f.let(i8x16.splat(f.select(n, i32.const(32), i32.lt_u(n, i32.const(32)))));
  const low = i8x16.swizzle(b, i8x16.add(IOTA, distance));
  const sixteen = v128.const(0x1010101010101010n, 0x1010101010101010n);
  return v128.or(low, i8x16.swizzle(a, i8x16.add(IOTA, i8x16.sub(distance, sixteen))));
});
const JOIN = [16, 17, 18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 6, 7];
const palignr: VectorSemantics = (v) => {
  const i = v.second;
  if (v.mmx) v.write(0, bytesRight(v, i8x16.shuffle(v.read(0), v.read(i), JOIN), v.imm()));
  else v.each((h) => align(v, v.read(v.first, h), v.read(i, h), v.imm()));
};

export const vectorShifts: Record<string, Semantics> = {
  ...both('PSRLW', byCount(logical('PSRLW', i16x8.shr_u, 16))),
  ...both('PSRLD', byCount(logical('PSRLD', i32x4.shr_u, 32))),
  ...both('PSRLQ', byCount(logical('PSRLQ', i64x2.shr_u, 64))),
  ...both('PSLLW', byCount(logical('PSLLW', i16x8.shl, 16))),
  ...both('PSLLD', byCount(logical('PSLLD', i32x4.shl, 32))),
  ...both('PSLLQ', byCount(logical('PSLLQ', i64x2.shl, 64))),
  ...both('PSRAW', byCount(arithmetic('PSRAW', i16x8.shr_s, 16))),
  ...both('PSRAD', byCount(arithmetic('PSRAD', i32x4.shr_s, 32))),
  ...both('PSRLDQ', byBytes(bytesRight)),
  ...both('PSLLDQ', byBytes(bytesLeft)),
  ...both('PALIGNR', palignr),
};

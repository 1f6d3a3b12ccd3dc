/** Integers of 8 to 64 bits held in an i64. */
import { type Expr, i64 } from '../../wasm/index.ts';

/** All ones in the low `size` bits. */
export function mask(size: number): bigint {
  return (1n << BigInt(size)) - 1n;
}

/** Loads `size` bits from linear memory. */
export function loadSized(at: Expr<'i32'>, size: number, signed: boolean, offset = 0): Expr<'i64'> {
  switch (size) {
    case 8:
      return signed ? i64.load8_s(at, offset) : i64.load8_u(at, offset);
    case 16:
      return signed ? i64.load16_s(at, offset) : i64.load16_u(at, offset);
    case 32:
      return signed ? i64.load32_s(at, offset) : i64.load32_u(at, offset);
    case 64:
      return i64.load(at, offset);
    default:
      throw new Error(`no integer of ${size} bits`);
  }
}

/** Stores the low `size` bits to linear memory. */
export function storeSized(at: Expr<'i32'>, value: Expr<'i64'>, size: number, offset = 0): Expr<'void'> {
  switch (size) {
    case 8:
      return i64.store8(at, value, offset);
    case 16:
      return i64.store16(at, value, offset);
    case 32:
      return i64.store32(at, value, offset);
    case 64:
      return i64.store(at, value, offset);
    default:
      throw new Error(`no integer of ${size} bits`);
  }
}

/** `value` sign-extended from `size` bits. */
export function signExtend(value: Expr<'i64'>, size: number): Expr<'i64'> {
  return size === 8
    ? i64.extend8_s(value)
    : size === 16
      ? i64.extend16_s(value)
      : size === 32
        ? i64.extend32_s(value)
        : value;
}

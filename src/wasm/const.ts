import { type ByteSink, floatBytes, integerBytes } from './bytes.ts';
import { EmitError, Expr, Local } from './expr.ts';
import type { ValType } from './opcodes.ts';

/** A constant: an integer as number (i32) or bigint (i64), anything else as its little-endian bytes. */
export class Const<T extends ValType = ValType> extends Expr<T> {
  readonly value: number | bigint | Uint8Array;

  constructor(type: T, value: number | bigint | Uint8Array) {
    super(type);
    this.value = value;
  }

  override describe(): string {
    return `${this.type}.const ${this.value}`;
  }

  override emit(out: ByteSink): void {
    if (this.type === 'i32') {
      out.u8(0x41);
      out.s32(this.value as number);
    } else if (this.type === 'i64') {
      out.u8(0x42);
      out.s64(this.value as bigint);
    } else {
      if (this.type === 'f32') out.u8(0x43);
      else if (this.type === 'f64') out.u8(0x44);
      else {
        out.u8(0xfd);
        out.u8(0x0c);
      }
      out.bytes(this.value as Uint8Array);
    }
  }
}

/** An i32 constant from -2^31 to 2^32-1. */
export function i32Const(value: number): Const<'i32'> {
  if (!Number.isInteger(value) || value < -0x80000000 || value > 0xffffffff) {
    throw new EmitError(`i32.const: ${value} is not a 32-bit integer`);
  }
  return new Const('i32', value | 0);
}

/** An i64 constant from -2^63 to 2^64-1; as a number it must be a safe integer. */
export function i64Const(value: bigint | number): Const<'i64'> {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new EmitError(`i64.const: ${value} is not a safe integer; use a bigint`);
    return new Const('i64', BigInt(value));
  }
  const signed = BigInt.asIntN(64, value);
  if (signed === value || BigInt.asUintN(64, value) === value) return new Const('i64', signed);
  throw new EmitError(`i64.const: ${value} is not a 64-bit integer`);
}

export function f32Const(value: number): Const<'f32'> {
  return new Const('f32', floatBytes('f32', value));
}

/** An f32 constant from its 32 bits: the way to write a NaN whose payload matters. */
export function f32Bits(bits: number): Const<'f32'> {
  return new Const('f32', integerBytes(BigInt(bits), 4));
}

export function f64Const(value: number): Const<'f64'> {
  return new Const('f64', floatBytes('f64', value));
}

/** An f64 constant from its 64 bits: the way to write a NaN whose payload matters. */
export function f64Bits(bits: bigint): Const<'f64'> {
  return new Const('f64', integerBytes(bits, 8));
}

/** A v128 constant: 16 bytes in memory order, or its low and high 64 bits. */
export function v128Const(bytes: ArrayLike<number>): Const<'v128'>;
export function v128Const(low: bigint, high: bigint): Const<'v128'>;
export function v128Const(low: ArrayLike<number> | bigint, high = 0n): Const<'v128'> {
  if (typeof low !== 'bigint') {
    if (low.length !== 16) throw new EmitError(`v128.const: ${low.length} bytes instead of 16`);
    return new Const('v128', Uint8Array.from(low));
  }
  const bytes = new Uint8Array(16);
  bytes.set(integerBytes(low, 8));
  bytes.set(integerBytes(high, 8), 8);
  return new Const('v128', bytes);
}

/** Whether computing `expr` costs nothing and changes nothing, so that it may be left out. */
export function isTrivial(expr: Expr): boolean {
  return expr instanceof Const || expr instanceof Local;
}

import { type Const, f32Bits, f32Const, f64Bits, f64Const, i32Const, i64Const, v128Const } from './const.ts';
import { EmitError, type Expr, expectType, Op } from './expr.ts';
import { fold } from './fold.ts';
import { type Group, type Namespace, OPCODE_ROWS, type OPCODES, type OpcodeRow, type ValType } from './opcodes.ts';

// From the table's strings to signatures: 'i32 i64' becomes [Expr<'i32'>, Expr<'i64'>].
type Words<S extends string> = S extends `${infer Head} ${infer Rest}` ? Head | Words<Rest> : S;
type Operands<S extends string> = S extends `${infer Head extends ValType} ${infer Rest}`
  ? [Expr<Head>, ...Operands<Rest>]
  : S extends ValType
    ? [Expr<S>]
    : [];
type Immediates<I> = I extends `mem:${string}`
  ? [offset?: number]
  : I extends `lane:${string}`
    ? [lane: number]
    : I extends `memlane:${string}`
      ? [lane: number, offset?: number]
      : I extends 'shuffle'
        ? [lanes: readonly number[]]
        : [];
type Method<G extends Group> = (...args: [...Operands<G[1]>, ...Immediates<G[4]>]) => Expr<G[2]>;
type Methods<N extends Namespace> = { readonly [G in (typeof OPCODES)[N][number] as Words<G[3]>]: Method<G> };

function checkLane(row: OpcodeRow, lane: unknown, count: number): number {
  if (!Number.isInteger(lane) || (lane as number) < 0 || (lane as number) >= count) {
    throw new EmitError(`${row.name}: lane ${lane} is not below ${count}`);
  }
  return lane as number;
}

function checkOffset(row: OpcodeRow, offset: unknown = 0): number {
  if (!Number.isInteger(offset) || (offset as number) < 0 || (offset as number) > 0xffffffff) {
    throw new EmitError(`${row.name}: offset ${offset} is not a u32`);
  }
  return offset as number;
}

const IMMEDIATE_COUNTS = {
  '': [0, 0],
  zero: [0, 0],
  zeros: [0, 0],
  mem: [0, 1],
  lane: [1, 1],
  memlane: [1, 2],
  shuffle: [1, 1],
};

function checkArity(row: OpcodeRow, given: number): void {
  const [least, most] = IMMEDIATE_COUNTS[row.immediate];
  const immediates = given - row.operands.length;
  if (immediates >= least && immediates <= most) return;
  throw new EmitError(`${row.name}: ${given} arguments instead of ${row.operands.length + least}`);
}

/** An instruction with a lane index or sixteen; immediates follow the operands in `args`. */
function withLane(row: OpcodeRow, args: readonly unknown[]): Expr {
  const count = row.operands.length;
  const [a, b] = args.slice(0, count) as Expr[];
  const [first, offset] = args.slice(count);
  if (row.immediate === 'lane') return new Op(row, a, b, undefined, 0, checkLane(row, first, row.size));
  if (row.immediate === 'memlane') {
    return new Op(row, a, b, undefined, checkOffset(row, offset), checkLane(row, first, 16 >> row.size));
  }
  const lanes = first as readonly number[];
  if (lanes.length !== 16) throw new EmitError(`${row.name}: wants 16 lanes`);
  for (const lane of lanes) checkLane(row, lane, 32);
  return new Op(row, a, b, undefined, 0, [...lanes]);
}

/**
 * The function behind one table row. The checks at run time are for callers whose types are not known statically.
 * The first four kinds are most of all code, and so have a function of their own.
 */
function constructorOf(row: OpcodeRow): (...args: never[]) => Expr {
  const { operands, immediate, name } = row;
  const [typeA, typeB] = operands;
  if (immediate === '' && operands.length === 1) {
    return (a: Expr) => {
      if (a?.type !== typeA) expectType(name, a, typeA);
      return fold(row, a, undefined) ?? new Op(row, a);
    };
  }
  if (immediate === '' && operands.length === 2) {
    return (a: Expr, b: Expr) => {
      if (a?.type !== typeA) expectType(name, a, typeA);
      if (b?.type !== typeB) expectType(name, b, typeB);
      return fold(row, a, b) ?? new Op(row, a, b);
    };
  }
  if (immediate === 'mem' && typeB === undefined) {
    return (address: Expr, offset = 0) => {
      if (address?.type !== typeA) expectType(name, address, typeA);
      return new Op(row, address, undefined, undefined, checkOffset(row, offset));
    };
  }
  if (immediate === 'mem') {
    return (address: Expr, value: Expr, offset = 0) => {
      if (address?.type !== typeA) expectType(name, address, typeA);
      if (value?.type !== typeB) expectType(name, value, typeB as ValType);
      return new Op(row, address, value, undefined, checkOffset(row, offset));
    };
  }
  return (...args: unknown[]) => {
    checkArity(row, args.length);
    operands.forEach((type, index) => {
      expectType(name, args[index] as Expr, type);
    });
    const [a, b, c] = args.slice(0, operands.length) as Expr[];
    if (immediate === '' || immediate === 'zero' || immediate === 'zeros') return new Op(row, a, b, c);
    return withLane(row, args);
  };
}

function methods<N extends Namespace>(namespace: N): Methods<N> {
  const rows = OPCODE_ROWS.filter((row) => row.namespace === namespace);
  return Object.fromEntries(rows.map((row) => [row.method, constructorOf(row)])) as unknown as Methods<N>;
}

export const i32 = { ...methods('i32'), const: i32Const };
export const i64 = { ...methods('i64'), const: i64Const };
export const f32 = { ...methods('f32'), const: f32Const, constBits: f32Bits };
export const f64 = { ...methods('f64'), const: f64Const, constBits: f64Bits };
export const v128 = { ...methods('v128'), const: v128Const };
export const memory = methods('memory');
export const i8x16 = methods('i8x16');
export const i16x8 = methods('i16x8');
export const i32x4 = methods('i32x4');
export const i64x2 = methods('i64x2');
export const f32x4 = methods('f32x4');
export const f64x2 = methods('f64x2');

/** A zero of the type, for what must be initialised. */
export function zeroOf<T extends ValType>(type: T): Const<T> {
  const zeros = { i32: i32Const(0), i64: i64Const(0), f32: f32Const(0), f64: f64Const(0), v128: v128Const(0n, 0n) };
  return zeros[type] as unknown as Const<T>;
}

/**
 * The work that dispatch designs are compared on: decoded records of 16 bytes for the 9-instruction loop (a load, a store),
 * registers in memory, no flags. Operations beyond those nine only make the interpreter as large as a real one.
 *
 *      0        2     3     4            8            12
 *     ┌────────┬─────┬─────┬────────────┬────────────┬────────────┐
 *     │ op     │ a   │ b   │ imm        │ target     │ -          │   a, b: byte offsets of registers
 *     └────────┴─────┴─────┴────────────┴────────────┴────────────┘
 */
import { type Expr, type FunctionBuilder, i32, i64, type Local } from '../../../src/wasm/index.ts';

export const RECORD_BYTES = 16;
export const INSTRUCTIONS = 9;
/** Where the records lie, and the words that the loop works on. */
export const RECORDS = 0x1000;
export const WORDS = 0x2000;
export const JNZ = 8;
export const FIRST_FILLER = 9;

const [VALUE, COUNT, HASH, INDEX] = [0, 8, 16, 24];

export const a = (pc: Expr<'i32'>): Expr<'i32'> => i32.load8_u(pc, 2);
const b = (pc: Expr<'i32'>): Expr<'i32'> => i32.load8_u(pc, 3);
const imm = (pc: Expr<'i32'>): Expr<'i64'> => i64.load32_s(pc, 4);

/** The words' address that a record with register `b` as index means. */
function address(pc: Expr<'i32'>): Expr<'i32'> {
  return i32.add(i32.const(WORDS), i32.shl(i32.wrap_i64(i64.load(b(pc))), i32.const(3)));
}

/** Emits what operation `op` does, all but JNZ's jump. */
export function emitOperation(f: FunctionBuilder, pc: Local<'i32'>, op: number): void {
  const set = (value: Expr<'i64'>) => f.do(i64.store(a(pc), value));
  const [left, right] = [() => i64.load(a(pc)), () => i64.load(b(pc))];
  if (op === 0) set(i64.load(address(pc)));
  else if (op === 1) set(i64.add(left(), right()));
  else if (op === 2) set(i64.xor(left(), right()));
  else if (op === 3) set(i64.rotl(left(), imm(pc)));
  else if (op === 4) f.do(i64.store(address(pc), left()));
  else if (op === 5) set(i64.add(left(), i64.const(1)));
  else if (op === 6) set(i64.and(left(), imm(pc)));
  else if (op === 7) set(i64.sub(left(), i64.const(1)));
  else if (op >= FIRST_FILLER)
    set(i64.mul(i64.add(left(), i64.const(BigInt(op) * 0x9e3779b1n)), i64.rotl(right(), imm(pc))));
}

/** Operations that follow each other in the program, and which a design may do in one. */
export const PAIRS: readonly (readonly [first: number, second: number])[] = [
  [0, 1],
  [2, 3],
  [4, 5],
  [6, 7],
];

/** Writes the program and clears its state. `firstPair`: number of the operation that does the first pair, if there are. */
export function load(memory: WebAssembly.Memory, count: number, firstPair?: number): void {
  const view = new DataView(memory.buffer);
  new Uint8Array(memory.buffer).fill(0);
  const program: readonly (readonly [op: number, a: number, b: number, imm: number])[] = [
    [0, VALUE, INDEX, 0],
    [1, VALUE, COUNT, 0],
    [2, HASH, VALUE, 0],
    [3, HASH, HASH, 5],
    [4, VALUE, INDEX, 0],
    [5, INDEX, INDEX, 0],
    [6, INDEX, INDEX, 1023],
    [7, COUNT, COUNT, 0],
    [JNZ, COUNT, COUNT, 0],
  ];
  for (const [i, [op, first, second, value]] of program.entries()) {
    const at = RECORDS + i * RECORD_BYTES;
    const pair = PAIRS.findIndex(([first]) => first === op);
    view.setUint16(at, firstPair !== undefined && pair >= 0 ? firstPair + pair : op, true);
    view.setUint8(at + 2, first);
    view.setUint8(at + 3, second);
    view.setInt32(at + 4, value, true);
    view.setUint32(at + 8, RECORDS, true);
  }
  view.setBigUint64(COUNT, BigInt(count), true);
}

/** What the loop computed. */
export function hash(memory: WebAssembly.Memory): bigint {
  return new DataView(memory.buffer).getBigUint64(HASH, true);
}

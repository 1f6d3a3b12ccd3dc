/**
 * `node perf/bench/rejected/records.ts`: how large a decoded record should be, and where the guest's registers should
 * lie. The loop with `br_table` (dispatch.ts) executes the micro-program; the first of each list is what is in use.
 *
 *     records     16 bytes; 8 (the target shares the immediate's place); 32 (room for a whole address)
 *     registers   slots in linear memory; WebAssembly locals, the record's register chosen by a switch; locals, one operation
 *                 for each register that it may write (16 times as many operations)
 *
 * Copies of the program, linked in random order, make working sets of code as large as those of real guests.
 */
import { fileURLToPath } from 'node:url';
import {
  type Expr,
  type FunctionBuilder,
  i32,
  i64,
  type Local,
  ModuleBuilder,
  type ValType,
} from '../../../src/wasm/index.ts';
import { hostTime, since } from '../../timer.ts';
import { type Figure, figure, figureLines } from '../figures.ts';
import { interleaved } from '../suite.ts';
import { INSTRUCTIONS } from './micro-program.ts';

export const SIZES = [16, 8, 32] as const;
export const PLACES = ['memory', 'locals by switch', 'locals by operation'] as const;
export type RecordBytes = (typeof SIZES)[number];
export type Place = (typeof PLACES)[number];

export interface Design {
  readonly bytes: RecordBytes;
  readonly place: Place;
}

const REGISTERS = 16;
const WORDS = 0x1000;
const WORD_COUNT = 1024;
const RECORDS = 0x4000;
/** Operations of the program, numbered as its records; the last decides whether to go on. */
const JNZ = INSTRUCTIONS - 1;
/** Where a design may put its registers while the program does not run, and always the result. */
const [VALUE, COUNT, HASH, INDEX] = [1, 2, 3, 4];

/** op, destination, source, immediate; see `emitOperation`. */
const PROGRAM: readonly (readonly [op: number, a: number, b: number, imm: number])[] = [
  [0, VALUE, INDEX, 0],
  [1, VALUE, COUNT, 0],
  [2, HASH, VALUE, 0],
  [3, HASH, HASH, 5],
  [4, VALUE, INDEX, 0],
  [5, INDEX, INDEX, 0],
  [6, INDEX, INDEX, WORD_COUNT - 1],
  [7, COUNT, COUNT, 0],
  [JNZ, COUNT, COUNT, 0],
];

/** How an operation reaches the registers that its record names. */
interface Registers {
  get(which: 'a' | 'b'): Expr<'i64'>;
  set(value: Expr<'i64'>): void;
}

function emitOperation(f: FunctionBuilder, pc: Local<'i32'>, op: number, r: Registers): void {
  const imm = (): Expr<'i64'> => i64.load32_s(pc, 4);
  const word = (): Expr<'i32'> => i32.add(i32.const(WORDS), i32.shl(i32.wrap_i64(r.get('b')), i32.const(3)));
  if (op === 0) r.set(i64.load(word()));
  else if (op === 1) r.set(i64.add(r.get('a'), r.get('b')));
  else if (op === 2) r.set(i64.xor(r.get('a'), r.get('b')));
  else if (op === 3) r.set(i64.rotl(r.get('a'), imm()));
  else if (op === 4) f.do(i64.store(word(), r.get('a')));
  else if (op === 5) r.set(i64.add(r.get('a'), i64.const(1)));
  else if (op === 6) r.set(i64.and(r.get('a'), imm()));
  else if (op === 7) r.set(i64.sub(r.get('a'), i64.const(1)));
}

/** Registers in linear memory: the record holds their byte offsets. */
function inMemory(f: FunctionBuilder, pc: Local<'i32'>): Registers {
  const slot = { a: (): Expr<'i32'> => i32.load8_u(pc, 2), b: (): Expr<'i32'> => i32.load8_u(pc, 3) };
  return { get: (which) => i64.load(slot[which]()), set: (value) => f.do(i64.store(slot.a(), value)) };
}

/** Registers in locals: the record's number chooses. With `destination`, the operation knows register `a` itself. */
function inLocals(
  f: FunctionBuilder,
  pc: Local<'i32'>,
  locals: readonly Local<'i64'>[],
  destination?: number,
): Registers {
  const choose = (field: number, of: (local: Local<'i64'>) => void): void =>
    f.switch(
      i32.load8_u(pc, field),
      locals.map((local) => () => of(local)),
      () => f.unreachable(),
    );
  return {
    get: (which) => {
      if (which === 'a' && destination !== undefined) return locals[destination];
      const value = f.local('i64');
      choose(which === 'a' ? 2 : 3, (local) => f.set(value, local));
      return value;
    },
    set: (value) => {
      if (destination !== undefined) f.set(locals[destination], value);
      else {
        const v = f.let(value);
        choose(2, (local) => f.set(local, v));
      }
    },
  };
}

interface Built {
  readonly memory: WebAssembly.Memory;
  run(pc: number): void;
}

/** An interpreter of the micro-program for records of `design`, in a memory for `records` of them. */
export function build({ bytes, place }: Design, records: number): Built {
  const pages = Math.ceil((RECORDS + records * bytes) / 65_536);
  const b = new ModuleBuilder();
  b.importMemory('env', 'memory', pages, pages);
  b.func('run', ['i32'], [], (f, pc) => emitLoop(f, pc, bytes, place), { exportAs: 'run', paramNames: ['pc'] });
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(b.finish()), { env: { memory } });
  return { memory, run: exports['run'] as (pc: number) => void };
}

function emitLoop(f: FunctionBuilder, pc: Local<'i32'>, bytes: RecordBytes, place: Place): void {
  const locals = place === 'memory' ? [] : Array.from({ length: REGISTERS }, (_, n) => f.local('i64', `r${n}`));
  const at = (n: number): Expr<'i32'> => i32.const(n * 8);
  for (const [n, local] of locals.entries()) f.set(local, i64.load(at(n)));
  const arm = (op: number, again: () => void, leave: (isZero: Expr<'i32'>) => void, destination?: number) => () => {
    const registers = place === 'memory' ? inMemory(f, pc) : inLocals(f, pc, locals, destination);
    if (op === JNZ) {
      leave(i64.eqz(registers.get('a')));
      f.set(pc, i32.load(pc, bytes === 8 ? 4 : 8));
    } else {
      emitOperation(f, pc, op, registers);
      f.set(pc, i32.add(pc, i32.const(bytes)));
    }
    again();
  };
  f.block((end) => {
    f.loop((next) => {
      const [again, leave] = [() => f.br(next), (isZero: Expr<'i32'>) => f.brIf(end, isZero)];
      const destinations = place === 'locals by operation' ? [...locals.keys()] : [undefined];
      const arms = PROGRAM.flatMap(([op]) => destinations.map((d) => arm(op, again, leave, d)));
      f.switch(i32.load16_u(pc), arms, () => f.br(end));
      f.unreachable();
    });
  });
  for (const [n, local] of locals.entries()) f.do(i64.store(at(n), local as Local<ValType & 'i64'>));
}

/** A fixed random order of 0 … n-1. */
function shuffled(n: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  let seed = 12_345;
  for (let i = n - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Writes `copies` of the program, and clears its state. `count`: how many copies are to be executed. */
function load(memory: WebAssembly.Memory, { bytes, place }: Design, copies: number, count: number): void {
  const view = new DataView(memory.buffer);
  new Uint8Array(memory.buffer, 0, RECORDS).fill(0);
  const order = shuffled(copies);
  const startOf = (copy: number): number => RECORDS + copy * INSTRUCTIONS * bytes;
  for (const [i, copy] of order.entries()) {
    for (const [n, [op, a, b, imm]] of PROGRAM.entries()) {
      const at = startOf(copy) + n * bytes;
      const scale = place === 'memory' ? 8 : 1;
      view.setUint16(at, place === 'locals by operation' ? op * REGISTERS + a : op, true);
      view.setUint8(at + 2, a * scale);
      view.setUint8(at + 3, b * scale);
      view.setInt32(at + 4, imm, true);
      if (op === JNZ) view.setUint32(at + (bytes === 8 ? 4 : 8), startOf(order[(i + 1) % copies]!), true);
    }
  }
  view.setBigUint64(COUNT * 8, BigInt(count), true);
}

/** Nanoseconds an operation for each of `designs`, all computing the same. @throws Error if one computes something else */
export function recordFigures(
  designs: readonly Design[],
  repeat: number,
  iterations: number,
  copies: number,
): Record<string, Figure> {
  const results = new Set<bigint>();
  const works = designs.map((design) => {
    const { memory, run } = build(design, copies * INSTRUCTIONS);
    const once = (count: number): number => {
      load(memory, design, copies, count);
      const start = hostTime();
      run(RECORDS);
      return since(start).cpuSeconds;
    };
    // V8 optimises a function only when it is called again.
    for (let i = 0; i < 200; i++) once(Math.min(iterations, 200));
    return () => {
      const seconds = once(iterations);
      results.add(new DataView(memory.buffer).getBigUint64(HASH * 8, true));
      return (seconds / iterations / INSTRUCTIONS) * 1e9;
    };
  });
  const samples = interleaved(repeat, works);
  if (results.size !== 1) throw new Error('the designs compute different things');
  const name = ({ bytes, place }: Design): string => `${bytes} bytes, ${place}, ${copies * INSTRUCTIONS} records`;
  return Object.fromEntries(designs.map((design, i) => [name(design), figure(samples[i], 'ns an operation', 'lower')]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sizes = SIZES.map((bytes): Design => ({ bytes, place: 'memory' }));
  const places = PLACES.map((place): Design => ({ bytes: 16, place }));
  for (const [designs, sets] of [
    [sizes, [6, 222, 5556, 55_556]],
    [places, [6, 222]],
  ] as const) {
    for (const copies of sets) {
      for (const line of figureLines(recordFigures(designs, 5, 2_000_000, copies))) console.log(line);
    }
  }
}

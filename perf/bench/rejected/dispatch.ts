/**
 * `node perf/bench/rejected/dispatch.ts`: ways from one decoded record to the next. The first is the one in use.
 *
 *     br_table        one function, a loop around a br_table, operations inline
 *     call_indirect   a loop that calls an operation's own function through a table
 *     tail calls      each operation's function calls the next one's in tail position
 *     pairs           as br_table, with operations that do two records at once
 */
import { fileURLToPath } from 'node:url';
import { i32, ModuleBuilder, type TableRef } from '../../../src/wasm/index.ts';
import { hostTime, since } from '../../timer.ts';
import { type Figure, figure, figureLines } from '../figures.ts';
import { interleaved } from '../suite.ts';
import { emitOperation, hash, INSTRUCTIONS, JNZ, load, PAIRS, RECORD_BYTES, RECORDS } from './micro-program.ts';

export const DESIGNS = ['br_table', 'call_indirect', 'tail calls', 'pairs'] as const;
export type Design = (typeof DESIGNS)[number];

interface Built {
  readonly memory: WebAssembly.Memory;
  run(pc: number): void;
}

/** An interpreter of `operations` operations. */
export function build(design: Design, operations: number): Built {
  const b = new ModuleBuilder();
  b.importMemory('env', 'memory', 1, 1);
  if (design === 'br_table' || design === 'pairs') inLine(b, operations, design === 'pairs');
  else called(b, operations, design === 'tail calls');
  const bytes = design === 'tail calls' ? withTailCalls(b.finish()) : b.finish();
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  return { memory, run: exports['run'] as (pc: number) => void };
}

const next = (pc: Parameters<typeof i32.load>[0]) => i32.add(pc, i32.const(RECORD_BYTES));

function inLine(b: ModuleBuilder, operations: number, pairs: boolean): void {
  b.func(
    'run',
    ['i32'],
    [],
    (f, pc) => {
      f.block((leave) => {
        f.loop((again) => {
          const arms = Array.from({ length: operations }, (_, op) => () => {
            emitOperation(f, pc, op);
            if (op === JNZ) {
              f.brIf(leave, i32.eqz(i32.load(i32.load8_u(pc, 2))));
              f.set(pc, i32.load(pc, 8));
            } else f.set(pc, next(pc));
            f.br(again);
          });
          for (const [first, second] of pairs ? PAIRS : []) {
            arms.push(() => {
              emitOperation(f, pc, first);
              f.set(pc, next(pc));
              emitOperation(f, pc, second);
              f.set(pc, next(pc));
              f.br(again);
            });
          }
          f.switch(i32.load16_u(pc), arms, () => f.br(leave));
          f.unreachable();
        });
      });
    },
    { exportAs: 'run', paramNames: ['pc'] },
  );
}

function called(b: ModuleBuilder, operations: number, tail: boolean): void {
  // The module's only table is made of these functions, which refer to it: its number is known before it is there.
  const self: TableRef = { index: 0, name: 'operations' };
  const functions = Array.from({ length: operations }, (_, op) =>
    b.func(`op${op}`, ['i32'], ['i32'], (f, pc) => {
      emitOperation(f, pc, op);
      const to = f.let(op === JNZ ? i32.load(pc, 8) : next(pc), 'to');
      if (op === JNZ) f.if(i32.eqz(i32.load(i32.load8_u(pc, 2))), () => f.return(i32.const(0)));
      if (tail) f.return(f.callIndirect(self, ['i32'], ['i32'], i32.load16_u(to), to));
      else f.return(to);
      f.unreachable();
      return undefined;
    }),
  );
  const table = b.table(functions, { name: self.name });
  b.func(
    'run',
    ['i32'],
    [],
    (f, pc) => {
      f.loop((again) => {
        f.set(pc, f.callIndirect(table, ['i32'], ['i32'], i32.load16_u(pc), pc));
        f.brIf(again, pc);
      });
    },
    { exportAs: 'run', paramNames: ['pc'] },
  );
}

/** The emitter knows no tail calls: `call_indirect T 0; return` becomes `return_call_indirect T 0; return`. */
function withTailCalls(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const [CALL_INDIRECT, RETURN_CALL_INDIRECT, RETURN] = [0x11, 0x13, 0x0f];
  const out = new Uint8Array(bytes);
  for (let i = 0; i + 3 < out.length; i++) {
    if (out[i] === CALL_INDIRECT && out[i + 1]! < 4 && out[i + 2] === 0 && out[i + 3] === RETURN)
      out[i] = RETURN_CALL_INDIRECT;
  }
  return out;
}

/** Nanoseconds an operation, by design, all computing the same. @throws Error if one computes something else */
export function dispatchFigures(repeat: number, iterations: number, operations: number): Record<string, Figure> {
  const built = DESIGNS.map((design) => {
    const { memory, run } = build(design, operations);
    const prepare = (count: number) => load(memory, count, design === 'pairs' ? operations : undefined);
    return { memory, run, prepare };
  });
  const results = new Set<bigint>();
  const works = built.map(({ memory, run, prepare }) => () => {
    prepare(iterations);
    const start = hostTime();
    run(RECORDS);
    const { cpuSeconds } = since(start);
    results.add(hash(memory));
    return (cpuSeconds / iterations / INSTRUCTIONS) * 1e9;
  });
  // V8 optimises a function only when it is called again.
  for (const { run, prepare } of built) {
    for (let i = 0; i < 200; i++) {
      prepare(1000);
      run(RECORDS);
    }
  }
  for (const work of works) work();
  const samples = interleaved(repeat, works);
  if (results.size !== 1) throw new Error('the designs compute different things');
  return Object.fromEntries(
    DESIGNS.map((design, i) => [`dispatch.${design}.${operations}`, figure(samples[i], 'ns an operation', 'lower')]),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const operations of [20, 300, 1000]) {
    console.log(`${operations} operations`);
    for (const line of figureLines(dispatchFigures(5, 2_000_000, operations))) console.log(`  ${line}`);
  }
}

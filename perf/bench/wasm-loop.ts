/** The host's own speed: the 9-instruction loop of the guests, compiled to WebAssembly by hand. No interpreter beats it. */
import { i32, ModuleBuilder } from '../../src/wasm/index.ts';
import { hostTime, since } from '../timer.ts';

const INSTRUCTIONS = 9;

/** Guest-equivalent million instructions a second, in processor time. */
export function wasmLoopRate(iterations: number): number {
  const run = (compiled ??= compile());
  const start = hostTime();
  run(iterations);
  return (INSTRUCTIONS * iterations) / since(start).cpuSeconds / 1e6;
}

let compiled: ((count: number) => number) | undefined;

function compile(): (count: number) => number {
  const b = new ModuleBuilder();
  b.importMemory('env', 'memory', 1, 1);
  b.func(
    'loop',
    ['i32'],
    ['i32'],
    (f, count) => {
      const index = f.let(i32.const(0), 'index');
      const hash = f.let(i32.const(0), 'hash');
      f.loop((again) => {
        const at = f.let(i32.shl(index, i32.const(2)), 'at');
        const value = f.let(i32.add(i32.load(at), count), 'value');
        f.set(hash, i32.rotl(i32.xor(hash, value), i32.const(5)));
        f.do(i32.store(at, value));
        f.set(index, i32.and(i32.add(index, i32.const(1)), i32.const(1023)));
        f.set(count, i32.sub(count, i32.const(1)));
        f.brIf(again, count);
      });
      return hash;
    },
    { exportAs: 'loop', paramNames: ['count'] },
  );
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(b.finish()), {
    env: { memory: new WebAssembly.Memory({ initial: 1, maximum: 1 }) },
  });
  const loop = exports['loop'] as (count: number) => number;
  // Twice round, so that the optimised code is there.
  for (let i = 0; i < 50; i++) loop(100_000);
  return loop;
}

/** Instructions a second: the bench guest's loops in a whole session, and the 32-bit image beside v86. */
import { benchGuest, type Loop } from '../../workloads/bench-guest.ts';
import { runOnce } from '../../workloads/run.ts';
import { type Figure, figure, ratios } from '../figures.ts';
import { image32, type Loop32, LOOPS32, type Run32 } from '../image32/image.ts';
import { runOnRexen } from '../image32/on-rexen.ts';
import { runOnV86, v86Missing } from '../image32/on-v86.ts';
import { interleaved, scaled, type Suite, type SuiteOptions } from '../suite.ts';
import { wasmLoopRate } from '../wasm-loop.ts';

const MIPS = 'million instructions/s';
const LOOPS: readonly Loop[] = ['alu', 'sort', 'chase'];
const ITERATIONS = { alu: 10_000_000, sort: 75, chase: 5_000_000 } as const;
const LOOP_RATE_GOAL = 250;

/** Million instructions a second of processor time, between what the guest prints before and after its loop. */
export function loopRate(loop: Loop, iterations: number): number {
  const { marks } = runOnce(benchGuest(loop, iterations), 'off').cost;
  const { start, done } = marks;
  if (!start || !done) throw new Error(`the bench guest did not print its lines for ${loop}`);
  return (done.ticks - start.ticks) / (done.host.cpuSeconds - start.host.cpuSeconds) / 1e6;
}

export const interpreter: Suite = {
  name: 'interpreter',
  about: 'million instructions a second on three compute loops, 64 bit, in a whole session',
  run(options) {
    const iterations = (loop: 'alu' | 'sort' | 'chase') => scaled(ITERATIONS[loop], options);
    const figures: Record<string, Figure> = {};
    figures['interpreter.cold'] = figure([loopRate('alu', iterations('alu'))], `${MIPS}, V8 cold`, 'higher');
    const works = [...LOOPS.map((loop) => () => loopRate(loop, iterations(loop as 'alu'))), () => wasmLoopRate(2e7)];
    for (const work of works) work();
    const [alu, sort, chase, wasm] = interleaved(options.repeat, works);
    const measured = { alu, sort, chase };
    for (const loop of LOOPS) {
      figures[`interpreter.${loop}`] = figure(measured[loop as 'alu'], MIPS, 'higher', LOOP_RATE_GOAL);
    }
    figures['host.wasm-loop'] = figure(wasm, `${MIPS}, compiled`, 'higher');
    figures['interpreter.alu/wasm-loop'] = figure(ratios(wasm, alu), 'times slower', 'lower');
    return { figures, skipped: {} };
  },
};

/** The least iterations for v86's compiler to have found the loop; its interpreter takes a tenth of them. */
const ITERATIONS_32: Readonly<Record<Loop32, number>> = { alu: 20_000_000, sort: 150, chase: 10_000_000 };

export const beside32: Suite = {
  name: 'v86',
  about: "the same 32-bit image on rexen's processor and on v86",
  async run(options) {
    const figures: Record<string, Figure> = {};
    const skipped: Record<string, string> = v86Missing === undefined ? {} : { v86: v86Missing };
    for (const loop of LOOPS32) Object.assign(figures, await besideOf(loop, options));
    return { figures, skipped };
  },
};

async function besideOf(loop: Loop32, options: SuiteOptions): Promise<Record<string, Figure>> {
  const long = image32(loop, scaled(ITERATIONS_32[loop], options));
  const brief = image32(loop, scaled(ITERATIONS_32[loop] / 10, options));
  const expected = [runOnRexen(long), runOnRexen(brief)] as const;
  const rate = (run: Run32, count: 0 | 1): number => {
    if (run.result !== expected[count].result) throw new Error(`${loop}: the machines disagree about the result`);
    return expected[count].instructions! / run.host.cpuSeconds / 1e6;
  };
  const [ours, compiled, interpreted]: number[][] = [[], [], []];
  for (let i = 0; i < options.repeat; i++) {
    ours.push(rate(runOnRexen(long), 0));
    if (v86Missing !== undefined) continue;
    compiled.push(rate(await runOnV86(long, true), 0));
    interpreted.push(rate(await runOnV86(brief, false), 1));
  }
  const figures: Record<string, Figure> = { [`bare32.${loop}`]: figure(ours, MIPS, 'higher') };
  if (v86Missing === undefined) {
    figures[`v86.interpreter.${loop}`] = figure(interpreted, MIPS, 'higher');
    figures[`v86.compiler.${loop}`] = figure(compiled, MIPS, 'higher');
    figures[`bare32/v86.interpreter.${loop}`] = figure(ratios(ours, interpreted), 'times as fast', 'higher');
    figures[`bare32/v86.compiler.${loop}`] = figure(ratios(ours, compiled), 'times as fast', 'higher');
  }
  return figures;
}

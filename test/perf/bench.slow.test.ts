/** The benchmarks run and give their figures, at sizes that mean nothing. No figure is judged here: hosts differ. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { image32, LOOPS32 } from '../../perf/bench/image32/image.ts';
import { runOnRexen } from '../../perf/bench/image32/on-rexen.ts';
import { runOnV86, v86Missing } from '../../perf/bench/image32/on-v86.ts';
import { dispatchFigures } from '../../perf/bench/rejected/dispatch.ts';
import { PLACES, recordFigures, SIZES } from '../../perf/bench/rejected/records.ts';
import type { BenchResult } from '../../perf/bench/result.ts';
import { testIf } from '../support/images.ts';

const command = new URL('../../perf/bench/main.ts', import.meta.url).pathname;

function bench(...names: string[]): BenchResult {
  const args = [command, ...names, '--json', '--repeat', '2', '--scale', '0.0005'];
  const run = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  return JSON.parse(run.stdout) as BenchResult;
}

describe.each([
  ['interpreter', ['interpreter.alu', 'interpreter.sort', 'interpreter.chase', 'interpreter.alu/wasm-loop']],
  ['recording', ['alu.record/off', 'alu.replay/record', 'alu.log', 'alu.log.inputs', 'hypercalls.record/off']],
  ['hypercall', ['hypercall.off', 'hypercall.recorded']],
  ['memory', ['memory.record.small', 'memory.replay.small']],
])('benchmark %s', (name, keys) => {
  test('gives its figures and describes the host', { timeout: 120_000 }, () => {
    const { figures, host } = bench(name);
    for (const key of keys) expect(figures[key]?.value, key).toEqual(expect.any(Number));
    expect(host).toMatchObject({ cpus: expect.any(Number), node: process.versions.node });
  });
});

test('a benchmark that there is not is refused with the names of those there are', () => {
  const run = spawnSync(process.execPath, [command, 'nothing'], { encoding: 'utf8' });
  expect(run.status).toBe(1);
  expect(run.stderr).toContain('there is no benchmark "nothing"; there are: interpreter, v86, recording');
});

test.each([
  ['host', 'alu:2000', /%.* src\/[a-z/-]+\.ts:\d+/],
  ['guest', 'sort:1', /kernel +sort/],
  ['mix', 'alu:20000', /inline +MOV\/r64,m64/],
  ['pairs', 'alu:20000', / \+ /],
  ['counters', 'hypercall:100', /log records/],
  ['instructions', 'haddpd', /sse\n +\d+ +haddpd/],
])('npm run profile -- %s %s', (what, workload, expected) => {
  const profile = new URL('../../perf/profile.ts', import.meta.url).pathname;
  const run = spawnSync(process.execPath, [profile, what, workload], { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  expect(run.stdout).toMatch(expected);
});

describe('the 32-bit image', () => {
  test.each(LOOPS32)('%s: ticks grow with iterations, and the result is the same twice', (loop) => {
    const [short, long, again] = [3, 9, 9].map((iterations) => runOnRexen(image32(loop, iterations)));
    expect(long!.instructions).toBeGreaterThan(short!.instructions!);
    expect(long!.result).toMatch(/^[0-9a-f]{8}$/);
    expect(again!.result).toBe(long!.result);
    expect(again!.instructions).toBe(long!.instructions);
  });
  testIf(
    v86Missing === undefined,
    v86Missing ?? '',
    'another emulator computes the same',
    async () => {
      for (const loop of LOOPS32) {
        const image = image32(loop, 3);
        expect((await runOnV86(image, false)).result).toBe(runOnRexen(image).result);
      }
    },
    60_000,
  );
});

test('the dispatch designs compute the same, and are all measured', () => {
  const figures = dispatchFigures(2, 100, 20);
  expect(Object.keys(figures)).toEqual([
    'dispatch.br_table.20',
    'dispatch.call_indirect.20',
    'dispatch.tail calls.20',
    'dispatch.pairs.20',
  ]);
});

test('the sizes of records and the places of registers compute the same, and are all measured', () => {
  const designs = SIZES.flatMap((bytes) => PLACES.map((place) => ({ bytes, place })));
  const figures = recordFigures(designs, 2, 100, 3);
  expect(Object.keys(figures)).toHaveLength(9);
  expect(figures['32 bytes, locals by operation, 27 records']?.samples).toHaveLength(2);
});

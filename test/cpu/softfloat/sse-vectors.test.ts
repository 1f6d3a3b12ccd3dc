/** A sample of the recorded SSE, AVX, FMA and F16C vectors; sse-vectors.slow.test.ts runs all of them. */
import { describe, expect, test } from 'vitest';
import { runSseVector, understands } from './sse-runner.ts';
import { loadVectors, SAMPLE_STEP, vectorFile } from './vectors.ts';

function failures(path: string, step: number): { count: number; problems: string[] } {
  const vectors = loadVectors(path, step).filter((v) => understands(v.form));
  return { count: vectors.length, problems: vectors.map(runSseVector).filter((p) => p !== undefined) };
}

test('the fixture of recorded vectors agrees, values, flags and faults', () => {
  const { count, problems } = failures(new URL('fixtures/sse.jsonl', import.meta.url).pathname, 1);
  expect(problems).toEqual([]);
  expect(count).toBeGreaterThan(150);
});

describe.each([
  ['sse_float', 200],
  ['sse_convert', 100],
  ['avx', 400],
] as const)('%s', (family, atLeast) => {
  const file = vectorFile(family);
  const name = `every ${SAMPLE_STEP}th vector agrees`;
  test.skipIf(!file.present)(file.present ? name : `${name} (${file.reason})`, () => {
    const { count, problems } = failures(file.path, SAMPLE_STEP);
    expect(problems).toEqual([]);
    expect(count).toBeGreaterThan(atLeast);
  });
});

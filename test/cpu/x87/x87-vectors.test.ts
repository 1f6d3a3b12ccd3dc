/** A sample of the recorded x87 vectors; x87-vectors.slow.test.ts runs all of them. */
import { describe, expect, test } from 'vitest';
import { loadVectors, SAMPLE_STEP, vectorFile } from '../softfloat/vectors.ts';
import { FX_FORMS, runFxVector } from './fxsave-runner.ts';
import { runX87Vector } from './x87-runner.ts';

test('the fixture of recorded vectors agrees: registers, words, memory, RFLAGS, #MF', () => {
  const vectors = loadVectors(new URL('fixtures/x87.jsonl', import.meta.url).pathname);
  expect(vectors.map((v) => runX87Vector(v).problem).filter((p) => p !== undefined)).toEqual([]);
  expect(vectors.length).toBe(200);
});

describe.each(['x87', 'x87_transcendental'])('%s', (family) => {
  const file = vectorFile(family);
  const name = `every ${SAMPLE_STEP}th vector agrees`;
  test.skipIf(!file.present)(file.present ? name : `${name} (${file.reason})`, () => {
    const vectors = loadVectors(file.path, SAMPLE_STEP);
    expect(vectors.map((v) => runX87Vector(v).problem).filter((p) => p !== undefined)).toEqual([]);
    expect(vectors.length).toBeGreaterThan(300);
  });
});

const move = vectorFile('sse_move');
test.skipIf(!move.present)(move.present ? 'FXSAVE and FXRSTOR' : `FXSAVE and FXRSTOR (${move.reason})`, () => {
  const vectors = loadVectors(move.path, SAMPLE_STEP).filter((v) => FX_FORMS.includes(v.form));
  expect(vectors.map(runFxVector).filter((p) => p !== undefined)).toEqual([]);
  expect(vectors.length).toBeGreaterThan(10);
});

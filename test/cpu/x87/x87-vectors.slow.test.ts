/** Every recorded x87 vector. */
import { expect, test } from 'vitest';
import { loadVectors, vectorFile } from '../softfloat/vectors.ts';
import { FX_FORMS, runFxVector } from './fxsave-runner.ts';
import { runX87Vector } from './x87-runner.ts';

const named = (name: string, file: { present: boolean; reason: string }) =>
  file.present ? name : `${name} (${file.reason})`;

const x87 = vectorFile('x87');
test.skipIf(!x87.present)(named('every x87 vector agrees to the bit', x87), () => {
  const verdicts = loadVectors(x87.path).map(runX87Vector);
  expect(verdicts.map((v) => v.problem).filter((p) => p !== undefined)).toEqual([]);
  expect(verdicts.filter((v) => v.ulps !== 0)).toEqual([]);
  expect(verdicts.length).toBe(12768);
});

const transcendental = vectorFile('x87_transcendental');
test.skipIf(!transcendental.present)(named('every transcendental agrees within one unit', transcendental), () => {
  const verdicts = loadVectors(transcendental.path).map(runX87Vector);
  expect(verdicts.map((v) => v.problem).filter((p) => p !== undefined)).toEqual([]);
  // The processor itself is off by one now and then; more than that would be our error.
  expect(verdicts.filter((v) => v.ulps === 1).length).toBeLessThan(verdicts.length * 0.02);
  expect(verdicts.length).toBe(6400);
});

const move = vectorFile('sse_move');
test.skipIf(!move.present)(named('every FXSAVE and FXRSTOR vector agrees', move), () => {
  const vectors = loadVectors(move.path).filter((v) => FX_FORMS.includes(v.form));
  expect(vectors.map(runFxVector).filter((p) => p !== undefined)).toEqual([]);
  expect(vectors.length).toBe(512);
});

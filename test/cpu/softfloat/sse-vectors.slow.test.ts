/** Every recorded SSE, AVX, FMA and F16C floating-point vector. */
import { describe, expect, test } from 'vitest';
import { runSseVector, understands } from './sse-runner.ts';
import { loadVectors, vectorFile } from './vectors.ts';

describe.each([
  ['sse_float', 6656],
  ['sse_convert', 3584],
  ['avx', 13376],
] as const)('%s', (family, expected) => {
  const file = vectorFile(family);
  const name = 'every vector agrees: values, MXCSR flags, #XM';
  test.skipIf(!file.present)(file.present ? name : `${name} (${file.reason})`, () => {
    const vectors = loadVectors(file.path).filter((v) => understands(v.form));
    expect(vectors.map(runSseVector).filter((p) => p !== undefined)).toEqual([]);
    expect(vectors.length).toBe(expected);
  });
});

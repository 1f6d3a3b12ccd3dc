/** Every recorded vector of the integer vector families and AVX. */
import { expect, test } from 'vitest';
import { type Vector, VectorMachine } from '../../conformance/vector-machine.ts';
import { loadVectors, vectorFile } from '../softfloat/vectors.ts';

const COUNTS = {
  sse_move: 9984,
  sse_int: 10656,
  mmx: 9024,
  sse4_string: 2400,
  aes_clmul: 1400,
  sha_gfni: 2000,
  avx: 42816,
};

for (const [family, count] of Object.entries(COUNTS)) {
  const file = vectorFile(family);
  const name = `all ${count} recordings of ${family} agree`;
  test.skipIf(!file.present)(file.present ? name : `${name} (${file.reason})`, () => {
    const machine = new VectorMachine();
    const vectors = loadVectors(file.path) as unknown as Vector[];
    const bad = vectors.filter((v) => machine.run(v).length > 0);
    expect(bad.map((v) => `${v.id} ${v.form}`)).toEqual([]);
    expect(vectors.length).toBe(count);
  });
}

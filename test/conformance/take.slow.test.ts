/** New vectors from the processor at hand: a few of every family and mode, and random bytes. */
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/images.ts';
import { cannotTake, Taker } from './take/native.ts';
import { RANDOM_BYTES, take } from './take/take.ts';
import { type Placement, VectorMachine } from './vector-machine.ts';
import { runVectors } from './vectors.ts';

const reason = cannotTake();
const ways: readonly (readonly [number, Placement])[] = [
  [1, 'alone'],
  [64, 'amid'],
];

describe('vectors taken here', () => {
  let taker: Taker;
  beforeAll(() => {
    if (reason === undefined) taker = new Taker();
  });
  afterAll(() => taker?.close());

  for (const [families, count] of [
    [[], 2000],
    [[RANDOM_BYTES], 1000],
  ] as const) {
    testIf(reason === undefined, reason ?? '', families[0] ?? 'every family', () => {
      const { vectors } = take({ seed: 20_000, count, families, mode: 64 }, taker);
      expect(vectors).toHaveLength(count);
      expect(vectors.filter(({ exception }) => exception === null).length).toBeGreaterThan(count / 5);
      for (const [maxBlock, placement] of ways) {
        const problems: string[] = [];
        const report = (v: { id: string; form: string; bytes: string }, lines: string[]) =>
          problems.push(`${v.id} ${v.form} ${v.bytes}: ${lines.join('; ')}`);
        const summary = runVectors(vectors, new VectorMachine(maxBlock), report, placement);
        expect(problems).toEqual([]);
        expect(summary).toMatchObject({ passed: count, unsupported: {} });
      }
    });
  }
});

/** New vectors from the processor at hand: a few of every family and mode, and random bytes. */
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/images.ts';
import { cannotTake, isAmd, isMeasured, Taker } from './take/native.ts';
import { RANDOM_BYTES, take } from './take/take.ts';
import { type Placement, VectorMachine } from './vector-machine.ts';
import { runVectors } from './vectors.ts';

const reason =
  cannotTake() ?? (isAmd() ? undefined : 'needs an AMD processor: others differ where manuals say nothing');
/** Other generations may differ in a few double faults. */
const allowed = (count: number): number => (isMeasured() ? 0 : count / 100);
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

  for (const [families, mode, count] of [
    [[], 64, 2000],
    [[], 32, 1000],
    [[], 16, 1000],
    [[RANDOM_BYTES], 64, 1000],
    [[RANDOM_BYTES], 32, 500],
  ] as const) {
    testIf(reason === undefined, reason ?? '', `${families[0] ?? 'every family'}, ${mode}-bit code`, () => {
      const { vectors } = take({ seed: 20_000, count, families, mode }, taker);
      expect(vectors).toHaveLength(count);
      expect(vectors.filter(({ exception }) => exception === null).length).toBeGreaterThan(count / 5);
      // Other modes see NOPs in the code page, by way of segments that lead there.
      for (const [maxBlock, placement] of mode === 64 ? ways : ways.slice(0, 1)) {
        const problems: string[] = [];
        const report = (v: { id: string; form: string; bytes: string }, lines: string[]) =>
          problems.push(`${v.id} ${v.form} ${v.bytes}: ${lines.join('; ')}`);
        const summary = runVectors(vectors, new VectorMachine(maxBlock), report, placement);
        if (problems.length > allowed(count)) expect(problems).toEqual([]);
        expect(summary).toMatchObject({ passed: count - problems.length, unsupported: {} });
      }
    });
  }
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shrink } from '../../replay/chaos-shrink.ts';

/** Fails if all of `needed` are there. */
const needs = (needed: readonly number[]) => async (candidates: readonly (readonly number[])[]) =>
  candidates.findIndex((list) => needed.every((each) => list.includes(each)));
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

test('one guilty among a thousand is found in a few tries', async () => {
  const { list, tries, minimal } = await shrink(upTo(1000), needs([637]));
  expect({ list, minimal }).toEqual({ list: [637], minimal: true });
  expect(tries).toBeLessThan(25);
});

test('causes that shift the later ones, so that few parts of the list fail as it did', async () => {
  // The 1,234th does it, but only where an even number of others came before it and two thirds of those are there.
  const fails = async (candidates: readonly (readonly number[])[]) =>
    candidates.findIndex((list) => {
      const before = list.indexOf(1234);
      return before >= 0 && (before === 0 || (before % 2 === 0 && before > 800));
    });
  const { list, tries, minimal } = await shrink(upTo(3000), fails);
  expect({ list, minimal }).toEqual({ list: [1234], minimal: true });
  expect(tries).toBeLessThan(60);
});

test('causes that need each other all stay, in their order', async () => {
  const { list } = await shrink(upTo(200), needs([3, 99, 180]));
  expect(list).toEqual([3, 99, 180]);
});

test('what fails without any cause shrinks to nothing', async () => {
  expect((await shrink(upTo(50), needs([]))).list).toEqual([]);
});

test('tries run out: what is left still fails, and is not called minimal', async () => {
  const { list, tries, minimal } = await shrink(upTo(1000), needs([1, 500, 999]), { maxTries: 12 });
  expect(tries).toBeLessThanOrEqual(13);
  expect(minimal).toBe(false);
  expect(await needs([1, 500, 999])([list])).toBe(0);
});

test('whatever is needed, the result fails and nothing can be left out', () =>
  fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(60), { maxLength: 5 }), async (needed) => {
      const { list, minimal } = await shrink(upTo(61), needs(needed));
      expect(minimal).toBe(true);
      expect([...list].sort()).toEqual([...needed].sort());
    }),
    { numRuns: 60 },
  ));

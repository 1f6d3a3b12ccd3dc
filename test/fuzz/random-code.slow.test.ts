import { expect, it } from 'vitest';
import { MODES } from '../cpu/engine/random-code.ts';
import { fuzzSeeds } from './random-code.ts';

/** `npm run fuzz -- --seeds 10000` runs them all. */
it.each(MODES)('500 seeds of random code in %s mode', (mode) => {
  const { ticks, failures } = fuzzSeeds({ mode, first: 10_001, seeds: 500, ticks: 5000 });
  expect(failures).toEqual([]);
  expect(ticks).toBe(2_500_000);
});

import { expect, it } from 'vitest';
import { fuzz } from './compare.ts';

it.each([1, 2, 3, 5, 7, 11, 13, 17])('decoder agrees with iced-x86 on 500,000 random codes, seed %i', (seed) => {
  expect(fuzz(seed * 104729, 500_000)).toEqual([]);
});

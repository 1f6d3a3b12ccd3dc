import { expect, it } from 'vitest';
import { MODES } from '../cpu/engine/random-code.ts';
import { fuzzSeeds } from './random-code.ts';
import { fuzz, fuzzMachine } from './random-machine.ts';

it.each(MODES)('random code in %s mode survives, and is the same in blocks, pieces and single instructions', (mode) => {
  const { seeds, ticks, exceptions, restarts, failures } = fuzzSeeds({ mode, first: 1, seeds: 60, ticks: 2000 });
  expect(failures).toEqual([]);
  expect({ seeds, ticks }).toEqual({ seeds: 60, ticks: 120_000 });
  expect(Math.min(exceptions, restarts)).toBeGreaterThan(50);
});

it('a seed stands for one sequence of instructions, on a new machine and on a used one', () => {
  const used = fuzzMachine();
  const first = fuzz(used, 7, 'long64', 2000);
  expect(fuzz(used, 8, 'long64', 2000).digest).not.toBe(first.digest);
  expect(fuzz(used, 7, 'long64', 2000)).toEqual(first);
  expect(fuzz(fuzzMachine(1), 7, 'long64', 2000)).toEqual(first);
});

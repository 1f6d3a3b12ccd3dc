import { describe, expect, test } from 'vitest';
import { figure, figureLines, median, noise, ratios } from '../../perf/bench/figures.ts';
import { interleaved, scaled } from '../../perf/bench/suite.ts';

describe('medians and noise', () => {
  test('of odd and even counts, in any order', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
  test('noise is half the distance of the quartiles, as a share', () => {
    expect(noise([10, 10, 10])).toBe(0);
    expect(noise([8, 9, 10, 11, 12])).toBeCloseTo(0.1);
    expect(noise([5])).toBe(0);
  });
  test('ratios go pair by pair', () => {
    expect(ratios([2, 9], [1, 3])).toEqual([2, 3]);
  });
});

test('a line says whether the goal is reached, in the right direction', () => {
  const line = (better: 'higher' | 'lower', value: number) => figureLines({ x: figure([value], 'ms', better, 10) })[0];
  expect(line('higher', 11)).toContain('at least 10.0, reached');
  expect(line('higher', 9)).toContain('NOT reached');
  expect(line('lower', 9)).toContain('at most 10.0, reached');
  expect(line('lower', 11)).toContain('NOT reached');
});

test('works are measured in turns, neither always first', () => {
  const order: string[] = [];
  const results = interleaved(2, [() => order.push('a'), () => order.push('b')]);
  expect(order).toEqual(['a', 'b', 'b', 'a']);
  expect(results).toEqual([
    [1, 4],
    [2, 3],
  ]);
});

test('work is scaled, and never becomes none', () => {
  expect(scaled(1000, { repeat: 1, scale: 0.5 })).toBe(500);
  expect(scaled(10, { repeat: 1, scale: 0.001 })).toBe(1);
});

import { describe, expect, test } from 'vitest';
import {
  type ChaosConfig,
  Chaos,
  checkChaos,
  generator,
  MAX_PERTURBATIONS,
  perturbationsOf,
} from '../../src/machine/chaos.ts';
import { machineConfig } from '../../src/machine/config.ts';

const seeded: ChaosConfig = { seed: 7, mean_ticks: 1000 };

describe('perturbations of a seed', () => {
  test('are the same every time, others for another seed', () => {
    expect(perturbationsOf(seeded, 2)).toEqual(perturbationsOf(seeded, 2));
    expect(perturbationsOf({ ...seeded, seed: 8 }, 2)).not.toEqual(perturbationsOf(seeded, 2));
  });

  test('lie in order on each pcpu, at about the distance asked for', () => {
    for (const pcpu of [0, 1]) {
      const places = perturbationsOf(seeded, 2).filter((each) => each.pcpu === pcpu);
      expect(places).toHaveLength(MAX_PERTURBATIONS / 2);
      expect(places.every((each, i) => i === 0 || each.at > places[i - 1].at)).toBe(true);
      expect(places.at(-1)!.at / places.length).toBeGreaterThan(950);
      expect(places.at(-1)!.at / places.length).toBeLessThan(1050);
    }
  });

  test('are of every kind, and name only pcpus there are', () => {
    const all = perturbationsOf(seeded, 3);
    expect(new Set(all.map((each) => each.do))).toEqual(new Set(['preempt', 'stretch', 'hold', 'next']));
    expect(all.every((each) => each.do !== 'next' || each.to < 3)).toBe(true);
    expect(() => checkChaos({ ...seeded, perturbations: all }, 3)).not.toThrow();
  });

  test('the generator spreads evenly', () => {
    const random = generator(1);
    const counts = new Array(8).fill(0);
    for (let i = 0; i < 8000; i++) counts[random(8)]++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

test('places are counted in the ticks of their own pcpu', () => {
  const chaos = new Chaos(
    {
      ...seeded,
      perturbations: [
        { pcpu: 0, at: 100, do: 'preempt' },
        { pcpu: 1, at: 50, do: 'hold', ticks: 30 },
        { pcpu: 0, at: 150, do: 'stretch', ticks: 9 },
        { pcpu: 0, at: 150, do: 'next', to: 1 },
      ],
    },
    2,
  );
  expect(chaos.budget(0)).toBe(100);
  expect(chaos.ran(1, 50)).toBe(false);
  expect(chaos.holds(1)).toBe(true);
  expect(chaos.budget(1)).toBe(30);
  chaos.ran(1, 30);
  expect(chaos.holds(1)).toBe(false);
  expect(chaos.ran(0, 99)).toBe(false);
  const saved = chaos.save();
  expect(chaos.ran(0, 1)).toBe(true);
  chaos.ran(0, 50);
  expect([chaos.takeStretch(0), chaos.takeStretch(0)]).toEqual([9, 0]);
  expect([chaos.takeNext(0), chaos.takeNext(0)]).toEqual([1, -1]);
  expect(chaos.begun()).toHaveLength(4);
  chaos.restore(saved);
  expect(chaos.begun()).toHaveLength(1);
  expect(chaos.ran(0, 1)).toBe(true);
});

describe('a configuration from anywhere is checked', () => {
  const bad: [string, unknown][] = [
    ['seed', { seed: -1, mean_ticks: 5 }],
    ['mean_ticks', { seed: 1, mean_ticks: 0 }],
    ['perturbations', { ...seeded, perturbations: 'all' }],
    ['at most', { ...seeded, perturbations: new Array(MAX_PERTURBATIONS + 1).fill({ pcpu: 0, at: 1, do: 'preempt' }) }],
    ['pcpu', { ...seeded, perturbations: [{ pcpu: 2, at: 1, do: 'preempt' }] }],
    ['place', { ...seeded, perturbations: [{ pcpu: 0, at: 0, do: 'preempt' }] }],
    ['does what', { ...seeded, perturbations: [{ pcpu: 0, at: 1, do: 'explode' }] }],
    ['next pcpu', { ...seeded, perturbations: [{ pcpu: 0, at: 1, do: 'next', to: 9 }] }],
    ['length', { ...seeded, perturbations: [{ pcpu: 0, at: 1, do: 'hold' }] }],
    ['length', { ...seeded, perturbations: [null, { pcpu: 0, at: 1, do: 'hold' }].slice(1) }],
  ];
  test.each(bad)('%s', (what, chaos) => {
    expect(() => machineConfig({ pcpus: 2, chaos: chaos as ChaosConfig })).toThrow(new RegExp(what));
  });

  test('without chaos there is no trace of it', () => {
    expect(Object.keys(machineConfig())).not.toContain('chaos');
    expect(machineConfig({ chaos: seeded }).chaos).toEqual(seeded);
  });
});

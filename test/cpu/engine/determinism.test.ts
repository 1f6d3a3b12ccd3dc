import { describe, expect, it } from 'vitest';
import { MODES, random, randomMachine } from './random-code.ts';

const SEEDS = 8;
const TICKS = 3000;

/** DESIGN C3: how code is executed must not show. */
describe.each(MODES)('random code in %s mode', (mode) => {
  it('is the same in whole blocks, single instructions and random pieces', () => {
    let exceptions = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const whole = randomMachine(seed, mode);
      whole.run(TICKS);
      const single = randomMachine(seed, mode, 1);
      single.run(TICKS);
      const cut = random(seed + 77);
      const pieces = randomMachine(seed, mode);
      pieces.run(TICKS, () => 1 + (cut() % 13));
      expect(single.digest(), `seed ${seed}, one instruction a block`).toBe(whole.digest());
      expect(pieces.digest(), `seed ${seed}, random pieces`).toBe(whole.digest());
      expect(pieces.exitLog, `seed ${seed}, exits`).toEqual(whole.exitLog);
      exceptions += whole.exitLog.filter((line) => line.includes('exception')).length;
    }
    expect(exceptions).toBeGreaterThan(0);
  });
});

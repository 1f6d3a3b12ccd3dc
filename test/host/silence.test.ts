import { expect, test } from 'vitest';
import { guestConfig, recordAndReplay } from '../support/recorded.ts';

/** Prints a line every `ms` of its time, and idles in between. */
const ticker = (ms: number) => guestConfig('ticker', { extra: `ticks=3 period_ms=${ms}` });

test('an expect is given up after ten silent minutes, although the guest has timers for ever', async () => {
  const { outcome, message, ticks } = await recordAndReplay({ domains: [ticker(700_000)], script: 'expect "tick 3"' });
  expect(outcome).toBe('expect-not-met');
  expect(message).toMatch(/^script:1: expect "tick 3" was not met; .*; nothing was printed for ten minutes/);
  expect(ticks).toBeGreaterThan(600e9);
  expect(ticks).toBeLessThan(1400e9);
});

test('a guest that prints now and then is waited for', async () => {
  const { outcome, ticks } = await recordAndReplay({ domains: [ticker(400_000)], script: 'expect "tick 3"\nend' });
  expect([outcome, ticks > 1200e9]).toEqual(['ended', true]);
});

test('a wait may be longer', async () => {
  const script = 'wait 1300_000_000_000\nexpect "tick 1"\nexpect "tick 2"\nend';
  expect((await recordAndReplay({ domains: [ticker(700_000)], script })).outcome).toBe('ended');
});

/** Our small guests as sessions: each runs, says what it should, and replays bit for bit. */
import { describe, expect, it } from 'vitest';
import { guestConfig, recordAndReplay } from '../support/recorded.ts';

describe('small guests', () => {
  it('hello tells what it was started with', async () => {
    const { outcome, console } = await recordAndReplay({ domains: [guestConfig('hello', { extra: 'a=b' })] });
    expect(outcome).toBe('finished');
    expect(console('hello')).toContain('cmdline: a=b');
    expect(console('hello')).toContain('Xen 4.17');
    expect(console('hello')).toContain('xenstore: name hello');
  });

  it('ticker keeps time', async () => {
    const { outcome, ticks, console } = await recordAndReplay({ domains: [guestConfig('ticker')] });
    expect(outcome).toBe('finished');
    expect(ticks).toBeGreaterThan(2_000_000_000);
    expect(console('ticker')).toMatch(/ticker: \d+ ticks, at most 0 us late/);
  });

  it('faults handles every exception', async () => {
    const { console } = await recordAndReplay({ domains: [guestConfig('faults')] });
    expect(Number(/faults: all (\d+) passed/.exec(console('faults'))?.[1])).toBeGreaterThanOrEqual(133);
    expect(console('faults')).not.toContain('NOT OK');
  });

  it.each([1, 2])('spinner counts on two vcpus, %d processors', async (pcpus) => {
    const { console } = await recordAndReplay({ domains: [guestConfig('spinner', { vcpus: 2 })], machine: { pcpus } });
    expect(console('spinner')).toContain('with LOCK 200000 of 200000');
    expect(console('spinner')).toContain('spinner: passed');
  });

  it('ring-front and ring-back talk through a granted page', async () => {
    const domains = [guestConfig('ring-back'), guestConfig('ring-front')];
    const { console } = await recordAndReplay({ domains });
    expect(console('ring-front')).toContain('200 requests, 0 wrong answers');
    expect(console('ring-back')).toContain('200 requests answered');
  });

  it('crash is a crash, with its registers on the console', async () => {
    const { outcome, console } = await recordAndReplay({ domains: [guestConfig('crash')] });
    expect(outcome).toBe('crashed');
    expect(console('crash')).toContain('unexpected trap 14');
  });

  it('two recordings of the same session have one digest', async () => {
    const request = { domains: [guestConfig('spinner', { vcpus: 2 })] };
    const [a, b] = [await recordAndReplay(request), await recordAndReplay(request)];
    expect(b.digest).toBe(a.digest);
  });
});

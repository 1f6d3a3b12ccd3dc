/** The system guests check the processor from within: each prints a line a case. Recorded and replayed, as any guest. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Recorded, record, replay } from '../../src/index.ts';
import { smallGuest } from '../support/images.ts';

/** Guests and the cases they have at the least. */
const GUESTS: readonly (readonly [string, number])[] = [
  ['faults', 133],
  ['system-segments', 174],
  ['system-gates', 125],
  ['system-modes', 190],
  ['system-paging', 124],
  ['system-registers', 128],
  ['system-vcpus', 11],
];

it('there are at least 400 cases', () => {
  expect(GUESTS.reduce((sum, [, cases]) => sum + cases, 0)).toBeGreaterThanOrEqual(400);
});

describe.each(GUESTS)('%s', (name, atLeast) => {
  let recorded: Recorded;
  let lines: string[];
  beforeAll(async () => {
    const config = `name = "guest"\ntype = "pvh"\nkernel = "${smallGuest(name)}"\nvcpus = ${name === 'system-vcpus' ? 2 : 1}\nmemory = 8\non_reboot = "destroy"\n`;
    recorded = await record({ domains: [config], maxTicks: 200_000_000 });
    lines = recorded.console('guest').split(/\r?\n/);
  });

  it('passes every case', () => {
    expect(lines.filter((line) => !/^(ok \d+ .*|)$/.test(line)).at(-1)).toMatch(/: all \d+ passed$/);
    expect(lines.filter((line) => line.startsWith('NOT OK'))).toEqual([]);
    const cases = lines.filter((line) => line.startsWith('ok ')).length;
    expect(cases).toBeGreaterThanOrEqual(atLeast);
    expect(lines).toContain(`${name}: all ${cases} passed`);
    expect(recorded.outcome).toBe('finished');
  });

  it('replays to the same digest', () => {
    const { verified, whole, digest } = replay(recorded.file!);
    expect({ verified, whole, digest }).toEqual({ verified: true, whole: true, digest: recorded.digest });
  });
});

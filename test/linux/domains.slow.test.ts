import { expect, test } from 'vitest';
import { testWithImages } from '../support/images.ts';
import { COMPLAINTS, expectVerified, IMAGES, KERNEL_OPTIONS, recordLinux } from './guest.ts';

const COUNT = 8;
const name = (n: number) => (n === 1 ? 'linux' : `linux${n}`);
const all = Array.from({ length: COUNT }, (_, i) => i + 1);

/** A quarter of an hour on two cores: asked for by name. */
const LONG = process.env['REXEN_LONG'] === '1';
const run: typeof testWithImages = LONG
  ? testWithImages
  : (title) => test.skip(`${title} (skipped: takes a quarter of an hour; REXEN_LONG=1 runs it)`, () => {});

run(
  'eight small domains reach one another, in one recording',
  IMAGES,
  async () => {
    const others = all.slice(1);
    const recorded = await recordLinux({
      domains: all.map((n) => `memory = 72\nvif = [""]\nextra = "${KERNEL_OPTIONS} rexen.ip=10.0.0.${n}/24"`),
      maxTicks: 60_000_000_000,
      script: [
        ...others.toReversed().flatMap((n) => [`domain ${name(n)}`, 'expect "is ready"', 'expect "# "']),
        'domain linux',
        'expect "is ready"',
        'expect "# "',
        `send "for i in ${others.join(' ')}; do ping -c 1 -w 1 10.0.0.$i; done | grep -c '1 packets received'; echo fi''n\\n"`,
        'expect "fin"',
        ...all.flatMap((n) => [`domain ${name(n)}`, 'send "poweroff\\n"', 'expect "System halted"']),
      ].join('\n'),
    });
    expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
    expect(recorded.console.get('linux')).toContain(`\n${COUNT - 1}\r\nfin`);
    expect(recorded.console.size).toBe(COUNT);
    for (const text of recorded.console.values()) expect(text).not.toMatch(COMPLAINTS);
    expect(
      recorded
        .events('domain-shutdown')
        .map(({ domain }) => domain)
        .sort(),
    ).toEqual(all);
    expectVerified(recorded);
  },
  3_600_000,
);

import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { testWithImages } from '../support/images.ts';
import { COMPLAINTS, expectVerified, IMAGES, KERNEL_OPTIONS, recordLinux } from './guest.ts';

const COUNT = 8;
const all = Array.from({ length: COUNT }, (_, i) => i + 1);
const name = (n: number) => (n === 1 ? 'linux' : `linux${n}`);
const next = (n: number) => (n % COUNT) + 1;

/** What domain `n` sends to the next one. */
const words = (n: number) => Array.from({ length: 3000 }, (_, i) => `${i + n * 10_000}\n`).join('');
const sum = (text: string) => createHash('sha256').update(text).digest('hex');

/** All begin at once and wait for one another: each listens, sends to the next, and asks every other one. */
const SESSION = [
  ...all.flatMap((n) => [
    `domain ${name(n)}`,
    'expect "is ready"',
    'expect "# "',
    'send "nc -l -p 80 > got & echo liste\'\'ning\\n"',
  ]),
  ...all.flatMap((n) => [`domain ${name(n)}`, 'expect "listening"', 'expect "# "']),
  ...all.flatMap((n) => [
    `domain ${name(n)}`,
    `send "seq ${n * 10_000} ${n * 10_000 + 2999} | nc 10.0.0.${next(n)} 80; for i in ${all.filter((i) => i !== n).join(' ')}; do ping -c 1 -w 2 10.0.0.$i; done | grep -c '1 packets received'; wait; sha256sum got; echo do''ne\\n"`,
  ]),
  ...all.flatMap((n) => [`domain ${name(n)}`, 'expect "\\ndone\\r"', 'expect "# "']),
  ...all.flatMap((n) => [`domain ${name(n)}`, 'send "poweroff\\n"', 'expect "System halted"']),
].join('\n');

testWithImages(
  'eight small domains talk to one another over the switch, all in one recording',
  IMAGES,
  async () => {
    const recorded = await recordLinux({
      domains: all.map((n) => `memory = 80\nvif = [""]\nextra = "${KERNEL_OPTIONS} quiet rexen.ip=10.0.0.${n}/24"`),
      machine: { pcpus: 2 },
      maxTicks: 60_000_000_000,
      script: SESSION,
    });
    expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
    expect(recorded.console.size).toBe(COUNT);
    for (const n of all) {
      const text = recorded.console.get(name(next(n)))!.replaceAll('\r', '');
      expect(text).toContain(`\n${COUNT - 1}\n${sum(words(n))}  got\ndone\n`);
      expect(text).not.toMatch(COMPLAINTS);
    }
    const shut = recorded.events('domain-shutdown');
    expect(shut.map(({ domain }) => domain).sort()).toEqual(all);
    expect(shut).toMatchObject(all.map(() => ({ reason: 'poweroff' })));
    expectVerified(recorded);
  },
  1_800_000,
);

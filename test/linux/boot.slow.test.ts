import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { testWithImages } from '../support/images.ts';
import { COMPLAINTS, expectVerified, IMAGES, recordLinux } from './guest.ts';

const numbers = `${Array.from({ length: 3000 }, (_, i) => i + 1).join('\n')}\n`;
const sum = (text: string) => createHash('sha256').update(text).digest('hex');

/** Files, pipes, sorting and sums, the processors, Ctrl-C, and a job in the background. A command starts when
 * hvc0 has drained, some 0.1 s after its line: Ctrl-C before that is a character to the shell.
 */
const SESSION = `
expect "is ready"
expect "# "
send "mkdir w; cd w; seq 1 3000 > up; sort -rn up > down; sha256sum up; tac down | sha256sum; wc -l < down\\n"
expect "3000\\r\\n"
expect "# "
send "grep -c ^processor /proc/cpuinfo; cat /sys/hypervisor/type /sys/hypervisor/guest_type; grep . /sys/devices/system/clocksource/clocksource0/current_clocksource\\n"
expect "PVH"
expect "# "
send "sleep 1000\\n"
wait 1000000000
send "\\x03"
expect "^C"
expect "# "
send "sleep 0.1 & wait; dmesg > log; wc -l < log; echo status $?\\n"
expect "status 0"
send "poweroff\\n"
expect "System halted"
`;

/** Vcpus on processors. All of them take a quarter of an hour: `REXEN_LONG=1` runs them. */
const MACHINES: readonly (readonly [vcpus: number, pcpus: number])[] =
  process.env['REXEN_LONG'] === '1'
    ? [1, 2, 3, 4, 5, 6, 7, 8].flatMap((vcpus) => [1, 2, 3, 4].map((pcpus) => [vcpus, pcpus] as const))
    : [
        [1, 1],
        [2, 2],
        [8, 4],
      ];

for (const [vcpus, pcpus] of MACHINES)
  testWithImages(
    `the cloud kernel with vcpus ${vcpus} on pcpus ${pcpus} boots, is used, powers off, and its recording is verified`,
    IMAGES,
    async () => {
      // As real Xen booted it for the reference, all of it.
      const domain = `vcpus = ${vcpus}\nextra = "console=hvc0 panic=-1"`;
      const machine = { pcpus };
      const once = await recordLinux({ domains: [domain], script: SESSION, machine });
      const text = once.console.get('linux')!;
      expect(once.result).toMatchObject({ outcome: 'finished', message: undefined });
      for (const line of [
        'Hypervisor detected: Xen HVM',
        'Booting kernel on Xen PVH',
        'Xen version 4.17',
        'xen:events: Using FIFO-based ABI',
        'xen:events: Xen HVM callback vector for event delivery is enabled',
        'clocksource: Switched to clocksource xen',
        `smp: Brought up 1 node, ${vcpus} CPU`,
        `smpboot: Total of ${vcpus} processors activated`,
        `\n${vcpus}\r\nxen\r\nPVH\r\nxen\r\n`,
        'reboot: System halted',
      ])
        expect(text).toContain(line);
      expect(text.split(sum(numbers))).toHaveLength(3);
      expect(text).not.toMatch(COMPLAINTS);
      expect(once.events('domain-shutdown')).toMatchObject([{ reason: 'poweroff' }]);
      expectVerified(once);
      if (vcpus > 1) return;
      const again = await recordLinux({ domains: [domain], script: SESSION, machine });
      expect(again.result.digest).toBe(once.result.digest);
    },
    1_800_000,
  );

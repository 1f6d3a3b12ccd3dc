import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { testWithImages } from '../support/images.ts';
import { COMPLAINTS, expectVerified, IMAGES, KERNEL_OPTIONS, recordLinux } from './guest.ts';

const sent = `${Array.from({ length: 20000 }, (_, i) => i + 1).join('\n')}\n`;
const domain = (n: number) =>
  `memory = 80\nvif = ["mac=00:16:3e:00:00:0${n}"]\nextra = "${KERNEL_OPTIONS} rexen.ip=10.0.0.${n}/24"`;

testWithImages(
  'two Linux domains ping each other and talk TCP over the switch',
  IMAGES,
  async () => {
    const recorded = await recordLinux({
      domains: [domain(1), domain(2)],
      script: `
domain linux2
expect "is ready"
expect "# "
send "seq 1 20000 | nc -l -p 80 &\\n"
expect "# "
domain linux
expect "is ready"
expect "# "
send "ping -c 3 -s 1400 10.0.0.2; sleep 1 | nc 10.0.0.2 80 | sha256sum; cat /sys/class/net/eth0/address; echo fi''n\\n"
expect "fin"
send "poweroff\\n"
expect "System halted"
domain linux2
send "ping -c 1 -w 2 10.0.0.77\\n"
expect "packet loss"
send "poweroff\\n"
expect "System halted"
`,
    });
    const text = recorded.console.get('linux')!;
    expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
    expect(text).toContain('3 packets transmitted, 3 packets received, 0% packet loss');
    expect(text).toContain(createHash('sha256').update(sent).digest('hex'));
    expect(text).toContain('00:16:3e:00:00:01');
    expect(recorded.console.get('linux2')).toContain('1 packets transmitted, 0 packets received, 100% packet loss');
    for (const output of recorded.console.values()) expect(output).not.toMatch(COMPLAINTS);
    expectVerified(recorded);
  },
  1_800_000,
);

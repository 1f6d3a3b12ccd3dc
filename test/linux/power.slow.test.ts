import { expect } from 'vitest';
import { testWithImages } from '../support/images.ts';
import { COMPLAINTS, expectVerified, IMAGES, recordLinux } from './guest.ts';

testWithImages(
  'a panic crashes the domain: it shows on the console, with registers on the log',
  IMAGES,
  async () => {
    const recorded = await recordLinux({
      script: 'expect "is ready"\nexpect "# "\nsend "echo c > /proc/sysrq-trigger\\n"\n',
    });
    expect(recorded.result).toMatchObject({ outcome: 'crashed' });
    expect(recorded.console.get('linux')).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(recorded.events('domain-shutdown')).toMatchObject([{ domain: 1, reason: 'crash' }]);
    const notes = recorded.events('note').flatMap((event) => ('text' in event ? [event.text] : []));
    expect(notes.join('\n')).toMatch(
      /crash: rip 0xffffffff[0-9a-f]{8} rsp 0xffff[0-9a-f]{12} .*cr2 0x[0-9a-f]+ cr3 0x/,
    );
    expectVerified(recorded);
  },
  1_800_000,
);

testWithImages(
  'memory goes and comes by xl mem-set, and xl shutdown powers off',
  IMAGES,
  async () => {
    const recorded = await recordLinux({
      domains: ['memory = 128'],
      operator: [
        { when: 'FULL', command: 'mem-set linux 96' },
        { when: 'LESS', command: 'mem-set linux 128' },
        { when: 'MORE', command: 'shutdown linux' },
      ],
      script: `
expect "is ready"
send "now() { cat /sys/devices/system/xen_memory/xen_memory0/info/current_kb; }; a=$(now); echo FU''LL; until [ $(now) -le $((a - 32768)) ]; do sleep 0.1; done; echo $((a - $(now))) LE''SS\\n"
expect "LESS"
send "until [ $(now) -ge $a ]; do sleep 0.1; done; echo $((a - $(now))) MO''RE\\n"
expect "MORE"
expect "System halted"
`,
    });
    const text = recorded.console.get('linux')!;
    expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
    expect(text).toMatch(/\n32768 LESS\r\n[\s\S]*\n0 MORE\r\n/);
    expect(text).not.toMatch(COMPLAINTS);
    expect(recorded.events('domain-shutdown')).toMatchObject([{ reason: 'poweroff' }]);
    expectVerified(recorded);
  },
  1_800_000,
);

import { expect } from 'vitest';
import { smallGuest, testWithImages } from '../support/images.ts';
import { COMPLAINTS, expectVerified, IMAGES, recordLinux } from './guest.ts';

const KB = '/sys/devices/system/xen_memory/xen_memory0';

/** 6 MiB more than Linux has: another domain of 16 fits only into what Linux gives back, and then Linux gets 5 again. */
const SESSION = `
expect "is ready"
expect "# "
xl create later.cfg
send "now() { cat ${KB}/info/current_kb; }; a=$(now); echo FU''LL; until [ $(now) -le $((a - 16384)) ]; do sleep 0.1; done; echo LE''SS\\n"
expect "FULL"
xl mem-set linux 112
expect "LESS"
xl create later.cfg
domain later
expect "tick 2 "
domain linux
xl mem-set linux 128
send "sleep 5; echo back $(($(now) - a + 16384)) SO''ME\\n"
expect "SOME"
xl destroy later
send "until [ $(now) -ge $a ]; do sleep 0.5; done; echo AL''L\\n"
expect "ALL"
xl mem-set linux 129
send "echo $((a + 20000)) > ${KB}/target_kb; sleep 5; echo beyond $(($(now) - a)) E''ND\\n"
expect "END"
send "echo $a > ${KB}/target_kb; tail /dev/zero; echo status $?; dmesg | grep -c 'Out of memory: Killed process'; echo ali''ve\\n"
expect "alive"
send "poweroff\\n"
expect "System halted"
`;

testWithImages(
  "memory that the host has not: a domain is refused, a balloon stops short, a guest's OOM killer helps",
  IMAGES,
  async () => {
    const later = `name = "later"\ntype = "pvh"\nkernel = "${smallGuest('ticker')}"\nmemory = 16\nextra = "ticks=1000000 period_ms=10"\n`;
    const recorded = await recordLinux({
      domains: ['memory = 128'],
      later,
      machine: { memory_mib: 128 + 6 },
      maxTicks: 30_000_000_000,
      script: SESSION,
    });
    const text = recorded.console.get('linux')!.replaceAll('\r', '');
    expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
    expect(recorded.refused).toEqual([
      expect.stringMatching(/^create later\.cfg: later: machine memory is exhausted/),
      expect.stringMatching(/^mem-set linux 129: linux can have 1 to 128 MiB, not 129/),
    ]);
    const kib = Number(/\nback (\d+) SOME/.exec(text)?.[1]);
    expect(kib).toBeGreaterThan(4096);
    expect(kib).toBeLessThan(8192);
    expect(text).toMatch(/\nALL\n/);
    // The ceiling of the domain, and the 1 MiB that libxl adds to it.
    const beyond = Number(/\nbeyond (-?\d+) END/.exec(text)?.[1]);
    expect(beyond).toBeGreaterThanOrEqual(0);
    expect(beyond).toBeLessThanOrEqual(2048);
    expect(text).toMatch(/\nKilled\nstatus 137\n1\nalive\n/);
    expect(text.replaceAll(/tail invoked oom-killer[\s\S]*?Out of memory: Killed/g, '')).not.toMatch(COMPLAINTS);
    expectVerified(recorded);
  },
  1_800_000,
);

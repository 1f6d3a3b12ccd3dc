/** What an operator does to a running Linux: vcpus come and go; and the store as the guest's own tools see it. */
import { expect } from 'vitest';
import { debianImage, testWithImages } from '../support/images.ts';
import { COMPLAINTS, expectTravels, expectVerified, IMAGES, recordLinux } from './guest.ts';

testWithImages(
  'vcpus come and go by xl vcpu-set, also those that were not there at the start',
  IMAGES,
  async () => {
    const online = (n: number) =>
      `xl vcpu-set linux ${n}\nwait 300_000_000\nsend "echo N$(nproc) $(cat /sys/devices/system/cpu/present)\\n"\nexpect "\\nN${n} "\nexpect "# "\n`;
    const recorded = await recordLinux({
      domains: ['vcpus = 1\nmaxvcpus = 3'],
      script: `
expect "is ready"
expect "# "
send "echo N$(nproc) $(cat /sys/devices/system/cpu/possible)\\n"
expect "\\nN1 0-2"
expect "# "
${online(3)}
send "sha256sum /bin/busybox & sha256sum /bin/busybox; wait; grep -c timer[012] /proc/interrupts\\n"
expect "\\n3\\r"
expect "# "
${online(1)}${online(2)}
xl shutdown linux
expect "System halted"
`,
    });
    const text = recorded.console.get('linux')!;
    expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
    expect(text).toMatch(/\nN3 0-2\r[\s\S]*\nN1 0\r[\s\S]*\nN2 0-1\r/);
    expect(text).not.toMatch(COMPLAINTS);
    const operator = recorded.events('operator').map((event) => ('text' in event ? event.text : ''));
    expect(operator).toEqual(['vcpu-set linux 3', 'vcpu-set linux 1', 'vcpu-set linux 2', 'shutdown linux']);
    expectVerified(recorded);
    expectTravels(recorded, recorded.events('vcpu-up').at(-1)!.tick + 1000);
  },
  1_800_000,
);

const TOOLS = `
expect "is ready"
expect "# "
send "xenstore-ls /local/domain/1 > t; grep -v '^ ' t; xenstore-ls -p /local/domain/1/memory; xenstore-list device; xenstore-read domid name; echo on''e\\n"
expect "\\none\\r"
send "(xenstore-watch -n 3 data/w > seen &); usleep 100000; xenstore-write data/w 1; xenstore-write data/w/x 2; usleep 100000; cat seen; xenstore-rm data/w; xenstore-exists data/w || echo tw''o\\n"
expect "\\ntwo\\r"
send "xenstore-chmod data/p n1 r0 2>&1; xenstore-write data/p 1; xenstore-chmod data/p n1 r0; xenstore-ls -p data; xenstore-write name evil; xenstore-read /libxl/1/type; xenstore-read /local/domain/0/name; xenstore-ls; echo thr''ee\\n"
expect "\\nthree\\r"
send "w() { xenstore-write $(seq $1 $2 | sed -E 's#^(.*)(..)$#data/\\\\1x/\\\\2 v#'); }; xenstore-write data/big $(head -c 3000 /dev/zero | tr '\\\\0' x)\\n"
expect "# "
send "w 100 899 && echo fits; w 900 1200; xenstore-list data/8x | wc -l; xenstore-rm data/1x && w 900 950 && echo fou''r\\n"
expect "\\nfour\\r"
send "xenstore-watch -n 2 memory/target; xenstore-read memory/target; echo fi''ve\\n"
expect "\\nmemory/target\\r"
xl mem-set linux 90
expect "\\nfive\\r"
end
`;

testWithImages(
  "the store by Debian's xenstore-utils: the tree that xl lays out, watches, permissions and quotas",
  [...IMAGES, debianImage('usr/bin/xenstore')],
  async () => {
    const recorded = await recordLinux({ script: TOOLS });
    expect(recorded.result).toMatchObject({ outcome: 'ended', message: undefined });
    const text = recorded.console.get('linux')!.replaceAll('\r', '');
    // The top of the tree: reference/xen-4.17/grub-pvh-console-and-xenstore.txt and what Linux itself adds.
    const top = ['vm', 'name', 'cpu', 'memory', 'device', 'control', 'data', 'drivers', 'feature', 'attr', 'error'];
    for (const node of [...top, 'domid', 'store', 'console']) expect(text).toMatch(new RegExp(`^${node} = "`, 'm'));
    expect(text).toMatch(/static-max = "98304" +\(n0,r1\)\n *target = "98304" +\(n0,r1\)/);
    expect(text).toMatch(/\nsuspend\n1\nlinux\none\n/);
    expect(text).toMatch(/data\/w\ndata\/w\ndata\/w\/x\ntwo\n/);
    expect(text).toMatch(/p = "1" +\(n1,r0\)/);
    expect(text).toContain('xenstore-write: could not write path name');
    expect(text).toContain("xenstore-read: couldn't read path /libxl/1/type");
    expect(text).toContain('xenstore-ls: xs_directory (/): Permission denied');
    expect(text).toMatch(/xenstore-write: could not write path data\/big\n/);
    // A domain may own 1000 nodes: what fits, fits; the rest is refused, and there is room again when some go.
    expect(text).toMatch(/\nfits\nxenstore-write: could not write path data\/1\dx\/\d\d\n100\nfour\n/);
    expect(text).toMatch(/memory\/target\nmemory\/target\n92160\nfive\n/);
    const errors = new Set(recorded.events('xenstore').flatMap((event) => ('error' in event ? [event.error] : [])));
    expect([...errors]).toEqual(expect.arrayContaining(['EACCES', 'ENOENT', 'ENOSPC']));
    expectVerified(recorded);
  },
  1_800_000,
);

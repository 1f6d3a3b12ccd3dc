/**
 * What two vcpus make Linux use: several queues of disks and interfaces; a qcow2 disk; grants of version 1 where 2 is
 * asked for and not allowed. (A PVH Linux 6.1 that gets version 2 crashes at the first grant it takes back, for it
 * never maps the status frames; test/hypervisor has version 2.)
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { makeQcow2 } from '../backends/make-qcow2.ts';
import { debianImage, guestsRequired, testWithImages } from '../support/images.ts';
import {
  COMPLAINTS,
  expectTravels,
  expectVerified,
  ext4Image,
  hasMkfs,
  IMAGES,
  inFolder,
  KERNEL_OPTIONS,
  recordLinux,
} from './guest.ts';

const data = Uint8Array.from({ length: 700_001 }, (_, i) => (i * 2654435761) >>> 24);
const sum = createHash('sha256').update(data).digest('hex');
const extra = (n: number) =>
  `extra = "${KERNEL_OPTIONS} rexen.ip=10.0.0.${n}/24${n === 2 ? ' grant_table.version=2' : ''}"`;

const SCRIPT = `
domain linux2
expect "is ready"
expect "# "
domain linux
expect "is ready"
expect "# "
send "dmesg | grep 'Grant tables'; ls -d /sys/class/net/eth0/queues/tx* /sys/block/xvda/mq/*; xenstore-list device/vif/0/queue-1; echo on''e\\n"
expect "\\none\\r"
send "mount /dev/xvda /mnt && sha256sum /mnt/data && cp /mnt/data /mnt/copy && rm /mnt/data && sync && fstrim -v /mnt; umount /mnt; mount -o ro /dev/xvda /mnt && sha256sum /mnt/copy; umount /mnt; echo tw''o\\n"
expect "\\ntwo\\r"
send "for p in 1 2 3 4 5 6 7 8; do nc -l -p $p > got$p & done; echo thr''ee\\n"
expect "\\nthree\\r"
domain linux2
send "dmesg | grep 'Grant tables'; ping -c 2 -s 1400 10.0.0.1; for p in 1 2 3 4 5 6 7 8; do seq 1 1000 | nc 10.0.0.1 $p & done; wait; echo fo''ur\\n"
expect "\\nfour\\r"
send "poweroff\\n"
expect "System halted"
domain linux
send "wait; cat got? | wc -l; seq 1 1000 | sha256sum; sha256sum got? | cut -c 1-64 | sort -u; grep eth0 /proc/interrupts vif /proc/interrupts; poweroff\\n"
expect "System halted"
`;

testWithImages(
  hasMkfs ? 'disks and interfaces with several queues' : 'several queues (skipped: needs mkfs.ext4 of e2fsprogs)',
  hasMkfs || guestsRequired
    ? [...IMAGES, debianImage('usr/bin/xenstore')]
    : [{ name: 'mkfs.ext4', path: undefined, reason: 'needs mkfs.ext4 of e2fsprogs' }],
  () =>
    inFolder(async (folder) => {
      const content = readFileSync(ext4Image(folder, 8, { data }));
      const clusters = Array.from({ length: content.length / 4096 }, (_, i) => (i % 3 === 0 ? 'packed' : 'plain'));
      const image = join(folder, 'disk.qcow2');
      const made = makeQcow2(content, { clusters: clusters as ('packed' | 'plain')[], compression: 'zstd' });
      writeFileSync(image, made);
      const recorded = await recordLinux({
        domains: [
          `vcpus = 2\n${extra(1)}\nvif = ["mac=00:16:3e:00:00:01"]\ndisk = ["${image},qcow2,xvda,w"]`,
          `${extra(2)}\nvif = ["mac=00:16:3e:00:00:02"]\nmax_grant_version = 1`,
        ],
        script: SCRIPT,
      });
      const [one, two] = ['linux', 'linux2'].map((name) => recorded.console.get(name)!.replaceAll('\r', ''));
      expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
      for (const text of [one, two]) expect(text).toContain('Grant tables using version 1 layout');
      for (const queue of ['eth0/queues/tx-0', 'eth0/queues/tx-1', 'xvda/mq/0', 'xvda/mq/1'])
        expect(one).toContain(queue);
      expect(one).toMatch(/\ntx-ring-ref\nrx-ring-ref\nevent-channel-tx\nevent-channel-rx\none\n/);
      expect(one).toMatch(
        /blkfront: xvda: flush diskcache: enabled; persistent grants: enabled; indirect descriptors: enabled/,
      );
      expect(one).toContain(`${sum}  /mnt/data`);
      expect(one).toContain(`${sum}  /mnt/copy`);
      expect(one).toMatch(/\/mnt: .* trimmed/);
      expect(two).toContain('2 packets transmitted, 2 packets received, 0% packet loss');
      // Eight streams came whole: all the same, and the same as what was sent.
      expect(one).toMatch(/\n8000\n([0-9a-f]{64}) {2}-\n\1\n/);
      for (const text of [one, two]) expect(text).not.toMatch(COMPLAINTS);
      expect(one).not.toMatch(/I\/O error|EXT4-fs error|disabled for further use/);
      expect(readFileSync(image).equals(made)).toBe(true);
      expectVerified(recorded);
      expectTravels(recorded, recorded.events('grant-copy').at(-5)!.tick);
    }),
  1_800_000,
);

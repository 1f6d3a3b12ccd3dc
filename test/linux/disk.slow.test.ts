import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { guestsRequired, testWithImages } from '../support/images.ts';
import {
  COMPLAINTS,
  expectTravels,
  expectVerified,
  ext4Image,
  hasMkfs,
  IMAGES,
  inFolder,
  recordLinux,
} from './guest.ts';

const sum = (data: Uint8Array | string) => createHash('sha256').update(data).digest('hex');
const data = Uint8Array.from({ length: 1_000_003 }, (_, i) => (i * 2654435761) >>> 24);
const written = `${Array.from({ length: 20000 }, (_, i) => i + 1).join('\n')}\n`;

const SESSION = `
expect "is ready"
expect "# "
send "mount /dev/xvda /mnt && sha256sum /mnt/data && seq 1 20000 > /mnt/new && rm /mnt/data && fstrim -v /mnt; umount /mnt\\n"
expect "trimmed"
expect "# "
send "dd if=/dev/zero of=/dev/xvdb bs=512 count=1; cat /sys/block/xvdb/ro; ls /sys/block/xvda/mq | wc -l\\n"
expect "# "
send "reboot\\n"
expect "is ready"
expect "# "
send "mount -o ro /dev/xvda /mnt && ls /mnt && sha256sum /mnt/new && umount /mnt && dd if=/dev/xvdb bs=512 skip=2 count=1 2>/dev/null | sha256sum\\n"
expect "# "
send "poweroff\\n"
expect "System halted"
`;

testWithImages(
  hasMkfs
    ? 'an ext4 image is read, written beside, and still there after a reboot'
    : 'disks (skipped: needs mkfs.ext4 of e2fsprogs)',
  hasMkfs || guestsRequired ? IMAGES : [{ name: 'mkfs.ext4', path: undefined, reason: 'needs mkfs.ext4 of e2fsprogs' }],
  () =>
    inFolder(async (folder) => {
      const image = ext4Image(folder, 8, { data });
      const before = readFileSync(image);
      const disk = `disk = ["${image},raw,xvda,w", "${image},raw,xvdb,r"]`;
      const recorded = await recordLinux({ domains: [`vcpus = 2\n${disk}`], script: SESSION });
      const text = recorded.console.get('linux')!;
      expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
      expect(text).toContain(`${sum(data)}  /mnt/data`);
      expect(text).toContain(`${sum(written)}  /mnt/new`);
      expect(text).toContain(`${sum(before.subarray(1024, 1536))}  -`);
      // The read-only one takes no writes, and there are as many queues as vcpus.
      expect(text).toMatch(/Operation not permitted[\s\S]*\n1\r\n\d\r\n/);
      expect(text).toMatch(
        /blkfront: xvda: flush diskcache: enabled; persistent grants: enabled; indirect descriptors: enabled/,
      );
      expect(text).not.toMatch(COMPLAINTS);
      expect(text).not.toMatch(/I\/O error|EXT4-fs error|disabled for further use/);
      expect(recorded.events('domain-shutdown')).toMatchObject([{ reason: 'reboot' }, { reason: 'poweroff' }]);
      const notes = recorded.events('note').flatMap((event) => ('text' in event ? [event.text] : []));
      for (const reason of ['reboot', 'poweroff'])
        expect(notes).toContainEqual(
          expect.stringMatching(new RegExp(`^${reason}: rip 0xffffffff[0-9a-f]{8} rsp 0xffff`)),
        );
      expect(recorded.events('disk-content')).toMatchObject([
        { device: 'linux/xvda', sha256: Uint8Array.from(Buffer.from(sum(before), 'hex')) },
        { device: 'linux/xvdb' },
      ]);
      expect(readFileSync(image).equals(before)).toBe(true);
      expectVerified(recorded);
      const maps = recorded.events('grant-map');
      expectTravels(recorded, maps[Math.floor(maps.length / 3)]!.tick);
    }),
  1_800_000,
);

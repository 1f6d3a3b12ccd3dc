import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { guestsRequired, testWithImages } from '../support/images.ts';
import {
  COMPLAINTS,
  expectVerified,
  ext4Image,
  hasMkfs,
  IMAGES,
  inFolder,
  KERNEL_OPTIONS,
  recordLinux,
} from './guest.ts';

const sum = (data: Uint8Array | string) => createHash('sha256').update(data).digest('hex');
const data = Uint8Array.from({ length: 300_007 }, (_, i) => (i * 2654435761) >>> 24);
const sorted = `${Array.from({ length: 5000 }, (_, i) => String(i + 1))
  .sort()
  .join('\n')}\n`;

/** Everything that a first hour with a guest would try. */
const SESSION = `
domain linux2
expect "is ready"
expect "# "
domain linux
expect "is ready"
expect "# "
send "mkdir -p a/b && cd a/b && seq 5000 > up && LC_ALL=C sort up > sorted && rm up && cat sorted | sha256sum && ls -l | wc -l\\n"
expect "# "
send "e2fsck -f -n /dev/xvda; echo check $?; mount /dev/xvda /mnt && sha256sum /mnt/data && cp -r /root/a /mnt && sync && umount /mnt && e2fsck -f -n /dev/xvda; echo chec''ked $?\\n"
expect "checked"
expect "# "
send "mount -o ro /dev/xvda /mnt && sha256sum /mnt/a/b/sorted; umount /mnt; grep -c ^processor /proc/cpuinfo; ping -c 3 10.0.0.2; echo pin''ged $?\\n"
expect "pinged"
expect "# "
send "dmesg | grep -i xen | wc -l; poweroff\\n"
expect "System halted"
domain linux2
send "ping -c 1 -w 1 10.0.0.1; echo go''ne $?\\n"
expect "gone"
send "poweroff\\n"
expect "System halted"
`;

/** A folder with this host's e2fsck and the libraries that it names, for the initramfs. */
function checker(folder: string): string {
  const root = join(folder, 'initrd');
  const named = spawnSync('ldd', ['/usr/sbin/e2fsck'], { encoding: 'utf8' }).stdout;
  for (const path of ['/usr/sbin/e2fsck', ...[...named.matchAll(/(\/\S+) \(0x/g)].map(([, file]) => file!)]) {
    const to = join(root, path === '/usr/sbin/e2fsck' ? '/sbin/e2fsck' : path);
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(path, to);
  }
  return root;
}

testWithImages(
  hasMkfs
    ? 'the cloud kernel with busybox: files, pipes, sums, a disk mounted and checked, the other domain, power-off'
    : 'a whole session (skipped: needs mkfs.ext4 and e2fsck of e2fsprogs)',
  hasMkfs || guestsRequired ? IMAGES : [{ name: 'e2fsck', path: undefined, reason: 'needs e2fsck of e2fsprogs' }],
  () =>
    inFolder(async (folder) => {
      const image = ext4Image(folder, 8, { data });
      const before = readFileSync(image);
      const net = (n: number) => `vif = [""]\nextra = "${KERNEL_OPTIONS} rexen.ip=10.0.0.${n}/24"`;
      const recorded = await recordLinux({
        domains: [`vcpus = 2\ndisk = ["${image},raw,xvda,w"]\n${net(1)}`, net(2)],
        initrdDir: checker(folder),
        script: SESSION,
      });
      const text = recorded.console.get('linux')!.replaceAll('\r', '');
      expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
      expect(text).toContain(`\n${sum(sorted)}  -\n2\n`);
      expect(text).toContain(`${sum(data)}  /mnt/data`);
      expect(text).toContain(`${sum(sorted)}  /mnt/a/b/sorted`);
      expect(text).toMatch(
        /Pass 5: Checking group summary information[\s\S]*\ncheck 0\n[\s\S]*Pass 5[\s\S]*\nchecked 0\n/,
      );
      expect(text).toMatch(/\n2\nPING 10\.0\.0\.2[\s\S]*3 packets transmitted, 3 packets received[\s\S]*\npinged 0\n/);
      expect(recorded.console.get('linux2')).toMatch(/0 packets received[\s\S]*gone 1/);
      for (const console of recorded.console.values()) expect(console).not.toMatch(COMPLAINTS);
      expect(text).not.toMatch(/I\/O error|EXT4-fs error/);
      expect(recorded.events('domain-shutdown')).toMatchObject([{ reason: 'poweroff' }, { reason: 'poweroff' }]);
      expect(readFileSync(image).equals(before)).toBe(true);
      expectVerified(recorded);
    }),
  1_800_000,
);

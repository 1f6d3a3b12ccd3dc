/**
 * Debian's cloud kernel with a busybox initramfs that says BOOTED, hashes, sorts, loops and powers off: the work that
 * the peers' figures were taken on, 256 MiB and one vcpu. The images come from Debian (`npm run guests`).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cpioArchive, FileType } from '../../src/toolstack/builder/cpio.ts';
import { makeWorkload, Unavailable, type Workload } from './workload.ts';

const debian = new URL('../../guests/debian/', import.meta.url).pathname;

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
echo BOOTED
seq 1 20000 | sha256sum
seq 1 5000 | sort -r | md5sum
i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done
echo WORKED $i
poweroff -f
`;

/** Kernel and initramfs, for other machines that boot the same. @throws Unavailable if Debian's packages are absent */
export function linuxFiles(): { kernel: string; ramdisk: Uint8Array; cmdline: string; memoryMiB: number } {
  const boot = join(debian, 'boot');
  const names = existsSync(boot) ? readdirSync(boot) : [];
  const kernel = names
    .filter((name) => /^vmlinuz-[\d.-]+cloud-amd64$/.test(name))
    .sort()
    .at(-1);
  const busybox = join(debian, 'bin/busybox');
  if (!kernel || !existsSync(busybox)) throw new Unavailable('Debian\'s kernel is not there: run "npm run guests"');
  return { kernel: join(boot, kernel), ramdisk: initramfs(busybox), cmdline: 'console=hvc0 panic=-1', memoryMiB: 256 };
}

export function linux(vcpus = 1): Workload {
  const marks = { shell: 'BOOTED', done: 'WORKED', off: 'reboot: ' };
  return makeWorkload({ name: 'linux', ...linuxFiles(), vcpus, marks });
}

function initramfs(busybox: string): Uint8Array {
  const [directory, file] = [FileType.DIRECTORY | 0o755, FileType.FILE | 0o755];
  const archive = cpioArchive([
    { path: 'bin', mode: directory },
    { path: 'proc', mode: directory },
    { path: 'dev', mode: directory },
    { path: 'dev/console', mode: FileType.CHARACTER | 0o600, device: [5, 1] },
    { path: 'bin/busybox', mode: file, data: new Uint8Array(readFileSync(busybox)) },
    { path: 'init', mode: file, data: new TextEncoder().encode(INIT) },
  ]);
  return new Uint8Array(gzipSync(archive, { level: 9 }));
}

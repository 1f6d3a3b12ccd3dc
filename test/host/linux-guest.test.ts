import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { linuxGuest } from '../../src/host/linux-guest.ts';
import { debianImage, testWithImages } from '../support/images.ts';

const NEEDED = [debianImage('boot/vmlinuz-*-cloud-amd64'), debianImage('bin/busybox')];
const FULL = [...NEEDED, debianImage('boot/vmlinuz-*-amd64')];

/** Names and sizes of an archive's entries (see cpio.ts). */
function entries(path: string): Map<string, string> {
  const bytes = readFileSync(path);
  const found = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const field = (i: number) => Number.parseInt(bytes.toString('latin1', at + 6 + 8 * i, at + 14 + 8 * i), 16);
    expect(bytes.toString('latin1', at, at + 6)).toBe('070701');
    const name = bytes.toString('utf8', at + 110, at + 110 + field(11) - 1);
    const data = Math.ceil((at + 110 + field(11)) / 4) * 4;
    if (name === 'TRAILER!!!') break;
    found.set(name, bytes.toString('latin1', data, data + field(6)));
    at = Math.ceil((data + field(6)) / 4) * 4;
  }
  return found;
}

testWithImages('the cloud kernel gets the modules it has not built in, the same bytes each time', NEEDED, () => {
  const { kernel, initramfs } = linuxGuest({});
  expect(kernel).toMatch(/vmlinuz-.*-cloud-amd64$/);
  expect(entries(initramfs).get('lib/modules/order')).toBe('xen-blkfront\nxen-netfront\n');
  expect(linuxGuest({}).initramfs).toBe(initramfs);
});

testWithImages('what a module depends on is loaded before it', FULL, (_cloud, _busybox, kernel) => {
  const order = entries(linuxGuest({ kernel }).initramfs).get('lib/modules/order')!.trimEnd().split('\n');
  for (const needed of ['jbd2', 'mbcache', 'crc16']) expect(order.indexOf(needed)).toBeLessThan(order.indexOf('ext4'));
  expect(order).toContain('xen-blkfront');
});

testWithImages('files of a folder come along, and replace', NEEDED, () => {
  const folder = mkdtempSync(join(tmpdir(), 'rexen-initrd-'));
  try {
    mkdirSync(join(folder, 'etc'));
    writeFileSync(join(folder, 'etc/motd'), 'hello');
    writeFileSync(join(folder, 'init'), '#!/bin/sh\n', { mode: 0o755 });
    symlinkSync('motd', join(folder, 'etc/link'));
    const made = linuxGuest({ initrdDir: folder }).initramfs;
    const found = entries(made);
    expect([found.get('etc/motd'), found.get('etc/link'), found.get('init')]).toEqual(['hello', 'motd', '#!/bin/sh\n']);
    rmSync(made);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

testWithImages('a folder that is not there is an error for people', NEEDED, () => {
  expect(() => linuxGuest({ initrdDir: '/no/such/folder' })).toThrow(
    'cannot read --initrd-dir /no/such/folder: no such file or folder',
  );
});

test.skipIf(NEEDED.every(({ path }) => path !== undefined))('without the packages it says what to do', () => {
  expect(() => linuxGuest({})).toThrow('npm run guests');
});

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { linuxGuest } from '../../src/host/linux-guest.ts';
import { testWithImages } from '../support/images.ts';
import { IMAGES, inFolder, KERNEL_OPTIONS } from './guest.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const rexen = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });

testWithImages(
  "rexen record --initrd-dir boots a folder in place of the configuration's ramdisk",
  IMAGES,
  () =>
    inFolder(async (folder) => {
      const at = (name: string) => join(folder, name);
      mkdirSync(at('root/bin'), { recursive: true });
      copyFileSync(IMAGES[1]!.path!, at('root/bin/busybox'));
      writeFileSync(at('root/init'), '#!/bin/busybox sh\necho FROM THE FOLDER\n/bin/busybox poweroff -f\n', {
        mode: 0o755,
      });
      const { kernel } = linuxGuest({});
      writeFileSync(
        at('a.cfg'),
        `name = "a"\ntype = "pvh"\nkernel = "${kernel}"\nramdisk = "/not/there"\nmemory = 96\nextra = "${KERNEL_OPTIONS}"\n`,
      );
      writeFileSync(at('a.script'), 'expect "FROM THE FOLDER"\nexpect "System halted"\n');
      const record = (dir: string) =>
        rexen('record', at('a.cfg'), '--initrd-dir', at(dir), '--script', at('a.script'), '-o', at('a.rxn'), '--json');
      const recorded = record('root');
      expect(JSON.parse(recorded.stdout || '{}')).toMatchObject({ outcome: 'finished', message: null });
      expect(rexen('replay', at('a.rxn')).stdout).toContain('verified');
      expect(record('root/bin')).toMatchObject({ status: 1, stderr: expect.stringContaining('has no file init') });
      expect(record('nowhere')).toMatchObject({ status: 1, stderr: expect.stringContaining('nowhere: no such file') });
    }),
  1_800_000,
);

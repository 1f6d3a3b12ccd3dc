import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { smallGuests, testIf } from '../support/images.ts';

/** The compiler and linker that the images in the repository were built with. */
const GCC = 'gcc (Debian 12.2.0-14+deb12u1) 12.2.0';
const LD = 'GNU ld (GNU Binutils for Debian) 2.40';

const firstLine = (command: string) =>
  (spawnSync(command, ['--version'], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } }).stdout ?? '').split(
    '\n',
  )[0];
const hasMake = spawnSync('make', ['--version']).status === 0;

testIf(
  hasMake && firstLine('gcc') === GCC && firstLine('ld') === LD,
  `needs make, ${GCC} and ${LD}`,
  'the same sources give the same bytes',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'rexen-guests-'));
    const build = spawnSync('make', ['-C', smallGuests, `OUT=${folder}/out`, `BUILD=${folder}/build`], {
      encoding: 'utf8',
    });
    expect(build.status, build.stderr).toBe(0);
    const differing = readdirSync(smallGuests)
      .filter((name) => name.endsWith('.elf'))
      .filter((name) => !readFileSync(join(smallGuests, name)).equals(readFileSync(join(folder, 'out', name))));
    expect(differing, 'run: npm run build:guests, and commit the images').toEqual([]);
    rmSync(folder, { recursive: true });
  },
  120_000,
);

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Disk } from '../../src/backends/blkif/disk.ts';
import { checkCommit, commitDisks } from '../../src/host/commit.ts';
import type { Session } from '../../src/session.ts';

let folder: string;
let image: string;
let recording: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rexen-commit-'));
  mkdirSync(join(folder, 'out'));
  image = join(folder, 'disk.img');
  recording = join(folder, 'out', 'a.rxn');
  writeFileSync(image, new Uint8Array(1024).fill(7));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** As much of a session as commits look at. */
function sessionWith(disk: Disk): Session {
  const config = { name: 'web', disks: [{ target: image, vdev: 'xvda', readOnly: false }] };
  const devices = { changedDisks: () => [['web/xvda', disk]] };
  return { config: { domains: [{ config }] }, toolstack: { devices } } as unknown as Session;
}

test('the file gets the new content, and the old one stays beside the recording', () => {
  const disk = new Disk(new Uint8Array(readFileSync(image)), false);
  disk.write(1, new Uint8Array(512).fill(9));
  const session = sessionWith(disk);
  checkCommit(session.config, recording);
  expect(commitDisks(session, recording)).toEqual([image]);
  const after = readFileSync(image);
  expect([after.length, after[511], after[512]]).toEqual([1024, 7, 9]);
  expect(readFileSync(join(folder, 'out', 'disk.img'))[512]).toBe(7);
});

test('a session whose first contents could not be kept does not begin', () => {
  const session = sessionWith(new Disk(new Uint8Array(1024), false));
  expect(() => checkCommit(session.config, join(folder, 'a.rxn'))).toThrow(/another folder/);
});

test('nothing is overwritten beside the recording', () => {
  const disk = new Disk(new Uint8Array(readFileSync(image)), false);
  disk.write(0, new Uint8Array(512));
  writeFileSync(join(folder, 'out', 'disk.img'), 'mine');
  expect(() => commitDisks(sessionWith(disk), recording)).toThrow(/cannot commit web\/xvda/);
  expect(readFileSync(join(folder, 'out', 'disk.img'), 'utf8')).toBe('mine');
  expect(readFileSync(image)[0]).toBe(7);
});

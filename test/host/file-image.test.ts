import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { imageSha256, openImage } from '../../src/host/file-image.ts';
import { ImageTable } from '../../src/host/images.ts';

const LARGE = 65 << 20;
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rexen-image-'));
  path = join(folder, 'disk.img');
  writeFileSync(path, 'begins');
  truncateSync(path, LARGE);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a large image is read piece by piece, a small one lies in memory', () => {
  const image = openImage(path, LARGE);
  expect(image.content?.length).toBe(LARGE);
  const piece = new Uint8Array(8);
  image.content?.read(2, piece);
  expect(Buffer.from(piece).toString()).toBe('gins\0\0\0\0');
  expect(imageSha256(image)).toBe(createHash('sha256').update(readFileSync(path)).digest('hex'));
  truncateSync(path, 100);
  expect(openImage(path, 100)).toMatchObject({ name: 'disk.img', bytes: expect.any(Uint8Array) });
});

test('a file that changes while it is read is an error; one that is moved away is not', () => {
  const { content } = openImage(path, LARGE);
  const piece = new Uint8Array(6);
  renameSync(path, `${path}.old`);
  content?.read(0, piece);
  expect(Buffer.from(piece).toString()).toBe('begins');
  appendFileSync(`${path}.old`, 'x');
  expect(() => content?.read(0, piece)).toThrow(/disk\.img was changed while a session reads it/);
});

test('disks may be larger than kernels', () => {
  truncateSync(path, 2 ** 30 + 4096);
  const images = new ImageTable();
  expect(() => images.add(path, 'kernel')).toThrow(/cannot read kernel .*disk\.img: it is larger than 1 GiB/);
  expect(images.addDisk(path, 'disk xvda')).toMatch(/^[0-9a-f]{64}$/);
  expect(images.entries).toMatchObject([{ name: 'disk.img', path, size: 2 ** 30 + 4096 }]);
  expect(images.embedded().size).toBe(0);
});

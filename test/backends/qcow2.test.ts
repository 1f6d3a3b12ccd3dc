import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Disk, RawContent } from '../../src/backends/blkif/disk.ts';
import { isQcow2, Qcow2, Qcow2Error } from '../../src/backends/blkif/qcow2.ts';
import { testIf } from '../support/images.ts';
import { makeQcow2 } from './make-qcow2.ts';
import { wholeDisk } from './whole-disk.ts';

/** Bytes that pack, but not to nothing. */
const content = (length: number, seed = 1) =>
  Uint8Array.from({ length }, (_, i) => (Math.floor(i / 7) * 2654435761 * seed) >>> 24);
const read = (disk: Qcow2, offset = 0, length = disk.length - offset) => {
  const into = new Uint8Array(length).fill(0xee);
  disk.read(offset, into);
  return into;
};

/** Large arrays, quickly. */
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

describe('qcow2', () => {
  test.each([
    { version: 2, clusterBits: 9 },
    { version: 3, clusterBits: 9 },
    { version: 3, clusterBits: 12 },
    { version: 3, clusterBits: 16 },
    { version: 2, clusterBits: 16 },
  ] as const)('reads plain clusters: %o', (options) => {
    const data = content(300_000);
    expect(same(read(new Qcow2(makeQcow2(data, options), 'a')), data)).toBe(true);
  });

  test.each(['zlib', 'zstd'] as const)('reads clusters packed by %s, absent and zero ones', (compression) => {
    const data = content(9 * 4096 + 100);
    const clusters = ['packed', 'packed', 'absent', 'plain', 'zero', 'packed', 'plain', 'packed', 'packed'] as const;
    const expected = data.slice();
    expected.fill(0, 2 * 4096, 3 * 4096).fill(0, 4 * 4096, 5 * 4096);
    const disk = new Qcow2(makeQcow2(data, { clusters, compression }), 'a');
    expect(same(read(disk), expected)).toBe(true);
    for (const [offset, length] of [
      [4095, 2],
      [8000, 9000],
      [36_900, 64],
      [20_479, 4098],
    ] as const)
      expect(same(read(disk, offset, length), expected.slice(offset, offset + length))).toBe(true);
  });

  test('a disk may be far larger than its file', () => {
    const file = makeQcow2(content(4096), {
      clusterBits: 16,
      size: 64 * 2 ** 20,
      clusters: Array(1024).fill('absent'),
    });
    const disk = new Qcow2(file, 'a');
    expect([disk.length, read(disk, 63 * 2 ** 20, 4096).every((byte) => byte === 0)]).toEqual([64 * 2 ** 20, true]);
  });

  test('writes go beside it', () => {
    const file = makeQcow2(content(5 * 4096), { clusters: ['packed', 'plain', 'absent'] });
    const before = file.slice();
    const disk = new Disk(new Qcow2(file, 'a'), false);
    disk.write(3, new Uint8Array(512).fill(9));
    disk.write(17, new Uint8Array(512).fill(8));
    const expected = content(5 * 4096)
      .fill(0, 8192, 12288)
      .fill(9, 1536, 2048)
      .fill(8, 8704, 9216);
    expect(same(wholeDisk(disk), expected)).toBe(true);
    expect(same(file, before)).toBe(true);
  });
});

describe('a qcow2 image that cannot be used says why', () => {
  const good = () => Uint8Array.from(makeQcow2(content(20_000), { clusters: ['packed'] }));
  const damage = (change: (view: DataView, bytes: Uint8Array) => void) => {
    const bytes = good();
    change(new DataView(bytes.buffer), bytes);
    return () => read(new Qcow2(bytes, 'disk.qcow2'));
  };
  const [L1, L2] = [4096, 8192];
  test.each<[string, (view: DataView, bytes: Uint8Array) => void]>([
    ['it is no qcow2 image', (v) => v.setUint8(0, 0)],
    ['it is of version 4; there are 2 and 3', (v) => v.setUint32(4, 4)],
    ['it needs a backing file; join them: qemu-img convert -O qcow2 OLD NEW', (v) => v.setBigUint64(8, 512n)],
    ['it is encrypted', (v) => v.setUint32(32, 2)],
    ['it is marked as corrupt; repair it: qemu-img check -r all FILE', (v) => v.setBigUint64(72, 2n)],
    ['its data lie in another file', (v) => v.setBigUint64(72, 4n)],
    ['it has subclusters', (v) => v.setBigUint64(72, 16n)],
    ['it has features that rexen does not know: 0x100', (v) => v.setBigUint64(72, 256n)],
    ['its clusters are of 2^8 bytes', (v) => v.setUint32(20, 8)],
    ['its clusters are of 2^60 bytes', (v) => v.setUint32(20, 60)],
    ['its disk is too large', (v) => v.setBigUint64(24, 1n << 60n)],
    ['its L1 table has 1 entries, and its disk needs 513', (v) => v.setBigUint64(24, (1n << 30n) + 1n)],
    ['its L1 table lies outside the file', (v) => v.setBigUint64(40, 1n << 50n)],
    ['its L2 table 0 lies outside the file, at 0x100000', (v) => v.setBigUint64(L1, 0x100000n)],
    [
      'a cluster lies outside the file, at 0x200000 (its entry is at 0x2010)',
      (v) => v.setBigUint64(L2 + 16, 0x200000n),
    ],
    ["a cluster does not begin at a cluster's boundary", (v) => v.setBigUint64(L2 + 16, 0x3200n)],
    ['the packed cluster at 0x4000 is damaged', (_, bytes) => bytes.fill(0xff, 0x4000, 0x4100)],
  ])('%s', (message, change) => {
    expect(damage(change)).toThrow(Qcow2Error);
    expect(damage(change)).toThrow(`disk.qcow2: ${message}`);
  });

  test('its header is cut off', () => {
    for (const length of [4, 71, 72, 103]) expect(() => new Qcow2(good().subarray(0, length), 'a')).toThrow(Qcow2Error);
    expect([new Uint8Array(3), good()].map((file) => isQcow2(new RawContent(file)))).toEqual([false, true]);
  });

  test('random damage gives that error, or a disk', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(13_000), fc.nat(255)), { maxLength: 6 }), fc.nat(20_000), (changes, cut) => {
        const bytes = good();
        for (const [at, value] of changes) bytes[at] = value;
        try {
          const disk = new Qcow2(bytes.subarray(0, bytes.length - (cut % 3 === 0 ? cut : 0)), 'a');
          read(disk, 0, Math.min(disk.length, 1 << 20));
        } catch (error) {
          expect(error).toBeInstanceOf(Qcow2Error);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** QEMU's own tool: it reads what we make, and makes what we read. */
const qemuImg = process.env['REXEN_QEMU_IMG'] ?? 'qemu-img';
const hasQemuImg = spawnSync(qemuImg, ['--version'], { stdio: 'ignore' }).status === 0;

testIf(hasQemuImg, 'needs qemu-img of qemu-utils', 'qemu-img agrees on what is in an image', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rexen-qcow2-'));
  const qemu = (...args: string[]) => {
    const { status, stderr } = spawnSync(qemuImg, args, { cwd: folder, encoding: 'utf8' });
    expect(`${args.join(' ')}: ${status} ${stderr}`).toBe(`${args.join(' ')}: 0 `);
  };
  try {
    const data = content(2_000_384);
    data.fill(0, 700_000, 1_100_000);
    writeFileSync(join(folder, 'raw'), data);
    const kinds = [
      ['-o', 'compat=0.10'],
      ['-o', 'compat=1.1,cluster_size=512'],
      ['-c', '-o', 'compat=1.1'],
      ['-c', '-o', 'compat=1.1,compression_type=zstd,cluster_size=4096'],
      ['-o', 'compat=1.1,preallocation=metadata,cluster_size=2M'],
      ['-c', '-o', 'compat=0.10,cluster_size=1024'],
    ];
    for (const kind of kinds) {
      qemu('convert', '-f', 'raw', '-O', 'qcow2', ...kind, 'raw', 'made');
      expect(same(read(new Qcow2(readFileSync(join(folder, 'made')), 'made')), data), kind.join(' ')).toBe(true);
    }
    writeFileSync(
      join(folder, 'ours'),
      makeQcow2(data, { compression: 'zstd', clusters: ['packed', 'plain', 'packed'] }),
    );
    qemu('convert', '-f', 'qcow2', '-O', 'raw', 'ours', 'back');
    expect(readFileSync(join(folder, 'back')).equals(data)).toBe(true);
    qemu('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', 'raw', 'child');
    expect(() => new Qcow2(readFileSync(join(folder, 'child')), 'child')).toThrow('needs a backing file');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

import { describe, expect, test } from 'vitest';
import { Disk } from '../../src/backends/blkif/disk.ts';

const base = () => Uint8Array.from({ length: 5 * 4096 + 512 }, (_, i) => (i >> 9) & 0xff);
const read = (disk: Disk, sector: number, count: number): Uint8Array => {
  const into = new Uint8Array(count * 512);
  disk.read(sector, into);
  return into;
};

describe('a disk', () => {
  test('reads its base, and writes beside it', () => {
    const content = base();
    const disk = new Disk(content, false);
    expect(disk.sectors).toBe(41);
    expect(read(disk, 7, 2)).toEqual(content.slice(7 * 512, 9 * 512));
    disk.write(7, new Uint8Array(1024).fill(0xaa));
    expect(read(disk, 6, 4)).toEqual(
      Uint8Array.from([...new Array(512).fill(6), ...new Array(1024).fill(0xaa), ...new Array(512).fill(9)]),
    );
    expect(content).toEqual(base());
    expect(disk.changedBytes).toBe(8192);
  });

  test('its last sector lies in a block that the base does not fill', () => {
    const disk = new Disk(base(), false);
    disk.write(40, new Uint8Array(512).fill(1));
    expect(read(disk, 39, 2)).toEqual(Uint8Array.from([...new Array(512).fill(39), ...new Array(512).fill(1)]));
    const content = disk.content();
    expect(content.length).toBe(base().length);
    expect(content[40 * 512]).toBe(1);
  });

  test('has no sectors beyond its end', () => {
    const disk = new Disk(base(), false);
    expect([disk.has(40, 1), disk.has(40, 2), disk.has(41, 0), disk.has(-1, 1), disk.has(0.5, 1)]).toEqual([
      true,
      false,
      true,
      false,
      false,
    ]);
  });

  test('discarded sectors read as zeros', () => {
    const disk = new Disk(base(), false);
    disk.discard(3, 10);
    expect(read(disk, 2, 12)).toEqual(
      Uint8Array.from([...new Array(512).fill(2), ...new Array(5120).fill(0), ...new Array(512).fill(13)]),
    );
  });

  test('a saved overlay does not change when the disk is written to again', () => {
    const disk = new Disk(base(), false);
    disk.write(0, new Uint8Array(512).fill(1));
    const saved = disk.save();
    disk.write(0, new Uint8Array(512).fill(2));
    expect(saved.blocks[0]![1][0]).toBe(1);
    disk.restore(saved);
    expect([read(disk, 0, 1)[0], disk.writes]).toEqual([1, 1]);
    disk.write(0, new Uint8Array(512).fill(3));
    expect(saved.blocks[0]![1][0]).toBe(1);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Disk } from '../../src/backends/blkif/disk.ts';
import { wholeDisk } from './whole-disk.ts';

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
    const content = wholeDisk(disk);
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

  test('a disk of 8 TiB is discarded as a whole at once, and takes what is written then', () => {
    const blank = { length: 8 * 2 ** 40, read: (_: number, into: Uint8Array) => void into.fill(0xee) };
    const disk = new Disk(blank, false);
    disk.write(77, new Uint8Array(512).fill(1));
    disk.discard(0, disk.sectors);
    expect([read(disk, 77, 1)[0], read(disk, disk.sectors - 1, 1)[0]]).toEqual([0, 0]);
    disk.write(disk.sectors - 1, new Uint8Array(512).fill(2));
    const end = read(disk, disk.sectors - 2, 2);
    expect([end[511], end[512]]).toEqual([0, 2]);
    expect([disk.save().blocks.length, disk.save().zeros]).toEqual([1, [[0, 2 ** 31]]]);
  });

  test('does what a plain array does, whatever is written, discarded, saved and restored', () => {
    const span = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 41 }));
    const step = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), span, value: fc.integer({ min: 1, max: 255 }) }),
      fc.record({ kind: fc.constant('discard' as const), span }),
      fc.record({ kind: fc.constant('save' as const) }),
      fc.record({ kind: fc.constant('restore' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const disk = new Disk(base(), false);
        let plain = base();
        /** Blocks that were touched. */
        let touched = new Set<number>();
        let kept = { overlay: disk.save(), plain: base(), touched: new Set<number>() };
        for (const each of steps) {
          if (each.kind === 'save') kept = { overlay: disk.save(), plain: plain.slice(), touched: new Set(touched) };
          else if (each.kind === 'restore') {
            disk.restore(kept.overlay);
            [plain, touched] = [kept.plain.slice(), new Set(kept.touched)];
          } else {
            const [from, length] = each.span;
            const count = Math.min(length, 41 - from);
            if (count <= 0) continue;
            const value = each.kind === 'write' ? each.value : 0;
            plain.fill(value, from * 512, (from + count) * 512);
            for (let s = from; s < from + count; s++) touched.add(s >> 3);
            if (each.kind === 'write') disk.write(from, new Uint8Array(count * 512).fill(value));
            else disk.discard(from, count);
          }
          expect(Buffer.compare(wholeDisk(disk), plain)).toBe(0);
          expect(disk.changedBytes).toBe(touched.size * 4096);
        }
      }),
    );
  });
});

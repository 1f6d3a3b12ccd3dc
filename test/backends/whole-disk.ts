import type { Disk } from '../../src/backends/blkif/disk.ts';

/** All bytes of a disk as it is now. */
export function wholeDisk(disk: Disk): Uint8Array {
  const all = new Uint8Array(disk.base.length);
  disk.readBytes(0, all);
  return all;
}

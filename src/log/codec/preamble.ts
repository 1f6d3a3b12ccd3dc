/**
 * The first 16 bytes of a recording, the same in every version:
 *
 *     "REXEN" 0D 0A 1A │ version u32 │ CRC-32 of bytes 0…11
 */
import { crc32 } from 'node:zlib';
import { RecordingError } from './error.ts';
import type { ByteSource } from './frame.ts';

const MAGIC = Uint8Array.of(0x52, 0x45, 0x58, 0x45, 0x4e, 0x0d, 0x0a, 0x1a);
export const PREAMBLE_BYTES = 16;

export function encodePreamble(version: number): Uint8Array {
  const bytes = new Uint8Array(PREAMBLE_BYTES);
  bytes.set(MAGIC);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, version, true);
  view.setUint32(12, crc32(bytes.subarray(0, 12)), true);
  return bytes;
}

/**
 * @returns the file's version; undefined if it was cut within its preamble.
 * @throws RecordingError if it is no recording, damaged, or of a later version than `known`
 */
export function checkPreamble(source: ByteSource, known: number): number | undefined {
  const bytes = source.read(0, Math.min(source.size, PREAMBLE_BYTES)).slice();
  if (bytes.length === 0 || bytes.some((byte, i) => i < MAGIC.length && byte !== MAGIC[i])) {
    throw new RecordingError('not a rexen recording', 0, 'recordings begin with "REXEN"');
  }
  if (bytes.length < PREAMBLE_BYTES) return undefined;
  const view = new DataView(bytes.buffer);
  if (crc32(bytes.subarray(0, 12)) !== view.getUint32(12, true)) throw new RecordingError('damaged preamble', 0);
  const version = view.getUint32(8, true);
  if (version >= 1 && version <= known) return version;
  throw new RecordingError(
    `recording format version ${version} is unknown, this rexen reads versions 1 to ${known}`,
    8,
    version > known ? 'use a newer rexen' : 'use the rexen that recorded it',
  );
}

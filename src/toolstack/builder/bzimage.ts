import { constants, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { isElf } from './elf.ts';
import { type Image, ImageError, ImageReader } from './image.ts';
import { LZ4_LEGACY_MAGIC, unpackLz4Legacy } from './lz4.ts';
import { unpackXz } from './xz.ts';

/** "HdrS" at 0x202: Linux's Documentation/arch/x86/boot.rst. */
const HEADER_MAGIC = 0x53726448;
/** Protocol 2.08 brought payload_offset and payload_length. */
const PAYLOAD_PROTOCOL = 0x208;

export function isBzImage(bytes: Uint8Array): boolean {
  if (bytes.length < 0x250) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint16(0x1fe, true) === 0xaa55 && view.getUint32(0x202, true) === HEADER_MAGIC;
}

export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length > 18 && bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8;
}

/**
 * The ELF file of a kernel image, whatever it is wrapped in: itself, a bzImage's payload, or either of them within gzip.
 * @param limit bytes that may come out: the guest's memory, since a larger kernel could not be loaded
 * @throws ImageError
 */
export function kernelElf(kernel: Image, limit: number): Image {
  if (isElf(kernel.bytes)) return kernel;
  if (isBzImage(kernel.bytes)) return bzImagePayload(kernel, limit);
  if (isGzip(kernel.bytes)) {
    const inside = { name: `${kernel.name} (unpacked)`, bytes: gunzip(kernel, limit) };
    if (isBzImage(inside.bytes)) return bzImagePayload(inside, limit);
    if (isElf(inside.bytes)) return inside;
    throw new ImageError(inside.name, 0, 'neither an ELF file nor a bzImage is within the gzip file');
  }
  throw new ImageError(kernel.name, 0, 'this is neither an ELF file nor a Linux bzImage (nor gzip of one)');
}

/**
 *     0x1f1 setup_sects     real-mode sectors after the first (0 means 4)
 *     0x206 version         boot protocol
 *     0x248 payload_offset  from the start of the protected-mode code
 *     0x24c payload_length  includes, except for gzip, a final u32: the unpacked size
 */
function bzImagePayload(kernel: Image, limit: number): Image {
  const file = new ImageReader(kernel);
  const version = file.u16(0x206);
  if (version < PAYLOAD_PROTOCOL)
    file.fail(0x206, `boot protocol ${version >> 8}.${version & 255} does not tell where the kernel is (2.8 does)`);
  const start = ((file.u8(0x1f1) || 4) + 1) * 512 + file.u32(0x248);
  const length = file.u32(0x24c);
  if (length < 8) file.fail(0x24c, `the kernel's payload of ${length} bytes is too short`);
  const packed: Image = { name: `${kernel.name} (payload)`, bytes: file.bytes(start, length) };
  const bytes = unpack(packed, limit);
  const elf: Image = { name: `${kernel.name} (unpacked kernel)`, bytes };
  if (!isElf(bytes)) throw new ImageError(elf.name, 0, "the bzImage's payload is no ELF file");
  return elf;
}

/** Formats that Linux can pack its kernel with, by their first bytes. */
const UNSUPPORTED: readonly (readonly [string, readonly number[]])[] = [
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['LZMA (the old format)', [0x5d, 0x00, 0x00]],
  ['LZO', [0x89, 0x4c, 0x5a, 0x4f]],
];

function unpack(packed: Image, limit: number): Uint8Array {
  const file = new ImageReader(packed);
  const magic = file.u32(0);
  if (isElf(packed.bytes)) return packed.bytes;
  if (isGzip(packed.bytes)) return gunzip(packed, limit);
  const size = file.u32(file.length - 4);
  const body: Image = { name: packed.name, bytes: packed.bytes.subarray(0, -4) };
  const checked = (): number => {
    if (size > limit)
      file.fail(
        file.length - 4,
        `the kernel unpacks to ${size} bytes, more than the domain's memory of ${limit}; raise memory`,
      );
    return size;
  };
  if (magic === LZ4_LEGACY_MAGIC) return unpackLz4Legacy(body, checked());
  if (magic === 0x587a37fd) return unpackXz(body, checked());
  if (magic === 0xfd2fb528) return zlib(body, () => zstdDecompressSync(body.bytes, { maxOutputLength: checked() }));
  const known = UNSUPPORTED.find(([, bytes]) => bytes.every((b, i) => packed.bytes[i] === b));
  if (known !== undefined) file.fail(0, `a kernel packed with ${known[0]} is not supported (gzip, xz, lz4, zstd are)`);
  return file.fail(0, `the payload starts with 0x${magic.toString(16)}, no packing that Linux uses`);
}

/** @throws ImageError on damage or if more than `limit` bytes come out */
export function gunzip(packed: Image, limit: number): Uint8Array {
  return zlib(packed, () => gunzipSync(packed.bytes, { maxOutputLength: limit, finishFlush: constants.Z_SYNC_FLUSH }));
}

function zlib(packed: Image, run: () => Uint8Array): Uint8Array {
  try {
    return run();
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw new ImageError(packed.name, 0, `cannot be unpacked: ${(error as Error).message}`);
  }
}

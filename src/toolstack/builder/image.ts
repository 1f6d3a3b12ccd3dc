import { type DiskContent, RawContent } from '../../backends/blkif/disk.ts';

/**
 * A kernel or ramdisk image that cannot be used. The message reads `FILE: offset 0x1234: what is wrong`, the offset
 * being one in the file, or in the payload that was unpacked from it (the name then says so).
 */
export class ImageError extends Error {
  readonly image: string;
  readonly offset: number;

  constructor(image: string, offset: number, what: string) {
    super(`${image}: offset 0x${offset.toString(16)}: ${what}`);
    this.name = 'ImageError';
    this.image = image;
    this.offset = offset;
  }
}

/** An image's bytes with its name for messages. */
export interface Image {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Of one that is too large to lie in memory: its bytes piece by piece, for a disk. */
  readonly content?: DiskContent;
}

/** An image as a disk. */
export function diskContent(image: Image): DiskContent {
  return image.content ?? new RawContent(image.bytes);
}

/** Little-endian reads that name image and offset when they leave it. */
export class ImageReader {
  readonly image: Image;
  readonly #view: DataView;

  constructor(image: Image) {
    this.image = image;
    this.#view = new DataView(image.bytes.buffer, image.bytes.byteOffset, image.bytes.byteLength);
  }

  get length(): number {
    return this.image.bytes.length;
  }

  u8(at: number): number {
    return this.#view.getUint8(this.#check(at, 1));
  }
  u16(at: number): number {
    return this.#view.getUint16(this.#check(at, 2), true);
  }
  u32(at: number): number {
    return this.#view.getUint32(this.#check(at, 4), true);
  }
  u64(at: number): bigint {
    return this.#view.getBigUint64(this.#check(at, 8), true);
  }

  /** A live view. @throws ImageError if any byte lies outside. */
  bytes(at: number, length: number): Uint8Array {
    this.#check(at, length);
    return this.image.bytes.subarray(at, at + length);
  }

  fail(at: number, what: string): never {
    throw new ImageError(this.image.name, at, what);
  }

  #check(at: number, length: number): number {
    if (at < 0 || at + length > this.length)
      this.fail(at, `${length} bytes are needed here, but the image has only ${this.length} (is it truncated?)`);
    return at;
  }
}

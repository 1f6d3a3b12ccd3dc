/** Images as files: small ones in memory, large ones (disks) read piece by piece while a session runs. */
import { fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import type { DiskContent } from '../backends/blkif/disk.ts';
import type { Image } from '../toolstack/builder/image.ts';
import { reason, sha256, sha256Of } from './files.ts';
import { Progress } from './output.ts';

/** Larger files stay where they are. */
export const IN_MEMORY_BYTES = 64 << 20;
const CHUNK_BYTES = 4 << 20;

/** A file as an image. */
export function openImage(path: string, size: number): Image {
  const name = basename(path);
  return size <= IN_MEMORY_BYTES ? { name, bytes: new Uint8Array(readFileSync(path)) } : new FileImage(path, name);
}

/**
 * A large file. It is open as long as the process lives: one that is moved or replaced meanwhile is still read; one that is
 * written to is an error, for a session may not see bytes that its recording does not name.
 */
class FileImage implements Image {
  readonly name: string;
  readonly content: FileContent;
  readonly #path: string;

  constructor(path: string, name: string) {
    this.name = name;
    this.#path = path;
    this.content = new FileContent(path);
  }

  /** All of it, for images that turn out to be no disks. */
  get bytes(): Uint8Array {
    return new Uint8Array(readFileSync(this.#path));
  }
}

class FileContent implements DiskContent {
  readonly length: number;
  readonly #path: string;
  readonly #fd: number;
  readonly #changed: number;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'r');
    const stat = fstatSync(this.#fd);
    this.length = stat.size;
    this.#changed = stat.mtimeMs;
  }

  /** @throws Error for people if the file was changed, or cannot be read */
  read(offset: number, into: Uint8Array): void {
    const stat = fstatSync(this.#fd);
    if (stat.mtimeMs !== this.#changed || stat.size !== this.length)
      throw new Error(
        `${this.#path} was changed while a session reads it; let nothing else write to it, and begin again`,
      );
    for (let done = 0; done < into.length; ) {
      let got: number;
      try {
        got = readSync(this.#fd, into, done, into.length - done, offset + done);
      } catch (error) {
        throw new Error(`cannot read ${this.#path} at ${offset + done}: ${reason(error)}`);
      }
      if (got === 0) throw new Error(`${this.#path} became shorter while it was read`);
      done += got;
    }
  }
}

/** SHA-256 of an image, hexadecimal. Large ones take some seconds, and say so on a terminal. */
export function imageSha256(image: Image): string {
  const { content } = image;
  if (!content) return sha256Of(image.bytes);
  const hash = sha256();
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, content.length));
  const progress = new Progress();
  for (let at = 0; at < content.length; at += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, content.length - at));
    content.read(at, part);
    hash.update(part);
    progress.update(() => `checking ${image.name}: ${Math.floor((100 * at) / content.length)} %`);
  }
  progress.done();
  return hash.digest('hex');
}

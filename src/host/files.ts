/** Recordings as files. */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Hash } from '../log/digest.ts';
import { RecordingError, type ByteSink, type ByteSource } from '../log/recording.ts';

const READ_AHEAD_BYTES = 1 << 20;

export function sha256(): Hash {
  return createHash('sha256');
}

/** SHA-256 of `bytes`, hexadecimal. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A file being read, through a buffer. */
export class FileSource implements ByteSource {
  readonly size: number;
  readonly #fd: number;
  readonly #path: string;
  #buffer = new Uint8Array(0);
  #bufferAt = 0;

  /** @throws RecordingError if there is no such file or it cannot be read. */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#fd = openSync(path, 'r');
    } catch (error) {
      throw new RecordingError(`cannot open ${path}: ${reason(error)}`);
    }
    const stat = fstatSync(this.#fd);
    if (!stat.isFile()) {
      closeSync(this.#fd);
      throw new RecordingError(`${path} is not a file`);
    }
    this.size = stat.size;
  }

  read(offset: number, length: number): Uint8Array {
    const start = offset - this.#bufferAt;
    if (start >= 0 && start + length <= this.#buffer.length) return this.#buffer.subarray(start, start + length);
    const wanted = Math.max(0, Math.min(this.size - offset, Math.max(length, READ_AHEAD_BYTES)));
    if (wanted < length) throw new RecordingError(`${this.#path} ends too early`, offset);
    const buffer = new Uint8Array(wanted);
    let got = 0;
    while (got < wanted) {
      let n: number;
      try {
        n = readSync(this.#fd, buffer, got, wanted - got, offset + got);
      } catch (error) {
        throw new RecordingError(`cannot read ${this.#path}: ${reason(error)}`, offset + got);
      }
      if (n === 0) throw new RecordingError(`${this.#path} became shorter while it was read`, offset + got);
      got += n;
    }
    this.#buffer = buffer;
    this.#bufferAt = offset;
    return buffer.subarray(0, length);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** A folder with those above it. (Node's own recursive mkdir tries for ever where /proc refuses.) */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path);
}

/** A file being written, whole frames at a time, unbuffered: what was written survives a kill. */
export class FileSink implements ByteSink {
  readonly path: string;
  readonly #fd: number;

  /** Creates `path` and its folder. @throws RecordingError if that fails or, without `replace`, the file exists. */
  constructor(path: string, replace = true) {
    this.path = path;
    try {
      makeFolder(resolve(dirname(path)));
      this.#fd = openSync(path, replace ? 'w' : 'wx');
    } catch (error) {
      throw new RecordingError(`cannot create ${path}: ${reason(error)}`);
    }
  }

  write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      try {
        done += writeSync(this.#fd, bytes, done);
      } catch (error) {
        throw new RecordingError(`cannot write ${this.path}: ${reason(error)}`);
      }
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Takes the file away again: nothing came of it. */
  remove(): void {
    this.close();
    rmSync(this.path, { force: true });
  }
}

/** A recording in memory, for tests and for replays that were never saved. */
export class MemoryFile implements ByteSource, ByteSink {
  #bytes: Uint8Array;
  #size = 0;

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#bytes = bytes;
    this.#size = bytes.length;
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  read(offset: number, length: number): Uint8Array {
    if (offset + length > this.#size) throw new RecordingError('the recording ends too early', offset);
    return this.#bytes.subarray(offset, offset + length);
  }

  write(bytes: Uint8Array): void {
    if (this.#size + bytes.length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#size + bytes.length, 4096));
      grown.set(this.bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
  }
}

const MAX_TEXT_BYTES = 1 << 24;

/** A small text file. @throws Error for people: `cannot read WHAT PATH: …` */
export function readText(path: string, what: string): string {
  try {
    return new TextDecoder().decode(readAtMost(path, MAX_TEXT_BYTES));
  } catch (error) {
    throw new Error(`cannot read ${what} ${path}: ${reason(error)}`);
  }
}

/** All of a file, pipe or device, whose size need not be known: devices say 0 and never end. */
function readAtMost(path: string, most: number): Uint8Array {
  const fd = openSync(path, 'r');
  try {
    const parts: Uint8Array[] = [];
    for (let total = 0; ; ) {
      const part = new Uint8Array(1 << 16);
      const got = readSync(fd, part);
      if (got === 0) return Buffer.concat(parts);
      parts.push(part.subarray(0, got));
      total += got;
      if (total > most) throw new Error(`it is larger than ${most >> 20} MiB`);
    }
  } finally {
    closeSync(fd);
  }
}

/** What the operating system said, without codes and paths for programs. */
export function reason(error: unknown): string {
  const code = (error as { code?: string }).code;
  const known: Record<string, string> = {
    ENOENT: 'no such file or folder',
    EACCES: 'permission denied',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is not a folder',
    ENOSPC: 'the disk is full',
    EEXIST: 'it exists already',
    EROFS: 'the file system is read-only',
  };
  return (code && known[code]) ?? (error instanceof Error ? error.message : String(error));
}

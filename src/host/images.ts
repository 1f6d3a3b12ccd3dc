/** The files a session is started from: kernels, ramdisks. */
import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ImageEntry, MAX_EMBEDDED_IMAGE_BYTES, type Recording, RecordingError } from '../log/recording.ts';
import { reason, sha256Of } from './files.ts';

/** Larger files are refused: no guest's kernel or ramdisk is. */
const MAX_IMAGE_BYTES = 1 << 30;

/** An image's content, with its name for messages. */
export interface LoadedImage {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Reads a file that a configuration names. @throws Error whose message is for people */
export function readImage(path: string, what: string): Uint8Array {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new Error('it is not a file');
    if (stat.size > MAX_IMAGE_BYTES) throw new Error('it is larger than 1 GiB');
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw new Error(`cannot read ${what} ${path}: ${reason(error)}`);
  }
}

/** What the header says of where an image was: only for those that must be found there again. */
function place(path: string, size: number): string {
  return size <= MAX_EMBEDDED_IMAGE_BYTES ? path : resolve(path);
}

/** Collects the images of a session to be recorded: the table for the header, and contents by SHA-256. */
export class ImageTable {
  readonly entries: ImageEntry[] = [];
  readonly contents = new Map<string, LoadedImage>();

  /** @returns the image's SHA-256, by which a machine's configuration names it. */
  add(path: string, what: string): string {
    const bytes = readImage(path, what);
    const sha256 = sha256Of(bytes);
    if (!this.contents.has(sha256)) {
      this.contents.set(sha256, { name: basename(path), bytes });
      this.entries.push({ name: basename(path), path: place(path, bytes.length), size: bytes.length, sha256 });
    }
    return sha256;
  }

  /** Contents small enough to lie in the recording, by index in `entries`. */
  embedded(): Map<number, Uint8Array> {
    const small = new Map<number, Uint8Array>();
    for (const [i, { sha256, size }] of this.entries.entries()) {
      if (size <= MAX_EMBEDDED_IMAGE_BYTES) small.set(i, this.contents.get(sha256)!.bytes);
    }
    return small;
  }
}

/**
 * The images of a recording by SHA-256: from the recording itself, from where they were, or from beside the recording.
 * @throws RecordingError if one is missing or has another content now.
 */
export function loadImages(recording: Recording, file: string): Map<string, LoadedImage> {
  const images = new Map<string, LoadedImage>();
  for (const [i, entry] of (recording.header?.images ?? []).entries()) {
    const content = recording.image(i);
    images.set(entry.sha256, { name: entry.name, bytes: content ? checked(content, entry) : find(entry, file) });
  }
  return images;
}

function checked(bytes: Uint8Array, entry: ImageEntry): Uint8Array {
  if (sha256Of(bytes) === entry.sha256) return bytes;
  throw new RecordingError(`the image ${entry.name} in the recording is not what its header says`);
}

function find(entry: ImageEntry, file: string): Uint8Array {
  let other = false;
  for (const path of [entry.path, join(dirname(file), basename(entry.name)), resolve(basename(entry.name))]) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile()) continue;
    if (stat.size === entry.size) {
      const bytes = new Uint8Array(readFileSync(path));
      if (sha256Of(bytes) === entry.sha256) return bytes;
    }
    other = true;
  }
  throw new RecordingError(
    other ? `${entry.path} is not the file it was when this was recorded` : `the image ${entry.path} is missing`,
    undefined,
    `put the file with SHA-256 ${entry.sha256} there, or beside the recording as ${basename(entry.name)}`,
  );
}

/** A guest that ships with the project, by name: its path, short if it lies under the current folder. */
export function shippedGuest(name: string): string {
  const path = fileURLToPath(new URL(`../../test/guests/${name}.elf`, import.meta.url));
  if (!statSync(path, { throwIfNoEntry: false })) throw new Error(`${path} is missing; it ships with rexen's sources`);
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}

/** The files a session is started from: kernels, ramdisks. */
import { statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ImageEntry, MAX_EMBEDDED_IMAGE_BYTES, type Recording, RecordingError } from '../log/recording.ts';
import { diskContent, type Image } from '../toolstack/builder/image.ts';
import { imageSha256, IN_MEMORY_BYTES, openImage } from './file-image.ts';
import { reason } from './files.ts';

/** Larger kernels and ramdisks are refused: there are none. */
const MAX_IMAGE_BYTES = 1 << 30;

/** Reads a file that a configuration names. @throws Error whose message is for people */
export function readImage(path: string, what: string): Uint8Array {
  return open(path, what, MAX_IMAGE_BYTES).bytes;
}

function open(path: string, what: string, most: number): Image {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new Error('it is not a file');
    if (stat.size > most) throw new Error('it is larger than 1 GiB');
    return openImage(path, stat.size);
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
  readonly contents = new Map<string, Image>();

  /** @returns the image's SHA-256, by which a machine's configuration names it. */
  add(path: string, what: string): string {
    return this.#add(path, open(path, what, MAX_IMAGE_BYTES));
  }

  /** The same for a disk, which may be of any size. */
  addDisk(path: string, what: string): string {
    return this.#add(path, open(path, what, Number.POSITIVE_INFINITY));
  }

  #add(path: string, image: Image): string {
    const { length: size } = diskContent(image);
    const sha256 = imageSha256(image);
    if (!this.contents.has(sha256)) {
      this.contents.set(sha256, image);
      this.entries.push({ name: image.name, path: place(path, size), size, sha256 });
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
export function loadImages(recording: Recording, file: string): Map<string, Image> {
  const images = new Map<string, Image>();
  for (const [i, entry] of (recording.header?.images ?? []).entries()) {
    images.set(entry.sha256, embedded(recording, i, entry) ?? find(entry, file));
  }
  return images;
}

/** An image that lies in the recording: small ones are unpacked at once, large ones as they are read. */
function embedded(recording: Recording, index: number, entry: ImageEntry): Image | undefined {
  const content = recording.imageContent(index);
  if (!content) return undefined;
  const { name } = entry;
  const image: Image =
    content.length <= IN_MEMORY_BYTES
      ? { name, bytes: content.whole() }
      : {
          name,
          content,
          get bytes() {
            return content.whole();
          },
        };
  if (imageSha256(image) === entry.sha256) return image;
  throw new RecordingError(`the image ${name} in the recording is not what its header says`);
}

function find(entry: ImageEntry, file: string): Image {
  let other = false;
  for (const path of [entry.path, join(dirname(file), basename(entry.name)), resolve(basename(entry.name))]) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile()) continue;
    if (stat.size === entry.size) {
      const image = openImage(path, stat.size);
      if (imageSha256(image) === entry.sha256) return image;
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

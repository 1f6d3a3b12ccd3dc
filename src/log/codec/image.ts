/**
 * Images inside a recording. One up to 64 MiB is one frame; a larger one (a disk, put there by `rexen pack`) is as many
 * frames of 4 MiB as it needs, in order, the last one shorter. So it is read piece by piece, as its file was.
 *
 *     IMAGE │ u32 index in the table of images │ content, or the next 4 MiB of it │
 */
import { RecordingError } from './error.ts';
import type { FrameHeader, FrameLimits } from './frame.ts';

export const IMAGE_FRAME = { type: 2, name: 'image', head: 4, maxBytes: 64 << 20 } as const satisfies FrameLimits & {
  type: number;
  name: string;
};
/** Images up to this size are one frame. */
export const MAX_WHOLE_IMAGE_BYTES = IMAGE_FRAME.maxBytes - IMAGE_FRAME.head;
export const IMAGE_PIECE_BYTES = 4 << 20;
/** Kernels and ramdisks, which are wanted as a whole, are not larger. */
const MAX_LOADED_BYTES = 1 << 30;
/** Unpacked pieces that are kept. */
const KEPT_PIECES = 4;

/** Content that is read piece by piece. */
export interface ImageContent {
  /** Bytes. */
  readonly length: number;
  /** Fills `into` from `offset` on; all of it lies within `length`. */
  read(offset: number, into: Uint8Array): void;
}

/** How many frames an image of `size` bytes takes. */
export function imageFrames(size: number): number {
  return size <= MAX_WHOLE_IMAGE_BYTES ? 1 : Math.ceil(size / IMAGE_PIECE_BYTES);
}

/** The contents of an image's frames. Each is valid until the next is asked for. */
export function* imagePieces(content: Uint8Array | ImageContent): Generator<Uint8Array> {
  const { length } = content;
  const piece = imageFrames(length) === 1 ? length : IMAGE_PIECE_BYTES;
  if (content instanceof Uint8Array && piece === length) yield content;
  else {
    const buffer = new Uint8Array(piece);
    for (let at = 0; at === 0 || at < length; at += piece) {
      const part = buffer.subarray(0, Math.min(piece, length - at));
      if (content instanceof Uint8Array) part.set(content.subarray(at, at + part.length));
      else content.read(at, part);
      yield part;
    }
  }
}

/** An image in a recording, unpacked as far as it is read. */
export class EmbeddedImage implements ImageContent {
  readonly length: number;
  readonly #index: number;
  readonly #frames: readonly FrameHeader[];
  readonly #body: (frame: FrameHeader) => Uint8Array;
  readonly #pieceBytes: number;
  /** The one used last at the end. */
  readonly #kept = new Map<number, Uint8Array>();

  /**
   * @param index in the table of images, which says that it has `length` bytes
   * @throws RecordingError if frames are missing
   */
  constructor(index: number, length: number, frames: readonly FrameHeader[], body: (frame: FrameHeader) => Uint8Array) {
    this.length = length;
    this.#index = index;
    this.#frames = frames;
    this.#body = body;
    const count = imageFrames(length);
    this.#pieceBytes = count === 1 ? length : IMAGE_PIECE_BYTES;
    if (frames.length !== count) throw new RecordingError(`image ${index} is not complete`, frames.at(-1)?.offset);
  }

  /** @throws RecordingError if the recording is damaged there */
  read(offset: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const at = (offset + done) % this.#pieceBytes;
      const piece = this.#piece((offset + done - at) / this.#pieceBytes);
      const count = Math.min(into.length - done, piece.length - at);
      into.set(piece.subarray(at, at + count), done);
      done += count;
    }
  }

  /** All of it. @throws RecordingError if it is too large for that, or damaged */
  whole(): Uint8Array {
    if (this.length > MAX_LOADED_BYTES)
      throw new RecordingError(`image ${this.#index} is too large to be a kernel or ramdisk`, this.#frames[0]!.offset);
    const all = new Uint8Array(this.length);
    this.read(0, all);
    if (this.length === 0) this.#piece(0);
    return all;
  }

  #piece(number: number): Uint8Array {
    const frame = this.#frames[number]!;
    const piece = this.#kept.get(number) ?? new Uint8Array(this.#body(frame));
    if (piece.length !== Math.min(this.#pieceBytes, this.length - number * this.#pieceBytes))
      throw new RecordingError(`image ${this.#index} has another size than the header says`, frame.offset);
    this.#kept.delete(number);
    this.#kept.set(number, piece);
    if (this.#kept.size > KEPT_PIECES) this.#kept.delete(this.#kept.keys().next().value!);
    return piece;
  }
}

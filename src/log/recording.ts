/**
 * The recording file: its version, its limits, its writer and its reader. Append-only; drawn in recordings/README.md.
 *
 *     ┌──────────────────┬────────┬─────────┬─ ─┬──────────┬───────────┬─ ─┬───────┬─────┐
 *     │ preamble, 16 B   │ HEADER │ IMAGE … │   │ [INPUTS] │ EFFECTS   │ … │ INDEX │ END │
 *     └──────────────────┴────────┴─────────┴─ ─┴──────────┴───────────┴─ ─┴───────┴─────┘
 *       "REXEN\r\n\x1a", version u32, CRC-32 of the 12 bytes before; the rest are frames (codec/frame.ts)
 *
 *     HEADER    JSON: who, when, the machine's configuration, the table of images, the table of event kinds
 *     IMAGE     an image or a piece of it (codec/image.ts); small ones only, unless packed: others are named by SHA-256
 *     INPUTS    the inputs of the batch that the next frame completes (codec/batch.ts)
 *     EFFECTS   the effects of a batch; with this frame the batch counts
 *     SNAPSHOT  a part of the session as it was at some tick, to go on from (src/snapshot/stored.ts); behind all batches
 *     INDEX     where batches are; can be rebuilt by a scan
 *     END       totals and the digest of the session: the recording was ended, not cut
 *
 * A file that was cut anywhere opens and goes as far as its last complete batch. A damaged one opens too, as far as the
 * damage, and says where that is.
 */
import type { LogSink, RecordBatch } from './append.ts';
import { BatchEncoder, decodeBatch, decodeHead, type KindBytes } from './codec/batch.ts';
import { type BatchEntry, encodeIndex } from './codec/batch-index.ts';
import { encodeEnd, type Totals } from './codec/end.ts';
import { RecordingError } from './codec/error.ts';
import {
  type ByteSink,
  type ByteSource,
  encodeFrame,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type FrameLimits,
  inflateBody,
  readFrameHeader,
  readStored,
} from './codec/frame.ts';
import { kindTable, type RecordingHeader } from './codec/header.ts';
import { EmbeddedImage, type ImageContent, imagePieces, MAX_WHOLE_IMAGE_BYTES } from './codec/image.ts';
import { checkPreamble, encodePreamble, PREAMBLE_BYTES } from './codec/preamble.ts';
import {
  type Ending,
  FORMAT_VERSION,
  FRAME,
  MAX_SNAPSHOTS,
  type Scan,
  Scanner,
  SNAPSHOTS_VERSION,
} from './codec/scan.ts';
import { encodeSnapshotHead, type SnapshotEntry, SnapshotTable } from './codec/snapshot-head.ts';
import { RECORD_WORDS, toU53 } from './record.ts';

export { type Ending, FORMAT_VERSION, FRAME, MAX_BATCHES, MAX_IMAGES, MAX_SNAPSHOTS } from './codec/scan.ts';
export { PREAMBLE_BYTES } from './codec/preamble.ts';
export { RecordingError } from './codec/error.ts';
export type { BatchEntry } from './codec/batch-index.ts';
export type { Totals } from './codec/end.ts';
export type { ByteSink, ByteSource } from './codec/frame.ts';
export type { SnapshotEntry } from './codec/snapshot-head.ts';
export type { ImageEntry, RecordingHeader, RecordingStart } from './codec/header.ts';
export type { ImageContent } from './codec/image.ts';

/** Images up to this size lie in the recording itself from the start. */
export const MAX_EMBEDDED_IMAGE_BYTES = 256 << 10;
const nothing = new Uint8Array(0);

// -- writer -----------------------------------------------------------------------------------------------------------

/** Writes a recording, a batch as it is drained. Each write is one whole frame. */
export class RecordingWriter implements LogSink {
  /** Bytes written. */
  bytes = 0;
  /** Bytes of the frames of inputs, frame headers included. */
  inputBytes = 0;
  readonly #sink: ByteSink;
  readonly #encoder = new BatchEncoder();
  readonly #entries: BatchEntry[] = [];
  #frames = 0;

  #snapshots = 0;

  /**
   * @param contents by index in `header.images`: those to be embedded.
   * @param withSnapshots whether `snapshot` will be called
   */
  constructor(
    sink: ByteSink,
    header: RecordingHeader,
    contents: ReadonlyMap<number, Uint8Array | ImageContent>,
    withSnapshots = false,
  ) {
    this.#sink = sink;
    this.#write(encodePreamble(withSnapshots ? SNAPSHOTS_VERSION : versionFor(header, contents)));
    const images = header.images.map((image, i) => ({ ...image, embedded: contents.has(i) }));
    const json = JSON.stringify({ ...header, images, kinds: kindTable() });
    this.#frame(FRAME.HEADER, nothing, new TextEncoder().encode(json));
    for (const [index, content] of contents)
      for (const piece of imagePieces(content)) this.#frame(FRAME.IMAGE, Uint8Array.of(index, 0, 0, 0), piece);
  }

  batch(batch: RecordBatch): void {
    if (batch.count === 0) return;
    const { inputs, effects } = this.#encoder.encode(batch);
    const inputsAt = inputs ? this.bytes : -1;
    const frame = this.#frames;
    if (inputs) this.inputBytes += this.#frame(FRAME.INPUTS, inputs.head, inputs.body);
    this.#entries.push({ ...decodeHead(effects.head), inputsAt, effectsAt: this.bytes, frame });
    this.#frame(FRAME.EFFECTS, effects.head, effects.body);
  }

  /** A snapshot behind all batches, in the order of ticks. @throws RangeError if there are too many */
  snapshot(tick: number, seq: number, parts: readonly Uint8Array[]): void {
    if (this.#snapshots >= MAX_SNAPSHOTS) throw new RangeError(`a recording holds at most ${MAX_SNAPSHOTS} snapshots`);
    for (const [part, body] of parts.entries()) {
      const head = encodeSnapshotHead({ tick, seq, index: this.#snapshots, part, parts: parts.length });
      this.#frame(FRAME.SNAPSHOT, head, body);
    }
    this.#snapshots++;
  }

  /** Ends the recording cleanly. Flush the log first. */
  finish(totals: Totals): void {
    const indexAt = this.bytes;
    this.#frame(FRAME.INDEX, nothing, encodeIndex(this.#entries));
    this.#frame(FRAME.END, encodeEnd(indexAt, totals), nothing);
  }

  #frame(frame: { type: number }, head: Uint8Array, body: Uint8Array): number {
    const bytes = encodeFrame(frame.type, this.#frames++, head, body);
    this.#write(bytes);
    return bytes.length;
  }

  #write(bytes: Uint8Array): void {
    this.#sink.write(bytes);
    this.bytes += bytes.length;
  }
}

/** The oldest version that has what the file needs: more readers understand it. */
function versionFor({ start }: RecordingHeader, contents: ReadonlyMap<number, { readonly length: number }>): number {
  if ([...contents.values()].some(({ length }) => length > MAX_WHOLE_IMAGE_BYTES)) return 3;
  return start ? 2 : 1;
}

// -- reader -----------------------------------------------------------------------------------------------------------

/** A recording opened for reading: checked whole, nothing decompressed yet. */
export class Recording {
  readonly version: number;
  /** Undefined if the file was cut before the header was complete. */
  readonly header: RecordingHeader | undefined;
  readonly batches: readonly BatchEntry[];
  readonly ending: Ending;
  /** Bytes of the file, and of its frames of inputs. */
  readonly bytes: number;
  readonly inputBytes: number;
  /** Places from which a replay can go on at once, by tick. */
  readonly snapshots: readonly SnapshotEntry[];
  /** What is wrong with a snapshot: those behind it are not used. Events are as good as before. */
  readonly snapshotProblem: { readonly offset: number; readonly problem: string } | undefined;
  readonly #source: ByteSource;
  readonly #images: ReadonlyMap<number, readonly FrameHeader[]>;

  /** Use `openRecording`. */
  constructor(source: ByteSource, scan: Scan) {
    this.#source = source;
    this.header = scan.header;
    this.version = scan.version;
    this.snapshots = scan.snapshots.whole();
    this.snapshotProblem = scan.snapshots.problem;
    this.batches = scan.batches;
    this.ending = scan.ending;
    this.bytes = source.size;
    this.inputBytes = scan.inputBytes;
    this.#images = scan.images;
  }

  /** Number of the first event that it has. */
  get firstSeq(): number {
    return this.header?.start?.seq ?? 0;
  }

  /** One more than the number of the last event that can be read, and replayed. */
  get events(): number {
    const last = this.batches.at(-1);
    return last ? last.firstSeq + last.count : this.firstSeq;
  }

  /** Tick of the last of them. */
  get lastTick(): number {
    return this.batches.at(-1)?.lastTick ?? this.header?.start?.tick ?? 0;
  }

  /** Offset behind batch `index`. */
  batchEnd(index: number): number {
    const entry = this.batches[index];
    const number = entry.inputsAt < 0 ? entry.frame : entry.frame + 1;
    return entry.effectsAt + FRAME_HEADER_BYTES + this.#frameAt(entry.effectsAt, number).stored;
  }

  /** Content of an image that is embedded. @throws RecordingError if the file's image is not what the table says. */
  image(index: number): Uint8Array | undefined {
    return this.imageContent(index)?.whole();
  }

  /** The same, to be read piece by piece. @throws RecordingError */
  imageContent(index: number): EmbeddedImage | undefined {
    const frames = this.#images.get(index);
    const size = this.header?.images[index]?.size;
    if (!frames || size === undefined) return undefined;
    return new EmbeddedImage(index, size, frames, (frame) => this.#body(frame, FRAME.IMAGE));
  }

  /** A part of a snapshot as it was given to the writer. @throws RecordingError */
  snapshotPart({ frames }: SnapshotEntry, part: number): Uint8Array {
    return this.#body(frames[part], FRAME.SNAPSHOT);
  }

  /** Decodes a batch; it is the caller's own. @throws RecordingError with the frame's offset. */
  readBatch(entry: BatchEntry, kindBytes?: KindBytes): RecordBatch {
    const { inputsAt, effectsAt, frame } = entry;
    try {
      const inputs =
        inputsAt < 0 ? undefined : new Uint8Array(this.#body(this.#frameAt(inputsAt, frame), FRAME.INPUTS));
      const effects = this.#body(this.#frameAt(effectsAt, inputsAt < 0 ? frame : frame + 1), FRAME.EFFECTS);
      const batch = decodeBatch(entry, inputs, effects, kindBytes);
      if (tickOf(batch, 0) !== entry.firstTick || tickOf(batch, batch.count - 1) !== entry.lastTick) {
        throw new RecordingError('the head of a batch does not fit its events');
      }
      return batch;
    } catch (error) {
      if (error instanceof RecordingError && error.offset === undefined) {
        throw new RecordingError(error.message, effectsAt);
      }
      throw error;
    }
  }

  #frameAt(offset: number, number: number): FrameHeader {
    const frame = readFrameHeader(this.#source, offset, number);
    if (!frame) throw new RecordingError('the file became shorter while it was read', offset);
    return frame;
  }

  #body(frame: FrameHeader, limits: FrameLimits): Uint8Array {
    return inflateBody(frame, readStored(this.#source, frame, limits), limits);
  }
}

function tickOf(batch: RecordBatch, index: number): number {
  const at = index * RECORD_WORDS;
  return toU53(batch.words[at + 2], batch.words[at + 3]);
}

/**
 * Opens a recording: checks every byte of it (at more than 1 GB/s), and finds out how far it goes.
 * @throws RecordingError if it is none, of a version this rexen does not know, or damaged in its very header.
 */
export function openRecording(source: ByteSource): Recording {
  const scan: Scan = {
    version: checkPreamble(source, FORMAT_VERSION) ?? FORMAT_VERSION,
    snapshots: new SnapshotTable(),
    header: undefined,
    batches: [],
    images: new Map(),
    ending: { kind: 'cut', offset: 0 },
    inputBytes: 0,
  };
  if (source.size < PREAMBLE_BYTES) return new Recording(source, scan);
  const scanner = new Scanner(source, scan);
  try {
    scan.ending = scanner.run();
  } catch (error) {
    // Without a header there is nothing to go on with; behind it, everything before the damage counts.
    if (!(error instanceof RecordingError) || !scan.header) throw error;
    scan.ending = { kind: 'damaged', offset: error.offset ?? scanner.offset, problem: error.message };
  }
  return new Recording(source, scan);
}

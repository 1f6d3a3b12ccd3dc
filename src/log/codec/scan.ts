/** The frames of a recording, their limits, and the one walk over them that opens it. */
import { BATCH_HEAD_BYTES, type BatchHead, decodeHead } from './batch.ts';
import { type BatchEntry, decodeIndex, sameEntry } from './batch-index.ts';
import { decodeEnd, END_BYTES, type Totals } from './end.ts';
import { RecordingError } from './error.ts';
import {
  type ByteSource,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type FrameLimits,
  inflateBody,
  readFrameHeader,
  readStored,
} from './frame.ts';
import { checkHeader, type RecordingHeader } from './header.ts';
import { IMAGE_FRAME, imageFrames } from './image.ts';
import { PREAMBLE_BYTES } from './preamble.ts';
import { SNAPSHOT_HEAD_BYTES, type SnapshotTable } from './snapshot-head.ts';
/**
 * Raise it when old readers would misread new files or new readers old ones; history in recordings/README.md.
 */
export const FORMAT_VERSION = 4;
/** The first that may hold snapshots. */
export const SNAPSHOTS_VERSION = 4;

/** Frame types and how large they may become. */
export const FRAME = {
  HEADER: { type: 1, name: 'header', head: 0, maxBytes: 1 << 20 },
  IMAGE: IMAGE_FRAME,
  INPUTS: { type: 3, name: 'inputs', head: BATCH_HEAD_BYTES, maxBytes: 16 << 20 },
  EFFECTS: { type: 4, name: 'effects', head: BATCH_HEAD_BYTES, maxBytes: 16 << 20 },
  INDEX: { type: 5, name: 'index', head: 0, maxBytes: 32 << 20 },
  END: { type: 6, name: 'end', head: END_BYTES, maxBytes: END_BYTES },
  SNAPSHOT: { type: 7, name: 'snapshot', head: SNAPSHOT_HEAD_BYTES, maxBytes: 64 << 20 },
} as const satisfies Record<string, FrameLimits & { type: number; name: string }>;

/** More batches than this in one file are refused: 2^20 full ones are 17 billion events. */
export const MAX_BATCHES = 1 << 20;
export const MAX_IMAGES = 256;
export const MAX_SNAPSHOTS = 1000;

const LIMITS_BY_TYPE = new Map<number, (typeof FRAME)[keyof typeof FRAME]>(
  Object.values(FRAME).map((frame) => [frame.type, frame]),
);

const nothing = new Uint8Array(0);

/** How a file ends. */
export type Ending =
  | { readonly kind: 'clean'; readonly totals: Totals }
  /** Cut off (a kill, a full disk): nothing is wrong before `offset`. */
  | { readonly kind: 'cut'; readonly offset: number }
  /** Something is wrong at `offset`; what lies behind it is not looked at. */
  | { readonly kind: 'damaged'; readonly offset: number; readonly problem: string };

/** What a walk finds. */
export interface Scan {
  version: number;
  snapshots: SnapshotTable;
  header: RecordingHeader | undefined;
  batches: BatchEntry[];
  images: Map<number, FrameHeader[]>;
  ending: Ending;
  inputBytes: number;
}

/** Goes through the frames of a file once. */
export class Scanner {
  offset = PREAMBLE_BYTES;
  readonly #source: ByteSource;
  readonly #scan: Scan;
  #number = 0;
  #pending: { at: number; head: BatchHead; frame: number } | undefined;
  #indexAt = -1;

  constructor(source: ByteSource, scan: Scan) {
    this.#source = source;
    this.#scan = scan;
  }

  run(): Ending {
    let cutAt = this.offset;
    while (true) {
      if (!this.#pending) cutAt = this.offset;
      const frame = readFrameHeader(this.#source, this.offset, this.#number);
      if (!frame) return { kind: 'cut', offset: cutAt };
      const limits = LIMITS_BY_TYPE.get(frame.type);
      if (!limits) throw new RecordingError(`unknown type of frame, ${frame.type}`, this.offset);
      const payload = this.#payload(frame, limits);
      if (frame.type === FRAME.END.type) return this.#end(payload, frame);
      this.#take(frame, payload);
      this.offset += FRAME_HEADER_BYTES + frame.stored;
      this.#number++;
    }
  }

  /** A damaged snapshot takes nothing from the events: its frame is passed over. */
  #payload(frame: FrameHeader, limits: FrameLimits): Uint8Array {
    try {
      return readStored(this.#source, frame, limits);
    } catch (error) {
      if (!(error instanceof RecordingError) || frame.type !== FRAME.SNAPSHOT.type) throw error;
      this.#scan.snapshots.damaged(frame.offset, error.message);
      return nothing;
    }
  }

  #take(frame: FrameHeader, payload: Uint8Array): void {
    const scan = this.#scan;
    const misplaced = () => new RecordingError('a frame stands where it does not belong', frame.offset);
    if ((frame.type === FRAME.HEADER.type) === (scan.header !== undefined) || this.#indexAt >= 0) throw misplaced();
    if (this.#pending && frame.type !== FRAME.EFFECTS.type) throw misplaced();
    const isBatch = frame.type === FRAME.INPUTS.type || frame.type === FRAME.EFFECTS.type;
    if (isBatch && scan.snapshots.any) throw misplaced();
    switch (frame.type) {
      case FRAME.HEADER.type:
        scan.header = checkHeader(inflateBody(frame, payload, FRAME.HEADER), frame.offset);
        break;
      case FRAME.IMAGE.type: {
        const index = payload[0] | (payload[1] << 8) | (payload[2] << 16) | (payload[3] << 24);
        const frames = scan.images.get(index) ?? [];
        const { embedded, size = 0 } = scan.header?.images[index] ?? {};
        if (!embedded || frames.length >= imageFrames(size) || scan.batches.length > 0) throw misplaced();
        frames.push(frame);
        scan.images.set(index, frames);
        break;
      }
      case FRAME.SNAPSHOT.type:
        if (!scan.header || scan.version < SNAPSHOTS_VERSION) throw misplaced();
        if (payload.length > 0) scan.snapshots.add(frame, payload);
        break;
      case FRAME.INPUTS.type:
        scan.inputBytes += FRAME_HEADER_BYTES + frame.stored;
        this.#pending = { at: frame.offset, head: this.#head(payload, frame), frame: frame.number };
        break;
      case FRAME.EFFECTS.type:
        this.#effects(frame, this.#head(payload, frame));
        break;
      default:
        this.#index(frame, payload);
    }
  }

  #head(payload: Uint8Array, frame: FrameHeader): BatchHead {
    const head = decodeHead(payload);
    const last = this.#scan.batches.at(-1);
    const seq = last ? last.firstSeq + last.count : (this.#scan.header?.start?.seq ?? 0);
    if (head.firstSeq !== seq || head.count === 0 || !Number.isSafeInteger(head.lastTick)) {
      throw new RecordingError(`a batch begins with event ${head.firstSeq}, event ${seq} was due`, frame.offset);
    }
    return head;
  }

  #effects(frame: FrameHeader, head: BatchHead): void {
    const pending = this.#pending;
    if ((pending?.head.inputs ?? 0) !== head.inputs || (pending && pending.head.count !== head.count)) {
      throw new RecordingError('the inputs of a batch are missing', frame.offset);
    }
    if (this.#scan.batches.length >= MAX_BATCHES) throw new RecordingError('too many batches', frame.offset);
    this.#scan.batches.push({
      ...head,
      inputsAt: pending?.at ?? -1,
      effectsAt: frame.offset,
      frame: pending?.frame ?? frame.number,
    });
    this.#pending = undefined;
  }

  #index(frame: FrameHeader, payload: Uint8Array): void {
    const entries = decodeIndex(inflateBody(frame, payload, FRAME.INDEX), MAX_BATCHES);
    const scanned = this.#scan.batches;
    if (entries.length !== scanned.length || !entries.every((entry, i) => sameEntry(entry, scanned[i]))) {
      throw new RecordingError('the index does not fit the file', frame.offset);
    }
    this.#indexAt = frame.offset;
  }

  #end(payload: Uint8Array, frame: FrameHeader): Ending {
    const { indexAt, totals } = decodeEnd(payload);
    const last = this.#scan.batches.at(-1);
    const events = last ? last.firstSeq + last.count : (this.#scan.header?.start?.seq ?? 0);
    if (this.#indexAt < 0 || indexAt !== this.#indexAt || totals.events !== events) {
      throw new RecordingError('the end does not fit the file', frame.offset);
    }
    const behind = frame.offset + FRAME_HEADER_BYTES + frame.stored;
    if (behind !== this.#source.size) throw new RecordingError('something follows the end of the recording', behind);
    return { kind: 'clean', totals };
  }
}

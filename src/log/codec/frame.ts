/**
 * Frames: the file after its preamble is nothing but these, one behind the other. Every byte of a file is under a
 * checksum, so that no flipped bit goes unseen, and a frame that was cut off is told apart from one that was damaged:
 * the header has a checksum of its own, so its lengths can be believed.
 *
 *      0          4      5       6     8         12        16       20            24           28
 *      ┌──────────┬──────┬───────┬─────┬─────────┬─────────┬────────┬─────────────┬────────────┬── ─ ─ ──┐
 *      │ "RXFR"   │ type │ flags │  0  │ number  │ stored  │ raw    │ CRC-32 of   │ CRC-32 of  │ payload │
 *      │          │      │       │     │         │ bytes   │ bytes  │ the payload │ bytes 0…23 │         │
 *      └──────────┴──────┴───────┴─────┴─────────┴─────────┴────────┴─────────────┴────────────┴── ─ ─ ──┘
 *
 *      number   0, 1, 2, … in the order of the file
 *      flags    bit 0: the payload behind its fixed head is compressed with zstd
 *      stored   bytes of the payload in the file; raw: the same, decompressed
 *
 * All numbers little-endian.
 */
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { RecordingError } from './error.ts';

export const FRAME_HEADER_BYTES = 28;
const MAGIC = 0x52465852; // "RXFR", read as a little-endian word
const FLAG_ZSTD = 1;
/** Below this, zstd's own frame costs more than it saves. */
const COMPRESS_FROM_BYTES = 64;
const COMPRESS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** A hostile frame may ask for a window far larger than its content. */
const MAX_WINDOW_LOG = 23;

/** Where files are read from. `read` gives exactly `length` bytes, valid until the next call. */
export interface ByteSource {
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
}

/** Where files are written to, appended. Throws if it cannot. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
}

export interface FrameHeader {
  readonly type: number;
  readonly number: number;
  /** File offset of the frame's header. */
  readonly offset: number;
  readonly stored: number;
  readonly raw: number;
  readonly zstd: boolean;
  readonly payloadCrc: number;
}

export interface FrameLimits {
  /** Bytes at the start of the payload that are never compressed. */
  readonly head: number;
  /** Largest payload, decompressed. */
  readonly maxBytes: number;
}

/** A frame ready to be written. `head` stays readable without decompressing. */
export function encodeFrame(type: number, number: number, head: Uint8Array, body: Uint8Array): Uint8Array {
  const packed = body.length >= COMPRESS_FROM_BYTES ? zstdCompressSync(body, COMPRESS) : body;
  const zstd = packed.length < body.length;
  const tail = zstd ? packed : body;
  const stored = head.length + tail.length;
  const frame = new Uint8Array(FRAME_HEADER_BYTES + stored);
  frame.set(head, FRAME_HEADER_BYTES);
  frame.set(tail, FRAME_HEADER_BYTES + head.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, type);
  view.setUint8(5, zstd ? FLAG_ZSTD : 0);
  view.setUint32(8, number, true);
  view.setUint32(12, stored, true);
  view.setUint32(16, head.length + body.length, true);
  view.setUint32(20, crc32(frame.subarray(FRAME_HEADER_BYTES)), true);
  view.setUint32(24, crc32(frame.subarray(0, 24)), true);
  return frame;
}

/**
 * Reads and checks the header of the frame at `offset`.
 * @returns undefined if the file was cut off within it or its payload.
 * @throws RecordingError if it is damaged.
 */
export function readFrameHeader(source: ByteSource, offset: number, number: number): FrameHeader | undefined {
  if (source.size - offset < FRAME_HEADER_BYTES) return undefined;
  const bytes = source.read(offset, FRAME_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  if (crc32(bytes.subarray(0, 24)) !== view.getUint32(24, true) || view.getUint32(0, true) !== MAGIC) {
    throw new RecordingError('damaged frame header', offset);
  }
  const header: FrameHeader = {
    type: view.getUint8(4),
    number: view.getUint32(8, true),
    offset,
    stored: view.getUint32(12, true),
    raw: view.getUint32(16, true),
    zstd: view.getUint8(5) === FLAG_ZSTD,
    payloadCrc: view.getUint32(20, true),
  };
  if (view.getUint8(5) > FLAG_ZSTD || view.getUint16(6, true) !== 0) {
    throw new RecordingError('unknown flags in a frame header', offset);
  }
  if (header.number !== number) {
    throw new RecordingError(`frame ${header.number} stands where frame ${number} belongs`, offset);
  }
  if (source.size - offset - FRAME_HEADER_BYTES < header.stored) return undefined;
  return header;
}

/** The payload as it is stored, checked. Valid until the next read. @throws RecordingError if damaged or too large. */
export function readStored(source: ByteSource, header: FrameHeader, limits: FrameLimits): Uint8Array {
  const { stored, raw, zstd } = header;
  if (raw > limits.maxBytes || stored > limits.maxBytes || stored < limits.head || (!zstd && raw !== stored)) {
    throw new RecordingError('a frame is larger than its type allows, or smaller', header.offset);
  }
  const payload = source.read(header.offset + FRAME_HEADER_BYTES, stored);
  if (crc32(payload) !== header.payloadCrc) throw new RecordingError('damaged frame', header.offset);
  return payload;
}

/** What follows the payload's head, decompressed. @throws RecordingError if it is not what the header says. */
export function inflateBody(header: FrameHeader, payload: Uint8Array, limits: FrameLimits): Uint8Array {
  const body = payload.subarray(limits.head);
  const length = header.raw - limits.head;
  if (!header.zstd) return body;
  let inflated: Uint8Array;
  try {
    inflated = zstdDecompressSync(body, {
      maxOutputLength: Math.max(length, 1),
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
  } catch {
    throw new RecordingError('a frame does not decompress', header.offset);
  }
  if (inflated.length !== length) throw new RecordingError('a frame decompresses to the wrong size', header.offset);
  return inflated;
}

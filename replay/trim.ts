/** Leaves out the beginning of a recording: what is left starts at a snapshot. */
import type { RecordBatch } from '../src/log/append.ts';
import { type CreateHash, LogDigest } from '../src/log/digest.ts';
import { BLOB_LENGTH_WORD, LAYOUT_BY_NUMBER, RECORD_BYTES, RECORD_WORDS } from '../src/log/record.ts';
import { type ImageContent, type ByteSink, type ImageEntry, RecordingWriter } from '../src/log/recording.ts';
import { storeSession } from '../src/snapshot/stored.ts';
import type { Timeline } from './timeline.ts';

export interface TrimOptions {
  readonly createHash: CreateHash;
  readonly sha256: (bytes: Uint8Array) => string;
  /** Contents of the recording's images, to be put inside, by index in its header. */
  readonly images: ReadonlyMap<number, Uint8Array | ImageContent>;
}

export interface Trimmed {
  readonly tick: number;
  /** Number of the first event that is left. */
  readonly seq: number;
  readonly bytes: number;
}

/**
 * Writes the part of the timeline's recording from tick `from` on.
 * @throws RangeError if domains were created or destroyed before it: a machine is built with those of the start
 */
export function trimRecording(timeline: Timeline, from: number, sink: ByteSink, options: TrimOptions): Trimmed {
  const { recording } = timeline;
  const { header } = recording;
  if (!header) throw new RangeError('the recording ends before anything was recorded');
  timeline.seek(header.start?.tick ?? 0);
  const { domains } = timeline.snapshot();
  timeline.seek(from);
  const { session } = timeline;
  const { seq } = session.log;
  if (timeline.snapshot().domains !== domains) {
    throw new RangeError(
      `domains were created or destroyed before tick ${timeline.tick}; trim from an earlier place: rexen events FILE --kind domain-create,domain-destroy`,
    );
  }
  const parts = storeSession(session);
  const old = new Set(header.start?.parts);
  const images = header.images.map((image, i) => ({ image, content: options.images.get(i) }));
  const kept = images.filter(({ image }) => !old.has(image.sha256));
  const entries: ImageEntry[] = kept.map(({ image }) => image);
  const contents = new Map([...kept.entries()].flatMap(([i, { content }]) => (content ? [[i, content] as const] : [])));
  const start = { seq, tick: timeline.tick, parts: parts.map((part) => options.sha256(part)) };
  for (const [i, part] of parts.entries()) {
    contents.set(entries.length, part);
    const name = `snapshot-${i}`;
    entries.push({ name, path: name, size: part.length, sha256: start.parts[i]! });
  }
  const writer = new RecordingWriter(sink, { ...header, images: entries, start }, contents);
  const digest = new LogDigest(options.createHash);
  for (const entry of recording.batches) {
    if (entry.firstSeq + entry.count <= seq) continue;
    const batch = recordsFrom(recording.readBatch(entry), seq);
    const { buffer, byteOffset } = batch.words;
    digest.update(new Uint8Array(buffer, byteOffset, batch.count * RECORD_BYTES), batch.blobs);
    writer.batch(batch);
  }
  if (recording.ending.kind === 'clean') {
    writer.finish({ events: recording.events, lastTick: recording.ending.totals.lastTick, digest: digest.value() });
  }
  return { tick: start.tick, seq, bytes: writer.bytes };
}

/** The records of a batch from number `seq` on. */
function recordsFrom(batch: RecordBatch, seq: number): RecordBatch {
  const skip = Math.max(0, seq - batch.firstSeq);
  let bytes = 0;
  for (let i = 0; i < skip; i++) {
    const base = i * RECORD_WORDS;
    if (LAYOUT_BY_NUMBER[batch.words[base] & 0xff]!.hasBytes) bytes += batch.words[base + BLOB_LENGTH_WORD];
  }
  return {
    words: batch.words.subarray(skip * RECORD_WORDS),
    count: batch.count - skip,
    firstSeq: batch.firstSeq + skip,
    blobs: batch.blobs.subarray(bytes),
    blobBase: (batch.blobBase + bytes) >>> 0,
  };
}

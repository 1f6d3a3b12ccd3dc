/** Puts snapshots into a recording, so that whoever opens it is anywhere in it at once. */
import type { ImageContent, Recording } from '../src/log/recording.ts';
import { type ByteSink, RecordingWriter } from '../src/log/recording.ts';
import { StoredChain } from '../src/snapshot/stored.ts';
import { domainsKey } from '../src/snapshot/session-state.ts';
import { livingEnd } from './ends.ts';
import { placeDigest } from './place-digest.ts';
import type { Timeline } from './timeline.ts';

export interface Indexed {
  /** Snapshots that are in it. */
  readonly snapshots: number;
  readonly bytes: number;
}

/**
 * Writes the timeline's recording with `count` snapshots, evenly over it, the last at its end. Only as long as the domains
 * are those of the start: a machine is built with them, and a snapshot fits no other.
 */
export function indexRecording(
  timeline: Timeline,
  count: number,
  sink: ByteSink,
  images: ReadonlyMap<number, Uint8Array | ImageContent>,
): Indexed {
  const { recording } = timeline;
  const { header, ending } = recording;
  if (!header) throw new RangeError('the recording ends before anything was recorded');
  const writer = new RecordingWriter(sink, header, images, true);
  for (const entry of recording.batches) writer.batch(recording.readBatch(entry));
  const start = header.start?.tick ?? 0;
  const end = livingEnd(recording);
  timeline.seek(start);
  const domains = domainsKey(timeline.session);
  const chain = new StoredChain();
  let snapshots = 0;
  for (let i = 1; i <= count; i++) {
    timeline.seek(start + Math.floor(((end - start) * i) / count));
    const { session } = timeline;
    if (domainsKey(session) !== domains) break;
    writer.snapshot(timeline.tick, session.log.seq, chain.store(session, placeDigest(session)));
    snapshots++;
  }
  if (ending.kind === 'clean') writer.finish(ending.totals);
  return { snapshots, bytes: writer.bytes };
}

/** Copies the snapshots of one recording behind the batches of another with the same events. */
export function copySnapshots(from: Recording, to: RecordingWriter): void {
  for (const entry of from.snapshots) {
    const parts = entry.frames.map((_, part) => from.snapshotPart(entry, part).slice());
    to.snapshot(entry.tick, entry.seq, parts);
  }
}

import { Observable } from 'rxjs';
import { blobStart } from '../append.ts';
import { decodeRecord } from '../decode.ts';
import type { MachineEvent } from '../event.ts';
import type { Recording } from '../recording.ts';
import { RECORD_WORDS } from '../record.ts';

export interface TickRange {
  /** First tick, inclusive. */
  from?: number;
  /** Last tick, inclusive. */
  to?: number;
}

/**
 * The events of a recording in order, read a batch at a time. Batches outside the range are not even decompressed.
 * @throws RecordingError when it reaches a batch that cannot be read.
 */
export function* eventsOf(recording: Recording, range: TickRange = {}): Generator<MachineEvent, void, undefined> {
  const { from = 0, to = Number.MAX_SAFE_INTEGER } = range;
  for (const entry of recording.batches) {
    if (entry.lastTick < from) continue;
    if (entry.firstTick > to) return;
    const batch = recording.readBatch(entry);
    for (let i = 0; i < batch.count; i++) {
      const base = i * RECORD_WORDS;
      const tick = batch.words[base + 3] * 0x1_0000_0000 + batch.words[base + 2];
      if (tick < from || tick > to) continue;
      yield decodeRecord(batch.words, base, batch.firstSeq + i, batch.blobs, blobStart(batch, base));
    }
  }
}

/**
 * The same as a cold stream, for the operators that a live log's `events$` takes. Reads only as far as it is
 * subscribed to; errors with a RecordingError.
 *
 *     fromRecording(recording).pipe(ofKind('domain-shutdown'), inDomain(1)).subscribe((event) => …);
 */
export function fromRecording(recording: Recording, range: TickRange = {}): Observable<MachineEvent> {
  return new Observable((subscriber) => {
    try {
      for (const event of eventsOf(recording, range)) {
        if (subscriber.closed) return;
        subscriber.next(event);
      }
      subscriber.complete();
    } catch (error) {
      subscriber.error(error);
    }
  });
}

/** Finding events in a recording: what `rexen events` does, for programs. */
import { blobStart } from './append.ts';
import { decodeRecord } from './decode.ts';
import type { MachineEvent } from './event.ts';
import { KIND, KINDS, type KindName } from './kinds.ts';
import type { Recording } from './recording.ts';
import { RECORD_WORDS, toU53 } from './record.ts';

export interface EventFilter {
  readonly kinds?: readonly KindName[] | undefined;
  readonly domain?: number | undefined;
  /** First and last tick, inclusive. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** First and last number of an event, inclusive. */
  readonly fromSeq?: number | undefined;
  readonly toSeq?: number | undefined;
  /** At most so many. */
  readonly limit?: number | undefined;
}

/** The events that pass, in order. Decodes only those. @throws RecordingError for a batch that cannot be read. */
export function* selectEvents(
  recording: Recording,
  filter: EventFilter = {},
): Generator<MachineEvent, void, undefined> {
  for (const { batch, base, seq } of matches(recording, filter)) {
    yield decodeRecord(batch.words, base, seq, batch.blobs, blobStart(batch, base));
  }
}

/** How many would pass. */
export function countEvents(recording: Recording, filter: EventFilter = {}): number {
  let count = 0;
  for (const _ of matches(recording, filter)) count++;
  return count;
}

/** A record in its batch. */
export interface Match {
  batch: ReturnType<Recording['readBatch']>;
  base: number;
  seq: number;
}

/** The records that pass, in order, not decoded. */
export function* matches(recording: Recording, filter: EventFilter): Generator<Match, void, undefined> {
  const { from = 0, to = Number.MAX_SAFE_INTEGER, domain, kinds } = filter;
  const { fromSeq = 0, toSeq = Number.MAX_SAFE_INTEGER } = filter;
  let left = filter.limit ?? Number.POSITIVE_INFINITY;
  const wanted = kinds && new Set(kinds.map((name) => KIND[name]));
  for (const entry of recording.batches) {
    if (left <= 0 || entry.firstTick > to) return;
    if (entry.lastTick < from) continue;
    const batch = recording.readBatch(entry);
    const { words } = batch;
    for (let i = 0; i < batch.count; i++) {
      const base = i * RECORD_WORDS;
      if (wanted && !wanted.has(words[base] & 0xffff)) continue;
      if (domain !== undefined && words[base] >>> 16 !== domain) continue;
      const tick = toU53(words[base + 2], words[base + 3]);
      if (tick < from) continue;
      const seq = batch.firstSeq + i;
      if (seq < fromSeq) continue;
      if (tick > to || seq > toSeq || left-- <= 0) return;
      yield { batch, base, seq };
    }
  }
}

/** A kind by its name. @throws RangeError that names similar ones. */
export function kindNamed(name: string): KindName {
  if (Object.hasOwn(KINDS, name)) return name as KindName;
  const near = Object.keys(KINDS).filter((kind) => kind.includes(name) || name.includes(kind) || kind[0] === name[0]);
  throw new RangeError(
    `there is no event kind "${name}"; ${near.length ? 'near it' : 'there are'}: ${(
      near.length ? near : Object.keys(KINDS)
    ).join(', ')}`,
  );
}

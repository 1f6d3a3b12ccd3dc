/** Recordings that carry snapshots: opened anywhere at once, never trusted blindly. */
import { describe, expect, it } from 'vitest';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { recordingInfo } from '../../src/log/info.ts';
import { openRecording, type Recording, RecordingWriter } from '../../src/log/recording.ts';
import { livingEnd } from '../../replay/ends.ts';
import { copySnapshots, indexRecording } from '../../replay/index-recording.ts';
import { ReplaySession } from '../../replay/session.ts';
import { Timeline, type TimelineOptions } from '../../replay/timeline.ts';
import { placeDigest, recordGuests } from '../snapshot/support.ts';

const { recording, build } = recordGuests([
  { guest: 'race', cmdline: 'jitter=3', vcpus: 2, preserve: true },
  { guest: 'ticker', cmdline: 'ticks=6 period_ms=1', preserve: true },
]);
const end = livingEnd(recording);
const file = new MemoryFile();
const made = indexRecording(new Timeline(recording, build), 6, file, new Map());
const indexed = openRecording(new MemoryFile(file.bytes));

const VCPU = '"state":{"$":"Uint8Array","v":"';

function straight(tick: number): string {
  const timeline = new Timeline(recording, build, { spacing: Number.MAX_SAFE_INTEGER });
  timeline.forward(tick);
  return placeDigest(timeline.session);
}

/** A timeline on a recording with the same events, and what it complained of. */
function open(of: Recording, options: TimelineOptions = {}) {
  const complaints: string[] = [];
  const onBadSnapshot = (text: string) => complaints.push(text);
  const timeline = new Timeline(of, build, { worthReading: 1000, onBadSnapshot, ...options });
  return { timeline, complaints };
}

function verifies(of: Recording): void {
  const result = new ReplaySession(of, build, { createHash: sha256 }).run();
  expect(result).toMatchObject({ verified: true, events: recording.events });
}

/** The same with other snapshots. */
function rewritten(change: (tick: number, index: number, parts: Uint8Array[]) => Uint8Array[]): Recording {
  const out = new MemoryFile();
  const writer = new RecordingWriter(out, recording.header!, new Map(), true);
  for (const entry of recording.batches) writer.batch(recording.readBatch(entry));
  for (const [i, entry] of indexed.snapshots.entries()) {
    const parts = entry.frames.map((_, part) => indexed.snapshotPart(entry, part).slice());
    writer.snapshot(entry.tick, entry.seq, change(entry.tick, i, parts));
  }
  if (recording.ending.kind === 'clean') writer.finish(recording.ending.totals);
  return openRecording(new MemoryFile(out.bytes));
}

describe('an indexed recording', () => {
  it('has the same events, replays as before, and says what is in it', () => {
    expect(made.snapshots).toBeGreaterThanOrEqual(3);
    expect(indexed).toMatchObject({ version: 4, events: recording.events, snapshotProblem: undefined });
    expect(indexed.ending).toEqual(recording.ending);
    expect(recordingInfo(indexed).snapshots).toMatchObject({ count: made.snapshots, problem: undefined });
    verifies(indexed);
    expect(recording.version).toBe(1);
  });

  it('is anywhere at once: from a snapshot inside, without running what lies before', () => {
    for (const { tick, seq } of indexed.snapshots) {
      const { timeline, complaints } = open(indexed);
      timeline.seek(tick + 777);
      expect(complaints).toEqual([]);
      expect(timeline.snapshots.list.map((each) => each.tick).slice(0, 2)).toEqual([0, tick]);
      expect(timeline.session.log.seq).toBeGreaterThanOrEqual(seq);
      expect(placeDigest(timeline.session)).toBe(straight(tick + 777));
      timeline.seek(1000);
      expect(placeDigest(timeline.session)).toBe(straight(1000));
    }
  });

  it('leads to every place, in any order, and goes on verified to its end', () => {
    const { timeline, complaints } = open(indexed, { spacing: 50_000 });
    for (const share of [0.9, 0.2, 0.55, 0.95, 0.1, 0.7]) {
      const tick = Math.floor(end * share);
      timeline.seek(tick);
      expect(placeDigest(timeline.session)).toBe(straight(tick));
    }
    timeline.seek(recording.lastTick);
    expect(timeline.session.log.seq).toBe(recording.events);
    expect(complaints).toEqual([]);
    expect(timeline.startBefore(indexed.snapshots[1]!.tick)).toBeGreaterThanOrEqual(indexed.snapshots[1]!.tick);
  });

  it('is copied with its snapshots', () => {
    const out = new MemoryFile();
    const writer = new RecordingWriter(out, indexed.header!, new Map(), true);
    for (const entry of indexed.batches) writer.batch(indexed.readBatch(entry));
    copySnapshots(indexed, writer);
    if (indexed.ending.kind === 'clean') writer.finish(indexed.ending.totals);
    expect(Buffer.compare(out.bytes, file.bytes)).toBe(0);
  });
});

describe('a snapshot that is not as it should be', () => {
  const tick = Math.floor(end * 0.95);
  const place = straight(tick);

  it('because the file was damaged is reported with its offset, and all else is as good as before', () => {
    const { frames } = indexed.snapshots[1]!;
    const bytes = file.bytes.slice();
    bytes[frames[0]!.offset + 100]! ^= 1;
    const damaged = openRecording(new MemoryFile(bytes));
    expect(damaged.ending.kind).toBe('clean');
    expect(damaged.snapshots).toHaveLength(1);
    expect(damaged.snapshotProblem).toMatchObject({ offset: frames[0]!.offset });
    expect(recordingInfo(damaged).snapshots.problem).toContain(`byte ${frames[0]!.offset}`);
    verifies(damaged);
    const { timeline } = open(damaged);
    timeline.seek(tick);
    expect(placeDigest(timeline.session)).toBe(place);
  });

  it('because the file was cut takes no events away', () => {
    const cut = openRecording(new MemoryFile(file.bytes.slice(0, indexed.snapshots[2]!.frames[0]!.offset + 50)));
    expect(cut.ending.kind).toBe('cut');
    expect(cut.snapshots).toHaveLength(2);
    verifies(cut);
  });

  it.each([
    [
      'a byte of memory',
      (parts: Uint8Array[]) => parts.map((part) => part.map((b, i) => (i === part.length - 9 ? b ^ 1 : b))),
    ],
    ['a register', (parts: Uint8Array[]) => edited(parts, VCPU, `${VCPU}////`)],
    ['no JSON', (parts: Uint8Array[]) => edited(parts, '{"', '[[')],
    ['nothing', () => [new Uint8Array(12)]],
    ['a digest that is missing', (parts: Uint8Array[]) => edited(parts, '"place"', '"palce"')],
  ])('with %s changed is not used, said so, and the place is right nevertheless', (_what, change) => {
    const bad = rewritten((_, i, parts) => (i >= 1 ? change(parts) : parts));
    const { timeline, complaints } = open(bad);
    timeline.seek(tick);
    expect(placeDigest(timeline.session)).toBe(place);
    expect(complaints.length).toBeGreaterThan(0);
    expect(complaints[0]).toMatch(
      /^the snapshot at tick \d+, byte \d+ of the recording, cannot be used: .*; going on without it$/,
    );
    verifies(bad);
  });

  it('of another recording, or before a batch, is refused', () => {
    const out = new MemoryFile();
    const writer = new RecordingWriter(out, recording.header!, new Map(), true);
    writer.snapshot(5, 5, [new Uint8Array(12)]);
    for (const entry of recording.batches) writer.batch(recording.readBatch(entry));
    expect(openRecording(new MemoryFile(out.bytes)).ending).toMatchObject({ kind: 'damaged' });
    const old = new MemoryFile();
    const first = new RecordingWriter(old, recording.header!, new Map());
    first.snapshot(5, 5, [new Uint8Array(12)]);
    expect(openRecording(new MemoryFile(old.bytes)).ending).toMatchObject({ kind: 'damaged' });
  });
});

/** The first part with a piece of its JSON replaced by something as long or shorter. */
function edited([first, ...rest]: Uint8Array[], from: string, to: string): Uint8Array[] {
  const at = Buffer.from(first!).indexOf(from);
  expect(at).toBeGreaterThan(0);
  const copy = first!.slice();
  copy.set(Buffer.from(to), at);
  return [copy, ...rest];
}

import { crc32, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Ticks } from '../../src/base/ticks.ts';
import { MemoryFile, sha256, sha256Of } from '../../src/host/files.ts';
import { EventLog } from '../../src/log/append.ts';
import { decodeColumn, encodeColumn, maxColumnBytes } from '../../src/log/codec/columns.ts';
import type { MachineEvent } from '../../src/log/event.ts';
import {
  FRAME,
  openRecording,
  PREAMBLE_BYTES,
  RecordingError,
  type RecordingHeader,
  RecordingWriter,
} from '../../src/log/recording.ts';
import { eventsOf, fromRecording } from '../../src/log/streams/from-recording.ts';
import { emitAny, eventArbitrary } from './arbitrary.ts';

const image = new TextEncoder().encode('kernel '.repeat(20));
const header: RecordingHeader = {
  rexen: '0.1.0',
  recorded: '2026-01-02T03:04:05Z',
  title: 'test',
  config: { pcpus: 1, text: 'ä' },
  images: [{ name: 'kernel', path: '/k', size: image.length, sha256: sha256Of(image) }],
};

/** Records `events`, draining after each multiple of `every`. Ticks are taken as they are. */
function record(events: readonly MachineEvent[], every: number, end = true): MemoryFile {
  const file = new MemoryFile();
  let now = 0;
  const log = new EventLog(() => now as Ticks, { capacity: 64, createHash: sha256 });
  const writer = new RecordingWriter(file, header, new Map([[0, image]]));
  log.addSink(writer);
  for (const [i, event] of events.entries()) {
    now = event.tick;
    emitAny(log, event);
    if (i % every === every - 1) log.flush();
  }
  const digest = log.digest()!;
  if (end) writer.finish({ events: log.seq, lastTick: now, digest });
  expect(log.failure).toBeUndefined();
  expect(writer.bytes).toBe(file.size);
  return file;
}

const sample: MachineEvent[] = fc
  .sample(eventArbitrary(), { numRuns: 60, seed: 7 })
  .map((event, i) => ({ ...event, tick: (i * 1000) as Ticks, seq: i }));
const small = record(sample, 13).bytes.slice();

/** Offsets of all frames of a file that is in order. */
function frames(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const offsets: number[] = [];
  for (let at = PREAMBLE_BYTES; at < bytes.length; at += 28 + view.getUint32(at + 12, true)) offsets.push(at);
  return offsets;
}

describe('columns', () => {
  it('come back as they were', () => {
    const arbitrary = fc.oneof(
      fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { maxLength: 40 }),
      fc.array(fc.nat(300), { maxLength: 40 }).map((steps) =>
        steps.map(
          (
            (sum) => (step) =>
              (sum += step) >>> 0
          )(4e9),
        ),
      ),
      fc.array(fc.constantFrom(0, 1, 0x8000_0000, 0xffff_ffff), { maxLength: 9 }),
    );
    fc.assert(
      fc.property(arbitrary, (values) => {
        const out = new Uint8Array(maxColumnBytes(values.length));
        const end = encodeColumn(Uint32Array.from(values), values.length, out, 0);
        const back = new Uint32Array(values.length);
        decodeColumn(out.subarray(0, end), values.length, back);
        expect([...back]).toEqual(values);
      }),
    );
  });

  it('take a byte each for ticks that advance by little', () => {
    const values = Uint32Array.from({ length: 1000 }, (_, i) => 4_000_000_000 + i * 97 + (i % 5));
    expect(encodeColumn(values, 1000, new Uint8Array(maxColumnBytes(1000)), 0)).toBe(5 + 999);
  });
});

describe('a recording', () => {
  it('gives back every event of every kind, whatever the batches', () => {
    fc.assert(
      fc.property(fc.array(eventArbitrary(), { maxLength: 80 }), fc.integer({ min: 1, max: 90 }), (events, every) => {
        const recording = openRecording(record(events, every));
        expect([...allEvents(recording)]).toEqual(events.map((event, seq) => ({ ...event, seq })));
        expect(recording.ending).toMatchObject({ kind: 'clean', totals: { events: events.length } });
      }),
      { numRuns: 40 },
    );
  });

  function* allEvents(recording: ReturnType<typeof openRecording>) {
    // Random ticks do not grow, so ranges mean nothing here: read batch by batch.
    yield* eventsOf(recording, { from: -1, to: Number.POSITIVE_INFINITY });
  }

  it('keeps records byte for byte: the digest of what is read is the digest of what was appended', () => {
    const recording = openRecording(new MemoryFile(small));
    expect(recording.ending).toMatchObject({ totals: { digest: digestOf(recording) } });
  });

  it('has its header, images and embedded content', () => {
    const recording = openRecording(new MemoryFile(small));
    expect(recording.header).toEqual({ ...header, images: [{ ...header.images[0], embedded: true }] });
    expect(recording.image(0)).toEqual(image);
    expect(recording.inputBytes).toBeGreaterThan(0);
    expect(recording.inputBytes).toBeLessThan(recording.bytes);
  });

  it('streams with the operators, from a range of ticks', () => {
    const recording = openRecording(new MemoryFile(small));
    let got: MachineEvent[] = [];
    fromRecording(recording, { from: 10_000, to: 20_000 })
      .pipe(toArray())
      .subscribe((all) => (got = all));
    expect(got).toEqual(sample.slice(10, 21));
  });

  it('that was never ended goes as far as its last batch', () => {
    const recording = openRecording(record(sample, 13, false));
    expect(recording.ending.kind).toBe('cut');
    expect([...eventsOf(recording)]).toEqual(sample);
  });
});

function digestOf(recording: ReturnType<typeof openRecording>): string {
  const records = sha256();
  const bytes = sha256();
  for (const entry of recording.batches) {
    const batch = recording.readBatch(entry);
    records.update(new Uint8Array(batch.words.buffer, 0, batch.count * 64));
    bytes.update(batch.blobs);
  }
  const both = sha256();
  both.update(new TextEncoder().encode(records.digest('hex') + bytes.digest('hex')));
  return both.digest('hex');
}

describe('a recording that was cut', () => {
  it('anywhere opens and gives a beginning of the events', () => {
    const whole = openRecording(new MemoryFile(small));
    for (let cut = 1; cut < small.length; cut++) {
      const recording = openRecording(new MemoryFile(small.slice(0, cut)));
      const complete = whole.batches.filter((entry) => entry.effectsAt + frameBytes(entry.effectsAt) <= cut);
      expect(recording.batches).toEqual(complete);
      expect(recording.ending.kind).toBe('cut');
      const last = complete.at(-1);
      expect(recording.events).toBe(last ? last.firstSeq + last.count : 0);
      if (cut % 50 === 0) expect([...eventsOf(recording)]).toEqual(sample.slice(0, recording.events));
    }
  });

  it('at a frame boundary likewise, and says where', () => {
    for (const at of frames(small)) {
      const recording = openRecording(new MemoryFile(small.slice(0, at)));
      expect(recording.ending.kind).toBe('cut');
      expect([...eventsOf(recording)]).toEqual(sample.slice(0, recording.events));
    }
  });

  function frameBytes(at: number): number {
    return 28 + new DataView(small.buffer, small.byteOffset).getUint32(at + 12, true);
  }
});

describe('a recording with one flipped bit', () => {
  it('anywhere is found out, at the frame that holds it', () => {
    const starts = [0, ...frames(small)];
    for (let at = 0; at < small.length; at++) {
      for (const bit of [at % 8, (at + 3) % 8]) {
        const bytes = small.slice();
        bytes[at] ^= 1 << bit;
        const frame = starts.findLast((start) => start <= at)!;
        try {
          const { ending } = openRecording(new MemoryFile(bytes));
          expect(ending).toMatchObject({ kind: 'damaged', offset: frame });
        } catch (error) {
          // Before the header is through there is nothing to open.
          expect(error).toBeInstanceOf(RecordingError);
          expect(at).toBeLessThan(starts[2]);
        }
      }
    }
  });
});

describe('a file that is hostile', () => {
  const opens = (bytes: Uint8Array): string => {
    try {
      const recording = openRecording(new MemoryFile(bytes));
      for (const entry of recording.batches) recording.readBatch(entry);
      for (const i of recording.header?.images.keys() ?? []) recording.image(i);
      return recording.ending.kind === 'damaged' ? recording.ending.problem : recording.ending.kind;
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      return error.message;
    }
  };
  /** Corrects both checksums of the frame at `at`. */
  const seal = (bytes: Uint8Array, at: number) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const stored = view.getUint32(at + 12, true);
    view.setUint32(at + 20, crc32(bytes.subarray(at + 28, at + 28 + stored)), true);
    view.setUint32(at + 24, crc32(bytes.subarray(at, at + 24)), true);
    return bytes;
  };

  it('is refused by name if its version is unknown', () => {
    const bytes = small.slice(0, PREAMBLE_BYTES);
    bytes[8] = 77;
    new DataView(bytes.buffer).setUint32(12, crc32(bytes.subarray(0, 12)), true);
    expect(opens(bytes)).toContain('version 77 is unknown, this rexen reads versions 1 to 4');
  });

  it('is refused if it is something else', () => {
    expect(opens(new TextEncoder().encode('\x7fELF and so on'))).toContain('not a rexen recording');
    expect(opens(new Uint8Array(0))).toContain('not a rexen recording');
  });

  it('never crashes: random changes under correct checksums', () => {
    const starts = frames(small);
    fc.assert(
      fc.property(
        fc.nat(starts.length - 1),
        fc.array(fc.tuple(fc.nat(100_000), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (frame, changes) => {
          const bytes = small.slice();
          const at = starts[frame];
          const size = (starts[frame + 1] ?? bytes.length) - at;
          for (const [where, value] of changes) {
            const place = where % size;
            if (place < 8 || place >= 20) bytes[at + place] = value;
          }
          opens(seal(bytes, at));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('never crashes: random bodies under correct checksums', () => {
    const effects = frames(small).find((at) => small[at + 4] === FRAME.EFFECTS.type)!;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (body, compress) => {
        const tail = compress ? zstdCompressSync(body) : body;
        const bytes = new Uint8Array(effects + 68 + tail.length);
        bytes.set(small.subarray(0, effects + 68));
        bytes.set(tail, effects + 68);
        const view = new DataView(bytes.buffer);
        bytes[effects + 5] = compress ? 1 : 0;
        view.setUint32(effects + 12, 40 + tail.length, true);
        view.setUint32(effects + 16, 40 + body.length, true);
        expect(opens(seal(bytes, effects))).not.toBe('clean');
      }),
      { numRuns: 2000 },
    );
  });

  it('cannot make a small frame into a large one', () => {
    const effects = frames(small).find((at) => small[at + 4] === FRAME.EFFECTS.type)!;
    const bomb = zstdCompressSync(new Uint8Array(300 << 20));
    for (const claim of [40 + (300 << 20), 40 + (8 << 20)]) {
      const bytes = new Uint8Array(effects + 68 + bomb.length);
      bytes.set(small.subarray(0, effects + 68));
      bytes.set(bomb, effects + 68);
      const view = new DataView(bytes.buffer);
      bytes[effects + 5] = 1;
      view.setUint32(effects + 12, 40 + bomb.length, true);
      view.setUint32(effects + 16, claim, true);
      const before = process.memoryUsage().rss;
      expect(opens(seal(bytes, effects))).toMatch(/larger than its type allows|does not decompress/);
      expect(process.memoryUsage().rss - before).toBeLessThan(100 << 20);
    }
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ticks } from '../../src/base/ticks.ts';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { EventLog } from '../../src/log/append.ts';
import { openRecording, type Recording, RecordingError, RecordingWriter } from '../../src/log/recording.ts';
import { eventsOf } from '../../src/log/streams/from-recording.ts';
import { divergenceText, divergenceToJson } from '../../replay/divergence.ts';
import { type ReplayOptions, type ReplayParts, ReplaySession } from '../../replay/session.ts';
import { recordToy, type ToyConfig, ToyMachine } from './toy-machine.ts';

const config: ToyConfig = { endsAt: 20_000, seed: 5 };
const ended = recordToy(config, 30_000, false).bytes.slice();
const stopped = recordToy({ ...config, endsAt: 0 }, 9_100, true).bytes.slice();

const build = (parts: ReplayParts) => new ToyMachine(parts.header.config as ToyConfig, parts.createLog, parts.inputs);

function replay(recording: Recording, options: ReplayOptions = {}, step = 1000) {
  const session = new ReplaySession(recording, build, { createHash: sha256, ...options });
  while (!session.step(step));
  return { session, result: session.result() };
}

describe('a replay', () => {
  it('verifies a recording that ended by itself, and one that was stopped', () => {
    for (const bytes of [ended, stopped]) {
      const recording = openRecording(new MemoryFile(bytes));
      const { result } = replay(recording);
      expect(result).toMatchObject({ verified: true, whole: true, events: recording.events, divergence: undefined });
      expect(recording.ending).toMatchObject({ totals: { digest: result.digest } });
      expect(recording.events).toBeGreaterThan(500);
      expect([...eventsOf(recording)].some((event) => event.kind === 'console-input')).toBe(true);
    }
  });

  it('does not depend on how it is cut into steps', () => {
    const recording = openRecording(new MemoryFile(ended));
    const digests = [37, 100, 5000, 1e9].map((step) => replay(recording, {}, step).result.digest);
    expect(new Set(digests).size).toBe(1);
  });

  it('goes to a tick and stops there', () => {
    const recording = openRecording(new MemoryFile(ended));
    const { result, session } = replay(recording, { until: 5000 });
    expect(result).toMatchObject({ verified: true, whole: false, ticks: 5000 });
    expect(session.machine!.now()).toBe(5000);
    expect(result.events).toBeLessThan(recording.events);
  });

  it('verifies what is there of a recording that was cut, anywhere', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: ended.length - 1 }), (cut) => {
        const recording = openRecording(new MemoryFile(ended.slice(0, cut)));
        const { result } = replay(recording);
        expect(result).toMatchObject({ verified: true, whole: false, events: recording.events });
      }),
      { numRuns: 150 },
    );
  });

  it('refuses a damaged recording, but not the part before the damage', () => {
    const bytes = ended.slice();
    bytes[Math.floor(bytes.length * 0.6)] ^= 4;
    const recording = openRecording(new MemoryFile(bytes));
    expect(() => replay(recording)).toThrow(RecordingError);
    expect(() => replay(recording)).toThrow(/damaged.* at byte \d+; replay the part before it with --until/);
    expect(replay(recording, { until: recording.lastTick }).result.verified).toBe(true);
  });
});

describe('a divergence', () => {
  it('is found at the very event, and reported with both sides and the place', () => {
    const recording = openRecording(new MemoryFile(ended));
    const session = new ReplaySession(recording, build, { createHash: sha256 });
    session.step(3000);
    session.machine!.poke(1);
    while (!session.step(1000));
    const { verified, divergence, events } = session.result();
    expect(verified).toBe(false);
    expect(divergence).toMatchObject({ reason: 'different', domain: 1, vcpu: 0, place: { symbol: 'toy_loop+0x4' } });
    expect(divergence!.tick).toBeGreaterThan(3000);
    expect(divergence!.tick).toBeLessThan(3200);
    expect(events).toBe(divergence!.seq);
    expect(divergence!.expected!.seq).toBe(divergence!.seq);
    expect(divergence!.fields.length).toBeGreaterThan(0);
    const text = divergenceText(divergence!);
    expect(text).toContain(`event ${divergence!.seq} differs`);
    expect(text).toMatch(/recorded {2}\S+ .*\n {2}replayed {2}\S+/);
    expect(text).toContain('rip 0x');
    expect(JSON.parse(JSON.stringify(divergenceToJson(divergence!)))).toMatchObject({
      reason: 'different',
      seq: events,
    });
  });

  it('is found whatever single event was changed, and nowhere else', () => {
    const recording = openRecording(new MemoryFile(ended));
    const events = [...eventsOf(recording)].filter((event) => event.kind === 'evtchn-send');
    for (const event of events.filter((_, i) => i % 97 === 0)) {
      const changed = rewrite(recording, (words, seq) => {
        if (seq === event.seq) words[4] ^= 0x100;
      });
      const { result } = replay(changed);
      expect(result.divergence).toMatchObject({ reason: 'different', seq: event.seq, fields: ['port'] });
    }
  });

  it('is found in bytes', () => {
    const recording = openRecording(new MemoryFile(ended));
    const output = [...eventsOf(recording)].find((event) => event.kind === 'console-output')!;
    const changed = rewrite(recording, (_, seq, blob) => {
      if (seq === output.seq) blob[3] ^= 1;
    });
    expect(replay(changed).result.divergence).toMatchObject({ seq: output.seq, fields: ['bytes'] });
  });

  it('is found when the machine ends early, goes on, or another configuration is replayed', () => {
    const recording = openRecording(new MemoryFile(ended));
    const as = (toy: ToyConfig) =>
      new ReplaySession(recording, ({ createLog, inputs }) => new ToyMachine(toy, createLog, inputs)).run();
    const early = as({ ...config, endsAt: 10_000 });
    expect(early.divergence).toMatchObject({ tick: 10_000, actual: { kind: 'end' } });
    expect(as({ ...config, endsAt: 25_000 }).divergence).toMatchObject({ expected: { kind: 'end' } });
    expect(as({ ...config, seed: 6 }).divergence!.seq).toBe(1);
  });

  it('is found when the machine stands still before a recorded event', () => {
    const recording = openRecording(new MemoryFile(ended));
    const silent = new ReplaySession(recording, ({ createLog }) => {
      let now = 0;
      createLog(() => now as Ticks).emitAt(1, -1, 'domain-create', { name: 'toy' });
      const run = (until: Ticks) => {
        now = until;
        return 'limit' as const;
      };
      return { now: () => now as Ticks, run };
    });
    expect(silent.run().divergence).toMatchObject({ reason: 'missing', seq: 1, actual: undefined });
  });

  it('is found when a machine appends behind the end', () => {
    const recording = openRecording(new MemoryFile(stopped));
    const session = new ReplaySession(recording, (parts) => {
      const toy = build(parts);
      const run = (until: Ticks) => {
        const stop = toy.run(until);
        if (stop === 'stopped') toy.log.emit('note', { text: 'one more' });
        return stop;
      };
      return { now: () => toy.now(), run };
    });
    expect(session.run().divergence).toMatchObject({ reason: 'extra', seq: recording.events });
  });

  it('is found when the final digest is of other events', () => {
    const recording = openRecording(new MemoryFile(ended));
    const changed = rewrite(recording, () => {}, '00'.repeat(32));
    expect(replay(changed).result).toMatchObject({ verified: false, divergence: { reason: 'digest' } });
  });
});

/** Writes a recording again with its records changed. */
function rewrite(
  recording: Recording,
  change: (words: Uint32Array, seq: number, blob: Uint8Array) => void,
  digest?: string,
): Recording {
  const file = new MemoryFile();
  const writer = new RecordingWriter(file, recording.header!, new Map());
  for (const entry of recording.batches) {
    const batch = recording.readBatch(entry);
    for (let i = 0; i < batch.count; i++) {
      const words = batch.words.subarray(i * 16, i * 16 + 16);
      const at = (words[14] - batch.blobBase) >>> 0;
      change(words, batch.firstSeq + i, batch.blobs.subarray(at, at + words[15]));
    }
    writer.batch(batch);
  }
  if (recording.ending.kind !== 'clean') throw new Error('needs a clean recording');
  const { totals } = recording.ending;
  writer.finish(digest ? { ...totals, digest } : totals);
  return openRecording(file);
}

describe('EventLog under a verifier', () => {
  it('keeps a refused event off the log', () => {
    const log = new EventLog(() => 0 as Ticks);
    log.emit('note', { text: 'a' });
    log.verifier = {
      check: () => {
        throw new Error('no');
      },
    };
    expect(() => log.emit('note', { text: 'b' })).toThrow('no');
    log.verifier = undefined;
    expect(log.seq).toBe(1);
  });
});

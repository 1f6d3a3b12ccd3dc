/** Recordings that begin at a snapshot. */
import { describe, expect, it } from 'vitest';
import { MemoryFile, sha256, sha256Of } from '../../src/host/files.ts';
import { openRecording, type Recording } from '../../src/log/recording.ts';
import { selectEvents } from '../../src/log/select.ts';
import { checkSessionConfig, type Session } from '../../src/session.ts';
import { restoreStored, storeSession } from '../../src/snapshot/stored.ts';
import type { EventLog } from '../../src/log/append.ts';
import { livingEnd } from '../../replay/ends.ts';
import { ReplaySession } from '../../replay/session.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { Timeline } from '../../replay/timeline.ts';
import { trimRecording } from '../../replay/trim.ts';
import { diffRecordings } from '../../replay/diff.ts';
import type { BuildMachine } from '../../replay/session.ts';
import { type Guest, type Made, placeDigest, recordGuests } from '../snapshot/support.ts';

/** Trims, with the guests' images beside the recording as before. */
function trimmed(made: Made, from: number): { recording: Recording; build: BuildMachine<Session>; bytes: Uint8Array } {
  const file = new MemoryFile();
  const timeline = new Timeline(made.recording, made.build);
  trimRecording(timeline, from, file, { createHash: sha256, sha256: sha256Of, images: new Map() });
  const recording = openRecording(new MemoryFile(file.bytes));
  return { recording, build: buildTrimmed(made, recording), bytes: file.bytes };
}

/** As sessionBuilder does, but with kernels that tests do not put into their recordings. */
function buildTrimmed(made: Made, recording: Recording): BuildMachine<Session> {
  return (parts) => {
    let verifier: EventLog['verifier'];
    const session = made.build({
      ...parts,
      createLog: (now) => {
        const log = parts.createLog(now);
        verifier = log.verifier;
        log.verifier = undefined;
        return log;
      },
    });
    const { start, images } = recording.header!;
    restoreStored(
      session,
      start!.parts.map((sha) => recording.image(images.findIndex((image) => image.sha256 === sha))!),
    );
    session.log.verifier = verifier;
    return session;
  };
}

const CASES: { name: string; guests: Guest[]; machine?: object }[] = [
  { name: 'two vcpus', guests: [{ guest: 'race', cmdline: 'rounds=60', vcpus: 2 }] },
  {
    name: 'chaos',
    guests: [{ guest: 'race', cmdline: 'rounds=60', vcpus: 2 }],
    machine: { chaos: { seed: 3, mean_ticks: 3000 } },
  },
  {
    name: 'a ring between two domains',
    guests: [
      { guest: 'ring-back', cmdline: 'requests=100', preserve: true },
      { guest: 'ring-front', cmdline: 'requests=100', preserve: true },
    ],
  },
  { name: 'timers', guests: [{ guest: 'ticker', cmdline: 'ticks=30 period_ms=1' }] },
];

describe.each(CASES)('$name', ({ guests, machine }) => {
  const made = recordGuests(guests, 50_000_000, machine);
  const { lastTick } = made.recording;
  const places = [0.1, 0.5, 0.93].map((part) => Math.floor(lastTick * part));

  it('replays and verifies from wherever it was trimmed', () => {
    for (const from of places) {
      const { recording, build } = trimmed(made, from);
      expect(recording.ending.kind).toBe('clean');
      expect(recording.header!.start).toMatchObject({ tick: from });
      expect(livingEnd(recording)).toBe(livingEnd(made.recording));
      const result = new ReplaySession(recording, build, { createHash: sha256 }).run();
      expect(result.divergence).toBeUndefined();
      expect(result).toMatchObject({ verified: true, whole: true, ticks: lastTick });
      if (recording.ending.kind === 'clean') expect(result.digest).toBe(recording.ending.totals.digest);
    }
  });

  it('keeps every later event with its number and tick, and no earlier one', () => {
    const { recording } = trimmed(made, places[1]);
    const all = [...selectEvents(made.recording)];
    expect([...selectEvents(recording)]).toEqual(all.filter(({ seq }) => seq >= recording.firstSeq));
    expect(recording.firstSeq).toBeGreaterThan(0);
    expect(diffRecordings(made.recording, recording)).toMatchObject({ first: undefined });
  });

  it('is walked back and forth to the same places as the whole', () => {
    const { recording, build } = trimmed(made, places[0]);
    const whole = new Timeline(made.recording, made.build);
    const part = new Timeline(recording, build);
    for (const tick of [places[2], places[1], places[0], places[2] - 1, places[1] + 1]) {
      whole.seek(tick);
      part.seek(tick);
      expect(placeDigest(part.session)).toBe(placeDigest(whole.session));
    }
    part.seek(0);
    expect(part.tick).toBe(places[0]);
  });
});

describe('what cannot be', () => {
  const made = recordGuests([{ guest: 'hello' }]);

  it('domains that are gone at the start are said', () => {
    const timeline = new Timeline(made.recording, made.build);
    const options = { createHash: sha256, sha256: sha256Of, images: new Map() };
    expect(() => trimRecording(timeline, made.recording.lastTick, new MemoryFile(), options)).toThrow(
      'created or destroyed',
    );
  });

  it('a stored session that was tampered with is refused, whatever was changed', () => {
    const timeline = new Timeline(made.recording, made.build);
    timeline.seek(1000);
    const [part] = storeSession(timeline.session);
    const fresh = () => new Timeline(made.recording, made.build).session;
    const changes: [string, (bytes: Uint8Array) => Uint8Array][] = [
      ['magic', (bytes) => bytes.fill(0, 0, 4)],
      ['length of the JSON', (bytes) => bytes.fill(0xff, 4, 8)],
      ['cut', (bytes) => bytes.subarray(0, bytes.length - 100)],
      ['empty', () => new Uint8Array(0)],
      ['JSON', (bytes) => bytes.fill(0x20, 8, 9)],
      ['frame number', (bytes) => bytes.fill(0xff, 12 + new DataView(bytes.buffer).getUint32(4, true)).slice()],
    ];
    for (const [what, change] of changes) {
      expect(() => restoreStored(fresh(), [change(part.slice())]), what).toThrow();
    }
    expect(() => restoreStored(fresh(), [part])).not.toThrow();
  });

  it('a start that the header does not carry whole is refused', () => {
    const { bytes } = trimmed(made, 1000);
    expect(openRecording(new MemoryFile(bytes)).version).toBe(2);
    expect(made.recording.version).toBe(1);
    expect(bytes[8]).toBe(2);
    expect(checkSessionConfig(made.recording.header!.config)).toBeDefined();
    // The kernel's image is in neither: the builder that people use says so.
    const recording = openRecording(new MemoryFile(bytes));
    expect(() => new ReplaySession(recording, sessionBuilder(recording, 'x.rxn'))).toThrow(/missing|cannot/);
  });
});

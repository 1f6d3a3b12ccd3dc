/** Recordings that are in order frame by frame, and nonsense inside: an answer for people, never a crash or a hang. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { ReplaySession } from '../../replay/session.ts';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { openRecording, type RecordingHeader, RecordingWriter } from '../../src/log/recording.ts';

const path = fileURLToPath(new URL('../../recordings/demo.rxn', import.meta.url));
const base = openRecording(new MemoryFile(new Uint8Array(readFileSync(path))));
const images = new Map(base.header!.images.map((_, i) => [i, base.image(i)!]));

let seed = 7;
const random = (n: number) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return (seed >>> 8) % n;
};
const ODD = [null, 0, -1, 1e9, 2 ** 53, 'x', '', [], {}, true, 1.5, '\0', [null], 3072, 'a'.repeat(5000)];

/** The value with one part of it, anywhere, replaced by something odd. */
function mutate(value: unknown): unknown {
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  if (keys.length === 0 || random(6) === 0) return ODD[random(ODD.length)];
  const key = keys[random(keys.length)];
  const old = (value as Record<string, unknown>)[key];
  return Array.isArray(value)
    ? value.map((each, i) => (String(i) === key ? mutate(each) : each))
    : { ...(value as object), [key]: mutate(old) };
}

function rewrite(header: RecordingHeader, flips: number): MemoryFile {
  const file = new MemoryFile();
  const writer = new RecordingWriter(file, header, images);
  for (const entry of base.batches) {
    const batch = base.readBatch(entry);
    for (let i = 0; i < flips; i++) batch.words[random(batch.count) * 16 + 4 + random(8)] ^= 1 << random(32);
    writer.batch(batch);
  }
  writer.finish({ events: base.events, lastTick: base.lastTick, digest: '00'.repeat(32) });
  return file;
}

function replay(file: MemoryFile): string {
  try {
    const recording = openRecording(file);
    const { divergence } = new ReplaySession(recording, sessionBuilder(recording, path), { createHash: sha256 }).run();
    return divergence ? 'diverged' : 'verified';
  } catch (error) {
    return (error as Error).name;
  }
}

it('a recording with any odd configuration is refused or diverges', () => {
  for (let i = 0; i < 150; i++) {
    const config = mutate(base.header!.config);
    expect(['diverged', 'RangeError', 'RecordingError', 'ToolstackError'], JSON.stringify(config)).toContain(
      replay(rewrite({ ...base.header!, config }, 0)),
    );
  }
});

it('a recording with any changed event diverges', () => {
  for (let i = 0; i < 100; i++)
    expect(['diverged', 'RangeError', 'RecordingError']).toContain(replay(rewrite(base.header!, 3)));
});

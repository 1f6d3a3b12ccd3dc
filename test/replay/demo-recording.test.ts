import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { openRecording } from '../../src/log/recording.ts';
import { divergenceText } from '../../replay/divergence.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { type ReplayOptions, ReplaySession } from '../../replay/session.ts';

const path = fileURLToPath(new URL('../../recordings/demo.rxn', import.meta.url));
const bytes = new Uint8Array(readFileSync(path));

function replay(file: Uint8Array, options: ReplayOptions = {}, sliceTicks?: number) {
  const recording = openRecording(new MemoryFile(file));
  const build = sessionBuilder(recording, path, sliceTicks);
  return { recording, ...new ReplaySession(recording, build, { createHash: sha256, ...options }).run() };
}

describe('recordings/demo.rxn', () => {
  it('is verified by a replay (if the machine was changed on purpose, see recordings/README.md)', () => {
    const { divergence, recording, ...result } = replay(bytes);
    expect(divergence ? divergenceText(divergence) : 'verified').toBe('verified');
    expect(result).toMatchObject({ verified: true, whole: true });
    expect(recording.ending).toMatchObject({ kind: 'clean', totals: { digest: result.digest } });
    expect(recording.events).toBeGreaterThan(500);
  });

  it('diverges with another slice length, and names the first event', () => {
    const { divergence } = replay(bytes, {}, 77_777);
    expect(divergence).toMatchObject({ reason: 'different' });
    expect(divergenceText(divergence!)).toMatch(/diverged: event \d+ differs[\s\S]*recorded[\s\S]*replayed/);
  });

  it('cut in the middle is verified up to there', () => {
    const { verified, whole, events, recording } = replay(bytes.slice(0, bytes.length - 300));
    expect({ verified, whole, events }).toEqual({ verified: true, whole: false, events: recording.events });
  });
});

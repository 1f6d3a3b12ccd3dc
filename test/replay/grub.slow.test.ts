/** Debian's GRUB for Xen, unmodified: recorded from a script, replayed, cut everywhere, damaged. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { divergenceText } from '../../replay/divergence.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { type ReplayOptions, ReplaySession } from '../../replay/session.ts';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { ImageTable } from '../../src/host/images.ts';
import { recordSession } from '../../src/host/recorder.ts';
import { parseScript, ScriptRunner } from '../../src/host/script.ts';
import { EventLog } from '../../src/log/append.ts';
import { openRecording, PREAMBLE_BYTES, RecordingError, RecordingWriter } from '../../src/log/recording.ts';
import { selectEvents } from '../../src/log/select.ts';
import { Session, sessionConfig } from '../../src/session.ts';
import { parseDomainConfig } from '../../src/toolstack/xl/config.ts';

const grub = fileURLToPath(new URL('../../guests/debian/usr/lib/grub-xen/grub-i386-xen_pvh.bin', import.meta.url));
const SCRIPT = `
expect "grub> "
send "echo rexen\\r"
expect "\\rrexen\\n"
expect "grub> "
send "ls\\r"
expect "(memdisk)"
expect "grub> "
send "lsmmap\\r"
expect "available RAM"
expect "grub> "
send "halt\\r"
`;

async function record(): Promise<{ bytes: Uint8Array; console: string; digest: string; outcome: string }> {
  const images = new ImageTable();
  const text = `name = "grub"\ntype = "pvh"\nkernel = "${grub}"\nmemory = 128\n`;
  const { config } = parseDomainConfig(text, 'grub.cfg');
  const sessionOf = sessionConfig([{ config, kernel: images.add(grub, 'kernel') }]);
  const file = new MemoryFile();
  const header = { rexen: 'test', recorded: '', title: 'grub', config: sessionOf, images: images.entries };
  const writer = new RecordingWriter(file, header, images.embedded());
  const session = new Session({
    config: sessionOf,
    images: images.contents,
    createLog: (now) => {
      // Small batches: many places to be cut at.
      const log = new EventLog(now, { createHash: sha256, capacity: 16 });
      log.addSink(writer);
      return log;
    },
  });
  session.machine.door.submit({ kind: 'wallclock', seconds: 1_767_225_600, nanoseconds: 0 });
  let console = '';
  session.onConsole((_, bytes) => {
    console += Buffer.from(bytes).toString('latin1');
  });
  const script = new ScriptRunner(parseScript(SCRIPT, 'grub.script'), ['grub']);
  const { digest, outcome, message } = await recordSession(session, { writer, script, maxTicks: 200_000_000 });
  expect(message).toBeUndefined();
  return { bytes: file.bytes.slice(), console, digest, outcome };
}

const folder = mkdtempSync(join(tmpdir(), 'rexen-grub-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function replay(bytes: Uint8Array, options: ReplayOptions = {}, sliceTicks?: number) {
  const recording = openRecording(new MemoryFile(bytes));
  const session = new ReplaySession(recording, sessionBuilder(recording, folder, sliceTicks), {
    createHash: sha256,
    ...options,
  });
  return { recording, ...session.run() };
}

describe.skipIf(!existsSync(grub))('GRUB for Xen (npm run guests fetches it)', () => {
  let first: Awaited<ReturnType<typeof record>>;
  beforeAll(async () => {
    first = await record();
  });

  it('answers a script', () => {
    expect(first.outcome).toBe('finished');
    expect(first.console).toContain('GRUB');
    expect(first.console).toMatch(/base_addr = 0x0, length = 0x8000000, available RAM/);
    expect(first.console).toContain('(memdisk) (proc)');
  });

  it('is the same session when it is recorded again', async () => {
    expect((await record()).digest).toBe(first.digest);
  });

  it('is verified by its replay', () => {
    const { divergence, ...result } = replay(first.bytes);
    expect(divergence && divergenceText(divergence)).toBeUndefined();
    expect(result).toMatchObject({ verified: true, whole: true, digest: first.digest });
  });

  it('diverges with another slice length, at an event that the report names', () => {
    const { divergence } = replay(first.bytes, {}, 50_000);
    expect(divergence).toBeDefined();
    expect(divergenceText(divergence!)).toContain(`event ${divergence!.seq} differs`);
  });

  it('needs at most half a byte of inputs for 1,000 instructions', () => {
    const { inputBytes, lastTick } = openRecording(new MemoryFile(first.bytes));
    expect((inputBytes * 1000) / lastTick).toBeLessThan(0.5);
  });

  it('replays as far as it goes when cut at any frame and at 200 other places', () => {
    const places = new Set<number>();
    const view = new DataView(first.bytes.buffer, first.bytes.byteOffset);
    for (let at = PREAMBLE_BYTES; at < first.bytes.length; at += 28 + view.getUint32(at + 12, true)) places.add(at);
    expect(places.size).toBeGreaterThan(30);
    for (let i = 0, seed = 12345; i < 200; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      places.add(1 + (seed % (first.bytes.length - 1)));
    }
    // Every place is opened; a replay is the same for all that reach the same event.
    const replayed = new Map<number, number>();
    for (const at of [...places].sort((a, b) => a - b)) {
      const bytes = first.bytes.slice(0, at);
      const recording = openRecording(new MemoryFile(bytes));
      expect(recording.ending.kind).toBe('cut');
      expect([...selectEvents(recording)]).toHaveLength(recording.events);
      if (replayed.has(recording.events)) continue;
      const result = replay(bytes);
      expect(result).toMatchObject({ verified: true, whole: false, events: recording.events });
      expect(result.ticks).toBe(recording.lastTick);
      replayed.set(recording.events, at);
    }
    expect(replayed.size).toBeGreaterThan(20);
  });

  it('is never replayed with a flipped bit', () => {
    for (let i = 0, seed = 99; i < 300; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const bytes = first.bytes.slice();
      bytes[seed % bytes.length] ^= 1 << (seed >>> 29);
      expect(() => replay(bytes)).toThrow(RecordingError);
    }
  });

  it('keeps to what is in its header: another image is refused', () => {
    const content = readFileSync(grub);
    expect(content.length).toBeGreaterThan(256 << 10);
    expect(openRecording(new MemoryFile(first.bytes)).header!.images[0]).toMatchObject({ embedded: false, path: grub });
  });
});

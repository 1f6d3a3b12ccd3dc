/**
 * How tests run machines: recorded, and replayed at once. Nobody has to remember to check determinism; a test that
 * runs a guest through here has checked it.
 */
import { expect } from 'vitest';
import { ReplaySession } from '../../replay/session.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import type { Ticks } from '../../src/base/ticks.ts';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { ImageTable } from '../../src/host/images.ts';
import { type RecordResult, recordSession } from '../../src/host/recorder.ts';
import { parseScript, ScriptRunner } from '../../src/host/script.ts';
import { DEFAULT_WALLCLOCK_MS, loadDomain, submitDisks, submitWallclock } from '../../src/host/start.ts';
import { EventLog } from '../../src/log/append.ts';
import { openRecording, type Recording, RecordingWriter } from '../../src/log/recording.ts';
import type { MachineConfig } from '../../src/machine/config.ts';
import { Session, sessionConfig } from '../../src/session.ts';
import { parseDomainConfig } from '../../src/toolstack/xl/config.ts';
import { smallGuest } from './images.ts';

export interface RecordRequest {
  /** Texts in xl's syntax, a domain each. */
  readonly domains: readonly string[];
  readonly script?: string;
  readonly maxTicks?: number;
  readonly machine?: Partial<MachineConfig>;
}

export interface Recorded extends RecordResult {
  readonly recording: Recording;
  /** The recording's bytes. */
  readonly file: Uint8Array;
  /** All that a domain printed, one character a byte. */
  console(domain: string): string;
}

/** Records in memory, replays, and expects the replay to be whole, verified and of the same digest. */
export async function recordAndReplay(request: RecordRequest): Promise<Recorded> {
  const recorded = await recordInMemory(request);
  const { recording } = recorded;
  const result = new ReplaySession(recording, sessionBuilder(recording, '.'), { createHash: sha256 }).run();
  const hint = `replay of ${request.domains.join(' + ').replaceAll('\n', '; ')}`;
  expect(result.divergence, hint).toBeUndefined();
  expect({ whole: result.whole, digest: result.digest, ticks: result.ticks }, hint).toEqual({
    whole: true,
    digest: recorded.digest,
    ticks: recorded.ticks,
  });
  return recorded;
}

async function recordInMemory(request: RecordRequest): Promise<Recorded> {
  const images = new ImageTable();
  const domains = request.domains.map((text, i) =>
    loadDomain(parseDomainConfig(text, `domain ${i + 1}`).config, images),
  );
  const config = sessionConfig(domains, request.machine);
  const file = new MemoryFile();
  const header = { rexen: 'test', recorded: '', title: 'test', config, images: images.entries };
  const writer = new RecordingWriter(file, header, images.embedded());
  const createLog = (now: () => Ticks): EventLog => {
    const log = new EventLog(now, { createHash: sha256 });
    log.addSink(writer);
    return log;
  };
  const session = new Session({ config, images: images.contents, createLog });
  submitWallclock(session.machine.door, DEFAULT_WALLCLOCK_MS);
  submitDisks(session, config);
  const consoles = new Map<string, string>();
  session.onConsole((domain, bytes) => {
    consoles.set(domain, (consoles.get(domain) ?? '') + Buffer.from(bytes).toString('latin1'));
  });
  const script = request.script && new ScriptRunner(parseScript(request.script, 'script'), session.domains);
  const options = { writer, maxTicks: request.maxTicks, ...(script ? { script } : {}) };
  const result = await recordSession(session, options);
  const console = (domain: string) => consoles.get(domain) ?? '';
  return { ...result, file: file.bytes, recording: openRecording(new MemoryFile(file.bytes)), console };
}

/** Configuration of a domain that boots one of our small guests. */
export function guestConfig(guest: string, more: Record<string, string | number> = {}): string {
  const settings = { name: guest, type: 'pvh', kernel: smallGuest(guest), memory: 32, ...more };
  return Object.entries(settings)
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
    .join('');
}

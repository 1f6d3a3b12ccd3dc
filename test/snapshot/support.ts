/** Recordings for tests of snapshots and time travel: made here, of the small guests. */
import { basename } from 'node:path';
import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import type { Ticks } from '../../src/base/ticks.ts';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { EventLog } from '../../src/log/append.ts';
import { openRecording, type Recording, RecordingWriter } from '../../src/log/recording.ts';
import { checkSessionConfig, Session, sessionConfig } from '../../src/session.ts';
import { parseDomainConfig } from '../../src/toolstack/xl/config.ts';
import type { BuildMachine } from '../../replay/session.ts';
import { smallGuest } from '../support/images.ts';

export interface Guest {
  readonly guest: string;
  readonly cmdline?: string;
  readonly vcpus?: number;
  readonly preserve?: boolean;
}

export interface Made {
  readonly recording: Recording;
  readonly build: BuildMachine<Session>;
}

/** Records the guests until they are done, in memory. */
export function recordGuests(guests: readonly Guest[], maxTicks = 50_000_000, machine: object = {}): Made {
  const images = new Map<string, { name: string; bytes: Uint8Array }>();
  const domains = guests.map(({ guest, cmdline = '', vcpus = 1, preserve }, i) => {
    const path = smallGuest(guest);
    const bytes = new Uint8Array(readFileSync(path));
    const kernel = createHash('sha256').update(bytes).digest('hex');
    images.set(kernel, { name: basename(path), bytes });
    const text = `name = "${guest}${i}"\ntype = "pvh"\nkernel = "${path}"\nextra = "${cmdline}"\nmemory = 8\nvcpus = ${vcpus}\n${preserve ? 'on_poweroff = "preserve"\n' : ''}`;
    return { config: parseDomainConfig(text, 'test.cfg').config, kernel };
  });
  const config = sessionConfig(domains, { digest_interval_ticks: 250_000, ...machine });
  const file = new MemoryFile();
  let writer: RecordingWriter | undefined;
  const session = new Session({
    config,
    images,
    createLog: (now) => {
      const log = new EventLog(now, { createHash: sha256 });
      writer = new RecordingWriter(file, { rexen: '0', recorded: '', title: 't', config, images: [] }, new Map());
      log.addSink(writer);
      return log;
    },
  });
  session.machine.door.submit({ kind: 'wallclock', seconds: 1_700_000_000, nanoseconds: 0 });
  session.run(maxTicks as Ticks);
  const digest = session.log.digest()!;
  writer!.finish({ events: session.log.seq, lastTick: session.now(), digest });
  const recording = openRecording(new MemoryFile(file.bytes));
  const build: BuildMachine<Session> = ({ header, createLog, inputs }) =>
    new Session({ config: checkSessionConfig(header.config), images, createLog, inputs });
  return { recording, build };
}

/** A hash over registers, TLBs left out, and all memory: what a place in time is. */
export function placeDigest(session: Session): string {
  const hash = createHash('sha256');
  const { engine } = session;
  const current = engine.current;
  for (const { slot } of session.xen.vcpus()) {
    engine.switchTo(slot);
    hash.update(String(engine.stateDigest()));
  }
  if (current) engine.switchTo(current);
  hash.update(engine.frames.bytes);
  hash.update(String(session.log.seq));
  return `${session.now()} ${hash.digest('hex')}`;
}

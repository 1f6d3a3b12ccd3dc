/** Debian's kernel with busybox, recorded in memory and replayed: what the tests of this folder share. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { ImageTable } from '../../src/host/images.ts';
import { linuxGuest } from '../../src/host/linux-guest.ts';
import { type RecordResult, recordSession } from '../../src/host/recorder.ts';
import { parseScript, ScriptRunner } from '../../src/host/script.ts';
import {
  DEFAULT_WALLCLOCK_MS,
  loadDomainText,
  startRecording,
  submitDisks,
  submitWallclock,
} from '../../src/host/start.ts';
import { openRecording } from '../../src/log/recording.ts';
import { selectEvents } from '../../src/log/select.ts';
import type { MachineEvent } from '../../src/log/event.ts';
import type { KindName } from '../../src/log/kinds.ts';
import type { MachineConfig } from '../../src/machine/config.ts';
import { type SessionDomain, sessionConfig } from '../../src/session.ts';
import { divergenceText } from '../../replay/divergence.ts';
import { ReplaySession } from '../../replay/session.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { Timeline } from '../../replay/timeline.ts';
import { debianImage } from '../support/images.ts';
import { KERNEL_OPTIONS } from './options.ts';

export { KERNEL_OPTIONS };

/** What every test here needs. */
export const IMAGES = [debianImage('boot/vmlinuz-*-cloud-amd64'), debianImage('bin/busybox')];

/** Complaints that a healthy kernel never prints. */
export const COMPLAINTS =
  /WARNING: CPU|BUG:|Oops|Call Trace|\bstall|(clocksource|tsc): .*(unstable|skew|excessive)|hung task|Kernel panic/;

export interface LinuxOptions {
  /** More lines of each domain's configuration; one domain an entry. */
  readonly domains?: readonly string[];
  /** Lines of a script; see rexen record --help. */
  readonly script: string;
  /** Operators' commands, each when the consoles have printed a text. */
  readonly operator?: readonly { readonly when: string; readonly command: string }[];
  /** Text of a domain that `xl create later.cfg` makes. */
  readonly later?: string;
  /** A folder whose files are added to the initramfs. */
  readonly initrdDir?: string;
  readonly maxTicks?: number;
  /** Of the machine; default: as many pcpus as the largest domain has vcpus. */
  readonly machine?: Partial<MachineConfig>;
}

export interface RecordedLinux {
  readonly result: RecordResult;
  /** By domain's name. */
  readonly console: ReadonlyMap<string, string>;
  readonly file: MemoryFile;
  /** Operators' commands that were refused, and why. */
  readonly refused: readonly string[];
  events(...kinds: KindName[]): MachineEvent[];
}

/** Records domains `linux`, `linux2` … with 96 MiB, unless their lines say otherwise. */
export async function recordLinux({ domains = [''], ...options }: LinuxOptions): Promise<RecordedLinux> {
  const images = new ImageTable();
  const { kernel, initramfs } = linuxGuest({ initrdDir: options.initrdDir });
  const load = (text: string) =>
    loadDomainText(text, 'linux.cfg', images, (warning) => {
      throw new Error(warning);
    });
  const loaded: SessionDomain[] = domains.map((lines, i) => {
    const text = [
      `name = "${i === 0 ? 'linux' : `linux${i + 1}`}"`,
      'type = "pvh"',
      `kernel = "${kernel}"`,
      `ramdisk = "${initramfs}"`,
      /^extra/m.test(lines) ? '' : `extra = "${KERNEL_OPTIONS}"`,
      /^memory/m.test(lines) ? '' : 'memory = 96',
      lines,
      '',
    ].join('\n');
    return load(text);
  });
  if (options.later !== undefined) loaded.push({ ...load(options.later), later: 'later.cfg' });
  const config = sessionConfig(loaded, options.machine);
  const file = new MemoryFile();
  const { session, writer, close } = startRecording(config, images, file);
  submitWallclock(session.machine.door, DEFAULT_WALLCLOCK_MS);
  submitDisks(session, config);
  const refused: string[] = [];
  session.onRefused = (command, why) => refused.push(`${command}: ${why}`);
  const console = new Map<string, string>();
  const waiting = [...(options.operator ?? [])];
  session.onConsole((domain, bytes) => {
    const text = (console.get(domain) ?? '') + Buffer.from(bytes).toString('latin1');
    console.set(domain, text);
    while (waiting.length > 0 && text.includes(waiting[0]!.when))
      session.machine.door.submit({ kind: 'operator', text: waiting.shift()!.command });
  });
  const script = new ScriptRunner(parseScript(options.script, 'script'), session.domains);
  const result = await recordSession(session, { writer, script, maxTicks: options.maxTicks ?? 20_000_000_000 });
  close();
  const recording = openRecording(file);
  return { result, console, file, refused, events: (...kinds) => [...selectEvents(recording, { kinds })] };
}

/** Replays from the inputs alone and checks every effect. */
export function expectVerified({ file, result }: RecordedLinux): void {
  const recording = openRecording(file);
  const replay = new ReplaySession(recording, sessionBuilder(recording, 'memory.rxn'), { createHash: sha256 }).run();
  expect(replay.divergence ? divergenceText(replay.divergence) : 'verified').toBe('verified');
  expect(replay).toMatchObject({ whole: true, digest: result.digest, events: result.events });
}

/**
 * Goes to the end, back into the middle by a snapshot, and to the end again, all of it checked against the recording:
 * the back ends' state must be in the snapshots.
 */
export function expectTravels({ file }: RecordedLinux, middle: number): void {
  const recording = openRecording(file);
  const spacing = Math.ceil(recording.lastTick / 12);
  const timeline = new Timeline(recording, sessionBuilder(recording, 'memory.rxn'), { spacing });
  for (const place of [middle, recording.lastTick, middle - 1, recording.lastTick]) timeline.seek(place);
  expect(timeline.tick).toBe(recording.lastTick);
  expect(timeline.snapshots.list.length).toBeGreaterThan(4);
}

export const hasMkfs: boolean = spawnSync('/usr/sbin/mkfs.ext4', ['-V'], { stdio: 'ignore' }).status === 0;

/** A folder that is there while `body` runs. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'rexen-linux-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An ext4 image with these files in it. Its content is the same each time but for what mke2fs makes up. @returns its path */
export function ext4Image(folder: string, mib: number, files: Readonly<Record<string, Uint8Array | string>>): string {
  const root = join(folder, 'root');
  mkdirSync(root);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(root, name), content);
  const image = join(folder, 'disk.img');
  const made = spawnSync('/usr/sbin/mkfs.ext4', ['-q', '-F', '-d', root, image, `${mib}M`], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`mkfs.ext4: ${made.stderr}`);
  return image;
}

/** Starting sessions that are recorded to files, for the command line and for the library. */
import type { Ticks } from '../base/ticks.ts';
import { VERSION } from '../base/version.ts';
import { isQcow2, Qcow2 } from '../backends/blkif/qcow2.ts';
import { EventLog } from '../log/append.ts';
import { type ByteSink, RecordingWriter } from '../log/recording.ts';
import type { Input } from '../machine/door.ts';
import { Session, type SessionConfig, type SessionDomain } from '../session.ts';
import { diskContent } from '../toolstack/builder/image.ts';
import { parseDomainConfig, warningText } from '../toolstack/xl/config.ts';
import type { DomainConfig } from '../toolstack/xl/domain-config.ts';
import { FileSink, MemoryFile, readText, sha256 } from './files.ts';
import type { ImageTable } from './images.ts';
import { hostDate } from './output.ts';

/** Sessions without a person begin here, so that recording one twice gives the same session: 2026-01-01T00:00:00Z. */
export const DEFAULT_WALLCLOCK_MS = Date.UTC(2026, 0, 1);

/** Gives the machine its time of day, milliseconds since 1970. */
export function submitWallclock(door: { submit(input: Input): void }, ms: number): void {
  const seconds = Math.floor(ms / 1000);
  door.submit({ kind: 'wallclock', seconds, nanoseconds: Math.floor(ms % 1000) * 1_000_000 });
}

/** What each disk begins with, as inputs. */
export function submitDisks(session: Session, { domains }: SessionConfig): void {
  for (const { config, disks = [] } of domains)
    for (const [i, sha256] of disks.entries()) {
      const device = `${config.name}/${config.disks[i]!.vdev}`;
      session.machine.door.submit({
        kind: 'disk-content',
        device,
        sha256: Uint8Array.from(Buffer.from(sha256, 'hex')),
      });
    }
}

/** Reads configurations and images. Warnings go to `warn`; `more` stands above what they say. @throws Error for people */
export function loadDomains(
  paths: readonly string[],
  images: ImageTable,
  warn: (text: string) => void,
  more: Partial<DomainConfig> = {},
): SessionDomain[] {
  return paths.map((path) => loadDomainText(readText(path, 'configuration'), path, images, warn, more));
}

/**
 * Adds domains that an operator's `xl create FILE` is to make while the session runs: their files belong to the
 * recording as those of the others do. Those already there by this name are left out.
 */
export function loadLater(
  paths: readonly string[],
  domains: readonly SessionDomain[],
  images: ImageTable,
  warn: (text: string) => void,
): SessionDomain[] {
  const known = new Set(domains.flatMap(({ config, later }) => [config.name, later]));
  return paths
    .filter((path) => !known.has(path))
    .map((path) => ({ ...loadDomainText(readText(path, 'configuration'), path, images, warn), later: path }));
}

/** One domain of a configuration's text; `name` is for messages. */
export function loadDomainText(
  text: string,
  name: string,
  images: ImageTable,
  warn: (text: string) => void,
  more: Partial<DomainConfig> = {},
): SessionDomain {
  const { config, warnings } = parseDomainConfig(text, name);
  for (const each of warnings) warn(warningText(each));
  return loadDomain({ ...config, ...more }, images, warn);
}

/** Reads the files that a configuration names. @throws Error for people */
export function loadDomain(
  config: DomainConfig,
  images: ImageTable,
  warn: (text: string) => void = () => {},
): SessionDomain {
  const kernel = images.add(config.kernel!, 'kernel');
  const ramdisk = config.ramdisk === undefined ? {} : { ramdisk: images.add(config.ramdisk, 'ramdisk') };
  const disks = config.disks.map(({ target, format, vdev }) => {
    const sha256 = images.addDisk(target, `disk ${vdev}`);
    const content = diskContent(images.contents.get(sha256)!);
    // What is wrong with an image is said here, with its path.
    if (format === 'qcow2') new Qcow2(content, target);
    else if (isQcow2(content)) warn(`${config.name}: disk ${vdev}: ${target} is a qcow2 image, and is taken as raw`);
    return sha256;
  });
  return { config, kernel, ...ramdisk, ...(disks.length > 0 ? { disks } : {}) };
}

/** A session being recorded. */
export interface StartedRecording {
  readonly session: Session;
  readonly writer: RecordingWriter;
  /** Of the file; empty for one in memory. */
  readonly path: string;
  close(): void;
  /** Nothing came of it: away with the file. */
  discard(): void;
}

/**
 * Builds a session whose log goes to a new recording: a file (made before anything runs; without a name,
 * `recordings/TITLE-DATE.rxn`) or memory.
 */
export function startRecording(
  config: SessionConfig,
  images: ImageTable,
  output: string | MemoryFile | undefined,
  title = config.domains.map(({ config: { name } }) => name).join(', '),
): StartedRecording {
  const recorded = hostDate();
  const path =
    output instanceof MemoryFile
      ? ''
      : (output ?? `recordings/${fileName(title)}-${recorded.replace(/[:.]/g, '').slice(0, 17)}.rxn`);
  let sink: FileSink | undefined;
  let target: ByteSink;
  let writer: RecordingWriter | undefined;
  const createLog = (now: () => Ticks): EventLog => {
    const log = new EventLog(now, { createHash: sha256 });
    if (output instanceof MemoryFile) target = output;
    else target = sink = new FileSink(path);
    const header = { rexen: VERSION, recorded, title, config, images: images.entries };
    writer = new RecordingWriter(target, header, images.embedded());
    log.addSink(writer);
    return log;
  };
  let session: Session;
  try {
    session = new Session({ config, images: images.contents, createLog });
  } catch (error) {
    sink?.remove();
    throw error;
  }
  return { session, writer: writer!, path, close: () => sink?.close(), discard: () => sink?.remove() };
}

function fileName(title: string): string {
  return title.replace(/[^\w.-]+/g, '-').slice(0, 60) || 'session';
}

/**
 * rexen as a library: record Xen guests, replay what was recorded, read what happened.
 *
 *     import { ofKind, open, record, replay } from 'rexen';
 *
 *     const domains = ['name = "web"\ntype = "pvh"\nkernel = "vmlinuz"\nmemory = 128'];
 *     const { path } = await record({ domains, output: 'web.rxn', script: 'expect "login:"' });
 *     const { verified, divergence } = replay(path);
 *     using file = open(path);
 *     file.events$().pipe(ofKind('hypercall')).subscribe((event) => console.log(event.tick, event.nr));
 *
 * Everything is typed from one table of event kinds (src/log/kinds.ts). Streams are RxJS 7 observables; those of a
 * file read only as far as they are subscribed to.
 */
import './host/v8.ts';
import type { Observable } from 'rxjs';
import { FileSource, MemoryFile, sha256 } from './host/files.ts';
import { ImageTable } from './host/images.ts';
import { type RecordResult, recordSession } from './host/recorder.ts';
import { parseScript, ScriptRunner } from './host/script.ts';
import { ScriptSet } from './host/script-set.ts';
import { HostNetwork } from './host/user-net/host-network.ts';
import { DEFAULT_WALLCLOCK_MS, loadDomainText, startRecording, submitDisks, submitWallclock } from './host/start.ts';
import type { MachineEvent } from './log/event.ts';
import { type RecordingInfo, recordingInfo } from './log/info.ts';
import { openRecording, type Recording } from './log/recording.ts';
import { countEvents, type EventFilter, selectEvents } from './log/select.ts';
import { fromRecording, type TickRange } from './log/streams/from-recording.ts';
import type { MachineConfig } from './machine/config.ts';
import { sessionConfig } from './session.ts';
import { type ReplayResult, ReplaySession } from '../replay/session.ts';
import { sessionBuilder } from '../replay/session-builder.ts';

export type { Ticks } from './base/ticks.ts';
export { VERSION } from './base/version.ts';
export type { RecordOutcome, RecordResult } from './host/recorder.ts';
export { ScriptError } from './host/script.ts';
export type { EventFields, EventHead, EventOf, MachineEvent } from './log/event.ts';
export { endingText, type RecordingInfo } from './log/info.ts';
export { isInput, KIND_NAMES, type KindName, KINDS } from './log/kinds.ts';
export { eventLine, eventToJson, type PrintNames } from './log/print.ts';
export { type Ending, FORMAT_VERSION, type Recording, RecordingError, type RecordingHeader } from './log/recording.ts';
export type { EventFilter } from './log/select.ts';
export { between } from './log/streams/between.ts';
export { fromRecording, type TickRange } from './log/streams/from-recording.ts';
export { inDomain } from './log/streams/in-domain.ts';
export { ofKind } from './log/streams/of-kind.ts';
export type { MachineConfig } from './machine/config.ts';
export { type Divergence, divergenceText, divergenceToJson, type GuestPlace } from '../replay/divergence.ts';
export type { ReplayResult } from '../replay/session.ts';

export interface RecordRequest {
  /** Configurations in xl's syntax, a domain each: their text. Paths in them are relative to the current folder. */
  readonly domains: readonly string[];
  /** File to record to. Without it the recording is in memory: `bytes` of the result. */
  readonly output?: string;
  /** More of them, by a name each: what an operator's `xl create NAME` makes while the session runs. */
  readonly later?: Readonly<Record<string, string>>;
  /**
   * What drives the consoles: lines of `expect "TEXT"`, `send "TEXT"`, `wait TICKS`, `domain NAME`, `xl COMMAND`, `end`.
   * Or several by domain, which run side by side.
   */
  readonly script?: string | Readonly<Record<string, string>>;
  /** Is given what `xl list` and its like print. */
  readonly onXl?: (text: string) => void;
  /** Ends the session there at the latest. */
  readonly maxTicks?: number;
  /** Time of day at boot; default 2026-01-01T00:00:00Z, so that recording twice gives the same session. */
  readonly wallclock?: Date;
  /** Processors, slice length, … Anything left out has its default. */
  readonly machine?: Partial<MachineConfig>;
  /** Is given the stream of events while they happen, a batch at a time. */
  readonly onEvents?: (events$: Observable<MachineEvent>) => void;
  /** Called with what consoles print. */
  readonly onConsole?: (domain: string, bytes: Uint8Array) => void;
}

export interface Recorded extends RecordResult {
  /** The file, or '' for a recording in memory. */
  readonly path: string;
  /** The recording, if it is in memory. */
  readonly file: Uint8Array | undefined;
  /** All that a domain's console printed, one character a byte. */
  console(domain: string): string;
}

/**
 * Boots domains and records them until all are powered off, the script has ended, or `maxTicks`.
 * @throws Error whose message is for people: a configuration, an image or a script that cannot be used, a full disk
 */
export async function record(request: RecordRequest): Promise<Recorded> {
  const images = new ImageTable();
  const domains = [
    ...request.domains.map((text, i) => loadDomainText(text, `domains[${i}]`, images, () => {})),
    ...Object.entries(request.later ?? {}).map(([later, text]) => ({
      ...loadDomainText(text, `later.${later}`, images, () => {}),
      later,
    })),
  ];
  const config = sessionConfig(domains, request.machine);
  const names = domains.map((domain) => domain.config.name);
  const { script: scripts } = request;
  const script =
    typeof scripts === 'object'
      ? new ScriptSet(
          Object.entries(scripts).map(([domain, text]) => ({ domain, script: parseScript(text, `script.${domain}`) })),
          names,
        )
      : scripts && new ScriptRunner(parseScript(scripts, 'script'), names);
  const memory = request.output === undefined ? new MemoryFile() : undefined;
  const { session, writer, path, close } = startRecording(config, images, memory ?? request.output);
  const network = session.hasUplink ? new HostNetwork(session) : undefined;
  const printed = new Map<string, Uint8Array[]>(names.map((name) => [name, []]));
  try {
    submitWallclock(session.machine.door, request.wallclock?.getTime() ?? DEFAULT_WALLCLOCK_MS);
    submitDisks(session, config);
    request.onEvents?.(session.log.events$);
    session.onConsole((domain, bytes) => printed.get(domain)?.push(bytes.slice()));
    if (request.onConsole) session.onConsole(request.onConsole);
    const result = await recordSession(session, {
      writer,
      script: script || undefined,
      maxTicks: request.maxTicks,
      network,
      print: request.onXl,
    });
    const console = (domain: string) => Buffer.concat(printed.get(domain) ?? []).toString('latin1');
    return { ...result, path, file: memory?.bytes, console };
  } finally {
    network?.close();
    close();
  }
}

export interface ReplayRequest {
  /** Replays to this tick only. */
  readonly until?: number;
  readonly onConsole?: (domain: string, bytes: Uint8Array) => void;
}

/**
 * Runs a recording (a file, or one in memory) again and checks every effect and state digest.
 * @throws RecordingError if it is damaged, or an image is missing that it does not hold
 */
export function replay(source: string | Uint8Array, request: ReplayRequest = {}): ReplayResult {
  using file = open(source);
  const path = typeof source === 'string' ? source : '';
  const session = new ReplaySession(file.recording, sessionBuilder(file.recording, path), {
    createHash: sha256,
    until: request.until,
  });
  if (request.onConsole) session.machine?.onConsole(request.onConsole);
  return session.run();
}

/** A recording that is open. Close it, or declare it with `using`. */
export interface OpenRecording extends Disposable {
  readonly recording: Recording;
  /** What it is and holds; reads all of it. */
  info(): RecordingInfo;
  /** Events in order, as a stream. */
  events$(range?: TickRange): Observable<MachineEvent>;
  /** Events that pass a filter, one after the other. */
  events(filter?: EventFilter): Generator<MachineEvent, void, undefined>;
  count(filter?: EventFilter): number;
  close(): void;
}

/**
 * Opens a recording (a file, or one in memory) and checks every byte of it.
 * @throws RecordingError if it cannot be used at all
 */
export function open(source: string | Uint8Array): OpenRecording {
  const bytes = typeof source === 'string' ? new FileSource(source) : new MemoryFile(source);
  const close = () => {
    if (bytes instanceof FileSource) bytes.close();
  };
  let recording: Recording;
  try {
    recording = openRecording(bytes);
  } catch (error) {
    close();
    throw error;
  }
  return {
    recording,
    info: () => recordingInfo(recording),
    events$: (range) => fromRecording(recording, range),
    events: (filter) => selectEvents(recording, filter),
    count: (filter) => countEvents(recording, filter),
    close,
    [Symbol.dispose]: close,
  };
}

/** Runs a workload once, recorded or not, or replays it, and says what it cost. */
import { ticks, type Ticks } from '../../src/base/ticks.ts';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { EventLog } from '../../src/log/append.ts';
import { openRecording, RecordingWriter } from '../../src/log/recording.ts';
import { ReplaySession } from '../../replay/session.ts';
import { checkSessionConfig, Session } from '../../src/session.ts';
import { type HostTime, hostTime, since } from '../timer.ts';
import { SilentLog } from './silent-log.ts';
import type { Workload } from './workload.ts';

/**
 *   off       nothing is appended and no digest is taken: the machine alone
 *   recorded  everything `rexen record` does, into memory
 */
export type RunMode = 'off' | 'recorded';

export interface RunCost {
  /** From the built session to the log's last byte; building it (the domain's images) is not in it. */
  readonly host: HostTime;
  /** When each mark was printed first, from the same start. */
  readonly marks: Readonly<Record<string, { readonly host: HostTime; readonly ticks: number }>>;
  readonly ticks: number;
  /** Ticks in which an instruction retired: all but the jumps over idle time. */
  readonly instructions: number;
  readonly events: number;
  /** Bytes of the recording, and of the inputs in it; 0 if not recorded. */
  readonly bytes: number;
  readonly inputBytes: number;
}

export interface Recorded {
  readonly cost: RunCost;
  readonly file: MemoryFile;
}

/** Ticks between two looks at the host, as the recorder has them. */
const CHUNK_TICKS = 2_000_000;
/** No workload needs more. */
const MAX_TICKS = 100_000_000_000;

/** Runs to the end (or `maxTicks`). */
export function runOnce(workload: Workload, mode: RunMode, maxTicks = MAX_TICKS): Recorded {
  const file = new MemoryFile();
  let writer: RecordingWriter | undefined;
  const { machine } = workload.config;
  const config =
    mode === 'off' ? { ...workload.config, machine: { ...machine, digest_interval_ticks: 0 } } : workload.config;
  const createLog = (now: () => Ticks): EventLog => {
    if (mode === 'off') return new SilentLog(now);
    const log = new EventLog(now, { createHash: sha256 });
    const header = { rexen: '0', recorded: '', title: workload.name, config, images: [...workload.entries] };
    writer = new RecordingWriter(file, header, new Map());
    log.addSink(writer);
    return log;
  };
  const session = new Session({ config, images: workload.images, createLog });
  const watch = new Watch(session, workload);
  let stop: string = 'limit';
  while (stop === 'limit' && session.now() < maxTicks) {
    stop = session.run(ticks(Math.min(session.now() + CHUNK_TICKS, maxTicks)));
    watch.look();
  }
  if (stop === 'blocked') throw new Error(`${workload.name} waits for ever; its console ended with\n${watch.text}`);
  const digest = session.log.digest();
  writer?.finish({ events: session.log.seq, lastTick: session.now(), digest: digest! });
  const cost = watch.cost(writer?.bytes ?? 0, writer?.inputBytes ?? 0);
  return { cost, file };
}

/** Replays with every check on. @throws Error if it diverges */
export function replayOnce(workload: Workload, file: MemoryFile): RunCost {
  const recording = openRecording(file);
  let watch: Watch | undefined;
  const build = ({ header, createLog, inputs }: Parameters<ConstructorParameters<typeof ReplaySession>[1]>[0]) => {
    const session = new Session({
      config: checkSessionConfig(header.config),
      images: workload.images,
      createLog,
      inputs,
    });
    watch = new Watch(session, workload);
    return session;
  };
  const replay = new ReplaySession(recording, build, { createHash: sha256 });
  while (!replay.step(CHUNK_TICKS)) watch?.look();
  const result = replay.result();
  if (!result.verified) throw new Error(`the replay of ${workload.name} diverged at tick ${result.divergence?.tick}`);
  return watch!.cost(file.size, recording.inputBytes);
}

/** Follows a session from outside: console marks, idle time. */
class Watch {
  text = '';
  readonly #session: Session;
  readonly #waiting: [string, string][];
  readonly #marks: Record<string, { host: HostTime; ticks: number }> = {};
  readonly #started = hostTime();
  #idleTicks = 0;
  #printed = false;

  constructor(session: Session, workload: Workload) {
    this.#session = session;
    this.#waiting = Object.entries(workload.marks);
    session.onConsole((_, bytes) => {
      this.text = (this.text + Buffer.from(bytes).toString('latin1')).slice(-4096);
      this.#printed = true;
      this.look();
    });
    const { clock } = session.machine;
    const jump = clock.jump.bind(clock);
    clock.jump = (to) => {
      this.#idleTicks += to - clock.now();
      jump(to);
    };
  }

  look(): void {
    if (!this.#printed) return;
    this.#printed = false;
    for (let next = this.#waiting[0]; next && this.text.includes(next[1]); next = this.#waiting[0]) {
      this.#marks[next[0]] = { host: since(this.#started), ticks: this.#session.now() };
      this.#waiting.shift();
    }
  }

  cost(bytes: number, inputBytes: number): RunCost {
    const now = this.#session.now();
    return {
      host: since(this.#started),
      marks: this.#marks,
      ticks: now,
      instructions: now - this.#idleTicks,
      events: this.#session.log.seq,
      bytes,
      inputBytes,
    };
  }
}

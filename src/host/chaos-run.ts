/** One run of a session under chaos: recorded, judged, and kept if it failed. */
import type { ChaosConfig, Perturbation } from '../machine/chaos.ts';
import type { MachineConfig } from '../machine/config.ts';
import { sessionConfig, type SessionDomain } from '../session.ts';
import { type FailCondition, FailWatch } from './chaos-watch.ts';
import { FileSink, MemoryFile } from './files.ts';
import type { ImageTable } from './images.ts';
import type { Subject } from './live-condition.ts';
import { recordSession } from './recorder.ts';
import { type Script, ScriptRunner } from './script.ts';
import { DEFAULT_WALLCLOCK_MS, startRecording, submitDisks, submitWallclock } from './start.ts';

/** What all runs of a search have in common. */
export interface ChaosSearch {
  readonly domains: readonly SessionDomain[];
  readonly images: ImageTable;
  readonly machine: Partial<MachineConfig>;
  readonly script: Script;
  readonly fail: FailCondition | undefined;
  /** Whose registers and memory the condition means. */
  readonly subject: Subject;
  readonly maxTicks: number | undefined;
}

export interface ChaosJob {
  /** None: a run without chaos. */
  readonly chaos?: ChaosConfig | undefined;
  /** Where the recording goes if the run fails. */
  readonly output?: string | undefined;
}

export interface ChaosFailure {
  readonly why: 'crashed' | 'expect-not-met' | 'condition';
  readonly message: string;
  /** Where to look, as a mark. */
  readonly at: string;
}

export interface ChaosRun {
  readonly failure: ChaosFailure | undefined;
  readonly ticks: number;
  readonly events: number;
  readonly digest: string;
  /** Those that the run came to. */
  readonly perturbations: readonly Perturbation[];
  /** Names in the condition that the guest has no symbol for. */
  readonly missing: readonly string[];
}

export async function chaosRun(search: ChaosSearch, job: ChaosJob): Promise<ChaosRun> {
  const { domains, images, machine } = search;
  const config = sessionConfig(domains, job.chaos ? { ...machine, chaos: job.chaos } : machine);
  const names = domains.map((domain) => domain.config.name);
  const title = `${names.join(', ')}${job.chaos ? ` (chaos ${job.chaos.seed})` : ''}`;
  const script = new ScriptRunner(search.script, names);
  const watch = new FailWatch(search.fail);
  const file = new MemoryFile();
  const { session, writer } = startRecording(config, images, file, title);
  session.log.addSink(watch);
  watch.attach(session, search.subject);
  submitWallclock(session.machine.door, DEFAULT_WALLCLOCK_MS);
  submitDisks(session, config);
  const result = await recordSession(session, { writer, script, maxTicks: search.maxTicks });
  watch.end();
  const failure = failureOf(watch, script.unmet);
  if (failure && job.output !== undefined) {
    const sink = new FileSink(job.output);
    sink.write(file.bytes);
    sink.close();
  }
  const { ticks, events, digest } = result;
  const perturbations = session.machine.chaos?.begun() ?? [];
  return { failure, ticks, events, digest, perturbations, missing: watch.missing };
}

function failureOf({ met, crash }: FailWatch, unmet: string | undefined): ChaosFailure | undefined {
  if (met)
    return {
      why: 'condition',
      message: `the condition held at tick ${met.tick}`,
      at: met.seq === undefined ? String(met.tick) : `#${met.seq}`,
    };
  if (crash) return { why: 'crashed', message: `domain ${crash.domain} crashed`, at: `#${crash.seq}` };
  return unmet === undefined ? undefined : { why: 'expect-not-met', message: unmet, at: 'end' };
}

/** What the commands that travel in time share: options, opening a recording as a timeline. */
import { type Command, InvalidArgumentError } from 'commander';
import { hostSeconds, Progress } from '../host/output.ts';
import { snapshotProblemText } from '../log/info.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import type { Session } from '../session.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { Timeline } from '../../replay/timeline.ts';
import { warnOfEnding } from './common.ts';

export interface TimelineArguments {
  snapshotMemory?: number;
}

/** Megabytes: `512`, `512M`, `2G`. */
export function memorySize(text: string): number {
  const [, number, unit] = /^(\d+)\s*([MG]?)(?:i?B)?$/i.exec(text) ?? [];
  const bytes = Number(number) * (unit?.toUpperCase() === 'G' ? 2 ** 30 : 2 ** 20);
  if (!(bytes >= 2 ** 23)) throw new InvalidArgumentError('It must be a size of at least 8M, like 512M or 2G.');
  return bytes;
}

export function addTimelineOptions(command: Command): Command {
  return command.option('--snapshot-memory <size>', 'what snapshots may take in all; default 512M', memorySize);
}

/** Opens the timeline, at tick 0. Long ways show their progress. */
export function openTimeline(recording: Recording, file: string, options: TimelineArguments): Timeline {
  warnOfEnding(recording, file);
  const { snapshotProblem } = recording;
  if (snapshotProblem) process.stderr.write(`rexen: ${snapshotProblemText(snapshotProblem)}\n`);
  const progress = new Progress();
  let said = hostSeconds();
  return new Timeline(recording, sessionBuilder(recording, file), {
    ...(options.snapshotMemory === undefined ? {} : { memoryLimit: options.snapshotMemory }),
    onBadSnapshot: (text) => process.stderr.write(`rexen: ${text}\n`),
    onProgress: (tick, target) => {
      if (tick >= target) {
        progress.done();
        said = hostSeconds();
      } else if (hostSeconds() - said > 0.3) {
        progress.update(() => `replaying: ${grouped(tick)} of ${grouped(target)} ticks`);
      }
    },
  });
}

/** The id of a domain by name or number, looked for where the timeline is. @throws Error for people */
export function domainNamed(session: Session, name: string | undefined): number {
  const guests = [...session.xen.domains.guests()];
  const found = name === undefined ? guests[0] : guests.find((each) => each.name === name || String(each.id) === name);
  if (found) return found.id;
  throw new Error(
    `there is no domain ${name ?? 'at this place'}; there are: ${guests.map((each) => each.name).join(', ') || 'none'}`,
  );
}

/** Checks that a domain has such a vcpu where the timeline is. @throws Error for people */
export function checkVcpu(session: Session, domain: number, vcpu: number | undefined): void {
  const { name, vcpus } = session.xen.find(domain)!;
  if (vcpu === undefined || vcpu < vcpus.length) return;
  throw new Error(
    `${name} has no vcpu ${vcpu}; it has ${vcpus.length === 1 ? 'vcpu 0 only' : `0 to ${vcpus.length - 1}`}`,
  );
}

/** `rexen replay`: runs a recording again and checks every effect. */
import type { Command } from 'commander';
import { sha256 } from '../host/files.ts';
import { hostSeconds, Output, Progress } from '../host/output.ts';
import { endingText } from '../log/info.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import type { Session } from '../session.ts';
import { divergenceText, divergenceToJson } from '../../replay/divergence.ts';
import { type ReplayResult, ReplaySession } from '../../replay/session.ts';
import { parseMark } from '../../replay/mark.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { symbolIn } from '../inspect/symbols.ts';
import { STATUS, wholeNumber, withRecording, XEN_NAMES } from './common.ts';

interface ReplayOptions {
  until?: string;
  console?: boolean;
  json?: boolean;
  sliceTicks?: number;
}

export function describeReplay(command: Command): void {
  command
    .argument('<file>', 'a recording')
    .description(
      'Runs a recording again, fed with its inputs alone, and checks every effect and state digest on the way.',
    )
    .option('--until <mark>', 'stop there: a tick, 1.5s, #EVENT, console:"TEXT", end-1000')
    .option('--console', "print what the guests' consoles print")
    .option('--json', 'the result as one JSON object')
    .option('--slice-ticks <n>', 'for debugging: replay with another slice length, which must diverge', wholeNumber)
    .addHelpText(
      'after',
      '\nExit status: 0 verified, 6 diverged.\n\nExample:\n  rexen replay recordings/demo.rxn --console',
    )
    .action(async (file: string, options: ReplayOptions) => {
      process.exitCode = await withRecording(file, (recording) => replay(recording, file, options));
    });
}

async function replay(recording: Recording, file: string, options: ReplayOptions): Promise<number> {
  const out = new Output();
  const progress = new Progress();
  const started = hostSeconds();
  const session: ReplaySession<Session> = new ReplaySession(
    recording,
    sessionBuilder(recording, file, options.sliceTicks),
    {
      createHash: sha256,
      until: options.until === undefined ? undefined : parseMark(options.until, recording, 'allowed').tick,
      symbol: (domain, rip) => session.machine && symbolIn(session.machine, domain, rip),
    },
  );
  if (options.console && !options.json) session.machine?.onConsole((_, bytes) => process.stdout.write(bytes));
  while (!session.step(20_000_000)) {
    progress.update(() => `replaying: ${grouped(session.tick)} of ${grouped(recording.lastTick)} ticks`);
  }
  progress.done();
  const seconds = hostSeconds() - started;
  const result = session.result();
  if (options.json) out.line(JSON.stringify(resultJson(file, recording, result, seconds)));
  else for (const line of resultLines(recording, result, seconds)) out.line(line);
  await out.flush();
  return result.verified ? STATUS.OK : STATUS.DIVERGED;
}

function resultJson(file: string, recording: Recording, result: ReplayResult, seconds: number): object {
  const { divergence, ...rest } = result;
  return {
    file,
    ...rest,
    digest: result.digest ?? null,
    bytes: recording.bytes,
    seconds: Number(seconds.toFixed(3)),
    ending: recording.ending.kind,
    divergence: divergence ? divergenceToJson(divergence) : null,
  };
}

function resultLines(recording: Recording, result: ReplayResult, seconds: number): string[] {
  if (result.divergence) return [divergenceText(result.divergence, XEN_NAMES)];
  const speed = seconds > 0 ? `, ${(result.ticks / seconds / 1e6).toFixed(0)} million ticks/s` : '';
  const lines = [
    `verified: ${grouped(result.events)} events, ${grouped(result.ticks)} ticks in ${seconds.toFixed(2)} s${speed}`,
  ];
  if (result.digest) lines.push(`digest ${result.digest}`);
  if (recording.ending.kind !== 'clean') {
    lines.push(
      `the recording ${endingText({ ending: recording.ending, events: recording.events, ticks: recording.lastTick })}`,
    );
  } else if (!result.whole) {
    lines.push(`stopped at tick ${grouped(result.ticks)} of ${grouped(recording.lastTick)}, as asked`);
  }
  return lines;
}

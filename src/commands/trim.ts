/** `rexen trim`: a recording without its beginning. */
import type { Command } from 'commander';
import { FileSink, sha256, sha256Of } from '../host/files.ts';
import { Output, Progress } from '../host/output.ts';
import { grouped } from '../log/print.ts';
import type { ImageContent, Recording } from '../log/recording.ts';
import { divergenceText } from '../../replay/divergence.ts';
import { parseMark } from '../../replay/mark.ts';
import { ReplaySession } from '../../replay/session.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { type Trimmed, trimRecording } from '../../replay/trim.ts';
import { bytesText, STATUS, withRecording, XEN_NAMES } from './common.ts';
import { addTimelineOptions, openTimeline, type TimelineArguments } from './timeline.ts';

interface TrimArguments extends TimelineArguments {
  from: string;
  output?: string;
}

export function describeTrim(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .description(
      'Leaves out the beginning of a recording. What is left starts at a snapshot, keeps its ticks and event numbers, replays and is checked as before.',
    )
    .requiredOption('--from <mark>', 'where it starts: a tick, 1.5s, #EVENT, end-1000, console:"TEXT"')
    .option('-o, --output <file>', 'where to; default FILE with .trimmed.rxn')
    .addHelpText('after', '\nExample:\n  rexen trim linux.rxn --from end-100000000 -o crash.rxn')
    .action(async (file: string, options: TrimArguments) => {
      const output = options.output ?? `${file.replace(/\.rxn$/, '')}.trimmed.rxn`;
      const trimmed = await withRecording(file, (recording) => trim(recording, file, output, options));
      process.exitCode = await withRecording(output, (recording) => check(recording, output, trimmed));
    });
}

function trim(recording: Recording, file: string, output: string, options: TrimArguments): Trimmed {
  const { tick } = parseMark(options.from, recording);
  const timeline = openTimeline(recording, file, options);
  const images = new Map<number, ImageContent>();
  for (const i of (recording.header?.images ?? []).keys()) {
    const content = recording.imageContent(i);
    if (content) images.set(i, content);
  }
  const sink = new FileSink(output);
  try {
    const trimmed = trimRecording(timeline, tick, sink, { createHash: sha256, sha256: sha256Of, images });
    sink.close();
    return trimmed;
  } catch (error) {
    sink.remove();
    throw error;
  }
}

/** Replays what was written: a file that does not verify is of no use to anybody. */
async function check(recording: Recording, output: string, { tick, seq, bytes }: Trimmed): Promise<number> {
  const session = new ReplaySession(recording, sessionBuilder(recording, output), { createHash: sha256 });
  const progress = new Progress();
  while (!session.step(20_000_000)) {
    progress.update(() => `checking: ${grouped(session.tick)} of ${grouped(recording.lastTick)} ticks`);
  }
  progress.done();
  const { divergence } = session.result();
  const out = new Output();
  if (divergence) out.line(divergenceText(divergence, XEN_NAMES));
  else {
    out.line(
      `${output}: ${bytesText(bytes)}, from event #${seq} at tick ${grouped(tick)} to tick ${grouped(recording.lastTick)}, verified`,
    );
  }
  await out.flush();
  return divergence ? STATUS.DIVERGED : STATUS.OK;
}

/** `rexen index`: a recording with snapshots inside. */
import { type Command, InvalidArgumentError } from 'commander';
import { FileSink } from '../host/files.ts';
import { Output } from '../host/output.ts';
import { type ImageContent, MAX_SNAPSHOTS, type Recording } from '../log/recording.ts';
import { indexRecording } from '../../replay/index-recording.ts';
import { bytesText, STATUS, wholeNumber, withRecording } from './common.ts';
import { addTimelineOptions, openTimeline, type TimelineArguments } from './timeline.ts';

interface IndexArguments extends TimelineArguments {
  output?: string;
  snapshots: number;
}

export function describeIndex(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .description(
      'Makes a recording with snapshots inside, so that whoever opens it is anywhere in it at once: debug at the end of a long one begins after a second or two instead of a replay.',
    )
    .option('--snapshots <n>', 'how many, evenly over it', countOfSnapshots, 40)
    .option('-o, --output <file>', 'where to; default FILE with .indexed.rxn')
    .addHelpText('after', '\nExample:\n  rexen index linux.rxn --snapshots 100 -o linux-quick.rxn')
    .action(async (file: string, options: IndexArguments) => {
      const output = options.output ?? `${file.replace(/\.rxn$/, '')}.indexed.rxn`;
      process.exitCode = await withRecording(file, (recording) => index(recording, file, output, options));
    });
}

function countOfSnapshots(text: string): number {
  const count = wholeNumber(text);
  if (count < 1 || count > MAX_SNAPSHOTS) throw new InvalidArgumentError(`It must be from 1 to ${MAX_SNAPSHOTS}.`);
  return count;
}

async function index(recording: Recording, file: string, output: string, options: IndexArguments): Promise<number> {
  const timeline = openTimeline(recording, file, options);
  const images = new Map<number, ImageContent>();
  for (const i of (recording.header?.images ?? []).keys()) {
    const content = recording.imageContent(i);
    if (content) images.set(i, content);
  }
  const sink = new FileSink(output);
  let result: ReturnType<typeof indexRecording>;
  try {
    result = indexRecording(timeline, options.snapshots, sink, images);
  } catch (error) {
    sink.remove();
    throw error;
  }
  sink.close();
  const out = new Output();
  const few =
    result.snapshots < options.snapshots ? '; no more, for domains were created or destroyed behind them' : '';
  out.line(`${output}: ${bytesText(result.bytes)}, ${result.snapshots} snapshots${few}`);
  await out.flush();
  return STATUS.OK;
}

/** `rexen pack`: a recording with all its images in one file. */
import type { Command } from 'commander';
import { FileSink } from '../host/files.ts';
import { loadImages } from '../host/images.ts';
import { Output } from '../host/output.ts';
import { type ByteSink, type ImageContent, type Recording, RecordingWriter } from '../log/recording.ts';
import { copySnapshots } from '../../replay/index-recording.ts';
import { diskContent } from '../toolstack/builder/image.ts';
import { bytesText, STATUS, warnOfEnding, withRecording } from './common.ts';

export function describePack(command: Command): void {
  command
    .argument('<file>', 'a recording')
    .description('Makes one file that replays anywhere: the recording with kernels, ramdisks and disks inside.')
    .option('-o, --output <file>', 'where to; default FILE with .packed.rxn')
    .addHelpText('after', '\nExample:\n  rexen pack linux.rxn -o for-a-colleague.rxn')
    .action(async (file: string, options: { output?: string }) => {
      const output = options.output ?? `${file.replace(/\.rxn$/, '')}.packed.rxn`;
      process.exitCode = await withRecording(file, async (recording) => {
        warnOfEnding(recording, file);
        const contents = imageContents(recording, file);
        const sink = new FileSink(output);
        let bytes = 0;
        try {
          bytes = packRecording(recording, contents, sink);
        } catch (error) {
          sink.remove();
          throw error;
        }
        sink.close();
        const out = new Output();
        out.line(`${output}: ${bytesText(bytes)}, ${contents.size} images inside`);
        await out.flush();
        return STATUS.OK;
      });
    });
}

/** By index in the header's table. @throws RecordingError for one that is missing */
function imageContents(recording: Recording, file: string): Map<number, ImageContent> {
  const images = loadImages(recording, file);
  const table = recording.header?.images ?? [];
  return new Map(table.map(({ sha256 }, i) => [i, diskContent(images.get(sha256)!)]));
}

/** Writes the same events with `contents` embedded. @returns bytes written */
export function packRecording(
  recording: Recording,
  contents: ReadonlyMap<number, ImageContent>,
  sink: ByteSink,
): number {
  if (!recording.header) throw new RangeError('the recording ends before anything was recorded');
  const writer = new RecordingWriter(sink, recording.header, contents, recording.snapshots.length > 0);
  for (const entry of recording.batches) writer.batch(recording.readBatch(entry));
  copySnapshots(recording, writer);
  if (recording.ending.kind === 'clean') writer.finish(recording.ending.totals);
  return writer.bytes;
}

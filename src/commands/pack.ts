/** `rexen pack`: a recording with all its images in one file. */
import type { Command } from 'commander';
import { FileSink } from '../host/files.ts';
import { loadImages } from '../host/images.ts';
import { Output } from '../host/output.ts';
import { type ByteSink, MAX_PACKED_IMAGE_BYTES, type Recording, RecordingWriter } from '../log/recording.ts';
import { bytesText, STATUS, withRecording } from './common.ts';

export function describePack(command: Command): void {
  command
    .argument('<file>', 'a recording')
    .description('Makes one file that replays anywhere: the recording with kernels, ramdisks and disks inside.')
    .option('-o, --output <file>', 'where to; default FILE with .packed.rxn')
    .addHelpText('after', '\nExample:\n  rexen pack linux.rxn -o for-a-colleague.rxn')
    .action(async (file: string, options: { output?: string }) => {
      const output = options.output ?? `${file.replace(/\.rxn$/, '')}.packed.rxn`;
      process.exitCode = await withRecording(file, async (recording) => {
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

/** By index in the header's table. @throws RecordingError for one that is missing, RangeError for one too large */
function imageContents(recording: Recording, file: string): Map<number, Uint8Array> {
  const images = loadImages(recording, file);
  const contents = new Map<number, Uint8Array>();
  for (const [i, { sha256, name, size }] of (recording.header?.images ?? []).entries()) {
    if (size > MAX_PACKED_IMAGE_BYTES) {
      throw new RangeError(
        `${name} is too large to be packed: ${bytesText(size)} of ${bytesText(MAX_PACKED_IMAGE_BYTES)}`,
      );
    }
    contents.set(i, images.get(sha256)!.bytes);
  }
  return contents;
}

/** Writes the same events with `contents` embedded. @returns bytes written */
export function packRecording(recording: Recording, contents: ReadonlyMap<number, Uint8Array>, sink: ByteSink): number {
  if (!recording.header) throw new RangeError('the recording ends before anything was recorded');
  const writer = new RecordingWriter(sink, recording.header, contents);
  for (const entry of recording.batches) writer.batch(recording.readBatch(entry));
  if (recording.ending.kind === 'clean') writer.finish(recording.ending.totals);
  return writer.bytes;
}

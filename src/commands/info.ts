/** `rexen info`: what a recording is and holds. */
import type { Command } from 'commander';
import { Output } from '../host/output.ts';
import { endingText, type RecordingInfo, recordingInfo } from '../log/info.ts';
import { grouped, quote } from '../log/print.ts';
import type { RecordingStart } from '../log/recording.ts';
import { bytesText, STATUS, withRecording } from './common.ts';

export function describeInfo(command: Command): void {
  command
    .argument('<file>', 'a recording')
    .description('Says what a recording is: when and from which images it was made, how far it goes, what is in it.')
    .option('--json', 'as one JSON object')
    .addHelpText('after', '\nExample:\n  rexen info recordings/demo.rxn')
    .action(async (file: string, options: { json?: boolean }) => {
      await withRecording(file, async (recording) => {
        const info = recordingInfo(recording);
        const { start } = recording.header ?? {};
        const out = new Output();
        for (const line of options.json
          ? [JSON.stringify({ ...infoJson(info), start: start ? { seq: start.seq, tick: start.tick } : null })]
          : infoLines(info, start))
          out.line(line);
        await out.flush();
        process.exitCode = info.ending.kind === 'damaged' ? STATUS.ERROR : STATUS.OK;
      });
    });
}

function infoJson(info: RecordingInfo): Record<string, unknown> {
  return { ...info, digest: info.digest ?? null, clean: info.ending.kind === 'clean' };
}

function infoLines(info: RecordingInfo, start: RecordingStart | undefined): string[] {
  const lines = [
    `${quote(info.title)}, recorded ${info.recorded} by rexen ${info.rexen} (format ${info.format})`,
    `  ${endingText(info)}`,
    `  ${bytesText(info.bytes)}; inputs ${bytesText(info.inputBytes)}, ${info.inputBytesPer1000Ticks.toFixed(4)} bytes per 1,000 ticks`,
  ];
  if (start) lines.push(`  begins at a snapshot: event #${start.seq}, tick ${grouped(start.tick)}`);
  const { count, bytes, problem } = info.snapshots;
  if (count > 0) lines.push(`  ${count} snapshots, ${bytesText(bytes)}`);
  if (problem !== undefined) lines.push(`  ${problem}`);
  if (info.digest) lines.push(`  digest ${info.digest}`);
  if (info.images.length > 0) lines.push('images');
  for (const image of info.images) {
    const where = image.embedded ? 'in the recording' : quote(image.path, 200);
    lines.push(`  ${quote(image.name)} ${bytesText(image.size)}, ${where}`, `    sha256 ${image.sha256}`);
  }
  const kinds = Object.entries(info.kinds).sort(([, a], [, b]) => b.count - a.count);
  if (kinds.length > 0)
    lines.push('events by kind', `  ${'kind'.padEnd(18)}${'events'.padStart(14)}${'bytes'.padStart(14)}`);
  for (const [kind, { count, bytes }] of kinds) {
    lines.push(`  ${kind.padEnd(18)}${grouped(count).padStart(14)}${grouped(bytes).padStart(14)}`);
  }
  return lines;
}

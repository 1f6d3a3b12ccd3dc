/** `rexen diff`: where two recordings part. */
import type { Command } from 'commander';
import { Output } from '../host/output.ts';
import { eventHeading, eventLine, eventToJson, grouped } from '../log/print.ts';
import { diffRecordings, type RecordingsDiff } from '../../replay/diff.ts';
import { STATUS, warnOfEnding, wholeNumber, withRecording, XEN_NAMES } from './common.ts';

export function describeDiff(command: Command): void {
  command
    .argument('<a>', 'a recording')
    .argument('<b>', 'another recording, of the same configuration')
    .description('Finds the first event at which two recordings differ, and shows what came before and behind it.')
    .option('--context <n>', 'events shown before and behind', wholeNumber, 5)
    .option('--json', 'the result as one JSON object')
    .addHelpText(
      'after',
      '\nExit status: 0 the same events, 1 they part (or cannot be read).\n\nExample:\n  rexen diff good.rxn bad.rxn',
    )
    .action(async (a: string, b: string, options: { context: number; json?: boolean }) => {
      const out = new Output();
      const result = await withRecording(a, (left) =>
        withRecording(b, (right) => {
          warnOfEnding(left, a);
          warnOfEnding(right, b);
          return diffRecordings(left, right, options.context);
        }),
      );
      if (options.json) out.line(JSON.stringify(diffJson(a, b, result)));
      else for (const line of diffLines(a, b, result)) out.line(line);
      await out.flush();
      process.exitCode = result.first === undefined ? STATUS.OK : STATUS.ERROR;
    });
}

function diffJson(a: string, b: string, { config, same, first }: RecordingsDiff): object {
  const json = (event: Parameters<typeof eventToJson>[0] | undefined) => (event ? eventToJson(event) : null);
  return {
    a,
    b,
    same,
    config,
    first: first && {
      seq: first.seq,
      a: json(first.a),
      b: json(first.b),
      fields: first.fields,
      before: first.before.map(json),
      afterA: first.afterA.map(json),
      afterB: first.afterB.map(json),
    },
  };
}

function diffLines(a: string, b: string, { config, same, first }: RecordingsDiff): string[] {
  const lines: string[] = [];
  if (config.length > 0) lines.push(`configured differently: ${config.join(', ')}`);
  if (!first) return [...lines, `the same: ${grouped(same)} events`];
  const tick = (first.a ?? first.b)!.tick;
  lines.push(`the same up to event #${first.seq} at tick ${grouped(tick)}, where they part`, '', `  ${eventHeading()}`);
  for (const event of first.before) lines.push(`  ${eventLine(event, XEN_NAMES)}`);
  const side = (sign: string, file: string, event: typeof first.a, after: typeof first.afterA) => {
    lines.push('', `${sign} ${file}`);
    if (!event) lines.push(`${sign} (ends here)`);
    for (const each of event ? [event, ...after] : []) lines.push(`${sign} ${eventLine(each, XEN_NAMES)}`);
  };
  side('<', a, first.a, first.afterA);
  side('>', b, first.b, first.afterB);
  if (first.fields.length > 0) lines.push('', `differ in ${first.fields.join(', ')}`);
  return lines;
}

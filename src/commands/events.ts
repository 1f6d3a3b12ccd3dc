/** `rexen events`: finds and prints events of a recording. */
import { type Command, InvalidArgumentError } from 'commander';
import { Output } from '../host/output.ts';
import { countByKind, countLines } from '../log/count.ts';
import type { KindName } from '../log/kinds.ts';
import { eventHeading, eventLine, eventToJson } from '../log/print.ts';
import { type EventFilter, kindNamed, selectEvents } from '../log/select.ts';
import { parseMark } from '../../replay/mark.ts';
import { STATUS, wholeNumber, withRecording, XEN_NAMES } from './common.ts';

interface EventsOptions {
  kind?: KindName[];
  domain?: number;
  from?: string;
  to?: string;
  limit?: number;
  count?: boolean;
  json?: boolean;
}

export function describeEvents(command: Command): void {
  command
    .argument('<file>', 'a recording')
    .description('Prints the events of a recording, one a line.')
    .option('--kind <kinds>', 'only these kinds, separated by commas', kindList)
    .option('--domain <n>', 'only events of this domain', wholeNumber)
    .option('--from <mark>', 'only from this place on: a tick, 1.5s, #EVENT, console:"TEXT", end-1000')
    .option('--to <mark>', 'only up to this place, inclusive')
    .option('--limit <n>', 'at most so many', wholeNumber)
    .option(
      '--count',
      'print only how many there are: in all, then by kind; with --kind, also by what they are about (hypercalls by sub-operation, ports, MSRs, vectors, event channels)',
    )
    .option('--json', 'JSON Lines: {seq, tick, kind, domain, vcpu, pcpu, …}')
    .addHelpText(
      'after',
      `
Example:
  rexen events recordings/demo.rxn --kind hypercall,hypercall-return --domain 1 --limit 20
  rexen events recordings/demo.rxn --count
  rexen events recordings/demo.rxn --count --kind hypercall,io,evtchn-bind,evtchn-send`,
    )
    .action(async (file: string, options: EventsOptions) => {
      process.exitCode = await printEvents(file, options);
    });
}

function kindList(text: string): KindName[] {
  try {
    return text.split(',').map((name) => kindNamed(name.trim()));
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function printEvents(file: string, options: EventsOptions): Promise<number> {
  const { kind, domain, from, to, limit, count, json } = options;
  return withRecording(file, async (recording) => {
    const first = from === undefined ? undefined : parseMark(from, recording, 'allowed');
    const last = to === undefined ? undefined : parseMark(to, recording, 'allowed');
    const places = { from: first?.tick, fromSeq: first?.seq, to: last?.tick, toSeq: last?.seq };
    const filter: EventFilter = { kinds: kind, domain, ...places, limit };
    const out = new Output();
    if (count) {
      const rows = countByKind(recording, filter, kind && XEN_NAMES);
      const total = rows.reduce((sum, row) => sum + row.count, 0);
      for (const line of json ? [JSON.stringify({ count: total, kinds: rows })] : countLines(rows)) out.line(line);
    } else {
      if (!json && process.stdout.isTTY) out.line(eventHeading());
      for (const event of selectEvents(recording, filter)) {
        await out.line(json ? JSON.stringify(eventToJson(event)) : eventLine(event, XEN_NAMES));
        if (out.closed) break;
      }
    }
    await out.flush();
    if (recording.ending.kind === 'damaged') {
      process.stderr.write(`rexen: ${recording.ending.problem}; these are the events before it\n`);
      return STATUS.ERROR;
    }
    return STATUS.OK;
  });
}

/** `rexen when`: the first place at which a condition holds. */
import type { Command } from 'commander';
import { readImage } from '../host/images.ts';
import { Output } from '../host/output.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import { parseCondition } from '../../replay/condition.ts';
import { livingEnd } from '../../replay/ends.ts';
import { guestSymbols } from '../../replay/guest-symbols.ts';
import { markText, parseMark } from '../../replay/mark.ts';
import { firstWhen } from '../../replay/when.ts';
import { STATUS, withRecording } from './common.ts';
import { addTimelineOptions, domainNamed, openTimeline, type TimelineArguments } from './timeline.ts';

interface WhenOptions extends TimelineArguments {
  domain?: string;
  vcpu?: string;
  from?: string;
  symbols?: string;
  json?: boolean;
}

export function describeWhen(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .argument(
      '<condition>',
      'such as: rip == do_exit && rdi != 0; mem(jiffies) > 5; console:"panic"; event triple-fault',
    )
    .description('Finds the first place at which a condition holds.')
    .option('--domain <name>', 'whose registers and memory; default the first domain')
    .option('--vcpu <n>', 'whose page tables; default vcpu 0')
    .option('--from <mark>', 'look from this place on')
    .option('--symbols <elf>', 'an ELF image with the symbols of the guest')
    .option('--json', 'the result as one JSON object')
    .addHelpText(
      'after',
      "\nExit status: 0 found, 1 it never holds.\n\nExample:\n  rexen when race.rxn 'rip == power_off'",
    )
    .action(async (file: string, condition: string, options: WhenOptions) => {
      process.exitCode = await withRecording(file, (recording) => run(recording, file, condition, options));
    });
}

async function run(recording: Recording, file: string, text: string, options: WhenOptions): Promise<number> {
  const timeline = openTimeline(recording, file, options);
  const domain = domainNamed(timeline.session, options.domain);
  const address = (name: string) => {
    // Linux's own tables are there only when it runs: as late as possible.
    const elf = options.symbols === undefined ? undefined : readImage(options.symbols, 'symbols');
    timeline.seek(livingEnd(recording));
    return guestSymbols(timeline.session, timeline.session.xen.find(domain)!, elf).address(name);
  };
  const condition = parseCondition(text, address);
  const from = options.from === undefined ? 0 : parseMark(options.from, recording).tick;
  const mark = firstWhen(timeline, condition, { domain, vcpu: Number(options.vcpu ?? 0) }, from);
  const out = new Output();
  if (options.json) out.line(JSON.stringify({ found: mark !== undefined, tick: mark?.tick, event: mark?.seq }));
  else if (mark === undefined) out.line('it never holds');
  else {
    out.line(`tick ${grouped(mark.tick)}${mark.seq === undefined ? '' : `, event ${markText(mark)}`}`);
    out.line(`rexen debug ${file} --at ${mark.tick}`);
  }
  await out.flush();
  return mark ? STATUS.OK : STATUS.ERROR;
}

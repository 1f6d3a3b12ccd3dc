/** `rexen when`: the first place at which a condition holds. */
import type { Command } from 'commander';
import { readImage } from '../host/images.ts';
import { Output } from '../host/output.ts';
import { parseCondition } from '../inspect/condition/parse.ts';
import { symbolsIn } from '../inspect/condition/plan.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import { livingEnd } from '../../replay/ends.ts';
import { guestSymbols } from '../../replay/guest-symbols.ts';
import { markText, parseMark } from '../../replay/mark.ts';
import { firstWhen, needsEveryTick } from '../../replay/when.ts';
import { STATUS, wholeNumber, withRecording } from './common.ts';
import { addTimelineOptions, checkVcpu, domainNamed, openTimeline, type TimelineArguments } from './timeline.ts';

/** For the help of the commands that take conditions. */
export const CONDITION_HELP = `  rip == do_exit && rdi != 0          where a vcpu is about to execute this
  u32(jiffies) >= 5, mem(0x1000, 2)   memory, after each write: u8 to u64, s8 to s64; a name is an address
  console:"Kernel panic"              when a console has printed this
  event domain-shutdown reason=crash  at an event with such fields
  && || ! ( ) == != < <= > >= + - * / % & | ^ << >> ~ join them; a value holds if it is not 0.
A condition on registers without "rip ==" is looked at after every instruction, which takes its time.
`;

interface WhenOptions extends TimelineArguments {
  domain?: string;
  vcpu?: number;
  from?: string;
  to?: string;
  symbols?: string;
  json?: boolean;
}

export function describeWhen(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .argument('<condition>', 'such as: rip == do_exit && rdi != 0; u32(jiffies) > 5; console:"panic"')
    .description('Finds the first place at which a condition holds.')
    .option('--domain <name>', 'whose registers and memory; default the first domain')
    .option('--vcpu <n>', 'only this vcpu; default any of the domain', wholeNumber)
    .option('--from <mark>', 'look from this place on')
    .option('--to <mark>', 'and no further than this; default the end')
    .option('--symbols <elf>', 'an ELF image with the symbols of the guest')
    .option('--json', 'the result as one JSON object')
    .addHelpText(
      'after',
      `
Conditions:
${CONDITION_HELP}
Exit status: 0 found, 1 it never holds.

Example:
  rexen when race.rxn 'rip == power_off'
  rexen when linux.rxn 'rip == do_exit && (u32(jiffies) > 0xffff0000 || rdi != 0)' --from 1.2s`,
    )
    .action(async (file: string, condition: string, options: WhenOptions) => {
      process.exitCode = await withRecording(file, (recording) => run(recording, file, condition, options));
    });
}

async function run(recording: Recording, file: string, text: string, options: WhenOptions): Promise<number> {
  const timeline = openTimeline(recording, file, options);
  const domain = domainNamed(timeline.session, options.domain);
  checkVcpu(timeline.session, domain, options.vcpu);
  const condition = parseCondition(text);
  const names = symbolsIn(condition);
  const known = new Map<string, bigint | undefined>();
  if (names.length > 0) {
    // Linux's own tables are there only when it runs: as late as possible.
    const elf = options.symbols === undefined ? undefined : readImage(options.symbols, 'symbols');
    timeline.seek(livingEnd(recording, String(domain)));
    const symbols = guestSymbols(timeline.session, timeline.session.xen.find(domain)!, elf);
    for (const name of names) {
      const address = symbols.address(name);
      if (address === undefined) throw new Error(`the guest has no symbol ${name}`);
      known.set(name, address);
    }
  }
  const symbol = (name: string) => known.get(name);
  const from = options.from === undefined ? 0 : parseMark(options.from, recording).tick;
  const to = options.to === undefined ? undefined : parseMark(options.to, recording).tick;
  if (needsEveryTick(condition, symbol)) {
    process.stderr.write(
      'rexen: looking after every instruction; bound it by --from and --to, or by "rip == ADDRESS &&"\n',
    );
  }
  const mark = firstWhen(timeline, condition, { domain, vcpu: options.vcpu, from, to, symbol });
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

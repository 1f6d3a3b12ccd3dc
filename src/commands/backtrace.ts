/** `rexen backtrace`: how a vcpu came to where it is. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Output } from '../host/output.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import { backtrace, frameText } from '../../replay/backtrace.ts';
import { livingEnd } from '../../replay/ends.ts';
import { guestSymbols } from '../../replay/guest-symbols.ts';
import { parseMark } from '../../replay/mark.ts';
import { STATUS, withRecording } from './common.ts';
import { addTimelineOptions, domainNamed, openTimeline, type TimelineArguments } from './timeline.ts';

interface BacktraceOptions extends TimelineArguments {
  at?: string;
  domain?: string;
  vcpu?: string;
  symbols?: string;
}

export function describeBacktrace(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .description('Says how the vcpus of a domain came to where they are. Linux needs no symbol file: its own tables serve.')
    .option('--at <mark>', 'where; default the end')
    .option('--domain <name>', 'which domain; default the first')
    .option('--vcpu <n>', 'only this vcpu')
    .option('--symbols <elf>', 'an ELF image with the symbols of the guest')
    .addHelpText('after', '\nExample:\n  rexen backtrace crash.rxn --at end-10')
    .action(async (file: string, options: BacktraceOptions) => {
      process.exitCode = await withRecording(file, (recording) => run(recording, file, options));
    });
}

async function run(recording: Recording, file: string, options: BacktraceOptions): Promise<number> {
  const timeline = openTimeline(recording, file, options);
  const end = livingEnd(recording);
  timeline.seek(options.at === undefined ? end : Math.min(end, parseMark(options.at, recording).tick));
  const { session } = timeline;
  const domain = session.xen.find(domainNamed(session, options.domain))!;
  const elf = options.symbols === undefined ? undefined : new Uint8Array(readFileSync(options.symbols));
  const symbols = guestSymbols(session, domain, elf);
  const out = new Output();
  for (const vcpu of domain.vcpus) {
    if (options.vcpu !== undefined && vcpu.id !== Number(options.vcpu)) continue;
    out.line(`${domain.name} vcpu ${vcpu.id} at tick ${grouped(timeline.tick)}${vcpu.online ? '' : ', down'}`);
    for (const [i, frame] of backtrace(session, vcpu, symbols).entries()) out.line(frameText(frame, i));
  }
  await out.flush();
  return STATUS.OK;
}

/** `rexen who-wrote`: the last write to an address. */
import type { Command } from 'commander';
import { readImage } from '../host/images.ts';
import { Output } from '../host/output.ts';
import type { Recording } from '../log/recording.ts';
import { guestSymbols } from '../../replay/guest-symbols.ts';
import { parseMark } from '../../replay/mark.ts';
import { parseMemory, writeText } from '../../replay/memory-text.ts';
import { whoWrote } from '../../replay/queries.ts';
import { livingEnd } from '../../replay/ends.ts';
import { STATUS, wholeNumber, withRecording } from './common.ts';
import { addTimelineOptions, checkVcpu, domainNamed, openTimeline, type TimelineArguments } from './timeline.ts';

interface WhoWroteOptions extends TimelineArguments {
  domain?: string;
  before?: string;
  vcpu: number;
  symbols?: string;
  json?: boolean;
}

export function describeWhoWrote(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .argument('<address>', 'ADDRESS[:LENGTH] or SYMBOL[:LENGTH]; phys:ADDRESS for guest-physical')
    .description('Finds the last write to some bytes: when, by whom, at which instruction, old and new value.')
    .option('--domain <name>', 'whose memory; default the first domain')
    .option('--vcpu <n>', 'whose page tables', wholeNumber, 0)
    .option('--before <mark>', 'look at writes before this place; default the end')
    .option('--symbols <elf>', 'an ELF image with the symbols of the guest')
    .option('--json', 'the result as one JSON object')
    .addHelpText(
      'after',
      '\nExit status: 0 found, 1 nobody wrote there.\n\nExample:\n  rexen who-wrote race.rxn free_list --domain race',
    )
    .action(async (file: string, address: string, options: WhoWroteOptions) => {
      process.exitCode = await withRecording(file, (recording) => run(recording, file, address, options));
    });
}

async function run(recording: Recording, file: string, text: string, options: WhoWroteOptions): Promise<number> {
  const timeline = openTimeline(recording, file, options);
  const before =
    options.before === undefined ? livingEnd(recording, options.domain) : parseMark(options.before, recording).tick;
  timeline.seek(before);
  const domain = domainNamed(timeline.session, options.domain);
  checkVcpu(timeline.session, domain, options.vcpu);
  const elf = options.symbols === undefined ? undefined : readImage(options.symbols, 'symbols');
  const symbols = guestSymbols(timeline.session, timeline.session.xen.find(domain)!, elf);
  const [, symbol, length] = /^([A-Za-z_.$][\w.$]*)(?::(\d+))?$/.exec(text) ?? [];
  const known = symbol === undefined ? undefined : symbols.address(symbol);
  if (symbol !== undefined && known === undefined) throw new Error(`the guest has no symbol ${symbol}`);
  const memory = parseMemory(known === undefined ? text : `0x${known.toString(16)}:${length ?? 8}`);
  const write = whoWrote(timeline, { ...memory, domain, vcpu: options.vcpu }, before);
  const out = new Output();
  if (options.json) {
    const { tick, domain: d, vcpu, rip, outside } = write ?? {};
    const hex = (bytes: Uint8Array | undefined) => (bytes ? Buffer.from(bytes).toString('hex') : null);
    const by = rip === undefined ? null : (symbols.name(rip) ?? null);
    const place = rip === undefined ? null : `0x${rip.toString(16)}`;
    const found = write !== undefined;
    const values = { before: hex(write?.before), after: hex(write?.after) };
    out.line(JSON.stringify({ found, tick, domain: d, vcpu, rip: place, symbol: by, outside, ...values }));
  } else out.line(writeText(write, (rip) => symbols.name(rip)));
  await out.flush();
  return write ? STATUS.OK : STATUS.ERROR;
}

/** `rexen backtrace`: how a vcpu came to where it is. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Frame } from '../debug/symbols/unwind.ts';
import type { SymbolTable } from '../debug/symbols/symbol-table.ts';
import type { Vcpu } from '../hypervisor/vcpu.ts';
import { readImage } from '../host/images.ts';
import { Output } from '../host/output.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import { backtrace, frameText } from '../../replay/backtrace.ts';
import { livingEnd } from '../../replay/ends.ts';
import { guestSymbols } from '../../replay/guest-symbols.ts';
import { registersText } from '../../replay/inspect.ts';
import { parseMark } from '../../replay/mark.ts';
import { withVcpu } from '../inspect/places.ts';
import type { Timeline } from '../../replay/timeline.ts';
import { STATUS, wholeNumber, withRecording } from './common.ts';
import { addTimelineOptions, domainNamed, openTimeline, type TimelineArguments } from './timeline.ts';

interface BacktraceOptions extends TimelineArguments {
  at?: string;
  domain?: string;
  vcpu?: number;
  symbols?: string;
  depth: number;
  json?: boolean;
}

const MAX_DEPTH = 1000;

export function describeBacktrace(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .description(
      'Says how the vcpus of a domain came to where they are. Linux needs no symbol file: its own tables serve.',
    )
    .option('--at <mark>', 'where: a tick, 1.5s, #EVENT, console:"TEXT", end-1000; default the end')
    .option('--domain <name>', 'which domain, by name or number; default the first')
    .option('--vcpu <n>', 'only this vcpu', wholeNumber)
    .option('--symbols <elf>', 'an ELF image with the symbols of the guest')
    .option('--depth <n>', 'at most so many frames', depthNumber, 32)
    .option('--json', 'one JSON object a vcpu')
    .addHelpText(
      'after',
      `
Frames are exact where the kernel's unwind tables or frame pointers lead to them; with a ? they were found on the stack
behind a call instruction, and may be left over from an earlier call.

Example:
  rexen backtrace crash.rxn --at end-10`,
    )
    .action(async (file: string, options: BacktraceOptions) => {
      process.exitCode = await withRecording(file, (recording) => run(recording, file, options));
    });
}

function depthNumber(text: string): number {
  const depth = wholeNumber(text);
  if (depth < 1 || depth > MAX_DEPTH) throw new InvalidArgumentError(`It must be from 1 to ${MAX_DEPTH}.`);
  return depth;
}

async function run(recording: Recording, file: string, options: BacktraceOptions): Promise<number> {
  const end = livingEnd(recording, options.domain);
  const at = options.at === undefined ? end : Math.min(end, parseMark(options.at, recording).tick);
  const given = options.symbols === undefined ? undefined : readImage(options.symbols, 'symbols');
  const timeline = openTimeline(recording, file, options);
  timeline.seek(at);
  const { session } = timeline;
  const domain = session.xen.find(domainNamed(session, options.domain))!;
  const symbols = guestSymbols(session, domain, given);
  if (given && symbols.size === 0) throw new Error(`${options.symbols} has no symbols`);
  const vcpus = domain.vcpus.filter(({ id }) => options.vcpu === undefined || id === options.vcpu);
  if (vcpus.length === 0) throw new Error(`${domain.name} has no vcpu ${options.vcpu}`);
  const out = new Output();
  for (const vcpu of vcpus) {
    const frames = backtrace(session, vcpu, symbols, options.depth);
    if (options.json) out.line(JSON.stringify(asJson(timeline, vcpu, symbols, frames)));
    else for (const line of asText(timeline, vcpu, frames)) out.line(line);
  }
  await out.flush();
  return STATUS.OK;
}

function asText(timeline: Timeline, vcpu: Vcpu, frames: readonly Frame[]): string[] {
  const { session } = timeline;
  const down = vcpu.online ? '' : ', down';
  return [
    `${vcpu.domain.name} (d${vcpu.domain.id}) vcpu ${vcpu.id} at tick ${grouped(timeline.tick)}${down}`,
    ...withVcpu(session, vcpu, () => registersText(session.engine)).map((line) => `  ${line}`),
    ...frames.map(frameText),
  ];
}

function asJson(timeline: Timeline, vcpu: Vcpu, symbols: SymbolTable, frames: readonly Frame[]): object {
  const { session } = timeline;
  const hex = (value: bigint) => `0x${value.toString(16)}`;
  const registers = withVcpu(session, vcpu, () => {
    const { state } = session.engine;
    const names = [
      'rax',
      'rcx',
      'rdx',
      'rbx',
      'rsp',
      'rbp',
      'rsi',
      'rdi',
      'r8',
      'r9',
      'r10',
      'r11',
      'r12',
      'r13',
      'r14',
    ];
    return {
      rip: hex(state.rip),
      ...Object.fromEntries([...names, 'r15'].map((name, i) => [name, hex(state.reg(i))])),
      rflags: hex(BigInt(state.eflags)),
      cr3: hex(state.cr3),
      cpl: state.cpl,
    };
  });
  return {
    tick: timeline.tick,
    domain: vcpu.domain.id,
    name: vcpu.domain.name,
    vcpu: vcpu.id,
    online: vcpu.online,
    symbols: symbols.size === 0 ? null : symbols.source,
    registers,
    frames: frames.map(({ address, symbol, by }) => ({ address: hex(address), symbol: symbol ?? null, by })),
  };
}

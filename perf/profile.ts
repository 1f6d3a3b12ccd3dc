/**
 * `npm run profile -- WHAT WORKLOAD [--top N] [--max-ticks N] [--every N] [--save FILE]`:
 * where the time goes.
 *
 *     host       functions of rexen itself (generated ones, too), by their own time on the host; --recorded: recording
 *     guest      functions or pages of the guest, by ticks; the same every time
 *     mix        instructions of the guest, by the handler that executes them
 *     pairs      the same for two instructions that follow each other in a block
 *     counters   how often the machine's inner works were needed
 *     instructions [NAME]   million instructions a second, instruction by instruction, of those whose name or group holds NAME
 *     read FILE  a .cpuprofile that something else wrote (`node --cpu-prof`)
 *
 * Workloads: linux, alu, sort, chase, hypercall; the loops take :N for so many iterations, as in `alu:1000000`.
 */
import '../src/host/v8.ts';
import { readFileSync, writeFileSync } from 'node:fs';
import { Session } from '../src/session.ts';
import { counterTable, startCounting } from './counters.ts';
import { hostFunctions, hostTable } from './cpuprofile.ts';
import { guestTable, SAMPLE_TICKS, sampleGuest } from './guest-profile.ts';
import { profiled } from './host-profile.ts';
import { InstructionMix, mixTable } from './instruction-mix.ts';
import { sequences, speedOf, speedTable } from './instruction-speed.ts';
import { SilentLog } from './workloads/silent-log.ts';
import { workloadByName } from './workloads/index.ts';
import { runOnce } from './workloads/run.ts';
import type { Workload } from './workloads/workload.ts';
import { scriptArguments } from '../src/host/script-arguments.ts';

const USAGE =
  'usage: npm run profile -- host|guest|mix|pairs|counters WORKLOAD [--top N] [--max-ticks N] [--every N] [--save FILE]\n' +
  '       npm run profile -- instructions [NAME]';
/** Processor time for each instruction, after as much to warm up. */
const INSTRUCTION_SECONDS = 0.1;

function sessionOf(workload: Workload): Session {
  const { config, images } = workload;
  return new Session({ config, images, createLog: (now) => new SilentLog(now) });
}

async function main(): Promise<void> {
  const { values, positionals } = scriptArguments(USAGE, {
    allowPositionals: true,
    options: {
      top: { type: 'string', default: '25' },
      'max-ticks': { type: 'string', default: '100000000000' },
      every: { type: 'string', default: String(SAMPLE_TICKS) },
      save: { type: 'string' },
      recorded: { type: 'boolean', default: false },
    },
  });
  const [what, name] = positionals;
  if (what === 'instructions') {
    const wanted = sequences().filter((q) => name === undefined || q.group === name || q.name.includes(name));
    if (wanted.length === 0) throw new Error(`no measured instruction is called ${name}\n${USAGE}`);
    for (const line of speedTable(wanted.map((q) => speedOf(q, INSTRUCTION_SECONDS)))) console.log(line);
    return;
  }
  const [top, maxTicks, every] = [Number(values.top), Number(values['max-ticks']), Number(values.every)];
  if (name === undefined || ![top, maxTicks, every].every((n) => Number.isSafeInteger(n) && n > 0))
    throw new Error(USAGE);
  const print = (lines: readonly string[]) => console.log(lines.join('\n'));
  if (what === 'read') {
    print(hostTable(hostFunctions(JSON.parse(readFileSync(name, 'utf8'))), top));
  } else if (what === 'host') {
    const workload = workloadByName(name);
    const profile = await profiled(() => runOnce(workload, values.recorded ? 'recorded' : 'off', maxTicks));
    if (values.save !== undefined) writeFileSync(values.save, JSON.stringify(profile));
    print(hostTable(hostFunctions(profile), top));
  } else if (what === 'guest') {
    print(guestTable(sampleGuest(sessionOf(workloadByName(name)), every, maxTicks), top));
  } else if (what === 'mix' || what === 'pairs') {
    const session = sessionOf(workloadByName(name));
    const mix = new InstructionMix(session.engine, what === 'pairs');
    sampleGuest(session, every, maxTicks, () => mix.sample());
    print(mixTable(mix.mix(), top));
  } else if (what === 'counters') {
    const counting = startCounting();
    const { cost } = runOnce(workloadByName(name), 'recorded', maxTicks);
    print([
      `${cost.instructions} instructions in ${cost.ticks} ticks`,
      ...counterTable(counting.stop(), cost.instructions),
    ]);
  } else {
    throw new Error(USAGE);
  }
}

try {
  await main();
} catch (error) {
  console.error(`profile: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

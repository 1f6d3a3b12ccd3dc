/** Debian's kernel from its first instruction to power-off; the same work that the peers were measured with. */
import { linux as linuxWorkload } from '../../workloads/linux.ts';
import { replayOnce, type RunCost, runOnce } from '../../workloads/run.ts';
import { Unavailable, type Workload } from '../../workloads/workload.ts';
import { exactFigure, type Figure, figure, ratios } from '../figures.ts';
import { runQemu } from '../qemu.ts';
import { interleaved, scaled, type Suite, type SuiteOptions } from '../suite.ts';

const BOOT_RATE_GOAL = 120;
const RECORDING_GOAL = 1.05;
const REPLAY_GOAL = 1;
const INPUT_BYTES_GOAL = 0.5;
/** A whole boot takes a quarter of a minute: it is measured less often than the rest. */
const SHARE_OF_REPEATS = 0.6;

/** What does the same work. */
const BESIDE_QEMU = [
  ['linux.shell', 'shell', 'plain'],
  ['linux.shell', 'shell', 'record'],
  ['linux.power-off', 'off', 'plain'],
  ['linux.power-off', 'off', 'record'],
  ['linux.replay', 'off', 'replay'],
] as const;

export const linux: Suite = {
  name: 'linux',
  about: 'Linux boot, 256 MiB, one vcpu: unrecorded, recorded, replayed with every check',
  async run(options) {
    let workload: Workload;
    try {
      workload = linuxWorkload();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      return { figures: {}, skipped: { linux: error.message } };
    }
    const figures = bootFigures(workload, options);
    const { seconds, shell, skipped } = await runQemu(options);
    for (const [mode, cpu] of Object.entries(seconds)) {
      figures[`qemu.${mode}`] = figure([cpu], 's to power-off', 'lower');
    }
    for (const [mode, cpu] of Object.entries(shell)) {
      figures[`qemu.${mode}.shell`] = figure([cpu], 's to the shell', 'lower');
    }
    for (const [ours, times, mode] of BESIDE_QEMU) {
      const [above, below] = [figures[ours], (times === 'shell' ? shell : seconds)[mode]];
      const name = `${ours}/qemu.${mode}`;
      if (above && below) figures[name] = figure([above.value / below], 'times as long', 'lower');
    }
    return { figures, skipped };
  },
};

function bootFigures(workload: Workload, options: SuiteOptions): Record<string, Figure> {
  const repeat = Math.max(1, Math.round(options.repeat * SHARE_OF_REPEATS));
  const maxTicks = options.scale < 1 ? scaled(2e9, options) : undefined;
  let file = runOnce(workload, 'recorded', maxTicks).file;
  const [off, recorded, replayed] = interleaved<RunCost>(repeat, [
    () => runOnce(workload, 'off', maxTicks).cost,
    () => {
      const run = runOnce(workload, 'recorded', maxTicks);
      file = run.file;
      return run.cost;
    },
    () => replayOnce(workload, file),
  ]);
  const cpu = (costs: readonly RunCost[]) => costs.map(({ host }) => host.cpuSeconds);
  const rate = (costs: readonly RunCost[]) =>
    costs.map(({ instructions, host }) => instructions / host.cpuSeconds / 1e6);
  const mark = (costs: readonly RunCost[], name: string) =>
    costs.flatMap(({ marks }) => marks[name]?.host.cpuSeconds ?? []);
  const { instructions, bytes, inputBytes, events } = recorded[0];
  const kilo = instructions / 1000;
  const figures: Record<string, Figure> = {
    'linux.off': figure(rate(off), 'million instructions/s', 'higher', BOOT_RATE_GOAL),
    'linux.recorded': figure(rate(recorded), 'million instructions/s', 'higher', BOOT_RATE_GOAL),
    'linux.replayed': figure(rate(replayed), 'million instructions/s', 'higher', BOOT_RATE_GOAL),
    'linux.record/off': figure(ratios(cpu(recorded), cpu(off)), 'times as long', 'lower', RECORDING_GOAL),
    'linux.replay/record': figure(ratios(cpu(replayed), cpu(recorded)), 'times as long', 'lower', REPLAY_GOAL),
    'linux.shell': figure(mark(recorded, 'shell'), 's to the shell, recorded', 'lower'),
    'linux.power-off': figure(cpu(recorded), 's to the end, recorded', 'lower'),
    'linux.replay': figure(cpu(replayed), 's to the end, replayed', 'lower'),
    'linux.instructions': exactFigure(instructions / 1e6, 'million', 'lower'),
    'linux.events': exactFigure(events / (instructions / 1e6), 'per million instructions', 'lower'),
    'linux.log': exactFigure(bytes / kilo, 'bytes per 1,000 instr.', 'lower'),
    'linux.log.inputs': exactFigure(inputBytes / kilo, 'bytes per 1,000 instr.', 'lower', INPUT_BYTES_GOAL),
  };
  return Object.fromEntries(Object.entries(figures).filter(([, { samples }]) => samples.length > 0));
}

/** What recording costs, what replaying costs, and how large the log becomes: on a loop that computes, and on the worst case. */
import { benchGuest } from '../../workloads/bench-guest.ts';
import { replayOnce, type RunCost, runOnce } from '../../workloads/run.ts';
import type { Workload } from '../../workloads/workload.ts';
import { exactFigure, type Figure, figure, ratios } from '../figures.ts';
import { interleaved, scaled, type Suite } from '../suite.ts';

const RECORDING_GOAL = 1.05;
const REPLAY_GOAL = 1;
const INPUT_BYTES_GOAL = 0.5;

const cpu = (costs: readonly RunCost[]): number[] => costs.map(({ host }) => host.cpuSeconds);

/** Runs of a workload in turns: alone, recorded, replayed. Figures are named `PREFIX.…`; `worst` ones have no goals. */
function recordingFigures(workload: Workload, prefix: string, repeat: number, worst = false): Record<string, Figure> {
  const goal = (value: number) => (worst ? undefined : value);
  const { file } = runOnce(workload, 'recorded');
  const [off, recorded, replayed] = interleaved<RunCost>(repeat, [
    () => runOnce(workload, 'off').cost,
    () => runOnce(workload, 'recorded').cost,
    () => replayOnce(workload, file),
  ]);
  const { instructions, events, bytes, inputBytes } = recorded[0];
  const kilo = instructions / 1000;
  return {
    [`${prefix}.record/off`]: figure(ratios(cpu(recorded), cpu(off)), 'times as long', 'lower', goal(RECORDING_GOAL)),
    [`${prefix}.replay/record`]: figure(
      ratios(cpu(replayed), cpu(recorded)),
      'times as long',
      'lower',
      goal(REPLAY_GOAL),
    ),
    [`${prefix}.log`]: exactFigure(bytes / kilo, 'bytes per 1,000 instr.', 'lower'),
    [`${prefix}.log.inputs`]: exactFigure(inputBytes / kilo, 'bytes per 1,000 instr.', 'lower', goal(INPUT_BYTES_GOAL)),
    [`${prefix}.events`]: exactFigure((1000 * events) / kilo, 'per million instructions', 'lower'),
  };
}

export const recording: Suite = {
  name: 'recording',
  about: 'recorded against unrecorded, replayed against recorded: a compute loop, and nothing but hypercalls',
  run(options) {
    const alu = benchGuest('alu', scaled(10_000_000, options));
    const calls = benchGuest('hypercall', scaled(200_000, options));
    runOnce(alu, 'off');
    return {
      figures: {
        ...recordingFigures(alu, 'alu', options.repeat),
        ...recordingFigures(calls, 'hypercalls', options.repeat, true),
      },
      skipped: {},
    };
  },
};

/** Going back in a whole Linux boot: one instruction back anywhere, and anywhere at all; each place checked. */
import { openRecording } from '../../../src/log/recording.ts';
import { checkSessionConfig, Session } from '../../../src/session.ts';
import type { BuildMachine } from '../../../replay/session.ts';
import type { HostTime } from '../../timer.ts';
import { linux } from '../../workloads/linux.ts';
import { replayOnce, runOnce } from '../../workloads/run.ts';
import { Unavailable, type Workload } from '../../workloads/workload.ts';
import { exactFigure, type Figure, figure, type SuiteResult } from '../figures.ts';
import { scaled, type Suite, type SuiteOptions } from '../suite.ts';
import { walk } from '../travel-walk.ts';

const STEPS = 200;
const SEEKS = 50;
const MEDIAN_GOAL_MS = 50;
const WORST_GOAL_MS = 250;
/** The same work in QEMU 7.2, recorded and replayed with `shift=7`: a reverse-stepi of stock gdb, and a reverse-continue. */
const QEMU_STEP_SECONDS = 7.4;
const QEMU_BREAKPOINT_SECONDS = 15.6;

export const travel: Suite = {
  name: 'travel',
  about:
    'random steps back and seeks in a Linux boot of 2 billion instructions, each place checked by a straight replay',
  run(options: SuiteOptions): SuiteResult {
    let workload: Workload;
    try {
      workload = linux();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      return { figures: {}, skipped: { travel: error.message } };
    }
    const { file } = runOnce(workload, 'recorded', options.scale < 1 ? scaled(2e9, options) : undefined);
    const recording = openRecording(file);
    const build: BuildMachine<Session> = ({ header, createLog, inputs }) =>
      new Session({ config: checkSessionConfig(header.config), images: workload.images, createLog, inputs });
    const straight = replayOnce(workload, file).host;
    const result = walk(recording, build, { seeks: scaled(SEEKS, options), steps: scaled(STEPS, options) });
    if (result.wrong.length > 0) {
      throw new Error(`of ${result.checked} places ${result.wrong.length} were wrong, such as tick ${result.wrong[0]}`);
    }
    const { opening, seeks, steps } = result;
    const figures: Record<string, Figure> = {
      ...latencies('travel.step', steps),
      ...latencies('travel.seek', seeks),
      'travel.opening': figure([opening.cpuSeconds], 's to the end, with snapshots', 'lower'),
      'travel.opening/replay': figure([opening.cpuSeconds / straight.cpuSeconds], 'times as long', 'lower'),
      'travel.checked': exactFigure(result.checked, 'places, all right', 'higher'),
      'travel.snapshots': exactFigure(result.snapshots, 'snapshots in the end', 'higher'),
      'travel.snapshots.memory': exactFigure(result.snapshotBytes / 2 ** 20, 'MiB', 'lower'),
    };
    const ratio = (seconds: number, ms: Figure | undefined) =>
      figure([(1000 * seconds) / ms!.value], 'times as quick', 'higher');
    figures['qemu.step/travel.step'] = ratio(QEMU_STEP_SECONDS, figures['travel.step']);
    figures['qemu.breakpoint/travel.seek'] = ratio(QEMU_BREAKPOINT_SECONDS, figures['travel.seek']);
    return { figures, skipped: {} };
  },
};

/** What somebody waits, and the most processor time of it, which other processes do not lengthen; it counts in milliseconds. */
function latencies(name: string, times: readonly HostTime[]): Record<string, Figure> {
  const wall = times.map(({ wallSeconds }) => 1000 * wallSeconds);
  const cpu = times.map(({ cpuSeconds }) => 1000 * cpuSeconds);
  return {
    [name]: figure(wall, `ms, median of ${times.length}`, 'lower', MEDIAN_GOAL_MS),
    [`${name}.worst`]: figure([Math.max(...wall)], 'ms', 'lower', WORST_GOAL_MS),
    [`${name}.cpu.worst`]: figure([Math.max(...cpu)], 'ms of processor time', 'lower', WORST_GOAL_MS),
  };
}

/** What rexen takes beside the guest's memory: the most it ever had, in a process that did nothing else. */
import { benchGuest } from '../../workloads/bench-guest.ts';
import { linux } from '../../workloads/linux.ts';
import { replayOnce, runOnce } from '../../workloads/run.ts';
import { Unavailable, type Workload } from '../../workloads/workload.ts';
import { type Figure, figure } from '../figures.ts';
import { scaled, type Suite } from '../suite.ts';

const OVERHEAD_GOAL_MIB = 300;
/** Linux has used all it will by then. */
const LINUX_TICKS = 1_500_000_000;

/** Peak resident memory so far minus the guest's, MiB. The recording, which is kept in memory here, is taken off too. */
function overheadMiB(workload: Workload, recordingBytes: number): number {
  return process.resourceUsage().maxRSS / 1024 - workload.memoryMiB - recordingBytes / 2 ** 20;
}

export const memory: Suite = {
  name: 'memory',
  about: 'resident memory beyond the guests, at its peak',
  run(options) {
    const figures: Record<string, Figure> = {};
    const skipped: Record<string, string> = {};
    const small = benchGuest('alu', scaled(2_000_000, options));
    const { file } = runOnce(small, 'recorded');
    const mib = (value: number) => figure([value], 'MiB beyond the guest', 'lower', OVERHEAD_GOAL_MIB);
    figures['memory.record.small'] = mib(overheadMiB(small, file.size));
    replayOnce(small, file);
    figures['memory.replay.small'] = mib(overheadMiB(small, file.size));
    try {
      const large = linux();
      const boot = runOnce(large, 'recorded', scaled(LINUX_TICKS, options));
      figures['memory.record.linux'] = mib(overheadMiB(large, boot.file.size));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      skipped['memory.record.linux'] = error.message;
    }
    return { figures, skipped };
  },
};

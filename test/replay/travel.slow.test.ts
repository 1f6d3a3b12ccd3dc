/** Linux, back and forth: every place is the one that a straight replay has. `npm run bench -- travel` does it with a whole boot. */
import { expect } from 'vitest';
import type { Ticks } from '../../src/base/ticks.ts';
import { sha256 } from '../../src/host/files.ts';
import { openRecording } from '../../src/log/recording.ts';
import { checkSessionConfig, Session } from '../../src/session.ts';
import type { BuildMachine } from '../../replay/session.ts';
import { Timeline } from '../../replay/timeline.ts';
import { walk } from '../../perf/bench/travel-walk.ts';
import { linux } from '../../perf/workloads/linux.ts';
import { runOnce } from '../../perf/workloads/run.ts';
import { Unavailable, type Workload } from '../../perf/workloads/workload.ts';
import { testIf } from '../support/images.ts';

const TICKS = 100_000_000;

let workload: Workload | undefined;
let missing = '';
try {
  workload = linux(2);
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  missing = error.message;
}

testIf(
  workload !== undefined,
  missing,
  'random seeks and steps back in a Linux boot with two vcpus lead to the right places',
  () => {
    const { images } = workload!;
    const recording = openRecording(runOnce(workload!, 'recorded', TICKS).file);
    const build: BuildMachine<Session> = ({ header, createLog, inputs }) =>
      new Session({ config: checkSessionConfig(header.config), images, createLog, inputs });
    const result = walk(
      recording,
      build,
      // A snapshot every million ticks, and so little memory that most of them go again.
      { seeks: 10, steps: 20, spacing: 1_000_000, memoryLimit: 24 << 20 },
    );
    expect(result).toMatchObject({ wrong: [], checked: 30 });
    // A snapshot every million ticks does not show: every event and the digest of all are those of the recording.
    const timeline = new Timeline(recording, build, { spacing: 1_000_000, createHash: sha256 });
    timeline.seek(recording.lastTick);
    timeline.session.run(TICKS as Ticks); // to the tick at which it was ended
    expect(timeline.snapshots.list.length).toBeGreaterThan(90);
    expect(timeline.session.log.seq).toBe(recording.events);
    expect(recording.ending).toMatchObject({ kind: 'clean', totals: { digest: timeline.session.log.digest() } });
  },
  300_000,
);

/** Linux, back and forth: every place is the one that a straight replay has. `npm run bench -- travel` does it with a whole boot. */
import { expect } from 'vitest';
import type { Ticks } from '../../src/base/ticks.ts';
import { sha256 } from '../../src/host/files.ts';
import { openRecording } from '../../src/log/recording.ts';
import { checkSessionConfig, Session } from '../../src/session.ts';
import type { BuildMachine } from '../../replay/session.ts';
import { Timeline } from '../../replay/timeline.ts';
import { whoWrote, type Write } from '../../replay/queries.ts';
import { PAGE_SIZE } from '../../src/memory/frames.ts';
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
    const writes = lastWrites(new Timeline(recording, build), 70_000_000, 99_000_000, 10);
    expect(writes.length).toBe(10);
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

/**
 * Asks who wrote some of the words that changed between two ticks, whoever it was: processors by any instruction, page
 * walks, the hypervisor, back ends. Their last writes must be the ones that left what is there at the end.
 */
function lastWrites(timeline: Timeline, from: number, to: number, count: number): Write[] {
  timeline.seek(from);
  const before = timeline.session.engine.frames.bytes.slice();
  timeline.seek(to);
  const { session } = timeline;
  const after = session.engine.frames.bytes;
  const words: { gpa: number; value: Uint8Array }[] = [];
  for (const [gfn, mfn] of session.xen.find(1)!.p2m.entries()) {
    const at = mfn * PAGE_SIZE;
    if (Buffer.compare(before.subarray(at, at + PAGE_SIZE), after.subarray(at, at + PAGE_SIZE)) === 0) continue;
    for (let i = 0; i < PAGE_SIZE; i += 8) {
      const value = after.slice(at + i, at + i + 8);
      if (Buffer.compare(before.subarray(at + i, at + i + 8), value) !== 0)
        words.push({ gpa: gfn * PAGE_SIZE + i, value });
    }
  }
  return Array.from({ length: count }, (_, n) => {
    const { gpa, value } = words[Math.floor(((n + 0.5) * words.length) / count)]!;
    const watched = { domain: 1, vcpu: 0, address: BigInt(gpa), length: 8, physical: true };
    const write = whoWrote(timeline, watched, to);
    expect(write, `0x${gpa.toString(16)}`).toBeDefined();
    expect(write!.tick).toBeGreaterThanOrEqual(from);
    // Several stores may follow each other within one word; the last one left it as it is.
    expect(write!.after).toEqual(value);
    return write!;
  });
}

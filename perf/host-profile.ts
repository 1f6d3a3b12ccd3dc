/** V8's sampling profiler around a piece of this process's work, so that loading and compiling rexen is not in it. */
import { Session as Inspector } from 'node:inspector/promises';
import type { CpuProfile } from './cpuprofile.ts';

/** @param intervalUs between samples */
export async function profiled(work: () => void, intervalUs = 500): Promise<CpuProfile> {
  const inspector = new Inspector();
  inspector.connect();
  try {
    await inspector.post('Profiler.enable');
    await inspector.post('Profiler.setSamplingInterval', { interval: intervalUs });
    await inspector.post('Profiler.start');
    work();
    const { profile } = await inspector.post('Profiler.stop');
    return profile as unknown as CpuProfile;
  } finally {
    inspector.disconnect();
  }
}

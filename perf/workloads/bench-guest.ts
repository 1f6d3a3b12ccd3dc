/** The loops of the project's own guest test/guests/bench.c. */
import { fileURLToPath } from 'node:url';
import { makeWorkload, type Workload } from './workload.ts';

export const LOOPS = ['alu', 'sort', 'chase', 'hypercall'] as const;
export type Loop = (typeof LOOPS)[number];

/** One loop, so many times round. Its phases: `start` to `done`, which the guest prints. */
export function benchGuest(loop: Loop, iterations: number): Workload {
  return makeWorkload({
    name: `bench-${loop}`,
    kernel: fileURLToPath(new URL('../../test/guests/bench.elf', import.meta.url)),
    cmdline: `loop=${loop} iterations=${iterations}`,
    memoryMiB: 16,
    marks: { start: ' start ', done: ' done ' },
  });
}

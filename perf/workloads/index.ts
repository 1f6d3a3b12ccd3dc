/** Workloads by name. */
import { benchGuest, type Loop, LOOPS } from './bench-guest.ts';
import { linux } from './linux.ts';
import { Unavailable, type Workload } from './workload.ts';

/** Half a second each, or so. */
export const ITERATIONS: Readonly<Record<Loop, number>> = {
  alu: 10_000_000,
  sort: 60,
  chase: 5_000_000,
  hypercall: 200_000,
};

/** `linux`, or a loop of the bench guest with `:N` iterations if wanted. @throws Error for an unknown name */
export function workloadByName(text: string): Workload {
  const [name, iterations] = text.split(':');
  if (name === 'linux') return linux();
  const loop = LOOPS.find((known) => known === name);
  if (!loop) throw new Unavailable(`there is no workload "${name}"; there are: linux, ${LOOPS.join(', ')}`);
  return benchGuest(loop, iterations === undefined ? ITERATIONS[loop] : Number(iterations));
}

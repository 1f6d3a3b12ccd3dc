import { RoundRobin } from './round-robin.ts';
import type { Schedulable, Scheduler } from './scheduler.ts';

/** Makes the scheduler that a machine's configuration names. @throws RangeError naming those there are */
export function makeScheduler<V extends Schedulable>(name: string, pcpus: number, timeslice: number): Scheduler<V> {
  if (name === 'round-robin') return new RoundRobin<V>(pcpus, timeslice);
  throw new RangeError(`no scheduler is called '${name}'; there is: round-robin`);
}

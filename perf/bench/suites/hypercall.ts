/** The round trip of a hypercall that does nothing (xen_version): trap, dispatch, return, on the log and off it. */
import { benchGuest } from '../../workloads/bench-guest.ts';
import { type RunMode, runOnce } from '../../workloads/run.ts';
import { figure } from '../figures.ts';
import { interleaved, scaled, type Suite } from '../suite.ts';
import { loopRate } from './interpreter.ts';

const ROUND_TRIP_GOAL_NS = 300;
const ITERATIONS = 300_000;

/** Nanoseconds of processor time for one turn of the loop: the hypercall and some instructions around it. */
function turnNs(iterations: number, mode: RunMode): { ns: number; instructions: number } {
  const { start, done } = runOnce(benchGuest('hypercall', iterations), mode).cost.marks;
  if (!start || !done) throw new Error('the bench guest did not print its lines for hypercall');
  return {
    ns: ((done.host.cpuSeconds - start.host.cpuSeconds) / iterations) * 1e9,
    instructions: (done.ticks - start.ticks) / iterations,
  };
}

export const hypercall: Suite = {
  name: 'hypercall',
  about: 'nanoseconds for the round trip of a hypercall that does nothing',
  run(options) {
    const iterations = scaled(ITERATIONS, options);
    const works = [
      () => turnNs(iterations, 'off'),
      () => turnNs(iterations, 'recorded'),
      () => ({ ns: 1000 / loopRate('alu', scaled(5_000_000, options)), instructions: 1 }),
    ];
    for (const work of works) work();
    const [off, recorded, plain] = interleaved(options.repeat, works);
    // What the instructions of the loop would take if none of them trapped.
    const net = (turns: typeof off) => turns.map(({ ns, instructions }, i) => ns - instructions * plain[i].ns);
    return {
      figures: {
        'hypercall.off': figure(net(off), 'ns', 'lower', ROUND_TRIP_GOAL_NS),
        'hypercall.recorded': figure(net(recorded), 'ns', 'lower', ROUND_TRIP_GOAL_NS),
      },
      skipped: {},
    };
  },
};

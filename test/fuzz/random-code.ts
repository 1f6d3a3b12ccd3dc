/**
 * `npm run fuzz -- [--seeds N] [--first N] [--ticks N] [--mode real|flat32|paged32|long64]`: random bytes as code.
 *
 * Each seed runs on two machines that are used again and again: one with whole blocks, one that is cut into pieces of
 * random length (every fourth seed: one instruction a block). Both must survive and end in the same state. A worker
 * does the work, so that a seed that hangs is named and ends the run.
 */
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { MODES, type Mode, random } from '../cpu/engine/random-code.ts';
import { fuzz, fuzzMachine } from './random-machine.ts';
import { scriptArguments } from '../../src/host/script-arguments.ts';

const USAGE = `usage: npm run fuzz -- [--seeds N] [--first N] [--ticks N] [--mode real|flat32|paged32|long64]...
Random bytes as code, on machines with whole blocks and cut ones: no exception of the host, no hang, one digest.
example: npm run fuzz -- --seeds 1000 --mode long64`;

/** A seed takes milliseconds; this much means that it hangs. */
const HANG_MS = 120_000;
/** Different lengths of pieces meet different memory: machines are replaced now and then. */
const SEEDS_A_MACHINE = 1000;

interface Job {
  readonly mode: Mode;
  readonly first: number;
  readonly seeds: number;
  readonly ticks: number;
}

export interface FuzzSummary {
  seeds: number;
  ticks: number;
  exceptions: number;
  restarts: number;
  /** What went wrong, one line a seed. */
  readonly failures: string[];
}

/** Runs the seeds of `job`. @param starting called before each seed */
export function fuzzSeeds(job: Job, starting: (seed: number) => void = () => {}): FuzzSummary {
  const summary: FuzzSummary = { seeds: 0, ticks: 0, exceptions: 0, restarts: 0, failures: [] };
  let machines = { whole: fuzzMachine(64), pieces: fuzzMachine(64), single: fuzzMachine(1) };
  for (let seed = job.first; seed < job.first + job.seeds; seed++) {
    starting(seed);
    if (summary.seeds++ % SEEDS_A_MACHINE === SEEDS_A_MACHINE - 1) {
      machines = { whole: fuzzMachine(64), pieces: fuzzMachine(64), single: fuzzMachine(1) };
    }
    const cut = random(seed + 77);
    try {
      const one = fuzz(machines.whole, seed, job.mode, job.ticks);
      const two =
        seed % 4 === 0
          ? fuzz(machines.single, seed, job.mode, job.ticks)
          : fuzz(machines.pieces, seed, job.mode, job.ticks, () => 1 + (cut() % 40));
      summary.ticks += one.ticks;
      summary.exceptions += one.exceptions;
      summary.restarts += one.restarts;
      if (one.digest !== two.digest) summary.failures.push(`${job.mode} seed ${seed}: ${one.digest} | ${two.digest}`);
    } catch (error) {
      const stack = error instanceof Error ? (error.stack ?? String(error)) : String(error);
      summary.failures.push(`${job.mode} seed ${seed}: ${stack}`);
      machines = { whole: fuzzMachine(64), pieces: fuzzMachine(64), single: fuzzMachine(1) };
    }
  }
  return summary;
}

/** Runs a job in a worker, watched from here. */
function watched(job: Job): Promise<FuzzSummary> {
  const heart = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL(import.meta.url), { workerData: { job, heart } });
  return new Promise((resolve, reject) => {
    let last = -1;
    const watch = setInterval(() => {
      const seed = Atomics.load(heart, 0);
      if (seed === last) {
        reject(new Error(`${job.mode} seed ${seed} hangs`));
        void worker.terminate();
      }
      last = seed;
    }, HANG_MS);
    worker.on('message', resolve);
    worker.on('error', reject);
    worker.on('exit', () => clearInterval(watch));
  });
}

async function main(): Promise<number> {
  const { values } = scriptArguments(USAGE, {
    options: {
      seeds: { type: 'string', default: '100' },
      first: { type: 'string', default: '1' },
      ticks: { type: 'string', default: '5000' },
      mode: { type: 'string', multiple: true },
    },
  });
  const modes = MODES.filter((mode) => values.mode === undefined || values.mode.includes(mode));
  if (modes.length === 0) throw new Error(`--mode is one of ${MODES.join(', ')}`);
  let bad = 0;
  for (const mode of modes) {
    const job: Job = { mode, first: Number(values.first), seeds: Number(values.seeds), ticks: Number(values.ticks) };
    const summary = await watched(job);
    const { seeds, ticks, exceptions, restarts, failures } = summary;
    for (const line of failures) console.log(line);
    console.log(
      `${mode}: ${seeds} seeds, ${ticks} instructions, ${exceptions} exceptions, ${restarts} restarts, ${failures.length} failures`,
    );
    bad += failures.length;
  }
  return bad === 0 ? 0 : 1;
}

if (!isMainThread && workerData?.job !== undefined) {
  const { job, heart } = workerData as { job: Job; heart: Int32Array };
  parentPort!.postMessage(fuzzSeeds(job, (seed) => Atomics.store(heart, 0, seed)));
} else if (import.meta.filename === process.argv[1]) process.exitCode = await main();

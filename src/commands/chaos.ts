/** `rexen chaos`: runs a session many times with irregular turns until a race shows, and shrinks what made it show. */
import type { Command } from 'commander';
import type { ChaosJob, ChaosRun } from '../host/chaos-run.ts';
import { type ChaosSearchText, loadSearch } from '../host/chaos-worker.ts';
import { readText } from '../host/files.ts';
import { hostSeconds, Output, Progress } from '../host/output.ts';
import { processors, WorkerPool } from '../host/worker-pool.ts';
import { grouped } from '../log/print.ts';
import { meanTicksFor, type Perturbation } from '../machine/chaos.ts';
import { shrink, type Shrunk } from '../../replay/chaos-shrink.ts';
import { STATUS, wholeNumber } from './common.ts';
import { CONDITION_HELP } from './when.ts';

interface ChaosOptions {
  script: string;
  runs: number;
  fail?: string;
  domain?: string;
  symbols?: string;
  jobs?: number;
  seed: number;
  out: string;
  maxTicks?: number;
  pcpus?: number;
  first?: boolean;
  shrink: boolean;
  json?: boolean;
}

interface Failing extends ChaosRun {
  readonly seed: number;
  readonly mean_ticks: number;
  readonly file: string;
}

type Pool = WorkerPool<ChaosJob, ChaosRun>;

export function describeChaos(command: Command): void {
  command
    .argument('<config...>', "domains' configurations in xl's syntax, a domain a file")
    .description(
      'Runs the session again and again while processors take turns, are preempted and get their interrupts less regularly than usual, a seed a run. Keeps recordings of runs that fail (a domain crashes, an expect is not met, --fail holds), and shrinks one to the fewest irregularities that still make it fail.',
    )
    .requiredOption('--script <file>', 'drives the consoles, as for record')
    .option('--runs <n>', 'how many runs', wholeNumber, 100)
    .option('--fail <condition>', 'counts as a failure too: any condition of rexen when, looked at while it runs')
    .option('--domain <name>', 'whose registers and memory the condition means; default the first domain')
    .option('--symbols <elf>', "an ELF image with that domain's symbols; default its own, Linux's from its memory")
    .option('--jobs <n>', 'runs at the same time; default one a processor', wholeNumber)
    .option('--seed <n>', 'seed of the first run', wholeNumber, 1)
    .option('--out <dir>', 'where recordings go', 'recordings/chaos')
    .option('--max-ticks <n>', 'end of a run; default 10 times what it takes without chaos', wholeNumber)
    .option('--pcpus <n>', 'processors of the machine; default as many as the largest domain has vcpus', wholeNumber)
    .option('--first', 'stop at the first failure')
    .option('--no-shrink', 'do not look for the fewest irregularities')
    .option('--json', 'the result as one JSON object')
    .addHelpText(
      'after',
      `
Conditions:
${CONDITION_HELP.replace('after every instruction, which takes its time', "whenever a vcpu's run ends: at the end of its turn, at exits and interrupts")}An event stands alone, or beside others with ||.

Ctrl-C ends the search and keeps what was found. Exit status: 0 no run failed, 3 at least one did, 130 interrupted.

Example:
  rexen chaos race.cfg --script race.script --runs 50
  rexen chaos race.cfg --script race.script --fail 'u64(next_ticket) > 320 || rip == sold_twice'`,
    )
    .action(async (paths: string[], options: ChaosOptions) => {
      process.exitCode = await chaos(paths, options);
    });
}

async function chaos(paths: string[], options: ChaosOptions): Promise<number> {
  const text: ChaosSearchText = {
    paths,
    script: { text: readText(options.script, 'script'), file: options.script },
    machine: options.pcpus === undefined ? {} : { pcpus: options.pcpus },
    fail: options.fail,
    domain: options.domain,
    symbols: options.symbols,
    maxTicks: options.maxTicks,
  };
  // What is wrong with the files is said here, once.
  loadSearch(text, (warning) => process.stderr.write(`rexen: ${warning}\n`));
  const jobs = Math.max(1, Math.min(options.jobs ?? processors(), 64));
  const regular = await baseline(text);
  if (regular.missing.length > 0) throw new Error(`the guest has no symbol ${regular.missing[0]}; see --symbols`);
  const maxTicks = options.maxTicks ?? 10 * regular.ticks;
  const pool: Pool = new WorkerPool(new URL('../host/chaos-worker.ts', import.meta.url), { ...text, maxTicks }, jobs);
  try {
    const started = hostSeconds();
    const { failing, finished, interrupted } = await search(pool, regular, options);
    const least = failing.toSorted((a, b) => a.perturbations.length - b.perturbations.length)[0];
    const shrinks = least !== undefined && options.shrink && !interrupted;
    const result = {
      failing,
      finished,
      interrupted,
      regular,
      shrunk: shrinks ? await shrinkRun(pool, least, jobs, options.out) : undefined,
      seconds: hostSeconds() - started,
    };
    const out = new Output();
    if (options.json) out.line(JSON.stringify(resultJson(result, options)));
    else for (const line of resultLines(result, options)) out.line(line);
    await out.flush();
    if (failing.length > 0) return STATUS.CRASHED;
    return interrupted ? STATUS.INTERRUPTED : STATUS.OK;
  } finally {
    await pool.close();
  }
}

/** One run without chaos: how long it takes, and whether it fails all by itself. */
async function baseline(text: ChaosSearchText): Promise<ChaosRun> {
  const pool: Pool = new WorkerPool(new URL('../host/chaos-worker.ts', import.meta.url), text, 1);
  try {
    return await pool.run({});
  } finally {
    await pool.close();
  }
}

interface Searched {
  readonly failing: Failing[];
  /** Runs that came to their end. */
  readonly finished: number;
  readonly interrupted: boolean;
}

async function search(pool: Pool, { ticks }: ChaosRun, options: ChaosOptions): Promise<Searched> {
  const progress = new Progress();
  const failing: Failing[] = [];
  let finished = 0;
  let enough = (): void => {};
  const early = new Promise<void>((done) => {
    enough = done;
  });
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
    enough();
  };
  process.once('SIGINT', interrupt);
  const runs = Array.from({ length: options.runs }, async (_, i) => {
    const seed = (options.seed + i) >>> 0;
    const mean_ticks = meanTicksFor(seed, ticks);
    const file = `${options.out}/seed-${seed}.rxn`;
    const run = await pool.run({ chaos: { seed, mean_ticks }, output: file });
    finished++;
    if (run.failure) failing.push({ ...run, seed, mean_ticks, file });
    progress.update(() => bar(finished, options.runs, `${finished} of ${options.runs} runs, ${failing.length} failed`));
    if (run.failure && options.first) enough();
  });
  try {
    await Promise.race([Promise.all(runs), early]);
  } finally {
    process.removeListener('SIGINT', interrupt);
    pool.drop();
    progress.done();
  }
  return { failing: failing.toSorted((a, b) => a.seed - b.seed), finished, interrupted };
}

function bar(done: number, all: number, text: string): string {
  const width = 24;
  const full = Math.floor((done * width) / Math.max(1, all));
  return `chaos [${'#'.repeat(full)}${'.'.repeat(width - full)}] ${text}`;
}

interface ShrunkRun extends Shrunk<Perturbation> {
  readonly from: Failing;
  readonly run: ChaosRun;
  readonly file: string;
}

async function shrinkRun(pool: Pool, from: Failing, jobs: number, folder: string): Promise<ShrunkRun> {
  const progress = new Progress();
  const { seed, mean_ticks } = from;
  const same = (run: ChaosRun) => run.failure?.why === from.failure!.why;
  const candidate = (list: readonly Perturbation[], output?: string) =>
    pool.run({ chaos: { seed, mean_ticks, perturbations: list }, output });
  let fewest = from.perturbations.length;
  const fails = async (candidates: readonly (readonly Perturbation[])[]): Promise<number> => {
    for (let i = 0; i < candidates.length; i += jobs) {
      const runs = await Promise.all(candidates.slice(i, i + jobs).map((list) => candidate(list)));
      progress.update(() => `shrinking: ${fewest} of ${from.perturbations.length} irregularities left`);
      const found = runs.findIndex(same);
      if (found >= 0) return i + found;
    }
    return -1;
  };
  const onSmaller = (length: number) => {
    fewest = length;
  };
  // Ctrl-C keeps what is the smallest so far.
  let stopped = false;
  let stop = (): void => {};
  const asked = new Promise<number>((done) => {
    stop = () => {
      stopped = true;
      done(-1);
    };
  });
  process.once('SIGINT', stop);
  const shrunk = await shrink(from.perturbations, (candidates) => Promise.race([fails(candidates), asked]), {
    onSmaller,
    isStopped: () => stopped,
  });
  process.removeListener('SIGINT', stop);
  pool.drop();
  progress.done();
  const file = `${folder}/seed-${seed}-shrunk.rxn`;
  return { ...shrunk, from, run: await candidate(shrunk.list, file), file };
}

interface ChaosResult {
  readonly failing: readonly Failing[];
  readonly finished: number;
  readonly interrupted: boolean;
  readonly regular: ChaosRun;
  readonly shrunk: ShrunkRun | undefined;
  readonly seconds: number;
}

/** The commands that go on from here. */
function nextCommands({ failing, shrunk }: ChaosResult): { debug: string; replay: string } | undefined {
  const best = shrunk ? { file: shrunk.file, at: shrunk.run.failure!.at } : undefined;
  const { file, at } = best ?? { file: failing[0]?.file, at: failing[0]?.failure?.at };
  if (file === undefined || at === undefined) return undefined;
  const mark = at.startsWith('#') ? `'${at}'` : at;
  return { debug: `rexen debug ${file} --at ${mark}`, replay: `rexen replay ${file}` };
}

function resultJson(result: ChaosResult, { runs }: ChaosOptions): object {
  const { failing, finished, interrupted, regular, shrunk, seconds } = result;
  return {
    runs: finished,
    asked: runs,
    interrupted,
    failed: failing.length,
    failsWithoutChaos: regular.failure !== undefined,
    ticks: regular.ticks,
    seconds: Number(seconds.toFixed(3)),
    failures: failing.map(({ seed, mean_ticks, file, failure, perturbations, ticks }) => ({
      seed,
      mean_ticks,
      file,
      ...failure!,
      ticks,
      perturbations: perturbations.length,
    })),
    shrunk: shrunk
      ? {
          seed: shrunk.from.seed,
          file: shrunk.file,
          ...shrunk.run.failure!,
          from: shrunk.from.perturbations.length,
          perturbations: shrunk.list,
          tries: shrunk.tries,
          minimal: shrunk.minimal,
        }
      : null,
    commands: nextCommands(result) ?? null,
  };
}

function resultLines(result: ChaosResult, { runs }: ChaosOptions): string[] {
  const { failing, finished, interrupted, regular, shrunk, seconds } = result;
  const lines: string[] = [];
  if (regular.failure) lines.push(`it fails without chaos too: ${regular.failure.message}`);
  if (interrupted) lines.push(`interrupted: ${finished} of ${runs} runs came to their end`);
  lines.push(`${failing.length} of ${finished} runs failed, in ${seconds.toFixed(1)} s`);
  for (const { file, failure, perturbations } of failing) {
    lines.push(`  ${file}  ${failure!.message} (${grouped(perturbations.length)} irregularities)`);
  }
  if (shrunk) {
    const { list, from, tries, minimal } = shrunk;
    const few = minimal ? 'these alone' : 'these';
    lines.push(
      '',
      `shrunk from ${grouped(from.perturbations.length)} to ${list.length} in ${tries} runs; ${few} make it fail:`,
    );
    lines.push(...list.slice(0, 20).map((each) => `  ${perturbationText(each)}`));
    if (list.length > 20) lines.push(`  … and ${list.length - 20} more`);
    lines.push(`kept as ${shrunk.file}`);
  }
  const commands = nextCommands(result);
  if (commands) lines.push('', 'Look at it with:', `  ${commands.replay}`, `  ${commands.debug}`);
  return lines;
}

/** A perturbation in words. */
function perturbationText(each: Perturbation): string {
  const where = `after ${grouped(each.at)} ticks of its own, pcpu ${each.pcpu}`;
  switch (each.do) {
    case 'preempt':
      return `${where} loses its turn`;
    case 'stretch':
      return `${where} keeps its turn for ${grouped(each.ticks)} ticks longer`;
    case 'hold':
      return `${where} gets no interrupts for ${grouped(each.ticks)} ticks`;
    case 'next':
      return `${where} is followed by pcpu ${each.to}`;
  }
}

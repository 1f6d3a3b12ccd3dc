/**
 * `npm run bench:compare -- A B [NAME...] [--rounds N] [--repeat N] [--scale X]`: A against B, figure by figure.
 *
 * A and B are results of `npm run bench -- --json`, or git revisions. Revisions are taken out of the repository into a
 * scratch folder (nothing here is touched), and their benchmarks run in turns: A B B A A B …, so that a busy host slows
 * both. A difference is called one only if it is larger than the noise of both.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Figure, type Figures, figure, noise, short } from './bench/figures.ts';
import type { BenchResult } from './bench/result.ts';
import { scriptArguments } from '../src/host/script-arguments.ts';

const USAGE = `usage: npm run bench:compare -- A B [NAME]... [--rounds N] [--repeat N] [--scale X] [--json]
Two revisions, in turns, or two files of npm run bench -- --json.
example: npm run bench:compare -- HEAD~5 HEAD interpreter`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Not in the repository, and the same for both. */
const SHARED = ['node_modules', 'guests', 'perf/bench/v86/node_modules'];

export interface Difference {
  readonly name: string;
  readonly a: Figure;
  readonly b: Figure;
  /** b over a. */
  readonly ratio: number;
  /** `same`: within the noise of the two. */
  readonly verdict: 'better' | 'worse' | 'same';
}

/** Fewer samples than this tell nothing about noise. */
const LEAST_SAMPLES = 3;

/** Figures that both have. `leastShare`: smaller differences are none, whatever the noise, unless the figure is exact. */
export function differences(a: Figures, b: Figures, leastShare = 0.02): Difference[] {
  return Object.entries(a).flatMap(([name, first]) => {
    const second = b[name];
    if (second === undefined) return [];
    const ratio = second.value / first.value;
    const unknown = first.samples.length < LEAST_SAMPLES || second.samples.length < LEAST_SAMPLES;
    const noisy = unknown ? Number.POSITIVE_INFINITY : noise(first.samples) + noise(second.samples);
    const least = first.exact ? 0 : Math.max(leastShare, noisy);
    const grown = ratio > 1 + least;
    const shrunk = ratio < 1 / (1 + least);
    const improved = first.better === 'higher' ? grown : shrunk;
    const verdict = improved ? 'better' : grown || shrunk ? 'worse' : 'same';
    return [{ name, a: first, b: second, ratio, verdict }];
  });
}

export function differenceLines(all: readonly Difference[]): string[] {
  const width = Math.max(6, ...all.map(({ name }) => name.length));
  const percent = (samples: readonly number[]) => `± ${(100 * noise(samples)).toFixed(0)} %`.padEnd(8);
  const lines = all.map(({ name, a, b, ratio, verdict }) => {
    const values = `${short(a.value).padStart(8)} ${percent(a.samples)} ${short(b.value).padStart(8)} ${percent(b.samples)}`;
    return `${name.padEnd(width)} ${values} ${ratio.toFixed(3).padStart(7)}  ${verdict.padEnd(6)}  ${a.unit}`;
  });
  return [
    `${'figure'.padEnd(width)} ${'A'.padStart(8)} ${''.padEnd(8)} ${'B'.padStart(8)} ${''.padEnd(8)}     B/A  verdict`,
    ...lines,
  ];
}

/** Samples of several runs in one figure each. */
export function merged(results: readonly Figures[]): Figures {
  const all: Record<string, Figure> = {};
  for (const figures of results) {
    for (const [name, one] of Object.entries(figures)) {
      const samples = [...(all[name]?.samples ?? []), ...one.samples];
      all[name] = { ...one, ...figure(samples, one.unit, one.better, one.goal) };
    }
  }
  return all;
}

/** One side: what it is, and how to get its figures once. */
interface Side {
  readonly name: string;
  measure(args: readonly string[]): Figures;
  readonly fixed: boolean;
}

function fromFile(path: string): Side {
  const { figures } = JSON.parse(readFileSync(path, 'utf8')) as BenchResult;
  if (typeof figures !== 'object' || figures === null)
    throw new Error(`${path} is no result of "npm run bench -- --json"`);
  return { name: path, measure: () => figures, fixed: true };
}

function fromRevision(revision: string, scratch: string): Side {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: ROOT, maxBuffer: 1 << 28 });
  const commit = git('rev-parse', '--verify', '--quiet', `${revision}^{commit}`).stdout.toString().trim();
  if (commit === '') throw new Error(`${revision} is neither a file nor a revision`);
  const folder = join(scratch, commit);
  mkdirSync(folder, { recursive: true });
  const tar = spawnSync('tar', ['-x', '-C', folder], { input: git('archive', commit).stdout });
  if (tar.status !== 0) throw new Error(`cannot unpack ${revision}: ${tar.stderr}`);
  if (!existsSync(join(folder, 'perf/bench/main.ts'))) throw new Error(`${revision} has no benchmarks yet`);
  for (const path of SHARED) {
    if (existsSync(join(ROOT, path)) && !existsSync(join(folder, path)))
      symlinkSync(join(ROOT, path), join(folder, path));
  }
  return { name: `${revision} (${commit.slice(0, 12)})`, measure: (args) => benchIn(folder, args), fixed: false };
}

function benchIn(folder: string, args: readonly string[]): Figures {
  const child = spawnSync(process.execPath, ['perf/bench/main.ts', '--json', ...args], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (child.status !== 0) throw new Error(`the benchmarks failed in ${folder}:\n${child.stderr.trim()}`);
  return (JSON.parse(child.stdout.trim().split('\n').at(-1)!) as BenchResult).figures;
}

function main(): void {
  const { values, positionals } = scriptArguments(USAGE, {
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      repeat: { type: 'string', default: '3' },
      scale: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  });
  const [a, b, ...names] = positionals;
  if (a === undefined || b === undefined) throw new Error(USAGE);
  const scratch = mkdtempSync(join(tmpdir(), 'rexen-compare-'));
  try {
    const sides = [a, b].map((side) => (existsSync(side) ? fromFile(side) : fromRevision(side, scratch)));
    const args = [...names, '--repeat', values.repeat, '--scale', values.scale];
    const results: Figures[][] = [[], []];
    const rounds = sides.every((side) => side.fixed) ? 1 : Number(values.rounds);
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
        if (!sides[side].fixed || round === 0) results[side].push(sides[side].measure(args));
      }
    }
    const all = differences(merged(results[0]), merged(results[1]));
    if (values.json) console.log(JSON.stringify(all));
    else console.log([`A: ${sides[0].name}`, `B: ${sides[1].name}`, ...differenceLines(all)].join('\n'));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    console.error(`compare: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}

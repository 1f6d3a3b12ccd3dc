/**
 * `npm run bench [-- NAME... --repeat N --scale X --json --keep]`: rexen's own figures, and ratios to others, taken in
 * one run. Each suite runs in a process of its own; what is compared is measured in turns, and medians are shown.
 *
 *     NAME       interpreter, v86, recording, hypercall, memory, linux, travel; without a name, all
 *     --json     one object: {host, commit, date, figures, skipped}
 *     --keep     appends the result to perf/history.jsonl, which only grows
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Figure, figureLines, type SuiteResult } from './figures.ts';
import { commitOf, describeHost, hostLine } from './host.ts';
import type { Suite, SuiteOptions } from './suite.ts';
import { hypercall } from './suites/hypercall.ts';
import { beside32, interpreter } from './suites/interpreter.ts';
import { linux } from './suites/linux.ts';
import { memory } from './suites/memory.ts';
import { recording } from './suites/recording.ts';
import { travel } from './suites/travel.ts';
import { historyLine } from '../history.ts';
import type { BenchResult } from './result.ts';
import { scriptArguments } from '../../src/host/script-arguments.ts';

const USAGE = `usage: npm run bench -- [NAME]... [--repeat N] [--scale X] [--json] [--keep]
Benchmarks: interpreter, v86, recording, hypercall, memory, linux, travel; without a name, all of them.
--json: one object; --keep: a line for perf/history.jsonl as well.
example: npm run bench -- interpreter linux --repeat 2`;

export const SUITES: readonly Suite[] = [interpreter, beside32, recording, hypercall, memory, linux, travel];

const HISTORY = fileURLToPath(new URL('../history.jsonl', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function suitesNamed(names: readonly string[]): readonly Suite[] {
  for (const name of names) {
    if (!SUITES.some((suite) => suite.name === name)) {
      throw new Error(`there is no benchmark "${name}"; there are: ${SUITES.map((suite) => suite.name).join(', ')}`);
    }
  }
  return names.length === 0 ? SUITES : SUITES.filter((suite) => names.includes(suite.name));
}

/** In a process of its own, so that nothing one suite did to V8 or to memory shows in another. */
function inChild(suite: Suite, { repeat, scale }: SuiteOptions): SuiteResult {
  const args = [
    fileURLToPath(import.meta.url),
    '--child',
    suite.name,
    '--repeat',
    String(repeat),
    '--scale',
    String(scale),
  ];
  const child = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const json = child.stdout.split('\n').find((line) => line.startsWith('{"figures"'));
  if (child.status !== 0 || json === undefined)
    throw new Error(`the benchmark ${suite.name} failed:\n${child.stderr.trim()}`);
  return JSON.parse(json) as SuiteResult;
}

async function main(): Promise<void> {
  const { values, positionals } = scriptArguments(USAGE, {
    allowPositionals: true,
    options: {
      repeat: { type: 'string', default: '5' },
      scale: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      child: { type: 'boolean', default: false },
    },
  });
  const options: SuiteOptions = { repeat: Number(values.repeat), scale: Number(values.scale) };
  if (!(Number.isInteger(options.repeat) && options.repeat > 0 && options.scale > 0 && options.scale <= 1)) {
    throw new Error('--repeat takes a whole number, --scale a number above 0 and up to 1');
  }
  const suites = suitesNamed(positionals);
  if (values.child) {
    console.log(JSON.stringify(await suites[0].run(options)));
    return;
  }
  const host = describeHost();
  const say = (...lines: string[]) => {
    if (!values.json) console.log(lines.join('\n'));
  };
  say(
    hostLine(host),
    `rates and ratios in processor time, medians of ${options.repeat}, ± half the distance of the quartiles`,
  );
  const figures: Record<string, Figure> = {};
  const skipped: Record<string, string> = {};
  for (const suite of suites) {
    say('', `${suite.name}: ${suite.about}`);
    const result = inChild(suite, options);
    Object.assign(figures, result.figures);
    Object.assign(skipped, result.skipped);
    say(...figureLines(result.figures).map((line) => `  ${line}`));
    for (const [what, why] of Object.entries(result.skipped)) say(`  skipped: ${what} (${why})`);
  }
  const result: BenchResult = {
    date: new Date().toISOString(),
    commit: commitOf(ROOT) ?? null,
    host,
    options,
    figures,
    skipped,
  };
  if (values.json) console.log(JSON.stringify(result));
  if (values.keep) appendFileSync(HISTORY, historyLine(result));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await main();
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}

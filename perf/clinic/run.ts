/**
 * `npm run profile:clinic -- [doctor|flame|bubbleprof|heapprofiler] [rexen's arguments]`: profiles rexen itself on its
 * host with Clinic.js, which lives in this folder's own package.json so that a plain install does not fetch it.
 * Default: flame, of `rexen demo`. The report is written below perf/clinic/out.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

const TOOLS = ['doctor', 'flame', 'bubbleprof', 'heapprofiler'];
const here = import.meta.dirname;
const out = join(here, 'out');
const [first, ...rest] = process.argv.slice(2);
const tool = first !== undefined && TOOLS.includes(first) ? first : 'flame';
const args = tool === first ? rest : process.argv.slice(2);
mkdirSync(out, { recursive: true });

const run = spawnSync(
  process.execPath,
  [
    join(here, 'node_modules/clinic/bin.js'),
    tool,
    '--open=false',
    `--dest=${out}`,
    '--',
    process.execPath,
    join(here, '../../src/main.ts'),
    ...(args.length > 0 ? args : ['demo']),
  ],
  { stdio: 'inherit' },
);
process.exitCode = run.status ?? 1;

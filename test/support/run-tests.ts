/**
 * `npm test`: runs vitest (arguments are passed on) and ends with one plain line, `N passed, N failed` and, if there
 * are any, `, N skipped`. A test file that does not load, and an error outside any test, count as failures.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { summarize, type VitestReport } from './summary.ts';

const root = new URL('../..', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'rexen-test-'));
const report = join(folder, 'report.json');
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const run = spawnSync(
  process.execPath,
  [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
);

let results: VitestReport | undefined;
try {
  results = JSON.parse(readFileSync(report, 'utf8'));
} catch (error) {
  console.error(`no test report: ${(error as Error).message}`);
}
rmSync(folder, { recursive: true, force: true });

const { line, failed } = summarize(results, run.status ?? 1);
console.log(line);
process.exitCode = failed > 0 ? 1 : 0;

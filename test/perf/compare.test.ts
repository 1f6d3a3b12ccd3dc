import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { figure, type Figures } from '../../perf/bench/figures.ts';
import type { BenchResult } from '../../perf/bench/result.ts';
import { differences, merged } from '../../perf/compare.ts';
import { historyLine, parseHistory } from '../../perf/history.ts';

const rates = (...samples: number[]): Figures => ({ rate: figure(samples, 'M/s', 'higher') });
const times = (...samples: number[]): Figures => ({ time: figure(samples, 's', 'lower') });
const verdict = (a: Figures, b: Figures) => differences(a, b).map((d) => d.verdict);

test('better and worse follow the direction of the figure', () => {
  expect(verdict(rates(100, 100, 100), rates(120, 120, 120))).toEqual(['better']);
  expect(verdict(rates(100, 100, 100), rates(80, 80, 80))).toEqual(['worse']);
  expect(verdict(times(10, 10, 10), times(8, 8, 8))).toEqual(['better']);
  expect(verdict(times(10, 10, 10), times(12, 12, 12))).toEqual(['worse']);
});

test('what lies within the noise is no difference', () => {
  expect(verdict(rates(80, 100, 120), rates(90, 110, 130))).toEqual(['same']);
  expect(verdict(rates(100, 100, 100), rates(101, 101, 101))).toEqual(['same']);
});

test('a single sample proves nothing, unless it is exact', () => {
  expect(verdict(rates(100), rates(120))).toEqual(['same']);
  const exact = (value: number): Figures => ({ log: { ...figure([value], 'bytes', 'lower'), exact: true } });
  expect(verdict(exact(100), exact(101))).toEqual(['worse']);
  expect(verdict(exact(100), exact(100))).toEqual(['same']);
});

test('only figures that both have are compared; samples of rounds are put together', () => {
  expect(differences(rates(1), times(1))).toEqual([]);
  const { rate } = merged([rates(1, 2), rates(6)]);
  expect(rate).toMatchObject({ value: 2, samples: [1, 2, 6] });
});

const host = { cpu: 'x', cpus: 2, memoryGiB: 8, node: '24', v8: '13', os: 'linux', load: 1 };
const result = (figures: Figures): BenchResult => ({
  date: '2026-01-01T00:00:00.000Z',
  commit: 'abc',
  host,
  options: { repeat: 3, scale: 1 },
  figures,
  skipped: {},
});

test('a line of the history holds date, commit, host and figures', () => {
  const text = historyLine(result(rates(8, 9, 10, 11, 12))) + historyLine(result({}));
  expect(parseHistory(text)).toEqual([
    { date: '2026-01-01T00:00:00.000Z', commit: 'abc', host, repeat: 3, figures: { rate: [10, 0.1] } },
    { date: '2026-01-01T00:00:00.000Z', commit: 'abc', host, repeat: 3, figures: {} },
  ]);
});

test('a damaged history names its line', () => {
  expect(() => parseHistory(`${historyLine(result({}))}{"da`)).toThrow('line 2');
});

test('our own history can be read, is in order, and has only grown since the last commit', () => {
  const path = new URL('../../perf/history.jsonl', import.meta.url).pathname;
  const text = readFileSync(path, 'utf8');
  const dates = parseHistory(text).map(({ date }) => date);
  expect(dates.length).toBeGreaterThan(0);
  expect(dates).toEqual([...dates].sort());
  const committed = spawnSync('git', ['show', 'HEAD:./history.jsonl'], { cwd: join(path, '..'), encoding: 'utf8' });
  if (committed.status === 0) expect(text.startsWith(committed.stdout)).toBe(true);
});

test('the command compares two files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rexen-compare-test-'));
  try {
    const paths = [rates(100, 100, 100), rates(150, 150, 150)].map((figures, i) => {
      const path = join(folder, `${i}.json`);
      writeFileSync(path, JSON.stringify(result(figures)));
      return path;
    });
    const command = new URL('../../perf/compare.ts', import.meta.url).pathname;
    const run = spawnSync(process.execPath, [command, ...paths, '--json'], { encoding: 'utf8' });
    expect(run.stderr).toBe('');
    expect(JSON.parse(run.stdout)).toMatchObject([{ name: 'rate', ratio: 1.5, verdict: 'better' }]);
    const bad = spawnSync(process.execPath, [command, paths[0]!, 'no-such-revision'], { encoding: 'utf8' });
    expect(bad.status).toBe(1);
    expect(bad.stderr).toContain('no-such-revision is neither a file nor a revision');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

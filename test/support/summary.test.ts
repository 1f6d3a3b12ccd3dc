import { expect, test } from 'vitest';
import { summarize } from './summary.ts';

const file = (status: string, ...tests: string[]) => ({
  name: 'x.test.ts',
  status,
  assertionResults: tests.map((s) => ({ status: s, fullName: 'x' })),
});

test('counts passed, failed and skipped tests', () => {
  const report = { testResults: [file('passed', 'passed', 'passed', 'skipped'), file('failed', 'failed', 'passed')] };
  expect(summarize(report, 1)).toEqual({ line: '3 passed, 1 failed, 1 skipped', failed: 1 });
});

test('no skips, no word of them', () => {
  expect(summarize({ testResults: [file('passed', 'passed')] }, 0).line).toBe('1 passed, 0 failed');
});

test('a file that does not load is a failure', () => {
  expect(summarize({ testResults: [file('passed', 'passed'), file('failed')] }, 1).line).toBe('1 passed, 1 failed');
});

test('nothing run, no report, or an unexplained exit code is a failure', () => {
  expect(summarize({ testResults: [] }, 0).failed).toBe(1);
  expect(summarize(undefined, 0).line).toBe('0 passed, 1 failed');
  expect(summarize({ testResults: [file('passed', 'passed')] }, 1).failed).toBe(1);
});

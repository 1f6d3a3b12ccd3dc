/** The parts of vitest's JSON report that the closing line is made of. */
export interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

export interface Summary {
  readonly line: string;
  readonly failed: number;
}

/**
 * Counts tests by outcome. A file that failed without a failed test in it, no report at all, and a failing exit code
 * without any failure count as one failure each, so that the line never claims a success that was none.
 */
export function summarize(report: VitestReport | undefined, exitCode: number): Summary {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const file of report?.testResults ?? []) {
    let failedHere = 0;
    for (const { status } of file.assertionResults) {
      if (status === 'passed') passed++;
      else if (status === 'failed') failedHere++;
      else skipped++;
    }
    failed += file.status === 'failed' ? Math.max(failedHere, 1) : failedHere;
  }
  if (report === undefined || (exitCode !== 0 && failed === 0) || passed + failed === 0) failed++;
  return { line: `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`, failed };
}

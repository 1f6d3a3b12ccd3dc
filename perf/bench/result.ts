import type { Figures } from './figures.ts';
import type { Host } from './host.ts';
import type { SuiteOptions } from './suite.ts';

/** What `npm run bench -- --json` prints. */
export interface BenchResult {
  /** ISO 8601. */
  readonly date: string;
  /** With `+` if the sources differed from it; null outside a checkout. */
  readonly commit: string | null;
  readonly host: Host;
  readonly options: SuiteOptions;
  readonly figures: Figures;
  /** What could not be measured, and why. */
  readonly skipped: Readonly<Record<string, string>>;
}

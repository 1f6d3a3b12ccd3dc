/**
 * perf/history.jsonl: a line for each run that was kept (`npm run bench -- --keep`), oldest first. It only grows: lines
 * are never changed or taken out, so that a figure can be followed back to the commit that made it.
 *
 *     {"date": …, "commit": …, "host": {…}, "repeat": 5, "figures": {"interpreter.alu": [median, noise], …}}
 */
import { noise } from './bench/figures.ts';
import type { BenchResult } from './bench/result.ts';

export interface HistoryEntry {
  readonly date: string;
  readonly commit: string | null;
  readonly host: BenchResult['host'];
  readonly repeat: number;
  /** Median, and noise as a share of it. */
  readonly figures: Readonly<Record<string, readonly [value: number, noise: number]>>;
}

const rounded = (value: number): number => Number(value.toPrecision(4));

export function historyLine({ date, commit, host, options, figures }: BenchResult): string {
  const kept = Object.entries(figures).map(([name, { value, samples }]) => [
    name,
    [rounded(value), rounded(noise(samples))],
  ]);
  const entry: HistoryEntry = { date, commit, host, repeat: options.repeat, figures: Object.fromEntries(kept) };
  return `${JSON.stringify(entry)}\n`;
}

/** @throws Error that names the line that is no entry */
export function parseHistory(text: string): HistoryEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => {
      try {
        const entry = JSON.parse(line) as HistoryEntry;
        if (typeof entry.date === 'string' && typeof entry.figures === 'object' && entry.figures !== null) return entry;
      } catch {}
      throw new Error(`line ${i + 1} of the history is no entry`);
    });
}

import type { SuiteResult } from './figures.ts';

export interface SuiteOptions {
  /** How often each thing is measured. */
  readonly repeat: number;
  /** Of the usual amount of work; tests take a thousandth. */
  readonly scale: number;
}

/** A group of figures that are measured together, in a process of their own, in turns. */
export interface Suite {
  readonly name: string;
  readonly about: string;
  run(options: SuiteOptions): SuiteResult | Promise<SuiteResult>;
}

/** `n` scaled, at least 1. */
export function scaled(n: number, { scale }: SuiteOptions): number {
  return Math.max(1, Math.round(n * scale));
}

/** Runs each of `works` once, `repeat` times over, so that all of them meet the same weather. @returns results by work */
export function interleaved<T>(repeat: number, works: readonly (() => T)[]): T[][] {
  const results: T[][] = works.map(() => []);
  for (let i = 0; i < repeat; i++) {
    // Forth and back: neither is always the first of its pair.
    const order = works.map((_, w) => (i % 2 === 0 ? w : works.length - 1 - w));
    for (const w of order) results[w].push(works[w]());
  }
  return results;
}

/** Figures: what a benchmark measured, and tables of them. */

export interface Figure {
  /** Median of `samples`. */
  readonly value: number;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** One a repetition, in their order. */
  readonly samples: readonly number[];
  /** What DESIGN section 6 asks for. */
  readonly goal?: number;
  /** It depends on no clock and no host: one sample says all. */
  readonly exact?: boolean;
}

export type Figures = Readonly<Record<string, Figure>>;

export interface SuiteResult {
  readonly figures: Figures;
  /** What could not be measured, by name, and why. */
  readonly skipped: Readonly<Record<string, string>>;
}

export function median(samples: readonly number[]): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Half the distance of the quartiles, as a share of the median: how far a figure can be trusted. */
export function noise(samples: readonly number[]): number {
  if (samples.length < 2) return 0;
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  return Math.abs((at(0.75) - at(0.25)) / 2 / (median(samples) || 1));
}

export function figure(samples: readonly number[], unit: string, better: 'higher' | 'lower', goal?: number): Figure {
  return { value: median(samples), unit, better, samples, ...(goal === undefined ? {} : { goal }) };
}

/** A figure that comes out the same every time. */
export function exactFigure(value: number, unit: string, better: 'higher' | 'lower', goal?: number): Figure {
  return { ...figure([value], unit, better, goal), exact: true };
}

/** Ratios pair by pair: what the host did to both runs of a pair falls out. */
export function ratios(above: readonly number[], below: readonly number[]): number[] {
  return above.slice(0, below.length).map((value, i) => value / below[i]);
}

/** 3 significant digits. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const magnitude = Math.abs(value);
  if (magnitude >= 100) return value.toFixed(0);
  if (magnitude >= 10) return value.toFixed(1);
  return magnitude >= 1 || magnitude === 0 ? value.toFixed(2) : value.toPrecision(2);
}

/** One line a figure: name, median, noise, goal and whether it is reached. */
export function figureLines(figures: Figures): string[] {
  const entries = Object.entries(figures);
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries.map(([name, { value, unit, better, samples, goal, exact }]) => {
    const spread = exact ? 'exact' : samples.length > 1 ? `± ${(100 * noise(samples)).toFixed(0)} %` : '';
    const text = `${name.padEnd(width)}  ${short(value).padStart(8)} ${unit.padEnd(26)} ${spread.padEnd(8)}`;
    if (goal === undefined) return text.trimEnd();
    return `${text} goal: at ${better === 'higher' ? 'least' : 'most'} ${short(goal)}, ${goalText(value, goal, better, noise(samples))}`;
  });
}

function goalText(value: number, goal: number, better: 'higher' | 'lower', share: number): string {
  const reached = (by: number) => (better === 'higher' ? value * (1 + by) >= goal : value * (1 - by) <= goal);
  if (reached(0)) return 'reached';
  return reached(share) ? 'reached within the noise' : 'NOT reached';
}

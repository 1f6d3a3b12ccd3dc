/** A place in a configuration file: 1-based line and column (in UTF-16 units). */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A configuration that cannot be used. The message reads `FILE:LINE:COLUMN: what is wrong; what to do`. */
export class ConfigError extends Error {
  readonly file: string;
  readonly place: Place;

  constructor(file: string, place: Place, what: string) {
    super(`${file}:${place.line}:${place.column}: ${what}`);
    this.name = 'ConfigError';
    this.file = file;
    this.place = place;
  }
}

/** A value as it may be shown in a message: short, and without control characters. */
export function shown(text: string): string {
  const short = text.length > 40 ? `${text.slice(0, 40)}...` : text;
  return `"${short.replace(/[^\x20-\x7e]/g, '?')}"`;
}

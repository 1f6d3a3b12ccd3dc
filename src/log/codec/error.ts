/** A recording cannot be used, or only up to a place. The message is for people: what, where, what to do. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
  /** Byte offset in the file of what is wrong, if there is one place. */
  readonly offset: number | undefined;
  /** What the reader can do about it. */
  readonly advice: string;

  constructor(problem: string, offset?: number, advice = '') {
    const where = offset === undefined ? '' : ` at byte ${offset}`;
    super(`${problem}${where}${advice ? `; ${advice}` : ''}`);
    this.offset = offset;
    this.advice = advice;
  }
}

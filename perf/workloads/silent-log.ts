import { EventLog } from '../../src/log/append.ts';

/** A log that keeps nothing: what is left is the price of the machine alone. */
export class SilentLog extends EventLog {
  override append(): void {}
  override appendAt(): void {}
  override appendBytes(): void {}
  override appendBytesAt(): void {}
  override emit(): void {}
  override emitAt(): void {}
}

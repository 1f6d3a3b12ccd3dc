/** Signals from the terminal. */
import { once } from 'node:events';

/** Resolves at the next Ctrl-C. */
export async function interrupted(): Promise<void> {
  await once(process, 'SIGINT');
}

/** What the commands share: exit statuses, options, files. */
import { InvalidArgumentError } from 'commander';
import { FileSource } from '../host/files.ts';
import { openRecording, type Recording } from '../log/recording.ts';
import { E } from '../hypervisor/abi/errno.ts';
import { suboperationName } from '../hypervisor/abi/suboperations.ts';
import { HYPERCALL } from '../hypervisor/abi/xen.ts';
import { endingText } from '../log/info.ts';
import type { PrintNames } from '../log/print.ts';

export { VERSION } from '../base/version.ts';

/** Exit statuses that scripts rely on. */
export const STATUS = {
  OK: 0,
  /** Something about the command, its files or the host: the message says what. */
  ERROR: 1,
  USAGE: 2,
  CRASHED: 3,
  MAX_TICKS: 4,
  EXPECT_NOT_MET: 5,
  DIVERGED: 6,
  /** Ended by a signal, as shells have it. */
  INTERRUPTED: 130,
} as const;

/** Options' numbers: 1000000, 1_000_000, 1e6. */
export function wholeNumber(text: string): number {
  const value = Number(text.replace(/[_,]/g, ''));
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError('It must be a whole number, 0 or more.');
  }
  return value;
}

/** Opens a recording for `use`, and closes it. @throws RecordingError */
export async function withRecording<T>(path: string, use: (recording: Recording) => T | Promise<T>): Promise<T> {
  const source = new FileSource(path);
  try {
    return await use(openRecording(source));
  } finally {
    source.close();
  }
}

/**
 * Says on standard error that a recording was cut or damaged, and how far it goes.
 * @throws Error if nothing was recorded before that
 */
export function warnOfEnding(recording: Recording, file: string): void {
  const { ending, events, firstSeq, lastTick } = recording;
  if (ending.kind === 'clean') return;
  const text = `${file} ${endingText({ ending, events, ticks: lastTick })}`;
  if (!recording.header || events === firstSeq) throw new Error(`${text}: there is nothing in it to go on with`);
  process.stderr.write(`rexen: ${text}\n`);
}

const HYPERCALL_NAMES = new Map<number, string>(Object.entries(HYPERCALL).map(([name, nr]) => [nr, name]));
const ERRNO_NAMES = new Map<number, string>(Object.entries(E).map(([name, nr]) => [nr, `E${name}`]));

/** Xen's names, for printing events. */
export const XEN_NAMES: PrintNames = {
  hypercall: (nr) => HYPERCALL_NAMES.get(nr),
  suboperation: suboperationName,
  errno: (nr) => ERRNO_NAMES.get(nr),
};

/** `12.3 MB`. */
export function bytesText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB'];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000;
  return unit === 0 ? `${bytes} bytes` : `${bytes.toFixed(bytes < 10 ? 2 : 1)} ${units[unit]}`;
}

/** Starting the user's own gdb on a port of ours. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { GDB_SCRIPT } from './gdb-script.ts';

/** @throws Error for people */
export function writeOutput(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    throw new Error(`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export interface GdbOptions {
  /** `target remote …` */
  readonly target: string;
  /** There is more than one process. */
  readonly several: boolean;
  /** A file with symbols. */
  readonly symbols: Uint8Array | undefined;
  /** More arguments of gdb, which come when it is connected. */
  readonly args: readonly string[];
}

/** Runs gdb in this terminal. @returns its exit status, 128 and more for a signal, as shells have it */
export async function runGdb({ target, several, symbols, args }: GdbOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'rexen-'));
  const script = join(folder, 'rexen.py');
  writeFileSync(script, GDB_SCRIPT);
  // In a gdb without Python the commands of the script are missing, and nothing else.
  const all = ['-q', '-iex', 'set pagination off', '-iex', `source ${script}`];
  if (symbols) {
    const path = join(folder, 'kernel.elf');
    writeFileSync(path, symbols);
    all.push(path);
  }
  all.push('-ex', target, ...(several ? ['-ex', 'python rexen_joined()'] : []), ...args);
  const ignore = () => {};
  process.on('SIGINT', ignore); // it is gdb's
  try {
    return await new Promise<number>((resolve, reject) => {
      const child = spawn('gdb', all, { stdio: 'inherit' });
      child.on('error', (error) => reject(new Error(`cannot start gdb (${error.message}); use --gdb HOST:PORT`)));
      child.on('exit', (status, signal) => resolve(status ?? 128 + (signal ? constants.signals[signal] : 0)));
    });
  } finally {
    process.removeListener('SIGINT', ignore);
    rmSync(folder, { recursive: true, force: true });
  }
}

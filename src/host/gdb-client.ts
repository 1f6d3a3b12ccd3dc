/** Starting the user's own gdb on a port of ours. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @throws Error for people */
export function writeOutput(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    throw new Error(`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Runs gdb in this terminal, connected to `address`, with the symbols of `kernel` if that is given. @returns its exit status */
export async function runGdb(address: string, kernel: Uint8Array | undefined): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'rexen-'));
  const args = ['-q', '-ex', 'set pagination off'];
  if (kernel) {
    const path = join(folder, 'kernel.elf');
    writeFileSync(path, kernel);
    args.push(path);
  }
  args.push('-ex', 'set architecture i386:x86-64', '-ex', `target remote ${address}`);
  const ignore = () => {};
  process.on('SIGINT', ignore); // it is gdb's
  try {
    return await new Promise<number>((resolve, reject) => {
      const child = spawn('gdb', args, { stdio: 'inherit' });
      child.on('error', (error) => reject(new Error(`cannot start gdb (${error.message}); use --gdb HOST:PORT`)));
      child.on('exit', (status) => resolve(status ?? 1));
    });
  } finally {
    process.removeListener('SIGINT', ignore);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same Linux on QEMU (TCG), if it is installed: plain, counting instructions, recording, replaying. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxFiles } from '../workloads/linux.ts';
import { median } from './figures.ts';
import type { SuiteOptions } from './suite.ts';

const COMMAND = 'qemu-system-x86_64';
const LIMIT_MS = 600_000;
/** More would keep the others waiting. */
const MAX_REPEAT = 3;
/** Runs the command and says what processor time it took, as POSIX's `times` does: shell, then children. */
const TIMED = '"$@" 2>&1; status=$?; times; exit $status';

export interface QemuRuns {
  /** Processor seconds to the guest's power-off, by mode. */
  readonly seconds: Readonly<Record<string, number>>;
  readonly skipped: Readonly<Record<string, string>>;
}

export function runQemu(options: SuiteOptions): QemuRuns {
  const skip = (why: string): QemuRuns => ({ seconds: {}, skipped: { qemu: why } });
  if (options.scale < 1) return skip('only whole boots are compared');
  if (spawnSync(COMMAND, ['--version']).status !== 0) return skip(`${COMMAND} is not installed`);
  const folder = mkdtempSync(join(tmpdir(), 'rexen-qemu-'));
  try {
    return runModes(folder, Math.min(MAX_REPEAT, options.repeat));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** In turns. A mode that fails is left out, and says why. */
function runModes(folder: string, repeat: number): QemuRuns {
  const boot = bootArguments(folder);
  const log = `rrfile=${join(folder, 'rr')}`;
  const modes: Record<string, readonly string[]> = {
    plain: boot,
    icount: [...boot, '-icount', 'shift=7'],
    record: [...boot, '-icount', `shift=7,rr=record,${log}`],
    replay: [...boot, '-icount', `shift=7,rr=replay,${log}`],
  };
  const samples: Record<string, number[]> = {};
  const skipped: Record<string, string> = {};
  for (let i = 0; i < repeat; i++) {
    for (const [mode, args] of Object.entries(modes)) {
      if (skipped[`qemu.${mode}`] !== undefined) continue;
      const { seconds, problem } = processorSeconds(args, join(folder, 'console'));
      if (problem !== undefined) skipped[`qemu.${mode}`] = problem;
      else (samples[mode] ??= []).push(seconds);
    }
  }
  const seconds = Object.fromEntries(Object.entries(samples).map(([mode, all]) => [mode, median(all)]));
  return { seconds, skipped };
}

function bootArguments(folder: string): string[] {
  const { kernel, ramdisk, memoryMiB } = linuxFiles();
  const initrd = join(folder, 'initrd');
  writeFileSync(initrd, ramdisk);
  const machine = ['-accel', 'tcg,thread=single', '-m', String(memoryMiB), '-no-reboot'];
  const quiet = ['-display', 'none', '-monitor', 'none', '-net', 'none', '-serial', `file:${join(folder, 'console')}`];
  return [...machine, ...quiet, '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1'];
}

function processorSeconds(args: readonly string[], output: string): { seconds: number; problem?: string } {
  rmSync(output, { force: true });
  const run = spawnSync('sh', ['-c', TIMED, 'sh', COMMAND, ...args], { encoding: 'latin1', timeout: LIMIT_MS });
  const lines = run.stdout.trim().split('\n');
  const [user, system] = [...(lines.at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, m, s]) => 60 * Number(m) + Number(s),
  );
  if (run.status !== 0)
    return { seconds: 0, problem: `it failed: ${lines.slice(0, -2).join(' ').slice(-300) || run.signal}` };
  if (!readFileSync(output, 'latin1').includes('WORKED'))
    return { seconds: 0, problem: 'its guest did not do its work' };
  return { seconds: user + system };
}

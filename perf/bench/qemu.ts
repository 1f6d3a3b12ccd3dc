/** The same Linux on QEMU (TCG), if it is installed: plain, counting instructions, recording, replaying. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxFiles } from '../workloads/linux.ts';
import { median } from './figures.ts';
import type { SuiteOptions } from './suite.ts';

const COMMAND = 'qemu-system-x86_64';
const LIMIT_MS = 600_000;
/** QEMU takes wall time of the host into a recorded session; two of its runs are never the same. */
const REPEAT = 3;

export interface QemuRuns {
  /** Wall seconds from QEMU's start to the guest's power-off, by mode. */
  readonly seconds: Readonly<Record<string, number>>;
  readonly skipped: Readonly<Record<string, string>>;
}

export function runQemu(options: SuiteOptions): QemuRuns {
  const skip = (why: string): QemuRuns => ({ seconds: {}, skipped: { qemu: why } });
  if (options.scale < 1) return skip('only whole boots are compared');
  if (spawnSync(COMMAND, ['--version']).status !== 0) return skip(`${COMMAND} is not installed`);
  const folder = mkdtempSync(join(tmpdir(), 'rexen-qemu-'));
  try {
    const { kernel, ramdisk, memoryMiB } = linuxFiles();
    const initrd = join(folder, 'initrd');
    writeFileSync(initrd, ramdisk);
    const base = [
      '-accel',
      'tcg,thread=single',
      '-m',
      String(memoryMiB),
      '-display',
      'none',
      '-monitor',
      'none',
      '-net',
      'none',
    ];
    const boot = [
      ...base,
      '-serial',
      'stdio',
      '-no-reboot',
      '-kernel',
      kernel,
      '-initrd',
      initrd,
      '-append',
      'console=ttyS0 panic=-1',
    ];
    const replay = `rrfile=${join(folder, 'rr')}`;
    const modes: Record<string, string[]> = {
      plain: boot,
      icount: [...boot, '-icount', 'shift=7'],
      record: [...boot, '-icount', `shift=7,rr=record,${replay}`],
      replay: [...boot, '-icount', `shift=7,rr=replay,${replay}`],
    };
    const samples: Record<string, number[]> = { plain: [], icount: [], record: [], replay: [] };
    for (let i = 0; i < Math.min(REPEAT, options.repeat); i++) {
      for (const [mode, args] of Object.entries(modes)) samples[mode].push(wallSeconds(args));
    }
    return {
      seconds: Object.fromEntries(Object.entries(samples).map(([mode, all]) => [mode, median(all)])),
      skipped: {},
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function wallSeconds(args: readonly string[]): number {
  const start = performance.now();
  const run = spawnSync(COMMAND, args, {
    encoding: 'latin1',
    timeout: LIMIT_MS,
    maxBuffer: 1 << 26,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (run.status !== 0 || !run.stdout.includes('WORKED'))
    throw new Error(`${COMMAND} failed: ${run.stderr.trim().slice(-500)}`);
  return (performance.now() - start) / 1000;
}

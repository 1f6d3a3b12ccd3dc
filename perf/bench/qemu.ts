/** The same Linux on QEMU (TCG), if it is installed: plain, counting instructions, recording, replaying. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxFiles } from '../workloads/linux.ts';
import { median } from './figures.ts';
import type { SuiteOptions } from './suite.ts';

const COMMAND = 'qemu-system-x86_64';
const LIMIT_MS = 600_000;
/** More would keep the others waiting. */
const MAX_REPEAT = 3;
/** Runs the command, says its process first, and at the end what processor time it took, as POSIX's `times` does: shell, then children. */
const TIMED = '"$@" 2>&1 & echo "process $!"; wait $!; status=$?; times; exit $status';
/** How often the guest's console is looked at. */
const LOOK_MS = 10;
/** Of the counters in /proc, on every Linux. */
const TICKS_PER_SECOND = 100;

export interface QemuRuns {
  /** Processor seconds to the guest's power-off, by mode. */
  readonly seconds: Readonly<Record<string, number>>;
  /** The same to the guest's first process; nothing where the host has no /proc. */
  readonly shell: Readonly<Record<string, number>>;
  readonly skipped: Readonly<Record<string, string>>;
}

export async function runQemu(options: SuiteOptions): Promise<QemuRuns> {
  const skip = (why: string): QemuRuns => ({ seconds: {}, shell: {}, skipped: { qemu: why } });
  if (options.scale < 1) return skip('only whole boots are compared');
  if (spawnSync(COMMAND, ['--version']).status !== 0) return skip(`${COMMAND} is not installed`);
  const folder = mkdtempSync(join(tmpdir(), 'rexen-qemu-'));
  try {
    return await runModes(folder, Math.min(MAX_REPEAT, options.repeat));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** In turns. A mode that fails is left out, and says why. */
async function runModes(folder: string, repeat: number): Promise<QemuRuns> {
  const boot = bootArguments(folder);
  const log = `rrfile=${join(folder, 'rr')}`;
  const modes: Record<string, readonly string[]> = {
    plain: boot,
    icount: [...boot, '-icount', 'shift=7'],
    record: [...boot, '-icount', `shift=7,rr=record,${log}`],
    replay: [...boot, '-icount', `shift=7,rr=replay,${log}`],
  };
  const samples: Record<string, number[]> = {};
  const shells: Record<string, number[]> = {};
  const skipped: Record<string, string> = {};
  for (let i = 0; i < repeat; i++) {
    for (const [mode, args] of Object.entries(modes)) {
      if (skipped[`qemu.${mode}`] !== undefined) continue;
      const { seconds, shell, problem } = await processorSeconds(args, join(folder, 'console'));
      if (problem !== undefined) skipped[`qemu.${mode}`] = problem;
      else (samples[mode] ??= []).push(seconds);
      if (problem === undefined && shell !== undefined) (shells[mode] ??= []).push(shell);
    }
  }
  const medians = (of: Record<string, number[]>) =>
    Object.fromEntries(Object.entries(of).map(([mode, all]) => [mode, median(all)]));
  return { seconds: medians(samples), shell: medians(shells), skipped };
}

function bootArguments(folder: string): string[] {
  const { kernel, ramdisk, memoryMiB } = linuxFiles();
  const initrd = join(folder, 'initrd');
  writeFileSync(initrd, ramdisk);
  const machine = ['-accel', 'tcg,thread=single', '-m', String(memoryMiB), '-no-reboot'];
  const quiet = ['-display', 'none', '-monitor', 'none', '-net', 'none', '-serial', `file:${join(folder, 'console')}`];
  return [...machine, ...quiet, '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1'];
}

interface Timed {
  readonly seconds: number;
  readonly shell?: number;
  readonly problem?: string;
}

async function processorSeconds(args: readonly string[], output: string): Promise<Timed> {
  rmSync(output, { force: true });
  const child = spawn('sh', ['-c', TIMED, 'sh', COMMAND, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    said += text;
  });
  const process = () => /^process (\d+)/m.exec(said)?.[1];
  let shell: number | undefined;
  const look = setInterval(() => {
    const pid = process();
    if (shell !== undefined || pid === undefined || !consoleOf(output).includes('BOOTED')) return;
    shell = secondsSoFar(pid);
    clearInterval(look);
  }, LOOK_MS);
  const limit = setTimeout(() => spawnSync('kill', ['-9', process() ?? String(child.pid)]), LIMIT_MS);
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearInterval(look);
  clearTimeout(limit);
  const lines = said.trim().split('\n');
  const [user, system] = [...(lines.at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, m, s]) => 60 * Number(m) + Number(s),
  );
  if (status !== 0) return { seconds: 0, problem: `it failed: ${lines.slice(1, -2).join(' ').slice(-300)}` };
  if (!consoleOf(output).includes('WORKED')) return { seconds: 0, problem: 'its guest did not do its work' };
  return { seconds: user! + system!, ...(shell === undefined ? {} : { shell }) };
}

function consoleOf(output: string): string {
  return existsSync(output) ? readFileSync(output, 'latin1') : '';
}

/** Processor time of a process and its threads until now: fields 14 and 15 of proc(5)'s stat. */
function secondsSoFar(pid: string): number | undefined {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return undefined;
  // The name in brackets may hold anything; behind it comes field 3.
  const fields = readFileSync(path, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

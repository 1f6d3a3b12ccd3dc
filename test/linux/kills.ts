/**
 * Kills the recorder of a booting Linux with SIGKILL at random moments, and looks at what is left: each file must open,
 * say how far it goes, have lost at most a second of work, and replay to there with every effect checked.
 *
 *     npm run kills -- [--times 20] [--seconds 12]
 *
 * The moments are spread over so many seconds from when the recorder makes the file; a run that ends before its moment
 * is made again. Exit status 0 if every file is as it must be.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CRYPTO_UNTESTED } from './options.ts';
import { scriptArguments } from '../../src/host/script-arguments.ts';

const USAGE = `usage: npm run kills -- [--times N] [--seconds N]
Kills the recorder with SIGKILL at random moments of a boot of Linux: what is left must replay, to within a second of work.
example: npm run kills -- --times 5`;

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Work from the first moment to the last, with keys typed on the way. */
const SCRIPT = `
expect "is ready"
${'expect "# "\nsend "seq 1 3000 | sort -rn | sha256sum\\n"\n'.repeat(5)}
expect "# "
send "poweroff\\n"
expect "System halted"
`;

/** Has the recorder show its progress, which it does for a terminal only. */
const SHOW_PROGRESS = 'data:text/javascript,process.stderr.isTTY=true;process.stderr.columns=200';

export interface Killed {
  /** Milliseconds from when the file was there. */
  readonly afterMs: number;
  /** The last tick that the recorder said it had reached; 0 if none. */
  readonly reached: number;
  /** What `rexen info` says of the file. */
  readonly ending: string;
  readonly ticks: number;
  readonly events: number;
  /** Milliseconds before the kill at which the recorder first said that it was beyond what the file has. */
  readonly lostMs: number;
  /** What `rexen replay` says. */
  readonly replay: { readonly verified: boolean; readonly ticks: number; readonly events: number };
}

/**
 * One recording in `folder`, killed `afterMs` from when its file is there.
 * @returns undefined if it had ended before
 */
export async function killedAt(folder: string, afterMs: number): Promise<Killed | undefined> {
  const file = join(folder, 'killed.rxn');
  const script = join(folder, 'session.script');
  rmSync(file, { force: true });
  writeFileSync(script, SCRIPT);
  const options = ['--json', '--record', file, '--script', script, '--memory', '96', '--append', CRYPTO_UNTESTED];
  const child = spawn(process.execPath, ['--import', SHOW_PROGRESS, MAIN, 'linux', ...options], { stdio: 'pipe' });
  const shown: { at: number; ticks: number }[] = [];
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes;
    const ticks = [...said.matchAll(/recording: ([\d,]+) ticks/g)].at(-1)?.[1];
    if (ticks !== undefined) shown.push({ at: performance.now(), ticks: Number(ticks.replaceAll(',', '')) });
  });
  let started = Number.POSITIVE_INFINITY;
  const timer = setInterval(() => {
    if (started > performance.now() && existsSync(file)) started = performance.now();
    if (performance.now() - started >= afterMs) child.kill('SIGKILL');
  }, 5);
  const signal = await new Promise<string | null>((resolve) => child.on('exit', (_, by) => resolve(by)));
  const killed = performance.now();
  clearInterval(timer);
  if (signal !== 'SIGKILL') {
    if (child.exitCode !== 0) throw new Error(`the recorder failed: ${said}`);
    return undefined;
  }
  const info = rexen('info', file) as { ending: { kind: string }; ticks: number; events: number };
  const replay = rexen('replay', file) as Killed['replay'];
  const { ticks, events } = info;
  const beyond = shown.find((each) => each.ticks > ticks);
  return {
    afterMs: killed - started,
    reached: shown.at(-1)?.ticks ?? 0,
    ending: info.ending.kind,
    ticks,
    events,
    lostMs: beyond === undefined ? 0 : killed - beyond.at,
    replay: { verified: replay.verified, ticks: replay.ticks, events: replay.events },
  };
}

/** The result of a command of rexen that ends with status 0. @throws Error otherwise */
function rexen(command: string, file: string): unknown {
  return JSON.parse(execFileSync(process.execPath, [MAIN, command, file, '--json'], { encoding: 'utf8' }));
}

/** What is wrong with what a kill left, in words; empty if nothing is. */
export function faults({ ending, ticks, events, lostMs, replay }: Killed): string[] {
  return [
    ending === 'clean' ? 'the file says that it ended cleanly' : '',
    lostMs > 1000 ? `${lostMs.toFixed(0)} ms of work are lost` : '',
    replay.verified ? '' : 'the replay diverges',
    replay.ticks === ticks && replay.events === events ? '' : `the replay ends at tick ${replay.ticks}`,
  ].filter((text) => text !== '');
}

async function main(): Promise<number> {
  const { values } = scriptArguments(USAGE, {
    options: { times: { type: 'string', default: '20' }, seconds: { type: 'string', default: '12' } },
  });
  const folder = mkdtempSync(join(tmpdir(), 'rexen-kills-'));
  const times = Number(values.times);
  let bad = 0;
  let worst = 0;
  try {
    for (let done = 0; done < times; ) {
      const killed = await killedAt(folder, Math.random() * Number(values.seconds) * 1000);
      if (killed === undefined) continue;
      done++;
      const { afterMs, ending, ticks, events, reached, lostMs } = killed;
      const wrong = faults(killed);
      worst = Math.max(worst, lostMs);
      if (wrong.length > 0) bad++;
      console.log(
        `${done}/${times} killed after ${(afterMs / 1000).toFixed(2)} s, at tick ${reached} or later: ${ending}, ` +
          `${events} events to tick ${ticks}, ${lostMs.toFixed(0)} ms lost: ${wrong.join(', ') || 'verified'}`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${times - bad} of ${times} as they must be; at most ${worst.toFixed(0)} ms of work lost`);
  return bad === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();

/** The prompt for xl commands, through a pseudo-terminal (util-linux script); and what it did, replayed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { open, replay } from '../../src/index.ts';
import { projectRoot, testIf } from '../support/images.ts';
import { guestConfig } from '../support/recorded.ts';

const folder = mkdtempSync(join(tmpdir(), 'rexen-prompt-'));
let running: ChildProcess | undefined;
afterAll(() => {
  running?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
const hasScript = spawnSync('script', ['--version']).status === 0;

testIf(
  hasScript,
  'needs the program "script" of util-linux',
  'Ctrl-A c leads to a prompt, whose commands are on the recording',
  async () => {
    const file = join(folder, 'prompt.rxn');
    const slow = guestConfig('ticker', { extra: 'ticks=1000000 period_ms=1000000000' });
    writeFileSync(join(folder, 'ticker.cfg'), slow);
    writeFileSync(join(folder, 'later.cfg'), slow.replace('"ticker"', '"later"'));
    const words = [process.execPath, join(projectRoot, 'src/main.ts'), 'record', join(folder, 'ticker.cfg')];
    const command = [...words, '--later', join(folder, 'later.cfg'), '-o', file].map((word) => `'${word}'`).join(' ');
    const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    running = terminal;
    let screen = '';
    let ended = false;
    terminal.stdout.on('data', (data: Buffer) => {
      screen += data.toString('latin1');
    });
    terminal.on('exit', () => {
      ended = true;
    });
    /** Waits for text that was not there when it was last called. */
    const shows = async (text: string | RegExp) => {
      const limit = performance.now() + 60_000;
      for (;;) {
        const at = typeof text === 'string' ? screen.indexOf(text) : screen.search(text);
        if (at >= 0) break;
        if (performance.now() > limit) throw new Error(`no ${text} on the terminal: ${JSON.stringify(screen)}`);
        await new Promise((done) => setTimeout(done, 20));
      }
      screen = '';
    };
    await shows('timer on port');
    terminal.stdin.write('\x01c');
    await shows('xl> ');
    terminal.stdin.write('list\r');
    await shows(/ticker +1 +32 +1 +-b---- +0\.0\r+\nxl> /);
    terminal.stdin.write('xl pause tickerr\x7f\r');
    await shows('xl> ');
    terminal.stdin.write('create later\r');
    await shows('xl> ');
    terminal.stdin.write('list\r');
    await shows(/ticker +1 +32 +1 +-bp--- [^\n]*\nlater +2 /);
    terminal.stdin.write('explode\r');
    await shows('unknown command "explode"');
    terminal.stdin.write('destroy nobody\r');
    await shows('rexen: xl destroy nobody: there is no domain "nobody"');
    terminal.stdin.write('\x1d');
    await shows('recorded');
    while (!ended) await new Promise((done) => setTimeout(done, 20));
    using recording = open(file);
    const texts = [...recording.events({ kinds: ['operator'] })].map((event) => ('text' in event ? event.text : ''));
    expect(texts).toEqual(['pause ticker', 'create later', 'destroy nobody']);
    expect(replay(file)).toMatchObject({ verified: true, whole: true });
  },
  300_000,
);

/** A person at the console, through a pseudo-terminal (util-linux script): size, keys, Ctrl-C, output as it comes. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { replay } from '../../src/index.ts';
import { testWithImages } from '../support/images.ts';
import { IMAGES, inFolder } from './guest.ts';
import { CRYPTO_UNTESTED } from './options.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const hasScript = spawnSync('script', ['--version']).status === 0;
let running: ChildProcess | undefined;
afterAll(() => running?.kill('SIGKILL'));

testWithImages(
  'the console is a terminal: its size, its keys, Ctrl-C, and output as it comes',
  hasScript ? IMAGES : [{ name: 'script', path: undefined, reason: 'needs the program "script" of util-linux' }],
  () =>
    inFolder(async (folder) => {
      const file = join(folder, 'terminal.rxn');
      const rexen = [process.execPath, MAIN, 'linux', '--memory', '96', '--append', CRYPTO_UNTESTED, '--record', file];
      const command = `stty rows 33 cols 111; exec ${rexen.map((word) => `'${word}'`).join(' ')}`;
      const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
      running = terminal;
      let screen = '';
      terminal.stdout.on('data', (data: Buffer) => {
        screen += data.toString('latin1');
        // What a terminal does when it is asked where the cursor is: far down and right it is at the last place.
        for (; screen.includes('\x1b[6n'); screen = screen.replace('\x1b[6n', ''))
          terminal.stdin.write(screen.includes('\x1b[999;999H') ? '\x1b[50;160R' : '\x1b[1;15R');
      });
      const ended = new Promise((done) => terminal.on('exit', done));
      const shows = async (text: string | RegExp) => {
        const limit = performance.now() + 120_000;
        while (!(typeof text === 'string' ? screen.includes(text) : text.test(screen))) {
          if (performance.now() > limit) throw new Error(`no ${text} on the terminal: ${JSON.stringify(screen)}`);
          await new Promise((done) => setTimeout(done, 20));
        }
        screen = '';
      };
      await shows(/is ready[\s\S]*# /);
      terminal.stdin.write('stty size\r');
      await shows(/\n33 111\r[\s\S]*# /);
      // The window became larger.
      terminal.stdin.write('resize; stty size\r');
      await shows(/50 160\r[\s\S]*# /);
      // The line above, changed: up, home, two letters gone.
      terminal.stdin.write('echo xyhistory\r');
      await shows(/\nxyhistory\r[\s\S]*# /);
      terminal.stdin.write('\x1b[A\x7f\x7f\x7fic\r');
      await shows(/\nxyhistic\r[\s\S]*# /);
      terminal.stdin.write('while :; do :; done\r');
      await new Promise((done) => setTimeout(done, 200));
      terminal.stdin.write('\x03');
      terminal.stdin.write('echo st""ill $?\r');
      await shows(/\nstill 130\r/);
      terminal.stdin.write('\x1d');
      await ended;
      expect(screen).toContain('recorded');
      expect(replay(file)).toMatchObject({ verified: true, whole: true });
    }),
  1_800_000,
);

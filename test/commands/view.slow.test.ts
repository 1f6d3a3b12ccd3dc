/** `rexen view` through a pseudo-terminal (util-linux script): keys in, screen out. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, describe, expect } from 'vitest';
import { projectRoot, testIf } from '../support/images.ts';

const ROWS = 30;
const COLUMNS = 100;
const demo = join(projectRoot, 'recordings/demo.rxn');
const hasScript = spawnSync('script', ['--version']).status === 0;
const running: ChildProcess[] = [];

/** A terminal of so many rows, as far as the view uses it: cursor to a row, text, erase to the end of the line. */
class Terminal {
  readonly rows: string[] = new Array(ROWS).fill('');
  raw = '';
  status: number | null | undefined;
  readonly #process: ChildProcess;
  #done = 0;

  constructor(...args: string[]) {
    const words = [process.execPath, join(projectRoot, 'src/main.ts'), 'view', ...args].map((word) => `'${word}'`);
    const command = `stty rows ${ROWS} cols ${COLUMNS}; exec ${words.join(' ')}`;
    this.#process = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    running.push(this.#process);
    this.#process.stdout!.on('data', (data: Buffer) => {
      this.raw += data.toString('utf8');
      this.#draw();
    });
    this.#process.on('exit', (status) => {
      this.status = status;
    });
  }

  get text(): string {
    return this.rows.join('\n');
  }

  type(keys: string): void {
    this.#process.stdin!.write(keys);
  }

  /** Waits for the screen to show something. */
  async shows(what: RegExp | string): Promise<void> {
    await this.#until(
      () => (typeof what === 'string' ? this.text.includes(what) : what.test(this.text)),
      () => `no ${what} on this screen:\n${this.text}`,
    );
  }

  async ends(): Promise<void> {
    await this.#until(
      () => this.status !== undefined,
      () => 'it did not end',
    );
  }

  async #until(holds: () => boolean, problem: () => string): Promise<void> {
    const limit = performance.now() + 60_000;
    while (!holds()) {
      if (performance.now() > limit) throw new Error(problem());
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  #draw(): void {
    const lines = /\x1b\[(\d+);1H(.*?)\x1b\[K/gs;
    lines.lastIndex = this.#done;
    for (let match = lines.exec(this.raw); match; match = lines.exec(this.raw)) {
      this.#done = lines.lastIndex;
      this.rows[Number(match[1]) - 1] = match[2]!.replace(/\x1b\[[\d;]*m/g, '');
    }
  }
}

afterEach(() => {
  for (const each of running.splice(0)) each.kill();
});

const test = (name: string, body: () => Promise<void>) =>
  testIf(hasScript, 'needs script of util-linux', name, body, 240_000);

describe('rexen view', () => {
  test('goes both ways with the keys and gives the terminal back', async () => {
    const terminal = new Terminal(demo, '--at', '100000');
    await terminal.shows('tick 100,000 of');
    await terminal.shows('q quit');
    expect(terminal.raw).toContain('\x1b[?1049h');
    for (const text of ['── code', '── events', '── console', '▲', 'rip 00000000'])
      expect(terminal.text).toContain(text);
    const here = terminal.rows.slice(1).join('\n');
    terminal.type('\x1b[C\x1b[C');
    await terminal.shows('tick 100,002 of');
    expect(terminal.rows.slice(1).join('\n')).not.toBe(here);
    terminal.type('\x1b[D\x1b[D');
    await terminal.shows('tick 100,000 of');
    expect(terminal.rows.slice(1).join('\n')).toBe(here);
    terminal.type('n');
    await terminal.shows('tick 100,188 of');
    terminal.type('p');
    await terminal.shows('tick 95,914 of');
    terminal.type('gend\r');
    await terminal.shows('ticker: 8 ticks');
    terminal.type('gconsole:"tick 3"\r');
    await terminal.shows(/tick [34],\d{3},\d{3} of/);
    terminal.type('q');
    await terminal.ends();
    expect(terminal.status).toBe(0);
    expect(terminal.raw.trimEnd().endsWith('\x1b[?25h\x1b[?1049l')).toBe(true);
  });

  test('ends at Ctrl-C, with the terminal given back', async () => {
    const terminal = new Terminal(demo);
    await terminal.shows('q quit');
    terminal.type('\x03');
    await terminal.ends();
    expect(terminal.raw).toContain('\x1b[?1049l');
  });

  test('wants a terminal', async () => {
    const run = spawnSync(process.execPath, [join(projectRoot, 'src/main.ts'), 'view', demo], {
      encoding: 'utf8',
      input: '',
    });
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/^rexen: this view needs a terminal/);
  });
});

/** `rexen chaos` on the guest that sells tickets without a lock. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventLog } from '../../src/log/append.ts';
import type { Ticks } from '../../src/base/ticks.ts';
import { Session, sessionConfig } from '../../src/session.ts';
import { parseDomainConfig } from '../../src/toolstack/xl/config.ts';
import { projectRoot, smallGuest } from '../support/images.ts';

const folder = mkdtempSync(join(tmpdir(), 'rexen-chaos-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function rexen(...args: string[]) {
  const run = spawnSync(process.execPath, [join(projectRoot, 'src/main.ts'), ...args], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(run.stderr).not.toMatch(/\n {4}at /);
  return { status: run.status, out: run.stdout, err: run.stderr };
}

const text = (guest: string, more = '') =>
  `name = "${guest}"\ntype = "pvh"\nkernel = "${smallGuest(guest)}"\nvcpus = 2\nmemory = 16\n${more}\n`;

function write(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

interface Found {
  failed: number;
  failsWithoutChaos: boolean;
  failures: { file: string; why: string; at: string; perturbations: number }[];
  shrunk: { file: string; at: string; from: number; perturbations: unknown[]; minimal: boolean };
  commands: { debug: string; replay: string };
}

describe('rexen chaos finds a lost update', () => {
  const config = write('race.cfg', text('race'));
  const script = write('race.script', 'expect "each sold once"\n');
  let found: Found;

  beforeAll(() => {
    const run = rexen('chaos', config, '--script', script, '--runs', '40', '--out', 'out', '--json');
    expect(run.status, run.err).toBe(3);
    found = JSON.parse(run.out);
  });

  it('in a few dozen runs, where the regular one goes well', () => {
    expect(found.failsWithoutChaos).toBe(false);
    expect(found.failed).toBeGreaterThanOrEqual(1);
    expect(found.failures).toHaveLength(found.failed);
    for (const { why } of found.failures) expect(why).toBe('crashed');
  });

  it('and shrinks what it did to less than a tenth', () => {
    expect(found.shrunk.minimal).toBe(true);
    expect(found.shrunk.perturbations.length).toBeGreaterThanOrEqual(1);
    expect(found.shrunk.perturbations.length).toBeLessThan(found.shrunk.from / 10);
  });

  it('keeping recordings that replay verified', () => {
    for (const { file } of [found.failures[0], found.shrunk]) {
      const replay = rexen('replay', '--json', file);
      expect(JSON.parse(replay.out)).toMatchObject({ verified: true, whole: true });
    }
  });

  it('and names the commands that go on from there', () => {
    expect(found.commands.replay).toBe(`rexen replay ${found.shrunk.file}`);
    expect(found.commands.debug).toBe(`rexen debug ${found.shrunk.file} --at '${found.shrunk.at}'`);
    const [event] = rexen('events', found.shrunk.file, '--kind', 'domain-shutdown', '--json').out.trim().split('\n');
    expect(JSON.parse(event)).toMatchObject({ seq: Number(found.shrunk.at.slice(1)), reason: 'crash' });
  });
});

it('the race is lost in less than one run in 50 without chaos', () => {
  const bytes = new Uint8Array(readFileSync(smallGuest('race')));
  let lost = 0;
  const runs = 150;
  for (let jitter = 1; jitter <= runs; jitter++) {
    const { config } = parseDomainConfig(text('race', `extra = "jitter=${jitter}"`), 'race.cfg');
    const session = new Session({
      config: sessionConfig([{ config, kernel: 'race' }]),
      images: new Map([['race', { name: 'race', bytes }]]),
      createLog: (now) => new EventLog(now),
    });
    let printed = '';
    session.onConsole((_, output) => {
      printed += Buffer.from(output).toString('latin1');
    });
    expect(session.run(100_000_000 as Ticks)).toBe('finished');
    if (printed.includes('was sold by') || printed.includes('counted')) lost++;
    else expect(printed).toContain('race: 320 tickets, each sold once');
  }
  expect(lost).toBeLessThan(runs / 50);
});

describe('rexen chaos', () => {
  it('finds nothing in a guest that locks, and says so by its status', () => {
    const config = write('spinner.cfg', text('spinner', 'extra = "rounds=2000 ipis=20"'));
    const script = write('spinner.script', 'expect "spinner: passed"\n');
    const run = rexen('chaos', config, '--script', script, '--runs', '6', '--json', '--fail', 'console:"FAILED"');
    expect(run.status, run.err).toBe(0);
    expect(JSON.parse(run.out)).toMatchObject({ failed: 0, shrunk: null, commands: null });
  });

  it('sees a condition that holds anyway, and shrinks to nothing', () => {
    const config = write('hello.cfg', text('hello'));
    const script = write('hello.script', 'expect "goodbye"\n');
    const run = rexen('chaos', config, '--script', script, '--runs', '2', '--out', 'h', '--fail', 'console:"goodbye"');
    expect(run.status, run.err).toBe(3);
    expect(run.out).toContain('it fails without chaos too');
    expect(run.out).toMatch(/shrunk from \d+ to 0/);
  });

  it('says what is wrong with a condition before anything runs', () => {
    const run = rexen('chaos', write('x.cfg', text('hello')), '--script', write('x', 'end\n'), '--domain', 'race');
    expect(run.status).toBe(1);
    expect(run.err).toContain('there is no domain race');
    const wrong = (fail: string) =>
      rexen('chaos', write('x.cfg', text('hello')), '--script', write('x', 'end\n'), '--fail', fail);
    expect(wrong('rip = 5').err).toMatch(/write ==\n {2}rip = 5\n {6}\^/);
    expect(wrong('u8(nowhere) == 1').err).toContain('no symbol nowhere');
  });

  it('looks at memory and instructions while it runs, and names the place that rexen when finds', () => {
    const config = write('race2.cfg', text('race'));
    const script = write('race2.script', 'expect "each sold once"\n');
    const fail = 'rip == sold_twice && u8(sold_by + rsi) != 0 && u64(next_ticket) < 320';
    const options = ['--script', script, '--runs', '60', '--first', '--no-shrink', '--out', 'w', '--json'];
    const run = rexen('chaos', config, ...options, '--fail', fail);
    expect(run.status, run.err).toBe(3);
    const { failures } = JSON.parse(run.out) as Found;
    expect(failures.length).toBeGreaterThan(0);
    for (const { file, why, at } of failures) {
      expect(why).toBe('condition');
      expect(JSON.parse(rexen('replay', file, '--json').out)).toMatchObject({ verified: true, whole: true });
      expect(JSON.parse(rexen('when', file, fail, '--json').out)).toMatchObject({ found: true, tick: Number(at) });
    }
  });

  it('keeps what it has found when it is interrupted', async () => {
    const config = write('race3.cfg', text('race'));
    const script = write('race3.script', 'expect "each sold once"\n');
    const args = ['chaos', config, '--script', script, '--runs', '100000', '--out', 'i', '--json'];
    const child = spawn(process.execPath, [join(projectRoot, 'src/main.ts'), ...args], { cwd: folder });
    let out = '';
    child.stdout.on('data', (bytes) => {
      out += String(bytes);
    });
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    while (!existsSync(join(folder, 'i')) || readdirSync(join(folder, 'i')).length === 0) await sleep(100);
    child.kill('SIGINT');
    expect(await ended).toBe(3);
    const { interrupted, runs, failures } = JSON.parse(out) as Found & { interrupted: boolean; runs: number };
    expect(interrupted).toBe(true);
    expect(runs).toBeLessThan(100_000);
    expect(failures.length).toBeGreaterThan(0);
    for (const { file } of failures) expect(rexen('replay', file).status).toBe(0);
  });
});

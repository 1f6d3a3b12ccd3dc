/** The command line as scripts see it: words, exit statuses, keys. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rexen-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function rexen(...args: string[]) {
  const run = spawnSync(process.execPath, [join(root, 'src/main.ts'), ...args], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // People get messages, never stacks.
  expect(run.stderr).not.toMatch(/\n {4}at /);
  return { status: run.status, out: run.stdout, err: run.stderr };
}

function config(name: string, guest: string, more = ''): string {
  const path = join(folder, `${name}.cfg`);
  const kernel = join(root, `test/guests/${guest}.elf`);
  writeFileSync(path, `name = "${name}"\ntype = "pvh"\nkernel = "${kernel}"\nmemory = 16\n${more}\n`);
  return path;
}

function script(text: string): string {
  const path = join(folder, 'script');
  writeFileSync(path, text);
  return path;
}

describe('rexen', () => {
  const hello = config('hello', 'hello');
  const file = join(folder, 'hello.rxn');
  let recorded: Record<string, unknown>;

  beforeAll(() => {
    const run = rexen('record', '--json', '--script', script('expect "goodbye"\n'), '-o', file, hello);
    expect(run.status).toBe(0);
    recorded = JSON.parse(run.out);
  });

  it('records with the figures asked for', () => {
    expect(Object.keys(recorded)).toEqual(
      expect.arrayContaining(['ticks', 'events', 'bytes', 'digest', 'seconds', 'verified']),
    );
    expect(recorded).toMatchObject({
      bytes: readFileSync(file).length,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('records the same session twice from one script', () => {
    const again = rexen(
      'record',
      '--json',
      '--script',
      script('expect "goodbye"\n'),
      '-o',
      join(folder, 'b.rxn'),
      hello,
    );
    const { ticks, events, digest } = JSON.parse(again.out);
    expect({ ticks, events, digest }).toEqual({
      ticks: recorded.ticks,
      events: recorded.events,
      digest: recorded.digest,
    });
  });

  it('replays and verifies', () => {
    const { status, out } = rexen('replay', file, '--json');
    expect(status).toBe(0);
    const { ticks, events, bytes, digest, verified } = JSON.parse(out);
    expect({ ticks, events, bytes, digest, verified }).toEqual({ ...pick(recorded), verified: true });
    const text = rexen('replay', file, '--console');
    expect(text.out).toContain('goodbye');
    expect(text.out).toMatch(/^verified: /m);
  });

  const pick = ({ ticks, events, bytes, digest }: Record<string, unknown>) => ({ ticks, events, bytes, digest });

  it('replays to a tick', () => {
    const { status, out } = rexen('replay', file, '--until', '20000', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ verified: true, whole: false, ticks: 20000 });
  });

  it('reports a divergence with status 6', () => {
    const { status, out } = rexen('replay', file, '--slice-ticks', '7777', '--json');
    if (status === 0) return; // one vcpu and no digest in so short a session: nothing depends on the slice
    expect(status).toBe(6);
    expect(JSON.parse(out)).toMatchObject({ verified: false, divergence: { reason: 'different' } });
  });

  it('prints events: lines, JSON Lines, counts', () => {
    const lines = rexen('events', file, '--json').out.trim().split('\n');
    expect(lines).toHaveLength(recorded.events as number);
    for (const [seq, line] of lines.entries()) {
      expect(JSON.parse(line)).toMatchObject({ seq, tick: expect.any(Number), kind: expect.any(String) });
    }
    const counted = rexen('events', file, '--count').out.trim().split('\n');
    expect(counted[0]).toBe(String(recorded.events));
    expect(counted.find((line) => line.startsWith('domain-shutdown'))).toMatch(/^domain-shutdown +1 +- +1 /);
    const calls = rexen('events', file, '--count', '--kind', 'hypercall').out;
    expect(calls).toMatch(/\n {2}sched_op shutdown +1/);
    expect(JSON.parse(rexen('events', file, '--count', '--json').out)).toMatchObject({ count: recorded.events });
    const filtered = rexen('events', file, '--kind', 'hypercall,hypercall-return', '--domain', '1', '--limit', '3');
    expect(filtered.out.trim().split('\n')).toHaveLength(3);
    expect(rexen('events', file, '--kind', 'nonsense').status).toBe(2);
  });

  it('says what a recording is', () => {
    const { out, status } = rexen('info', file, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      clean: true,
      ticks: recorded.ticks,
      events: recorded.events,
      images: [{ name: 'hello.elf', embedded: true, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    });
    expect(rexen('info', file).out).toContain('ends cleanly');
  });

  it('uses its exit statuses', () => {
    const out = ['-o', join(folder, 'x.rxn')];
    expect(rexen('record', ...out, '--script', script('end'), config('c', 'crash')).status).toBe(0);
    expect(rexen('record', ...out, '--script', script('wait 100000000'), config('c', 'crash')).status).toBe(3);
    expect(rexen('record', ...out, '--max-ticks', '5000', hello).status).toBe(4);
    const unmet = rexen('record', ...out, '--script', script('expect "never"'), hello);
    expect(unmet.status).toBe(5);
    expect(unmet.err).toContain('expect "never" was not met');
  });

  it('opens and replays a recording that was cut, and says how far it goes', () => {
    const bytes = readFileSync(file);
    const cut = join(folder, 'cut.rxn');
    for (const size of [bytes.length - 1, bytes.length - 200, bytes.length >> 1, 100, 10]) {
      writeFileSync(cut, bytes.subarray(0, size));
      expect(rexen('replay', cut)).toMatchObject({
        status: 0,
        out: expect.stringMatching(/verified[\s\S]*was cut at byte/),
      });
    }
    expect(rexen('info', cut).out).toContain('was cut at byte 0; goes to tick 0, 0 events');
  }, 60_000);

  it('reports one flipped bit', () => {
    const bytes = readFileSync(file);
    const bad = join(folder, 'bad.rxn');
    for (const at of [3, 9, 20, bytes.length >> 1, bytes.length - 200, bytes.length - 1]) {
      const copy = new Uint8Array(bytes);
      copy[at] ^= 0x10;
      writeFileSync(bad, copy);
      expect(rexen('replay', bad)).toMatchObject({ status: 1, err: expect.stringMatching(/^rexen: .* at byte \d+/) });
    }
  }, 60_000);

  it('has errors for people', () => {
    expect(rexen('replay', '/nowhere').err).toBe('rexen: cannot open /nowhere: no such file or folder\n');
    expect(rexen('record', '/nowhere.cfg').err).toContain(
      'cannot read configuration /nowhere.cfg: no such file or folder',
    );
    expect(rexen('record', '--script', script('expect'), hello).err).toMatch(
      /script:1: text must stand in double quotes/,
    );
    expect(rexen('info').status).toBe(2);
    expect(rexen('nonsense').status).toBe(2);
    const broken = join(folder, 'broken.cfg');
    writeFileSync(broken, `name = "b"\ntype = "pvh"\nkernel = "${join(root, 'package.json')}"\nmemory = 16\n`);
    expect(rexen('record', '-o', join(folder, 'broken.rxn'), broken)).toMatchObject({ status: 1 });
    expect(readdirSync(folder)).not.toContain('broken.rxn');
  });

  it.each(['record', 'replay', 'events', 'info', 'demo'])('%s --help has an example', (command) => {
    const { out, status } = rexen(command, '--help');
    expect(status).toBe(0);
    expect(out).toMatch(new RegExp(`Example:\\n {2}rexen ${command}`));
  });

  it('has a demo that shows the main job in under 20 seconds', () => {
    const started = performance.now();
    const { out, status } = rexen('demo', '-o', join(folder, 'demo.rxn'));
    expect(status).toBe(0);
    expect(performance.now() - started).toBeLessThan(20_000);
    for (const text of [
      'ring-front: 200 requests, 0 wrong',
      'verified: ',
      'rip ',
      '=> ',
      'ticker │',
      'first grant-map',
    ]) {
      expect(out).toContain(text);
    }
  }, 60_000);
});

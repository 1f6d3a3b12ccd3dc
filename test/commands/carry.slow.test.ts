/** `rexen diff`, `rexen pack` and `rexen trim` on recordings of the small guests. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot, smallGuest } from '../support/images.ts';

const folder = mkdtempSync(join(tmpdir(), 'rexen-carry-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function rexen(...args: string[]) {
  const run = spawnSync(process.execPath, [join(projectRoot, 'src/main.ts'), ...args], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(run.stderr).not.toMatch(/\n {4}at /);
  return { status: run.status, out: run.stdout, err: run.stderr };
}

/** Records `ticker` with a script; a large ramdisk lies outside of the recording. */
function record(output: string, ticks: number, more: string[] = []): void {
  const config = join(folder, `${output}.cfg`);
  const ramdisk = join(folder, 'ramdisk');
  // Not compressible, so that the packed file must be as large.
  const content = Buffer.alloc(600_000);
  for (let i = 0, x = 1; i < content.length; i++) content[i] = (x = Math.imul(x, 1103515245) + 12345) >>> 16;
  writeFileSync(ramdisk, content);
  writeFileSync(
    config,
    `name = "t"\ntype = "pvh"\nkernel = "${smallGuest('ticker')}"\nramdisk = "${ramdisk}"\nmemory = 16\nextra = "ticks=${ticks} period_ms=1"\n`,
  );
  writeFileSync(join(folder, 'script'), 'expect "us late"\n');
  const run = rexen('record', '--json', '--script', 'script', '-o', output, ...more, config);
  expect(run.status, run.err).toBe(0);
}

describe('rexen diff', () => {
  beforeAll(() => {
    record('a.rxn', 10);
    record('b.rxn', 10);
    record('c.rxn', 10, ['--slice-ticks', '7000']);
    record('longer.rxn', 12);
  });

  it('says nothing of two recordings of one session', () => {
    const run = rexen('diff', 'a.rxn', 'b.rxn', '--json');
    expect(run.status).toBe(0);
    const diff = JSON.parse(run.out);
    expect(diff).toMatchObject({ config: [] });
    expect(diff.first).toBeUndefined();
    expect(diff.same).toBe(JSON.parse(rexen('info', 'a.rxn', '--json').out).events);
  });

  it('finds the first event that differs, as a search line by line does', () => {
    const run = rexen('diff', 'a.rxn', 'longer.rxn', '--json', '--context', '3');
    expect(run.status).toBe(1);
    const { first, config, same } = JSON.parse(run.out);
    expect(config).toContain('domains.0.config.cmdline');
    const lines = (file: string) => rexen('events', file, '--json').out.trim().split('\n');
    const [a, b] = [lines('a.rxn'), lines('longer.rxn')];
    const at = a.findIndex((line, i) => line !== b[i]);
    expect(at).toBeGreaterThan(0);
    expect({ seq: first.seq, same }).toEqual({ seq: at, same: at });
    expect(first.a).toEqual(JSON.parse(a[at]));
    expect(first.b).toEqual(JSON.parse(b[at]));
    expect(first.before).toEqual(a.slice(Math.max(0, at - 3), at).map((line) => JSON.parse(line)));
  });

  it('names what is configured differently', () => {
    const run = rexen('diff', 'a.rxn', 'c.rxn');
    expect(run.out).toContain('configured differently: machine.slice_ticks');
  });
});

describe('rexen pack', () => {
  it('makes a file that replays without anything beside it', () => {
    record('whole.rxn', 10);
    const pack = rexen('pack', 'whole.rxn', '-o', 'packed.rxn');
    expect(pack.status, pack.err).toBe(0);
    expect(readFileSync(join(folder, 'packed.rxn')).length).toBeGreaterThan(600_000);
    const elsewhere = mkdtempSync(join(tmpdir(), 'rexen-elsewhere-'));
    copyFileSync(join(folder, 'packed.rxn'), join(elsewhere, 'packed.rxn'));
    rmSync(join(folder, 'ramdisk'));
    const missing = rexen('replay', 'whole.rxn');
    expect(missing.status).toBe(1);
    expect(missing.err).toContain('ramdisk is missing');
    const replay = rexen('replay', '--json', join(elsewhere, 'packed.rxn'));
    expect(JSON.parse(replay.out)).toMatchObject({ verified: true, whole: true });
    const digest = (file: string) => JSON.parse(rexen('info', '--json', file).out).digest;
    expect(digest(join(elsewhere, 'packed.rxn'))).toBe(digest('whole.rxn'));
    rmSync(elsewhere, { recursive: true });
  });
});

describe('rexen trim', () => {
  it('makes a file that begins later, is checked, and can be packed', () => {
    record('long.rxn', 40);
    const trim = rexen('trim', 'long.rxn', '--from', '20ms', '-o', 'late.rxn');
    expect(trim.status, trim.err).toBe(0);
    expect(trim.out).toContain('at tick 20,000,000');
    expect(trim.out).toContain('verified');
    expect(rexen('pack', 'late.rxn', '-o', 'late-packed.rxn').status).toBe(0);
    rmSync(join(folder, 'ramdisk'));
    for (const [file, status] of [
      ['late.rxn', 1],
      ['late-packed.rxn', 0],
    ] as const) {
      expect(rexen('replay', file).status).toBe(status);
    }
    expect(rexen('info', 'late-packed.rxn').out).toMatch(/begins at a snapshot: event #\d+, tick 20,000,000/);
    const ticks = (file: string) =>
      rexen('events', file, '--json')
        .out.trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { tick: number });
    const late = ticks('late-packed.rxn');
    expect(late[0]!.tick).toBeGreaterThanOrEqual(20_000_000);
    expect(late).toEqual(ticks('long.rxn').slice(-late.length));
  });

  it('leaves nothing behind when it cannot', () => {
    record('short.rxn', 2);
    const run = rexen('trim', 'short.rxn', '--from', 'end-0', '-o', 'none.rxn');
    expect(run.status).toBe(1);
    expect(run.err).toContain('created or destroyed');
    expect(() => readFileSync(join(folder, 'none.rxn'))).toThrow();
  });
});

/** What docs/tutorial-race.md tells people to type does what it says there. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { projectRoot, testIf } from '../support/images.ts';

const folder = mkdtempSync(join(tmpdir(), 'rexen-tutorial-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const tutorial = readFileSync(join(projectRoot, 'docs/tutorial-race.md'), 'utf8');
const blocks = (language: string) =>
  [...tutorial.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].filter(([, of]) => of === language).map(([, , text]) => text);

function rexen(args: string[], input = '') {
  const run = spawnSync(process.execPath, [join(projectRoot, 'src/main.ts'), ...args], {
    cwd: projectRoot,
    encoding: 'utf8',
    input,
  });
  return { status: run.status, out: run.stdout, all: run.stdout + run.stderr };
}

/** The words of the tutorial's command that begins like this. */
function words(beginning: string): string[] {
  const line = blocks('sh').find((text) => text.startsWith(beginning));
  expect(line, `the tutorial has no command ${beginning}`).toBeDefined();
  return line!.trim().replaceAll("'", '').split(' ').slice(1);
}

const gdb = spawnSync('gdb', ['--version'], { encoding: 'utf8' }).stdout ?? '';

describe('docs/tutorial-race.md', () => {
  const good = join(folder, 'race.rxn');

  it('records a run that goes well', () => {
    const args = words('rexen record');
    args[args.indexOf('-o') + 1] = good;
    const run = rexen(args);
    expect(run.status, run.all).toBe(0);
    expect(run.out).toContain(
      blocks('')
        .find((text) => text.startsWith('race:'))!
        .trim(),
    );
  });

  testIf(
    / 1[3-9]\./.test(gdb.split('\n')[0]),
    'needs gdb 13 or later',
    'finds the race, and gdb’s commands lead from the failed check to the guilty store',
    () => {
      const run = rexen([...words('rexen chaos'), '--out', folder, '--json']);
      expect(run.status, run.all).toBe(3);
      const { file, at } = JSON.parse(run.out).shrunk as { file: string; at: string };

      const session = rexen(['debug', file, '--at', at], blocks('gdb').join(''));
      const text = session.all.replaceAll(/\(gdb\) /g, '');
      expect(text).toMatch(/hit Breakpoint 1, .* in sold_twice/);
      const [ticket, counter] = [...text.matchAll(/^\$\d+ = (\d+)$/gm)].map(([, value]) => Number(value));
      expect(counter).toBe(ticket + 1);
      const [, after] = /^Old value = (\d+)$/m.exec(text)!;
      const [, before] = /^New value = (\d+)$/m.exec(text)!;
      expect(Number(after)).toBe(ticket + 1);
      expect(Number(before)).toBeGreaterThan(Number(after));
      expect(text).toMatch(/=> 0x[0-9a-f]+ <sell\+\d+>:\s+mov .*<next_ticket>/);

      const wrote = words('rexen who-wrote');
      wrote[1] = file;
      wrote[wrote.indexOf('--before') + 1] = at;
      expect(rexen(wrote).out).toContain('sell');
      const parted = rexen(['diff', good, file]);
      expect(parted.status).toBe(1);
      expect(parted.out).toContain('where they part');
    },
  );
});

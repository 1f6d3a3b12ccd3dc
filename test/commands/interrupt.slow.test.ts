/** Ctrl-C at a session that a script drives: it ends at once, and what was recorded is whole. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const kernel = fileURLToPath(new URL('../guests/spinner.elf', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rexen-interrupt-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a busy guest, and an expect that is never met', async () => {
  const [config, script, file] = ['spin.cfg', 'script', 'spin.rxn'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(
    config,
    `name = "spin"\ntype = "pvh"\nkernel = "${kernel}"\nmemory = 16\nvcpus = 2\nextra = "rounds=1000000000000"\n`,
  );
  writeFileSync(script, 'expect "spinner"\nexpect "never"\n');
  const child = spawn(process.execPath, [main, 'record', config, '--script', script, '-o', file]);
  let printed = '';
  child.stdout.on('data', (bytes) => {
    printed += bytes;
  });
  while (!printed.includes('spinner')) await once(child.stdout, 'data');
  child.kill('SIGINT');
  const [status] = await once(child, 'exit');
  expect(status).toBe(130);
  const replay = spawnSync(process.execPath, [main, 'replay', file], { encoding: 'utf8' });
  expect([replay.status, replay.stderr]).toEqual([0, '']);
  expect(replay.stdout).toContain('verified');
});

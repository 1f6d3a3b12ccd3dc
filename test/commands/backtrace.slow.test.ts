/** `rexen backtrace` and the symbols behind it, on a small guest and on Debian's kernel. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../src/host/files.ts';
import { openRecording } from '../../src/log/recording.ts';
import { livingEnd } from '../../replay/ends.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { currentVcpu, withVcpu } from '../../src/inspect/places.ts';
import { symbolsOf } from '../../src/inspect/symbols.ts';
import { Timeline } from '../../replay/timeline.ts';
import { backtrace } from '../../replay/backtrace.ts';
import { debianImage, describeWithImages, projectRoot, smallGuest } from '../support/images.ts';

const folder = mkdtempSync(join(tmpdir(), 'rexen-backtrace-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function rexen(...args: string[]) {
  const run = spawnSync(process.execPath, [join(projectRoot, 'src/main.ts'), ...args], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  expect(run.stderr).not.toMatch(/\n {4}at /);
  return { status: run.status, out: run.stdout, err: run.stderr };
}

describe('rexen backtrace', () => {
  const demo = join(projectRoot, 'recordings/demo.rxn');

  it("names a small guest's frames by its image", () => {
    const { status, out } = rexen('backtrace', demo, '--at', '50000', '--domain', 'front');
    expect(status).toBe(0);
    expect(out).toMatch(/^front \(d2\) vcpu 0 at tick 50,000\n {2}rax [0-9a-f]{16} /);
    expect(out).toMatch(/#0 {2}[0-9a-f]{16} {2}\w+\+0x/);
    expect(out).toMatch(/boot_main\+0x[0-9a-f]+\n/);
  });

  it('has JSON, and takes symbols from a file', () => {
    const text = rexen('backtrace', demo, '--at', '50000', '--domain', '2', '--json').out;
    const parsed = JSON.parse(text);
    expect(parsed).toMatchObject({ tick: 50000, domain: 2, name: 'front', vcpu: 0, symbols: 'elf' });
    expect(parsed.frames[0]).toMatchObject({ address: parsed.registers.rip, by: 'rip' });
    const given = rexen(
      'backtrace',
      demo,
      '--at',
      '50000',
      '--domain',
      '2',
      '--json',
      '--symbols',
      smallGuest('ring-front'),
    );
    expect(given.out).toBe(text);
  });

  it('has errors for people', () => {
    expect(rexen('backtrace', demo, '--domain', 'nobody').err).toContain('there is no domain nobody; there are: ');
    expect(rexen('backtrace', demo, '--at', '50000', '--vcpu', '7').err).toContain('has no vcpu 7');
    expect(rexen('backtrace', demo, '--at', 'yesterday').err).toContain('is no place in a recording');
    expect(rexen('backtrace', demo, '--symbols', join(projectRoot, 'package.json')).err).toContain('has no symbols');
  });
});

describeWithImages("Debian's kernel", [debianImage('boot/vmlinuz-*-cloud-amd64'), debianImage('bin/busybox')], () => {
  const file = join(folder, 'linux.rxn');

  it('is recorded', () => {
    const script = join(folder, 'script');
    writeFileSync(script, 'expect "# "\nwait 100000000\nend\n');
    expect(rexen('linux', '--record', file, '--script', script, '--json').status).toBe(0);
  });

  it('gives its symbols from its own memory, and an exact backtrace', () => {
    const recording = openRecording(new FileSource(file));
    const timeline = new Timeline(recording, sessionBuilder(recording, file));
    timeline.seek(livingEnd(recording));
    const { session } = timeline;
    const before = session.engine.stateDigest();
    const symbols = symbolsOf(session, 1)!;
    expect(symbols.source).toBe('kallsyms');
    expect(symbols.size).toBeGreaterThan(50_000);
    const text = symbols.address('_text')!;
    expect(text).toBe(0xffffffff81000000n);
    for (const name of ['start_kernel', 'panic', 'schedule', 'do_idle']) {
      const address = symbols.address(name)!;
      expect(address).toBeGreaterThan(text);
      expect(address).toBeLessThan(0xffffffffa0000000n);
      expect(symbols.name(address)).toBe(name);
      expect(symbols.name(address + 2n)).toBe(`${name}+0x2`);
      expect(symbols.isCode(address)).toBe(true);
    }
    const vcpu = currentVcpu(session)!;
    const rip = withVcpu(session, vcpu, () => session.engine.state.rip);
    expect(symbols.name(rip)).toMatch(/halt|idle/);
    const frames = backtrace(session, vcpu);
    expect(frames.slice(1).every(({ by }) => by === 'orc')).toBe(true);
    const names = frames.map(({ symbol }) => symbol!.replace(/\+.*/, ''));
    expect(names).toEqual(expect.arrayContaining(['do_idle', 'cpu_startup_entry', 'start_kernel']));
    // Looking is silent.
    expect(session.engine.stateDigest()).toBe(before);
  });

  it('is named before it has page tables of its own, and while it boots', () => {
    const early = rexen('backtrace', file, '--at', '1000', '--json');
    expect(JSON.parse(early.out)).toMatchObject({ symbols: 'kallsyms' });
    const booting = JSON.parse(rexen('backtrace', file, '--at', '20000000', '--json').out);
    const names = booting.frames.map(({ symbol }: { symbol: string }) => symbol?.replace(/\+.*/, ''));
    expect(names).toContain('start_kernel');
  });
});

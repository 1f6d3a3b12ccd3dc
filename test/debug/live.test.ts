/** gdb on a session while it is recorded: it stops and looks, and the recording is what it would have been. */
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { listenForGdb, type GdbServer } from '../../src/host/gdb-server.ts';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { ImageTable } from '../../src/host/images.ts';
import { type Holder, type RecordResult, recordSession } from '../../src/host/recorder.ts';
import { DEFAULT_WALLCLOCK_MS, loadDomainText, startRecording, submitWallclock } from '../../src/host/start.ts';
import { openRecording } from '../../src/log/recording.ts';
import { sessionConfig } from '../../src/session.ts';
import { LiveTarget } from '../../replay/live-target.ts';
import { ReplaySession } from '../../replay/session.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { smallGuest } from '../support/images.ts';

const servers: GdbServer[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

interface Started {
  readonly target: LiveTarget;
  readonly server: GdbServer;
  readonly file: MemoryFile;
  readonly said: string[];
  readonly signal: { aborted: boolean };
  readonly result: Promise<RecordResult>;
}

function build(guests: readonly string[]) {
  const images = new ImageTable();
  const domains = guests.map((guest, i) => {
    const text = `name = "${guest}${i}"\ntype = "pvh"\nkernel = "${smallGuest(guest)}"\nmemory = 8\nvcpus = 2\n`;
    return loadDomainText(text, 'test.cfg', images, () => {});
  });
  const config = sessionConfig(domains, { digest_interval_ticks: 100_000 });
  const file = new MemoryFile();
  const started = startRecording(config, images, file);
  submitWallclock(started.session.machine.door, DEFAULT_WALLCLOCK_MS);
  return { ...started, file };
}

/** Records guests with gdb's port open, standing before the first instruction. */
async function start(guests: readonly string[] = ['race']): Promise<Started> {
  const { session, writer, file } = build(guests);
  const said: string[] = [];
  const target = new LiveTarget(session, { say: (text) => said.push(text) });
  const server = await listenForGdb('0', target, (text) => said.push(text));
  servers.push(server);
  const signal = { aborted: false };
  const result = recordSession(session, { writer, holder: target satisfies Holder, signal });
  return { target, server, file, said, signal, result };
}

async function plain(guests: readonly string[] = ['race']): Promise<RecordResult> {
  const { session, writer } = build(guests);
  return await recordSession(session, { writer });
}

async function gdb(server: GdbServer, ...commands: string[]): Promise<string> {
  const args = ['-nx', '-batch', '-ex', 'set pagination off', '-ex', `target remote :${server.port}`];
  for (const command of commands) args.push('-ex', command);
  return await new Promise((resolve) => {
    execFile('gdb', [...args, smallGuest('race')], { timeout: 60_000 }, (_error, out, err) => resolve(out + err));
  });
}

function verified(file: MemoryFile): void {
  const recording = openRecording(new MemoryFile(file.bytes));
  const replay = new ReplaySession(recording, sessionBuilder(recording, 'live.rxn'), { createHash: sha256 });
  const report = replay.run();
  expect(report.divergence).toBeUndefined();
}

describe('gdb while recording', () => {
  it('stops, looks and steps, and the recording is the same', async () => {
    const without = await plain();
    const { server, file, result } = await start();
    const out = await gdb(
      server,
      'break sell',
      'continue',
      'print $rip == (unsigned long)&sell',
      'stepi',
      'x/i $rip',
      'watch *(unsigned long *)&next_ticket',
      'delete 1',
      'continue',
      'x/i $rip',
      'rwatch *(unsigned long *)&next_ticket',
      'continue',
      'x/i $rip',
      'delete',
      'tbreak sell if *(unsigned long *)&next_ticket == 50',
      'continue',
      'print *(unsigned long *)&next_ticket',
      'info threads',
      'monitor when',
      'monitor xl list',
      'stepi 5',
      'continue',
    );
    const with_ = await result;
    expect(out).toContain('hit Breakpoint 1');
    expect(out).toContain('$1 = 1');
    expect(out).toContain('=> 0x100007 <sell+7>');
    expect(out).toMatch(/hit Hardware watchpoint 2.*\n\nOld value = 0\nNew value = 1\n/);
    // A forward stop is right behind the instruction that accesses.
    expect(out).toContain('=> 0x100012 <sell+18>');
    expect(out).toMatch(/hit Hardware read watchpoint 3/);
    expect(out).toMatch(/hit Temporary breakpoint 4/);
    expect(out).toContain('$2 = 50');
    expect(out).toMatch(/tick [\d,]+, event #\d+, .* recording/);
    expect(out).toContain('race0');
    expect(out).toContain('exited normally');
    expect({ ticks: with_.ticks, events: with_.events, digest: with_.digest, outcome: with_.outcome }).toEqual({
      ticks: without.ticks,
      events: without.events,
      digest: without.digest,
      outcome: without.outcome,
    });
    verified(file);
  }, 120_000);

  it('never writes, says so, and does not go backwards', async () => {
    const { server, file, said, result } = await start();
    const out = await gdb(
      server,
      'break sell',
      'continue',
      'set var *(unsigned long *)&next_ticket = 99',
      'set $rax = 12345',
      'print *(unsigned long *)&next_ticket',
      'reverse-stepi',
      'monitor seek 5',
      'kill',
    );
    const { digest } = await result;
    expect(out).toContain('Cannot access memory at address 0x109000');
    expect(out).toMatch(/Could not write register "rax".*only looked at/);
    expect(out).toContain('$1 = 0');
    expect(out).toMatch(/does not support this command/);
    expect(out).toContain('open its recording with rexen debug');
    expect(said.join()).toContain('only looked at');
    expect(digest).toBe((await plain()).digest);
    verified(file);
  }, 120_000);

  it('stands still when the connection is lost, and can be joined there again', async () => {
    const { server, target, file, result } = await start();
    await gdb(server, 'break sell', 'continue', 'disconnect');
    expect(target.held).toBe(true);
    const at = /tick [\d,]+, event/.exec(await gdb(server, 'monitor when', 'disconnect'))?.[0];
    expect(at).toBeDefined();
    // In the middle of a packet.
    await new Promise<void>((done) => {
      const socket = connect(server.port, '127.0.0.1', () => {
        socket.write('$m1000');
        socket.end();
        socket.on('close', () => done());
      });
    });
    expect(target.held).toBe(true);
    expect(await gdb(server, 'monitor when', 'detach')).toContain(at);
    expect((await result).outcome).toBe('finished');
    verified(file);
  }, 120_000);

  it('sees each domain as a process of its own', async () => {
    const { server, result } = await start(['race', 'hello']);
    const out = await gdb(
      server,
      'info threads',
      'info inferiors',
      'break sell',
      'continue',
      'info threads',
      'detach',
      'inferior 2',
      'detach',
    );
    expect(out).toMatch(/Thread 1\.1 "race0"/);
    expect(out).toMatch(/Thread 2\.1 "hello1"/);
    expect(out).toMatch(/2 +process 2/);
    expect(out).toMatch(/hit Breakpoint 1/);
    expect((await result).outcome).toBe('finished');
  }, 120_000);

  it('ends at Ctrl-C of its own also while it stands still', async () => {
    const { signal, result } = await start();
    signal.aborted = true;
    expect((await result).outcome).toBe('interrupted');
  });
});

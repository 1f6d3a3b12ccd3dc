/**
 * Stock gdb on a whole boot of Debian's Linux: back to a function's last call and to a variable's last write by name, and
 * registers and memory at random marks as a straight replay has them (100 marks with REXEN_LONG=1, else 12).
 */
import { execFile } from 'node:child_process';
import { afterAll, expect } from 'vitest';
import * as L from '../../src/cpu/layout.ts';
import { SEG } from '../../src/cpu/state.ts';
import { framePacket } from '../../src/debug/rsp/framing.ts';
import { type GdbServer, listenForGdb } from '../../src/host/gdb-server.ts';
import { openRecording } from '../../src/log/recording.ts';
import { backtrace } from '../../replay/backtrace.ts';
import { ReplayTarget } from '../../replay/debug-target.ts';
import { contents, translate, withVcpu } from '../../src/inspect/places.ts';
import { whoWrote } from '../../replay/queries.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { symbolFileOf } from '../../replay/symbol-file.ts';
import { symbolsOf } from '../../src/inspect/symbols.ts';
import { Timeline } from '../../replay/timeline.ts';
import { GdbClient } from '../support/gdb-client.ts';
import { testWithImages } from '../support/images.ts';
import { IMAGES, recordLinux } from './guest.ts';

const MARKS = process.env['REXEN_LONG'] ? 100 : 12;

const SCRIPT = `
expect "is ready"
expect "# "
send "seq 1 3000 > up; sort -rn up > down; sha256sum up\\n"
expect "up\\r\\n"
expect "# "
send "poweroff\\n"
expect "System halted"
`;

const servers: GdbServer[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

function gdb(server: GdbServer, commands: readonly string[]): Promise<string> {
  const args = ['-nx', '-batch', '-ex', 'set pagination off', '-ex', `target remote :${server.port}`];
  for (const command of commands) args.push('-ex', command);
  return new Promise((resolve) => {
    execFile('gdb', args, { timeout: 600_000, maxBuffer: 1 << 26 }, (_error, out, err) => resolve(out + err));
  });
}

const ticksIn = (out: string): number[] =>
  [...out.matchAll(/^tick ([\d,]+) of/gm)].map(([, tick]) => Number(tick!.replaceAll(',', '')));

/** The processor's time that something takes, in seconds: other work on the computer counts less than by the clock. */
async function cost(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

testWithImages(
  'gdb goes back to a last call and a last write by name, and sees what a straight replay has',
  IMAGES,
  async () => {
    const { file } = await recordLinux({ domains: ['vcpus = 2'], script: SCRIPT, machine: { pcpus: 2 } });
    const recording = openRecording(file);
    const build = sessionBuilder(recording, 'memory.rxn');

    // A breakpoint that is never hit, over the whole recording, against a replay without a debugger.
    const bare = new Timeline(recording, build);
    const straight = await cost(() => bare.play(recording.lastTick));
    const timeline = new Timeline(recording, build);
    let symbols: Uint8Array | undefined;
    const target = new ReplayTarget(timeline, { symbols: () => symbols });
    const server = await listenForGdb('0', target);
    servers.push(server);
    const client = await GdbClient.open(server.port);
    expect(await client.ask('qSupported:multiprocess+')).toContain('ReverseContinue+');
    expect(await client.ask('Z0,ffffffff81000010,1')).toBe('OK');
    const watched = await cost(() => client.ask('vCont;c'));
    expect(timeline.tick).toBe(target.end);
    expect(await client.ask('z0,ffffffff81000010,1')).toBe('OK');

    // Ctrl-C in the middle of a long way back.
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      expect(await client.ask('Z2,ffffffff82000000,8')).toBe('OK');
      client.socket.write(framePacket('bc'));
      await new Promise((resolve) => setTimeout(resolve, 150 + 400 * i));
      const started = performance.now();
      client.socket.write('\x03');
      expect(await client.next()).toMatch(/^T02/);
      waits.push(performance.now() - started);
      timeline.seek(target.end);
    }
    client.socket.destroy();
    timeline.seek(target.end);
    symbols = symbolFileOf(timeline.session, 1);
    expect(symbols).toBeDefined();

    const out = await gdb(server, [
      'break vfs_write',
      'reverse-continue',
      'info symbol $rip',
      'monitor when',
      'stepi',
      'continue',
      'monitor when',
      'delete',
      'watch *(long *)&jiffies_64',
      'reverse-continue',
      'info symbol $rip',
      'monitor when',
      'backtrace 8',
      'delete',
      'monitor who-wrote jiffies_64:8',
      'detach',
    ]);
    const [lastCall, theEnd, lastWrite] = ticksIn(out);
    expect(out).toMatch(/hit Breakpoint 1, .* in vfs_write/);
    expect(out).toMatch(/^vfs_write in section/m);
    expect(lastCall).toBeGreaterThan(recording.lastTick / 2);
    // It was the last one: going on from there comes to the end.
    expect(theEnd).toBe(target.end);
    expect(out).toMatch(/hit Hardware watchpoint 2: \*\(long \*\)&jiffies_64\n\nOld value = \d+\nNew value = \d+/);
    expect(out).toMatch(/^tick_do_update_jiffies64 \+ \d+ in section/m);
    // The kernel's own unwind tables, in gdb's form.
    timeline.seek(lastWrite!);
    const vcpu = timeline.session.xen.find(1)!.vcpus.find((each) => each.slot === timeline.session.engine.current)!;
    const ours = backtrace(timeline.session, vcpu, undefined, 8).map(({ symbol }) => symbol!.split('+')[0]);
    const theirs = [...out.matchAll(/^#\d +0x[0-9a-f]+ in (\w+) \(\)$/gm)].map(([, name]) => name);
    expect(ours).toHaveLength(8);
    expect(theirs).toEqual(ours);
    timeline.seek(target.end);
    const address = symbolsOf(timeline.session, 1)!.address('jiffies_64')!;
    const write = whoWrote(timeline, { domain: 1, vcpu: 0, address, length: 8 }, target.end);
    expect(lastWrite).toBe(write!.tick);

    const wrong = await compareMarks(server, timeline, target.end, address);
    expect(wrong).toEqual([]);
    console.log(
      `gdb on ${recording.lastTick} ticks: with a breakpoint ${(watched / straight).toFixed(2)} times as long as without; ` +
        `Ctrl-C on the way back after ${waits.map((ms) => ms.toFixed(0)).join(', ')} ms; ${MARKS} marks agree`,
    );
    expect(Math.max(...waits)).toBeLessThan(1000);
    expect(watched / straight).toBeLessThan(2.5);
  },
  900_000,
);

/** What gdb shows at random marks against a replay that ran straight there. @returns what differs */
async function compareMarks(server: GdbServer, timeline: Timeline, end: number, variable: bigint): Promise<string[]> {
  let state = 20_261_128;
  const ticks = Array.from({ length: MARKS }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  });
  const names = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];
  const registers = [...names, 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip', 'eflags', 'cs', 'fs_base'];
  const shown = [...registers, 'gs_base', 'k_gs_base', 'cr2'].map((name) => `$${name}`);
  const commands = ticks.flatMap((tick) => [
    `monitor seek ${tick}`,
    'maintenance flush register-cache',
    'maintenance flush dcache',
    ...[1, 2].flatMap((thread) => [
      `thread ${thread}`,
      `printf "R ${tick} ${thread} ${shown.map(() => '%lx').join(' ')} %lx %lx %lx\\n", ${shown.join(', ')}, (long)$cr3, (long)$cr0, (long)$efer`,
      `printf "M ${tick} ${thread} %lx\\n", *(long *)0x${variable.toString(16)}`,
      'echo \\n', // an address that is not mapped leaves a line without an end
      `printf "S ${tick} ${thread} %lx %lx %lx %lx\\n", *(long *)$rsp, *(long *)($rsp + 8), *(long *)($rsp + 4096), *(long *)$rip`,
      'echo \\n',
    ]),
  ]);
  const seen = new Set([...(await gdb(server, commands)).matchAll(/^[RMS] .*$/gm)].map(([line]) => line));
  const wrong: string[] = [];
  const straight = new Timeline(timeline.recording, sessionBuilder(timeline.recording, 'memory.rxn'), {
    spacing: Number.MAX_SAFE_INTEGER,
  });
  let compared = 0;
  for (const tick of [...ticks].sort((a, b) => a - b)) {
    straight.forward(tick);
    for (const line of truth(straight, tick, variable)) {
      compared++;
      if (!seen.has(line)) wrong.push(line);
    }
  }
  expect(compared).toBeGreaterThan(2 * MARKS);
  return wrong;
}

/** The lines that gdb must have printed. Memory that is not mapped makes gdb print none. */
function truth({ session }: Timeline, tick: number, variable: bigint): string[] {
  const lines: string[] = [];
  for (const vcpu of session.xen.find(1)!.vcpus) {
    const thread = vcpu.id + 1;
    const hex = (value: bigint | number) => BigInt.asUintN(64, BigInt(value)).toString(16);
    const words = (addresses: readonly bigint[]): string[] | undefined => {
      const all = addresses.map((at) => contents(session, translate(session, vcpu, BigInt.asUintN(64, at), 8)));
      if (all.some(({ length }) => length < 8)) return undefined;
      return all.map((bytes) => Buffer.from(bytes).readBigUInt64LE().toString(16));
    };
    const [rsp, rip] = withVcpu(session, vcpu, () => {
      const { state: s } = session.engine;
      const values = [
        ...Array.from({ length: 16 }, (_, n) => s.reg(n)),
        ...[s.rip, s.eflags, s.selector(SEG.CS), s.base(SEG.FS), s.base(SEG.GS)],
        ...[s.get64(L.MSR_KERNEL_GS_BASE), s.get64(L.CR2), s.cr3, s.cr0 >>> 0, s.efer],
      ];
      lines.push(`R ${tick} ${thread} ${values.map(hex).join(' ')}`);
      return [s.reg(4), s.rip];
    });
    const value = words([variable]);
    if (value) lines.push(`M ${tick} ${thread} ${value[0]}`);
    const stack = words([rsp, rsp + 8n, rsp + 4096n, rip]);
    if (stack) lines.push(`S ${tick} ${thread} ${stack.join(' ')}`);
  }
  return lines;
}

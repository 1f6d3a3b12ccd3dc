/** Stock gdb on a recording with a lost-update race: from the failed check back to the guilty store. */
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { processOf } from '../../src/debug/target.ts';
import { type GdbServer, listenForGdb } from '../../src/host/gdb-server.ts';
import { REGISTERS } from '../../src/debug/registers.ts';
import { ReplayTarget } from '../../replay/debug-target.ts';
import { selectEvents } from '../../src/log/select.ts';
import { Timeline } from '../../replay/timeline.ts';
import { type Made, recordGuests } from '../snapshot/support.ts';
import { smallGuest } from '../support/images.ts';

const servers: GdbServer[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

/** Runs gdb's commands on the target; what it prints. */
async function gdb(server: GdbServer, ...commands: string[]): Promise<string> {
  const args = ['-nx', '-batch', '-ex', 'set pagination off', '-ex', `target remote :${server.port}`];
  for (const command of commands) args.push('-ex', command);
  return await new Promise((resolve) => {
    execFile('gdb', [...args, smallGuest('race')], { timeout: 60_000 }, (_error, out, err) => resolve(out + err));
  });
}

/** A recording in which a ticket is sold twice. */
function failing(): Made {
  for (let seed = 0; seed < 400; seed++) {
    const chaos = { seed, mean_ticks: 20_000 };
    const made = recordGuests([{ guest: 'race', cmdline: `jitter=${seed}`, vcpus: 2 }], 50_000_000, { chaos });
    if (printed(made).includes('was sold by')) return made;
  }
  throw new Error('no run failed');
}

function printed({ recording }: Made): string {
  let text = '';
  for (const event of consoleEvents(recording)) text += event;
  return text;
}

function* consoleEvents(recording: Made['recording']): Generator<string> {
  for (const event of selectEvents(recording, { kinds: ['console-output', 'console-io'] })) {
    yield Buffer.from((event as unknown as { bytes: Uint8Array }).bytes).toString('latin1');
  }
}

describe('gdb', async () => {
  const made = failing();
  const timeline = new Timeline(made.recording, made.build);
  const target = new ReplayTarget(timeline);
  timeline.seek(target.end);
  target.interrupted();
  const server = await listenForGdb('0', target);
  servers.push(server);

  it('finds the store that undid the other vcpu’s sale, going backwards', async () => {
    const out = await gdb(
      server,
      'break sold_twice',
      'reverse-continue',
      'print $rip == (unsigned long)&sold_twice',
      'set $ticket = $rsi',
      'watch *(unsigned long *)&next_ticket',
      'delete 1',
      'reverse-continue',
      'x/i $rip',
      'info symbol $rip',
      'printf "STORE %lu OVER %lu\\n", *(unsigned long *)&next_ticket, $ticket',
      'reverse-continue',
      'info symbol $rip',
      'monitor when',
    );
    expect(out).toContain('$1 = 1');
    expect(out).toMatch(/Hardware watchpoint 2/);
    expect(out).toMatch(/sell \+ \d+ in section|sell in section|guest_main|run/);
    expect(out).toMatch(/Old value = \d+/);
    expect(out).toMatch(/New value = \d+/);
    expect(out).toMatch(/tick [\d,]+ of [\d,]+/);
  }, 60_000);

  it('can be joined again after a connection was cut, where it was left', async () => {
    const first = await gdb(server, 'monitor seek 100000', 'disconnect');
    expect(first).toContain('now at tick 100,000');
    await new Promise<void>((resolve) => {
      const socket = connect(server.port, '127.0.0.1', () => {
        socket.write('$vCont;c#a8');
        setTimeout(() => {
          socket.destroy();
          setTimeout(resolve, 50);
        }, 20);
      });
    });
    expect(await gdb(server, 'monitor seek 100000', 'monitor when')).toContain('tick 100,000 of');
  }, 60_000);

  it('steps back and forth to the same registers', async () => {
    const out = await gdb(
      server,
      'monitor seek 400000',
      'maintenance flush register-cache',
      'printf "A %lx %lx %lx\\n", $rip, $rax, $rsp',
      'reverse-stepi',
      'reverse-stepi',
      'reverse-stepi',
      'stepi',
      'stepi',
      'stepi',
      'printf "B %lx %lx %lx\\n", $rip, $rax, $rsp',
    );
    const [, a] = /^A (.*)$/m.exec(out) ?? [];
    const [, b] = /^B (.*)$/m.exec(out) ?? [];
    expect(a).toBeDefined();
    expect(b).toBe(a);
  }, 60_000);

  it('shows the registers and the memory of a straight replay', async () => {
    const ticks = Array.from(
      { length: 20 },
      (_, i) => 5_000 + Math.floor(((target.end - 10_000) * ((i * 7) % 20)) / 20),
    );
    const commands = ticks.flatMap((tick) => [
      `monitor seek ${tick}`,
      'maintenance flush register-cache',
      'thread 1',
      'printf "R %lx %lx %lx %lx %x %lx\\n", $rip, $rsp, $rdi, $cr3, $eflags, *(unsigned long *)&next_ticket',
    ]);
    const seen = [...(await gdb(server, ...commands)).matchAll(/^R (.*)$/gm)].map(([, text]) => text);
    const straight = new Map<number, string>();
    const other = new Timeline(made.recording, made.build, { spacing: Number.MAX_SAFE_INTEGER });
    const looks = new ReplayTarget(other);
    for (const tick of [...ticks].sort((a, b) => a - b)) {
      other.forward(tick);
      const thread = looks.threads()[0]!.id;
      const register = (name: string) => {
        const at = REGISTERS.findIndex((each) => each.name === name);
        return `${Buffer.from(looks.readRegister(thread, at)!)
          .reverse()
          .toString('hex')
          .replace(/^0+(?=.)/, '')}`;
      };
      const memory = looks.readMemory(thread, 0x109000n, 8)!;
      const names = ['rip', 'rsp', 'rdi', 'cr3', 'eflags'].map(register);
      straight.set(tick, [...names, Buffer.from(memory).readBigUInt64LE().toString(16)].join(' '));
    }
    expect(seen).toEqual(ticks.map((tick) => straight.get(tick)));
  }, 120_000);

  it('stops at reads and at any access, forwards and backwards', async () => {
    const out = await gdb(
      server,
      'monitor seek 300000',
      'maintenance flush register-cache',
      'rwatch *(unsigned long *)&next_ticket',
      'continue',
      'monitor when',
      'x/i $rip',
      'continue',
      'monitor when',
      'reverse-continue',
      'monitor when',
      'x/i $rip',
      'delete',
      'awatch *(unsigned long *)&next_ticket',
      'continue',
      'continue',
      'monitor when',
      'reverse-continue',
      'monitor when',
    );
    expect(out).toContain('Hardware read watchpoint 1');
    expect(out.match(/Hardware read watchpoint 1: \*\(unsigned long \*\)&next_ticket\n\nValue = \d+/g)).toHaveLength(3);
    const [first, second, again, third, back] = [...out.matchAll(/^tick ([\d,]+) of/gm)].map(([, tick]) =>
      Number(tick!.replaceAll(',', '')),
    );
    // The forward stop is behind the load, the backward one before it.
    expect(second).toBeGreaterThan(first!);
    expect(again).toBe(second! - 1);
    expect(out).toMatch(/=> 0x[0-9a-f]+ <sell>:\s+mov\s+0x[0-9a-f]+\(%rip\),%rax +# 0x109000/);
    // Of any access: the load, then the store; back before the store.
    expect(out).toContain('Hardware access (read/write) watchpoint 2');
    expect(third).toBeGreaterThan(second!);
    expect(back).toBe(third! - 1);
  }, 60_000);

  it('may write: into a diversion, which the next seek drops', async () => {
    const before = await gdb(server, 'monitor seek 300000', 'print *(unsigned long *)&next_ticket');
    const out = await gdb(
      server,
      'monitor seek 300000',
      'maintenance flush register-cache',
      'set var *(unsigned long *)&next_ticket = 12345',
      'stepi',
      'monitor when',
      'print *(unsigned long *)&next_ticket',
      'monitor seek 300000',
      'maintenance flush register-cache',
      'maintenance flush dcache',
      'print *(unsigned long *)&next_ticket',
    );
    expect(out).toContain('in a diversion');
    expect(out).toContain('$1 = 12345');
    const [, kept] = /\$1 = (\d+)/.exec(before) ?? [];
    expect(out).toContain(`$2 = ${kept}`);
  }, 60_000);

  it('looks at conditions itself, and hits watchpoints while it steps', async () => {
    const out = await gdb(
      server,
      'monitor seek 100000',
      'maintenance flush register-cache',
      'break sell if (long)next_ticket == 100',
      'continue',
      'print *(unsigned long *)&next_ticket',
      'delete',
      'watch *(unsigned long *)&next_ticket',
      'stepi 10',
      'x/i $rip',
      'reverse-stepi',
      'x/i $rip',
    );
    expect(out).toMatch(/hit Breakpoint 1, /);
    expect(out).toContain('$1 = 100');
    expect(out.match(/hit Hardware watchpoint 2: .*\n\nOld value = 100\nNew value = 101\n/)).not.toBeNull();
    expect(out).toContain('=> 0x100012 <sell+18>');
    expect(out.match(/hit Hardware watchpoint 2: .*\n\nOld value = 101\nNew value = 100\n/)).not.toBeNull();
    expect(out).toContain('=> 0x10000b <sell+11>');
    const stops = await count(server, 'break sell if (long)next_ticket == 100');
    expect(stops).toBe(1);
  }, 60_000);

  it('steps out of a function that has no lines, over its loops', async () => {
    const out = await gdb(
      server,
      'monitor seek 100000',
      'maintenance flush register-cache',
      'tbreak sell',
      'continue',
      'step',
      'info symbol $rip',
      'reverse-stepi',
      'info symbol $rip',
      'reverse-finish',
      'info symbol $rip',
    );
    expect(out.match(/^run \+ \d+ in section/gm)).toHaveLength(2);
    expect(out).toMatch(/^sell \+ \d+ in section/m);
  }, 60_000);

  it('calls functions of the guest, in a diversion', async () => {
    const out = await gdb(
      server,
      'monitor seek 100000',
      'maintenance flush register-cache',
      'maintenance flush dcache',
      'tbreak sell',
      'continue',
      'set $before = *(unsigned long *)&next_ticket',
      'print ((unsigned long (*)(void))sell)() == $before',
      'print *(unsigned long *)&next_ticket == $before + 1',
      'monitor when',
      'monitor seek +0',
      'maintenance flush register-cache',
      'maintenance flush dcache',
      'print *(unsigned long *)&next_ticket == $before',
    );
    expect(out).toMatch(/\$1 = 1\n\$2 = 1\n/);
    expect(out).toContain('in a diversion from tick');
    expect(out).toContain('$3 = 1');
  }, 60_000);

  it('has marks, events and long lists, and says what is wrong', async () => {
    const out = await gdb(
      server,
      'monitor seek 123456',
      'monitor mark here',
      'monitor mark there end-1000',
      'monitor marks',
      'monitor seek there',
      'monitor seek here',
      'monitor when',
      'monitor seek +10',
      'monitor seek nowhere',
      'monitor mark 1',
      'monitor events console-output 2',
      'monitor events nonsense',
      'monitor who-wrote next_ticket',
      'monitor who-wrote no_such_thing',
      'monitor domains',
      'monitor xenstore /local/domain/1/name',
      'monitor xenstore /nothing',
      'monitor physical 0x100000:16',
      'monitor backtrace',
      'monitor xl list',
      'monitor xl destroy race0',
      'monitor frobnicate',
      'monitor help',
    );
    expect(out).toContain('here is tick 123,456');
    expect(out).toMatch(/^here +tick 123,456$/m);
    expect(out).toMatch(/^tick 123,456 of /m);
    expect(out).toContain('now at tick 123,466');
    expect(out).toContain('"nowhere" is no place in a recording');
    expect(out).toContain('a mark has a name');
    expect(out).toMatch(/console-output/);
    expect(out).toContain('there is no event kind "nonsense"');
    expect(out).toMatch(/tick [\d,]+: d1v\d at 0x[0-9a-f]+ <sell.*> wrote 0x/);
    expect(out).toContain('race0 has no symbol no_such_thing');
    expect(out).toMatch(/1 race0: 2 vcpus/);
    expect(out).toContain('/local/domain/1/name = "race0"');
    expect(out).toContain('xenstore has no node /nothing now');
    expect(out).toMatch(/^0x100000: ([0-9a-f]{2} ){15}[0-9a-f]{2} /m);
    expect(out).toMatch(/^#0 /m);
    expect(out).toContain('there is no command "frobnicate"');
    expect(out).toMatch(/^monitor seek MARK/m);
    expect(target.threads()).toHaveLength(2);
  }, 60_000);

  it('is joined at a thread of another process than the first', async () => {
    const two = recordGuests([{ guest: 'race', vcpus: 2 }, { guest: 'spinner' }], 3_000_000);
    const line = new Timeline(two.recording, two.build);
    const both = new ReplayTarget(line);
    // A turn of the second domain.
    for (let tick = 20_000; processOf(both.current) !== 2; tick += 5_000) {
      line.seek(tick);
      both.interrupted();
    }
    const port = await listenForGdb('0', both);
    servers.push(port);
    const out = await gdb(port, 'thread', 'print $cr0 != 0', 'thread 1.1', 'print $cr0 != 0');
    expect(out).toContain('[Current thread is 2.1 ');
    expect(out).toContain('[Switching to thread 1.1 ');
    expect([...out.matchAll(/^\$\d = (\d)$/gm)].map(([, value]) => value)).toEqual(['1', '1']);
    expect(out).not.toContain('too long');
  }, 60_000);

  it('shows domains as processes and vcpus as their threads', async () => {
    const two = recordGuests([{ guest: 'race', vcpus: 2 }, { guest: 'spinner' }], 3_000_000);
    const line = new Timeline(two.recording, two.build);
    const both = new ReplayTarget(line);
    line.seek(20_000);
    both.interrupted();
    const port = await listenForGdb('0', both);
    servers.push(port);
    const out = await gdb(
      port,
      'info threads',
      'info inferiors',
      'inferior 2',
      'unset tdesc filename',
      'print $cr0 != 0',
      'inferior 1',
      'print $rip != 0',
      'break sell',
      'continue',
    );
    expect(out).toMatch(/Thread 1\.1 "race0" \(d1v0, /);
    expect(out).toMatch(/Thread 1\.2 "race0" \(d1v1, /);
    expect(out).toMatch(/Thread 2\.1 "spinner1" \(d2v0, /);
    expect(out).toMatch(/2 +process 2/);
    expect(out).toContain('Switching to inferior 2');
    expect(out).toContain('$1 = 1');
    expect(out).toMatch(/Thread 1\.\d "race0" hit Breakpoint 1|hit Breakpoint 1/);
  }, 60_000);

  it('gives a 32-bit guest 32-bit registers', () => {
    const xml = new ReplayTarget(timeline, { architecture: 'i386' });
    xml.joined();
    expect(xml.targetXml(0)).toContain('<architecture>i386</architecture>');
    expect(xml.targetXml(0)).toContain('name="eip"');
    const plain = new ReplayTarget(timeline);
    plain.joined();
    expect(plain.targetXml(0)).toContain('name="rip"');
  });
});

/** How often gdb itself stops, or would, on a way back over the whole recording. */
async function count(server: GdbServer, point: string): Promise<number> {
  const out = await gdb(
    server,
    'set debug remote 1',
    point,
    'monitor seek end',
    'reverse-continue',
    'reverse-continue',
  );
  return out.match(/Packet received: T05thread:p1\.\d+;swbreak/g)?.length ?? 0;
}

/** gdb's port and whoever comes there. */
import { createServer } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { framePacket, MAX_PACKET } from '../../src/debug/rsp/framing.ts';
import { listenForGdb, parseAddress, targetText } from '../../src/host/gdb-server.ts';
import { ReplayTarget } from '../../replay/debug-target.ts';
import { Timeline } from '../../replay/timeline.ts';
import { recordGuests } from '../snapshot/support.ts';
import { GdbClient } from '../support/gdb-client.ts';

describe('an address to listen on', () => {
  it.each([
    ['1234', '127.0.0.1', 1234],
    [':1234', '127.0.0.1', 1234],
    ['localhost:1234', 'localhost', 1234],
    ['0.0.0.0:1234', '0.0.0.0', 1234],
    ['[::1]:1234', '::1', 1234],
    ['0', '127.0.0.1', 0],
  ])('%s', (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
  });

  it.each(['', 'x', ':', 'localhost', ':99999', '::1:1234', 'a b:1', '1234:', ':-1', ':1e3', '/tmp/x:1'])(
    '%j is none, and it is said why',
    (text) => {
      expect(() => parseAddress(text)).toThrow(/is no HOST:PORT, such as :1234/);
    },
  );

  it('becomes what gdb is told', () => {
    expect(targetText({ host: '127.0.0.1', port: 9 })).toBe('target remote 127.0.0.1:9');
    expect(targetText({ host: '0.0.0.0', port: 9 })).toBe('target remote localhost:9');
    expect(targetText({ host: '::1', port: 9 })).toBe('target remote [::1]:9');
  });
});

describe('the port', async () => {
  const made = recordGuests([{ guest: 'race', cmdline: 'jitter=3', vcpus: 2 }]);
  const timeline = new Timeline(made.recording, made.build);
  const target = new ReplayTarget(timeline);
  timeline.seek(target.end);
  const said: string[] = [];
  const server = await listenForGdb('0', target, (text) => said.push(text));
  afterAll(() => server.close());
  const place = () => timeline.tick;

  it('that is taken is an error in words', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    await expect(listenForGdb(`:${port}`, target)).rejects.toThrow(/something else listens there/);
    other.close();
    await expect(listenForGdb('192.0.2.1:0', target)).rejects.toThrow(/no such address/);
  });

  it('takes one client that speaks, and says that it refuses a second', async () => {
    const first = await GdbClient.open(server.port);
    expect(await first.ask('qC')).toMatch(/^QC/);
    const second = await GdbClient.open(server.port);
    await second.end();
    expect(said.join()).toContain('refused');
    expect(await first.ask('qC')).toMatch(/^QC/);
    first.socket.destroy();
  });

  it('is not blocked by somebody who opens it and says nothing', async () => {
    const silent = await GdbClient.open(server.port);
    const second = await GdbClient.open(server.port);
    expect(await second.ask('qC')).toMatch(/^QC/);
    await silent.end();
    second.socket.destroy();
  });

  it('stands where it stood when a client is gone in the middle of a packet, or of a motion', async () => {
    timeline.seek(300_000);
    const cut = await GdbClient.open(server.port);
    await cut.ask('qC');
    cut.socket.write('$m1000');
    cut.socket.resetAndDestroy();
    const again = await GdbClient.open(server.port);
    await until(async () => {
      expect(await again.ask('T101')).toBe('OK');
    });
    expect(place()).toBe(300_000);
    again.socket.write(framePacket('bc'));
    again.socket.resetAndDestroy();
    await until(async () => {
      const last = await GdbClient.open(server.port);
      try {
        expect(await last.ask('?')).toMatch(/^T05thread:/);
        const tick = place();
        expect(await last.ask('vCont;s')).toMatch(/^T05/);
        expect(place()).toBeGreaterThan(tick);
      } finally {
        last.socket.destroy();
      }
    });
  });

  it('outlives packets without an end', async () => {
    const client = await GdbClient.open(server.port);
    await client.ask('qC');
    const before = process.memoryUsage().rss;
    const piece = Buffer.alloc(1 << 20, 'a');
    client.socket.write('$');
    for (let i = 0; i < 64; i++) {
      if (!client.socket.write(piece)) await new Promise((resolve) => client.socket.once('drain', resolve));
    }
    client.socket.write('#00');
    expect(await client.ask('qC')).toMatch(/^QC/);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 << 20);
    const tooLong = Buffer.from(framePacket('m'.repeat(MAX_PACKET + 1)));
    client.socket.write(tooLong);
    expect(await client.ask('qC')).toMatch(/^QC/);
    client.socket.destroy();
  }, 30_000);

  it('does not answer into a pipe that nobody empties', async () => {
    const slow = await GdbClient.open(server.port);
    await slow.ask('qC');
    slow.socket.pause();
    const before = process.memoryUsage().rss;
    // Each of these few bytes asks for sixteen kilobytes: 800 megabytes in all.
    const question = Buffer.concat(Array.from({ length: 1000 }, () => framePacket('m100000,1ff0')));
    for (let i = 0; i < 50; i++) slow.socket.write(question);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
    slow.socket.destroy();
    const next = await GdbClient.open(server.port);
    await until(async () => {
      expect(await next.ask('qC')).toMatch(/^QC/);
    });
    next.socket.destroy();
  }, 30_000);
});

/** Tries until it holds: closing a connection takes the host a moment. */
async function until(holds: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await holds();
      return;
    } catch (error) {
      if (tries >= 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

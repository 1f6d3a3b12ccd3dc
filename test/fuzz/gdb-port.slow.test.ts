/**
 * Garbage on gdb's port: it neither stops nor slows the server, and memory stays flat. 100,000 packets; a million with
 * REXEN_LONG=1. What takes long on purpose (motions, scans) is drawn seldom, for it is no garbage.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { framePacket } from '../../src/debug/rsp/framing.ts';
import { PACKETS } from '../../src/debug/rsp/packets.ts';
import { type GdbServer, listenForGdb } from '../../src/host/gdb-server.ts';
import { ReplayTarget } from '../../replay/debug-target.ts';
import { Timeline } from '../../replay/timeline.ts';
import { recordGuests } from '../snapshot/support.ts';
import { GdbClient } from '../support/gdb-client.ts';

const PACKET_COUNT = process.env['REXEN_LONG'] ? 1_000_000 : 100_000;
const SEED = 20_261_128;
const BATCH = 100;
const MOTIONS = new Set(['c', 's', 'bc', 'bs', 'vCont;', 'vRun;']);
const GOODBYES = ['k', 'D', 'vKill;1'];
const STARTS = Object.keys(PACKETS).filter(
  (start) => !MOTIONS.has(start) && !GOODBYES.some((each) => each.startsWith(start)),
);
const ODD = [
  ...['', ',', ':', ';', '=', '-1', '0', 'ffffffffffffffff', 'zz', '\0', '#', '}', '*', '$', '\x03', 'p1.1', 'p-1.-1'],
  ...['1000,4', '1000,4:00112233', 'ffffffffffffffff,ffffffff', '0,0', '109000,8', '102', 'pzz.1', 'X4,26000027', '.'],
];

function generator(seed: number) {
  let state = seed >>> 0;
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex');
  const args = (): string => {
    let text = '';
    for (let k = below(5); k > 0; k--) text += below(2) ? pick(ODD) : String.fromCharCode(below(256));
    return text;
  };
  return {
    below,
    /** Bytes of one packet, good or bad. */
    packet(): Uint8Array {
      const kind = below(1000);
      // Whole motions are dear, and a goodbye ends the connection: one packet in a thousand each.
      if (kind === 0) return framePacket(pick([...MOTIONS]) + (below(2) ? '' : args()));
      if (kind === 1) return framePacket(pick(GOODBYES));
      if (kind < 200) return Uint8Array.from({ length: below(60) }, () => below(256));
      if (kind < 300) return Buffer.from(`$${pick(STARTS)}${args()}#${pick(['00', 'zz', 'ff', '4'])}`, 'latin1');
      if (kind < 330) return Buffer.from(`$${pick(STARTS)}${args()}`, 'latin1');
      if (kind < 380)
        return framePacket(`qRcmd,${hex(pick(['when', 'help', 'marks', 'domains', 'mark x', 'nonsense', '', '\0']))}`);
      return framePacket(pick(STARTS) + args());
    },
  };
}

/** Milliseconds of a read of memory, the median of many. */
async function latency(client: GdbClient): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 300; i++) {
    const started = performance.now();
    await client.ask('m100000,40');
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}

describe('garbage on the port', async () => {
  const made = recordGuests([{ guest: 'race', cmdline: 'jitter=3', vcpus: 2 }]);
  const timeline = new Timeline(made.recording, made.build);
  const said: string[] = [];
  const target = new ReplayTarget(timeline, { say: () => {} });
  timeline.seek(300_000);
  const server: GdbServer = await listenForGdb('0', target, (text) => said.push(text));
  afterAll(() => server.close());

  it(`of ${PACKET_COUNT} packets leaves a server as quick as it was, with flat memory`, async () => {
    const random = generator(SEED);
    let client = await GdbClient.open(server.port);
    await client.ask('qC');
    const before = await latency(client);
    let middle = 0;
    let connections = 1;
    for (let sent = 0; sent < PACKET_COUNT; sent += BATCH) {
      const batch = Buffer.concat(Array.from({ length: BATCH }, () => Buffer.from(random.packet())));
      // One connection in twenty batches ends in the middle of something.
      if (random.below(20) === 0) {
        client.socket.write(batch.subarray(0, random.below(batch.length)));
        client.socket.resetAndDestroy();
      }
      if (client.closed || client.socket.destroyed) {
        client = await GdbClient.open(server.port);
        connections++;
      }
      if (!client.socket.write(batch)) {
        await Promise.race([new Promise((resolve) => client.socket.once('drain', resolve)), client.end()]);
      }
      // In step: what was asked is answered before more is asked.
      const marker = `qXfer:features:read:target.xml:${(sent % 1000).toString(16)},1`;
      await client.ask(marker).catch(() => {});
      client.take();
      if (sent === PACKET_COUNT / 2) middle = process.memoryUsage().rss;
    }
    client.socket.destroy();
    const last = await GdbClient.open(server.port);
    await last.ask('qC');
    const after = await latency(last);
    const grown = (process.memoryUsage().rss - middle) >> 20;
    console.log(
      `${PACKET_COUNT} packets over ${connections} connections: a read of memory took ${before.toFixed(2)} ms before and ${after.toFixed(2)} ms after; in the second half memory grew by ${grown} MiB`,
    );
    expect(after).toBeLessThan(Math.max(5 * before, 2));
    expect(grown).toBeLessThan(100);
    expect(said.filter((text) => !text.startsWith('another gdb'))).toEqual([]);
    // It is still a debugger.
    expect(await last.ask('qSupported:multiprocess+;swbreak+')).toContain('ReverseStep+');
    expect(await last.ask('vCont;s:p1.1')).toMatch(/^T05thread:p1\./);
    last.socket.destroy();
  }, 1_200_000);
});

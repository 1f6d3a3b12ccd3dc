import { describe, expect, test } from 'vitest';
import { NETIF_RSP, NETRXF, NETTXF } from '../../src/backends/netif/abi.ts';
import { type Packet, Switch, type SwitchPort } from '../../src/backends/netif/switch.ts';
import { Vif } from '../../src/backends/netif/vif.ts';
import { FakeServices, FakeStore } from './fake-services.ts';

const LATENCY = 50_000;
const TX = 10;
const RX = 11;
const MAC_A = [0, 0x16, 0x3e, 0, 0, 1];
const MAC_B = [0, 0x16, 0x3e, 0, 0, 2];
const ALL = [255, 255, 255, 255, 255, 255];

const frame = (to: number[], from: number[], length = 60, fill = 0x5a): Uint8Array => {
  const bytes = new Uint8Array(length).fill(fill);
  bytes.set(to);
  bytes.set(from, 6);
  return bytes;
};
const packet = (bytes: Uint8Array): Packet => ({ bytes, checksumBlank: false, checksumValid: false });

/** A guest with both rings, one event channel, and pages as it grants them. */
class Guest {
  readonly tx: DataView;
  readonly rx: DataView;
  readonly vif: Vif;
  readonly services: FakeServices;
  readonly domain: number;
  readonly store = new FakeStore();
  #sent = 0;
  #offered = 0;

  constructor(services: FakeServices, bridge: Switch, domain: number, connect = true) {
    this.services = services;
    this.domain = domain;
    this.tx = new DataView(services.grant(domain, TX).buffer);
    this.rx = new DataView(services.grant(domain, RX).buffer);
    for (const ring of [this.tx, this.rx]) for (const at of [4, 12]) ring.setUint32(at, 1, true);
    services.offered.add(`${domain}:7`);
    const paths = { domain, front: `/front/${domain}`, back: `/back/${domain}` };
    this.vif = new Vif(services, this.store, paths, bridge);
    if (connect) this.connect();
  }
  connect(more: Record<string, string> = {}): void {
    const nodes = {
      'tx-ring-ref': `${TX}`,
      'rx-ring-ref': `${RX}`,
      'event-channel': '7',
      'request-rx-copy': '1',
      ...more,
    };
    for (const [name, value] of Object.entries({ ...nodes, state: '4' }))
      this.store.write(`/front/${this.domain}/${name}`, value);
  }
  get state(): string | undefined {
    return this.store.read(`/back/${this.domain}/state`);
  }
  /** Puts requests of one packet into the ring. */
  send(...slots: { ref: number; offset?: number; flags?: number; size: number }[]): void {
    for (const { ref, offset = 0, flags = 0, size } of slots) {
      const at = 64 + (this.#sent % 256) * 12;
      this.tx.setUint32(at, ref, true);
      this.tx.setUint16(at + 4, offset, true);
      this.tx.setUint16(at + 6, flags, true);
      this.tx.setUint16(at + 8, this.#sent++, true);
      this.tx.setUint16(at + 10, size, true);
    }
    this.tx.setUint32(0, this.#sent, true);
  }
  sendFrame(ref: number, bytes: Uint8Array): void {
    this.services.grant(this.domain, ref).set(bytes);
    this.send({ ref, size: bytes.length });
  }
  txStatus(index: number): [id: number, status: number] {
    const at = 64 + (index % 256) * 12;
    return [this.tx.getUint16(at, true), this.tx.getInt16(at + 2, true)];
  }
  /** Offers a page for reception. */
  offer(ref: number): Uint8Array {
    const at = 64 + (this.#offered % 256) * 8;
    this.rx.setUint16(at, this.#offered++, true);
    this.rx.setUint32(at + 4, ref, true);
    this.rx.setUint32(0, this.#offered, true);
    return this.services.grant(this.domain, ref);
  }
  get received(): number {
    return this.rx.getUint32(8, true);
  }
  rxStatus(index: number): { flags: number; status: number } {
    const at = 64 + (index % 256) * 8;
    return { flags: this.rx.getUint16(at + 4, true), status: this.rx.getInt16(at + 6, true) };
  }
  turn(): void {
    this.services.signal();
    this.services.pass(LATENCY);
  }
}

function pair(): [Guest, Guest] {
  const services = new FakeServices();
  const bridge = new Switch();
  return [new Guest(services, bridge, 1), new Guest(services, bridge, 2)];
}

describe('the switch', () => {
  const port = (name: string): SwitchPort & { got: Uint8Array[] } => {
    const got: Uint8Array[] = [];
    return { name, got, receive: ({ bytes }) => got.push(bytes) };
  };

  test('floods what it does not know, and learns', () => {
    const bridge = new Switch();
    const [a, b, c] = [port('a'), port('b'), port('c')];
    for (const each of [a, b, c]) bridge.plug(each);
    bridge.send(a, packet(frame(MAC_B, MAC_A)));
    expect([a, b, c].map(({ got }) => got.length)).toEqual([0, 1, 1]);
    bridge.send(b, packet(frame(MAC_A, MAC_B)));
    bridge.send(a, packet(frame(MAC_B, MAC_A)));
    expect([a, b, c].map(({ got }) => got.length)).toEqual([1, 2, 1]);
    bridge.send(a, packet(frame(ALL, MAC_A)));
    expect([a, b, c].map(({ got }) => got.length)).toEqual([1, 3, 2]);
    bridge.unplug(b);
    bridge.send(a, packet(frame(MAC_B, MAC_A)));
    expect([b.got.length, c.got.length]).toEqual([3, 3]);
  });

  test('drops fragments, and does not learn group addresses', () => {
    const bridge = new Switch();
    const [a, b] = [port('a'), port('b')];
    bridge.plug(a);
    bridge.plug(b);
    bridge.send(a, packet(new Uint8Array(13)));
    expect(b.got).toEqual([]);
    bridge.send(a, packet(frame(MAC_B, ALL)));
    expect([b.got.length, bridge.save().learned]).toEqual([1, []]);
  });
});

describe('a virtual interface', () => {
  test('connects only with what it needs', () => {
    const guest = new Guest(new FakeServices(), new Switch(), 1, false);
    expect([guest.state, guest.store.read('/back/1/feature-rx-copy')]).toEqual(['2', '1']);
    guest.connect({ 'request-rx-copy': '0' });
    expect([guest.state, guest.services.mapped.size]).toEqual(['5', 0]);
    const other = new Guest(new FakeServices(), new Switch(), 1, false);
    other.connect({ 'rx-ring-ref': '99' });
    expect([other.state, other.services.mapped.size, other.services.handlers.size]).toEqual(['5', 0, 0]);
  });

  test('a frame goes from ring to ring, after a fixed time', () => {
    const [a, b] = pair();
    const page = b.offer(40);
    const sent = frame(ALL, MAC_A, 100);
    a.sendFrame(30, sent);
    a.services.signal();
    a.services.pass(LATENCY - 1);
    expect(b.received).toBe(0);
    a.services.pass(1);
    expect([b.received, b.rxStatus(0), a.txStatus(0)]).toEqual([1, { flags: 0, status: 100 }, [0, NETIF_RSP.OKAY]]);
    expect(page.slice(0, 100)).toEqual(sent);
    expect(a.received).toBe(0);
  });

  test('pieces of a frame are put together; the first says the whole size', () => {
    const [a, b] = pair();
    const sent = Uint8Array.from({ length: 300 }, (_, i) => (i < 6 ? 255 : i & 0x7e));
    a.services.grant(1, 30).set(sent.subarray(0, 100), 500);
    a.services.grant(1, 31).set(sent.subarray(100), 8);
    const page = b.offer(40);
    a.send(
      { ref: 30, offset: 500, flags: NETTXF.more_data | NETTXF.csum_blank, size: 300 },
      { ref: 31, offset: 8, size: 200 },
    );
    a.turn();
    expect(page.slice(0, 300)).toEqual(sent);
    expect(b.rxStatus(0)).toEqual({ flags: NETRXF.csum_blank | NETRXF.data_validated, status: 300 });
    expect([a.txStatus(0), a.txStatus(1)]).toEqual([
      [0, NETIF_RSP.OKAY],
      [1, NETIF_RSP.OKAY],
    ]);
  });

  test('frames wait for room, in order, and are dropped when too many wait', () => {
    const [a, b] = pair();
    for (let i = 0; i < 3; i++) a.sendFrame(30 + i, frame(ALL, MAC_A, 60 + i));
    a.turn();
    expect(b.received).toBe(0);
    for (let i = 0; i < 3; i++) b.offer(40 + i);
    b.turn();
    expect([0, 1, 2].map((i) => b.rxStatus(i).status)).toEqual([60, 61, 62]);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 100; i++) a.sendFrame(30, frame(ALL, MAC_A));
      a.turn();
    }
    expect(b.vif.save().queues[0]!.waiting).toHaveLength(256);
  });

  test.each([
    ['of a page not granted', { ref: 99, size: 60 }],
    ['beyond its page', { ref: 30, offset: 4090, size: 60 }],
  ])('a request %s is answered with an error', (_, slot) => {
    const [a, b] = pair();
    a.services.grant(1, 30);
    b.offer(40);
    a.send(slot);
    a.turn();
    expect([a.txStatus(0)[1], b.received]).toEqual([NETIF_RSP.ERROR, 0]);
  });

  test('pieces larger than the whole, and pieces that never come, are errors', () => {
    const [a, b] = pair();
    a.services.grant(1, 30);
    b.offer(40);
    a.send({ ref: 30, flags: NETTXF.more_data, size: 60 }, { ref: 30, size: 100 });
    a.send({ ref: 30, flags: NETTXF.more_data, size: 60 });
    a.turn();
    expect([0, 1, 2].map((i) => a.txStatus(i)[1])).toEqual([-1, -1, -1]);
    expect(b.received).toBe(0);
  });

  test('saved and put back, it goes on where it was', () => {
    const [a, b] = pair();
    a.sendFrame(30, frame(ALL, MAC_A));
    a.turn();
    const state = structuredClone(b.vif.save());
    expect(state.queues[0]!.waiting).toHaveLength(1);
    b.vif.restore(state);
    expect(b.vif.save()).toEqual(state);
    b.offer(40);
    b.turn();
    expect(b.rxStatus(0).status).toBe(60);
  });

  test('a domain that goes away is unplugged and leaves nothing mapped', () => {
    const [a, b] = pair();
    a.vif.remove();
    b.vif.remove();
    expect([a.services.mapped.size, a.services.handlers.size, a.services.timers.size]).toEqual([0, 0, 0]);
  });
});

describe('several queues', () => {
  /** A UDP frame of one flow; the rest of it is the same. */
  const udp = (port: number): Uint8Array => {
    const bytes = frame(ALL, MAC_A, 60, 0);
    bytes.set([8, 0, 0x45], 12);
    bytes.set([17], 23);
    bytes.set([10, 0, 0, 1, 10, 0, 0, 2, port >> 8, port & 255], 26);
    return bytes;
  };
  /** Two queues with rings, one port each; requests are written by hand. */
  const setup = (more: Record<string, string> = {}) => {
    const services = new FakeServices();
    const bridge = new Switch();
    const store = new FakeStore();
    const rings = [0, 1].map((i) => {
      const [tx, rx] = [services.grant(3, 100 + i), services.grant(3, 110 + i)].map(
        (page) => new DataView(page.buffer),
      );
      for (const ring of [tx!, rx!]) for (const at of [4, 12]) ring.setUint32(at, 1, true);
      services.offered.add(`3:${20 + i}`);
      for (let slot = 0; slot < 64; slot++) {
        rx!.setUint16(64 + 8 * slot, slot, true);
        rx!.setUint32(68 + 8 * slot, 200 + 64 * i + slot, true);
        services.grant(3, 200 + 64 * i + slot);
      }
      rx!.setUint32(0, 64, true);
      return { tx: tx!, rx: rx!, got: () => rx!.getUint32(8, true) };
    });
    const vif = new Vif(services, store, { domain: 3, front: '/f', back: '/b' }, bridge);
    const nodes: Record<string, string> = { 'request-rx-copy': '1', 'multi-queue-num-queues': '2' };
    for (const i of [0, 1])
      Object.assign(nodes, {
        [`queue-${i}/tx-ring-ref`]: `${100 + i}`,
        [`queue-${i}/rx-ring-ref`]: `${110 + i}`,
        [`queue-${i}/event-channel`]: `${20 + i}`,
      });
    for (const [name, value] of Object.entries({ ...nodes, ...more, state: '4' })) store.write(`/f/${name}`, value);
    return { services, bridge, store, vif, rings };
  };
  const from: SwitchPort = { name: 'outside', receive: () => {} };

  test('are offered, connected and closed', () => {
    const { services, store, vif } = setup();
    expect([store.read('/b/multi-queue-max-queues'), store.read('/b/state')]).toEqual(['4', '4']);
    expect([services.mapped.size, services.handlers.size]).toEqual([4, 2]);
    vif.remove();
    expect([services.mapped.size, services.handlers.size]).toEqual([0, 0]);
  });

  test.each([
    ['one queue names no ring', { 'queue-1/rx-ring-ref': '999' }],
    ['there are more than offered', { 'multi-queue-num-queues': '5' }],
    ['their number is none', { 'multi-queue-num-queues': '1.5' }],
  ])('are refused, with nothing held, if %s', (_, more) => {
    const { services, store } = setup(more);
    expect([store.read('/b/state'), services.mapped.size, services.handlers.size]).toEqual(['5', 0, 0]);
  });

  test('a flow keeps its queue, and flows take all of them', () => {
    const { bridge, rings } = setup();
    for (let i = 0; i < 10; i++) bridge.send(from, packet(udp(53)));
    expect(rings.map(({ got }) => got()).sort((a, b) => a - b)).toEqual([0, 10]);
    for (let port = 1000; port < 1040; port++) bridge.send(from, packet(udp(port)));
    const counts = rings.map(({ got }) => got());
    expect(counts[0]! + counts[1]!).toBe(50);
    expect(Math.min(...counts)).toBeGreaterThan(10);
    // What is no IP goes to the first.
    const before = rings[0]!.got();
    bridge.send(from, packet(frame(ALL, MAC_A, 60, 1)));
    expect(rings[0]!.got()).toBe(before + 1);
  });

  test('send, each by its own ring, and are saved and put back', () => {
    const { services, bridge, vif, rings } = setup();
    const got: number[] = [];
    bridge.plug({ name: 'listener', receive: ({ bytes }) => got.push(bytes[20]!) });
    const send = (queue: number, fill: number) => {
      services.grant(3, 300 + queue).set(frame(MAC_B, MAC_A, 60, fill));
      const { tx } = rings[queue]!;
      const at = tx.getUint32(0, true);
      tx.setUint32(64 + 12 * at, 300 + queue, true);
      tx.setUint16(64 + 12 * at + 10, 60, true);
      tx.setUint32(0, at + 1, true);
    };
    send(1, 7);
    send(0, 6);
    services.signal();
    services.pass(LATENCY);
    const state = structuredClone(vif.save());
    vif.restore(state);
    expect(vif.save()).toEqual(state);
    send(1, 8);
    services.signal();
    services.pass(LATENCY);
    expect(got).toEqual([6, 7, 8]);
  });
});

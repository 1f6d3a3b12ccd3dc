import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { Gateway, NETWORK, type Outside } from '../../src/host/user-net/gateway.ts';
import {
  address,
  arpBytes,
  checksum,
  ETHERTYPE,
  frameBytes,
  ipBytes,
  parseArp,
  parseFrame,
  parseIp,
  parseTcp,
  parseUdp,
  PROTOCOL,
  type Segment,
  TCP,
  tcpBytes,
  udpBytes,
} from '../../src/host/user-net/packets.ts';
import type { StreamEvents } from '../../src/host/user-net/tcp-flow.ts';

const GUEST = address('10.0.2.15');
const FAR = address('192.0.2.7');
const MAC = Uint8Array.of(0, 0x16, 0x3e, 0, 0, 1);
const ALL = new Uint8Array(6).fill(255);
const NOTHING = new Uint8Array(0);
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));

/** The host's network, played by the test. */
class FakeOutside implements Outside {
  readonly nameServer = '9.9.9.9';
  readonly streams: { host: string; port: number; events: StreamEvents; log: string[]; pending: number }[] = [];
  readonly sockets: {
    host: string;
    port: number;
    sent: Uint8Array[];
    received: (b: Uint8Array) => void;
    open: boolean;
  }[] = [];
  connect(host: string, port: number, events: StreamEvents) {
    const log: string[] = [];
    const stream = { host, port, events, log, pending: 0 };
    this.streams.push(stream);
    return {
      write: (b: Uint8Array) => log.push(Buffer.from(b).toString('latin1')),
      end: () => log.push('END'),
      destroy: () => log.push('DESTROY'),
      flow: (on: boolean) => log.push(on ? 'GO' : 'WAIT'),
      get pending() {
        return stream.pending;
      },
    };
  }
  datagrams(host: string, port: number, received: (b: Uint8Array) => void) {
    const socket = { host, port, sent: [] as Uint8Array[], received, open: true };
    this.sockets.push(socket);
    return { send: (b: Uint8Array) => socket.sent.push(b), close: () => (socket.open = false) };
  }
}

let outside: FakeOutside;
let gateway: Gateway;
let got: Uint8Array[];
beforeEach(() => {
  outside = new FakeOutside();
  got = [];
  gateway = new Gateway(outside, (frame) => got.push(frame));
});
const send = (packet: Uint8Array, type: number = ETHERTYPE.IPV4) =>
  gateway.receive(frameBytes({ to: ALL, from: MAC, type, payload: packet }));
/** The frames since the last call, as IP packets; their checksums are right. */
const take = () =>
  got.splice(0).map((frame) => {
    const packet = parseIp(parseFrame(frame)!.payload)!;
    expect(checksum(parseFrame(frame)!.payload.subarray(0, 20))).toBe(0);
    return packet;
  });

describe('the gateway', () => {
  test('answers ARP for itself and the name server alone', () => {
    const ask = (target: number) =>
      send(arpBytes({ operation: 1, senderMac: MAC, sender: GUEST, targetMac: ALL, target }), ETHERTYPE.ARP);
    ask(FAR);
    expect(got).toEqual([]);
    ask(NETWORK.dns);
    const frame = parseFrame(got[0]!)!;
    expect([frame.to, frame.type]).toEqual([MAC, ETHERTYPE.ARP]);
    expect(parseArp(frame.payload)).toMatchObject({ operation: 2, sender: NETWORK.dns, target: GUEST, targetMac: MAC });
  });

  test('answers ping', () => {
    const echo = (destination: number) =>
      send(
        ipBytes({ source: GUEST, destination, protocol: PROTOCOL.ICMP, payload: bytes('\x08\0\0\0\0\x01\0\x02abc') }),
      );
    echo(FAR);
    echo(NETWORK.gateway);
    const [reply, more] = take();
    expect(more).toBeUndefined();
    expect(reply).toMatchObject({ source: NETWORK.gateway, destination: GUEST });
    expect([reply!.payload[0], checksum(reply!.payload), reply!.payload.subarray(8)]).toEqual([0, 0, bytes('abc')]);
  });

  test('gives addresses by DHCP, the same one to the same client', () => {
    const ask = (type: number, mac: Uint8Array) => {
      const message = new Uint8Array(250);
      message.set([1, 1, 6, 0, 0xaa, 0xbb, 0xcc, 0xdd]);
      message.set(mac, 28);
      message.set([0x63, 0x82, 0x53, 0x63, 0, 53, 1, type, 255], 236);
      send(udpBytes(0, 0xffffffff, { sourcePort: 68, destinationPort: 67, payload: message }));
      const [packet] = take();
      return packet && Buffer.from(parseUdp(packet.payload)!.payload);
    };
    const other = Uint8Array.of(0, 0x16, 0x3e, 0, 0, 2);
    const offer = ask(1, MAC)!;
    expect([offer.readUInt32BE(4), offer.readUInt32BE(16), offer[242]]).toEqual([0xaabbccdd, GUEST, 2]);
    expect(ask(1, other)!.readUInt32BE(16)).toBe(GUEST + 1);
    const ack = ask(3, MAC)!;
    expect([ack[242], ack.readUInt32BE(16)]).toEqual([5, GUEST]);
    const options = ack.subarray(243).toString('hex');
    expect(options).toContain(`0304${NETWORK.gateway.toString(16).padStart(8, '0')}`);
    expect(options).toContain(`0604${NETWORK.dns.toString(16).padStart(8, '0')}`);
    expect(ask(7, MAC)).toBeUndefined(); // a release
  });

  test('carries datagrams on, names to the host’s name server, and brings answers back', () => {
    const ask = (destination: number, destinationPort: number, sourcePort = 5000) =>
      send(udpBytes(GUEST, destination, { sourcePort, destinationPort, payload: bytes('who?') }));
    ask(NETWORK.dns, 53);
    ask(FAR, 123);
    ask(NETWORK.gateway, 9999);
    expect(outside.sockets.map(({ host, port }) => `${host}:${port}`)).toEqual([
      '9.9.9.9:53',
      '192.0.2.7:123',
      '127.0.0.1:9999',
    ]);
    expect(gateway.busy).toBe(true);
    outside.sockets[0]!.received(bytes('me'));
    const [answer] = take();
    expect(answer).toMatchObject({ source: NETWORK.dns, destination: GUEST });
    expect(parseUdp(answer!.payload)).toEqual({ sourcePort: 53, destinationPort: 5000, payload: bytes('me') });
    for (let i = 0; i < 10; i++) gateway.tick();
    expect(gateway.busy).toBe(false); // nobody waits for ever
    for (let port = 1; port < 100; port++) ask(FAR, 7, port);
    expect(outside.sockets.filter(({ open }) => open)).toHaveLength(64);
  });

  test('whatever comes, it does not fail', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(0, 1, 6, 17), (noise, protocol) => {
        gateway.receive(noise);
        send(noise);
        send(noise, ETHERTYPE.ARP);
        send(ipBytes({ source: GUEST, destination: FAR, protocol, payload: noise }));
        send(ipBytes({ source: GUEST, destination: NETWORK.gateway, protocol, payload: noise }));
      }),
    );
  });
});

describe('TCP through the gateway', () => {
  const guest = (flags: number, sequence: number, acknowledged = 0, payload = NOTHING, window = 65535, mss?: number) =>
    send(
      tcpBytes(GUEST, FAR, {
        ...{ sourcePort: 4000, destinationPort: 80, flags, sequence, acknowledged, payload, window, mss },
      }),
    );
  const segments = (): Segment[] =>
    take().map(({ source, destination, payload }) => {
      const pseudo = (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + 6;
      expect(checksum(payload, pseudo + payload.length)).toBe(0);
      return parseTcp(payload)!;
    });
  /** An open connection: the guest's next byte is 101. @returns the gateway's next one */
  const open = (window = 65535): number => {
    guest(TCP.SYN, 100, 0, NOTHING, window, 1000);
    expect(segments()).toEqual([]);
    outside.streams[0]!.events.connected();
    const [answer] = segments();
    expect(answer).toMatchObject({ flags: TCP.SYN | TCP.ACK, acknowledged: 101, mss: 1460 });
    const next = (answer!.sequence + 1) >>> 0;
    guest(TCP.ACK, 101, next, NOTHING, window);
    expect(segments()).toEqual([]);
    return next;
  };

  test('both ways, and to its end', () => {
    const next = open();
    const { events, log, host, port } = outside.streams[0]!;
    expect([host, port, gateway.busy]).toEqual(['192.0.2.7', 80, true]);
    guest(TCP.ACK | TCP.PSH, 101, next, bytes('GET'));
    expect(log).toEqual(['GET']);
    expect(segments()).toMatchObject([{ flags: TCP.ACK, acknowledged: 104 }]);
    events.data(bytes('x'.repeat(1500)));
    const parts = segments();
    expect(parts.map(({ payload, sequence }) => [payload.length, sequence - next])).toEqual([
      [1000, 0],
      [500, 1000],
    ]);
    events.ended();
    expect(segments()).toMatchObject([{ flags: TCP.FIN | TCP.ACK, sequence: next + 1500 }]);
    guest(TCP.ACK, 104, next + 1501);
    guest(TCP.FIN | TCP.ACK, 104, next + 1501);
    expect(segments()).toMatchObject([{ flags: TCP.ACK, acknowledged: 105 }]);
    expect([log, gateway.busy]).toEqual([['GET', 'END'], false]);
  });

  test('what comes twice or too early is taken once, in order', () => {
    const next = open();
    const { log } = outside.streams[0]!;
    guest(TCP.ACK, 104, next, bytes('def'));
    expect(segments()).toMatchObject([{ acknowledged: 101 }]);
    guest(TCP.ACK, 101, next, bytes('abc'));
    guest(TCP.ACK, 101, next, bytes('abcd'));
    expect([log, segments().at(-1)!.acknowledged]).toEqual([['abc', 'd'], 105]);
  });

  test('the guest’s window holds back, and what is lost is sent again', () => {
    const next = open(1200);
    const { events } = outside.streams[0]!;
    events.data(bytes('x'.repeat(3000)));
    expect(segments().map(({ payload }) => payload.length)).toEqual([1000, 200]);
    guest(TCP.ACK, 101, next + 1200, NOTHING, 1200);
    expect(segments().map(({ payload, sequence }) => [payload.length, sequence - next])).toEqual([
      [1000, 1200],
      [200, 2200],
    ]);
    for (let i = 0; i < 3; i++) guest(TCP.ACK, 101, next + 1200, NOTHING, 1200);
    expect(segments().map(({ sequence }) => sequence - next)).toEqual([1200, 2200]);
    gateway.tick();
    gateway.tick();
    expect(segments().map(({ sequence }) => sequence - next)).toEqual([1200, 2200]);
  });

  test('the far end waits while the guest does not take what it sends', () => {
    open(0);
    const { events, log } = outside.streams[0]!;
    events.data(new Uint8Array(300_000));
    expect([log, segments()]).toEqual([['WAIT'], []]);
  });

  test('a window shut while the far end takes nothing, and opened again', () => {
    const next = open();
    const stream = outside.streams[0]!;
    stream.pending = 70_000;
    guest(TCP.ACK, 101, next, bytes('a'));
    stream.pending = 0;
    stream.events.drained();
    expect(segments().map(({ window }) => window)).toEqual([0, 65535]);
  });

  test('a refused connection, one that breaks, one that the guest drops, and one that never was', () => {
    guest(TCP.SYN, 100);
    outside.streams[0]!.events.closed(true);
    expect(segments()).toMatchObject([{ flags: TCP.RST | TCP.ACK, acknowledged: 101 }]);
    expect(gateway.busy).toBe(false);
    guest(TCP.ACK, 500, 77, bytes('??'));
    expect(segments()).toMatchObject([{ flags: TCP.RST | TCP.ACK, sequence: 77, acknowledged: 502 }]);
    guest(TCP.SYN, 100);
    guest(TCP.RST, 101);
    expect([outside.streams[1]!.log, gateway.busy]).toEqual([['DESTROY'], false]);
    guest(TCP.RST, 101);
    expect(segments()).toEqual([]);
  });
});

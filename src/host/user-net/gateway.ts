import { type DhcpNetwork, dhcpAnswer } from './dhcp.ts';
import {
  address,
  addressText,
  arpBytes,
  type Datagram,
  echoReply,
  ETHERTYPE,
  frameBytes,
  ipBytes,
  type IpPacket,
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
} from './packets.ts';
import { type Stream, type StreamEvents, TcpFlow } from './tcp-flow.ts';

/** The host's network, as the gateway uses it. */
export interface Outside {
  connect(host: string, port: number, events: StreamEvents): Stream;
  /** A socket that sends to one place, and tells what comes back from there. */
  datagrams(host: string, port: number, received: (bytes: Uint8Array) => void): DatagramSocket;
  /** Address of the host's name server. */
  readonly nameServer: string;
}
export interface DatagramSocket {
  send(bytes: Uint8Array): void;
  close(): void;
}

/** The same numbers as QEMU's user-mode network has. */
export const NETWORK = {
  gateway: address('10.0.2.2'),
  dns: address('10.0.2.3'),
  first: address('10.0.2.15'),
  last: address('10.0.2.254'),
  mask: address('255.255.255.0'),
} as const;
const MAC = Uint8Array.of(0x52, 0x55, 10, 0, 2, 2);
const BROADCAST = new Uint8Array(6).fill(255);
const BROADCAST_IP = 0xffffffff;
const [DHCP_SERVER, DHCP_CLIENT, DNS_PORT] = [67, 68, 53];
const [MAX_FLOWS, MAX_SOCKETS] = [256, 64];
/** Sequence numbers of flows begin so far apart. */
const SEQUENCE_STEP = 64_000;
/** Ticks for which a datagram may wait for its answer. */
const ANSWER_TICKS = 10;

interface Mapping {
  readonly socket: DatagramSocket;
  /** Ticks left to wait for an answer. */
  waits: number;
}

/**
 * The gateway of the network `bridge=user`: it answers ARP, DHCP and ping, forwards names to the host's name server,
 * and ends the guests' TCP connections and UDP datagrams, to carry them on with the host's own sockets. 10.0.2.2 is
 * the host itself, its loopback. What it sends to guests goes through the machine's door: an input each.
 */
export class Gateway {
  readonly #toGuests: (frame: Uint8Array) => void;
  readonly #outside: Outside;
  /** Hardware addresses by IP address, learned from what guests send. */
  readonly #neighbours = new Map<number, Uint8Array>();
  readonly #leases = new Map<string, number>();
  readonly #flows = new Map<string, TcpFlow>();
  readonly #sockets = new Map<string, Mapping>();
  #sequence = 1;

  constructor(outside: Outside, toGuests: (frame: Uint8Array) => void) {
    this.#outside = outside;
    this.#toGuests = toGuests;
  }

  /** True while something may come from outside. */
  get busy(): boolean {
    return this.#flows.size > 0 || [...this.#sockets.values()].some(({ waits }) => waits > 0);
  }

  /** A frame from a guest. Whatever it holds, nothing throws. */
  receive(bytes: Uint8Array): void {
    const frame = parseFrame(bytes);
    if (!frame) return;
    if (frame.type === ETHERTYPE.ARP) this.#arp(frame.payload);
    if (frame.type !== ETHERTYPE.IPV4) return;
    const packet = parseIp(frame.payload);
    if (!packet) return;
    if (packet.source !== 0 && this.#neighbours.size < 256) this.#neighbours.set(packet.source, frame.from);
    if (packet.protocol === PROTOCOL.ICMP) this.#ping(packet);
    else if (packet.protocol === PROTOCOL.UDP) this.#udp(packet);
    else if (packet.protocol === PROTOCOL.TCP) this.#tcp(packet);
  }

  /** Half a second of the host has passed. */
  tick(): void {
    for (const mapping of this.#sockets.values()) mapping.waits = Math.max(0, mapping.waits - 1);
    for (const flow of this.#flows.values()) flow.tick();
  }

  close(): void {
    for (const { socket } of this.#sockets.values()) socket.close();
    this.#sockets.clear();
    this.#flows.clear();
  }

  #isOurs(ip: number): boolean {
    return ip === NETWORK.gateway || ip === NETWORK.dns;
  }

  #arp(bytes: Uint8Array): void {
    const asked = parseArp(bytes);
    const REQUEST = 1;
    if (asked?.operation !== REQUEST || !this.#isOurs(asked.target)) return;
    const { senderMac: to, sender, target } = asked;
    const payload = arpBytes({ operation: 2, senderMac: MAC, sender: target, targetMac: to, target: sender });
    this.#toGuests(frameBytes({ to, from: MAC, type: ETHERTYPE.ARP, payload }));
  }

  #ping({ source, destination, payload }: IpPacket): void {
    const reply = this.#isOurs(destination) ? echoReply(payload) : undefined;
    if (!reply) return;
    this.#ip(ipBytes({ source: destination, destination: source, protocol: PROTOCOL.ICMP, payload: reply }), source);
  }

  #udp({ source, destination, payload }: IpPacket): void {
    const datagram = parseUdp(payload);
    if (!datagram) return;
    if (datagram.destinationPort === DHCP_SERVER) this.#dhcp(datagram);
    else if (destination !== BROADCAST_IP) this.#forward(source, destination, datagram);
  }

  #dhcp({ payload }: Datagram): void {
    const network: DhcpNetwork = {
      server: NETWORK.gateway,
      mask: NETWORK.mask,
      dns: NETWORK.dns,
      addressOf: (mac) => this.#lease(Buffer.from(mac).toString('hex')),
    };
    const answer = dhcpAnswer(payload, network);
    if (!answer) return;
    const datagram = { sourcePort: DHCP_SERVER, destinationPort: DHCP_CLIENT, payload: answer };
    const packet = udpBytes(NETWORK.gateway, BROADCAST_IP, datagram);
    this.#toGuests(frameBytes({ to: BROADCAST, from: MAC, type: ETHERTYPE.IPV4, payload: packet }));
  }

  #lease(mac: string): number | undefined {
    const known = this.#leases.get(mac);
    const ip = known ?? NETWORK.first + this.#leases.size;
    if (ip > NETWORK.last) return undefined;
    this.#leases.set(mac, ip);
    return ip;
  }

  #forward(source: number, destination: number, { sourcePort, destinationPort, payload }: Datagram): void {
    const host = this.#hostOf(destination, destinationPort);
    const key = `${source}:${sourcePort}-${destination}:${destinationPort}`;
    const received = (bytes: Uint8Array) => {
      const mapping = this.#sockets.get(key);
      if (mapping) mapping.waits = 0;
      const answer = { sourcePort: destinationPort, destinationPort: sourcePort, payload: bytes };
      this.#ip(udpBytes(destination, source, answer), source);
    };
    const mapping = this.#sockets.get(key) ?? {
      socket: this.#outside.datagrams(host, destinationPort, received),
      waits: 0,
    };
    this.#sockets.delete(key);
    this.#sockets.set(key, mapping);
    mapping.waits = ANSWER_TICKS;
    mapping.socket.send(payload.slice());
    if (this.#sockets.size <= MAX_SOCKETS) return;
    const [[oldest, { socket }]] = this.#sockets as unknown as [[string, Mapping]];
    socket.close();
    this.#sockets.delete(oldest);
  }

  #tcp({ source, destination, payload }: IpPacket): void {
    const segment = parseTcp(payload);
    if (!segment) return;
    const { sourcePort, destinationPort, flags } = segment;
    const key = `${source}:${sourcePort}-${destination}:${destinationPort}`;
    const send = (answer: Omit<Segment, 'sourcePort' | 'destinationPort'>) => {
      const ports = { sourcePort: destinationPort, destinationPort: sourcePort };
      this.#ip(tcpBytes(destination, source, { ...answer, ...ports }), source);
    };
    const flow = this.#flows.get(key);
    if (flow) {
      flow.receive(segment);
      if (flow.over) this.#flows.delete(key);
    } else if ((flags & (TCP.SYN | TCP.ACK | TCP.RST)) === TCP.SYN && this.#flows.size < MAX_FLOWS) {
      this.#sequence = (this.#sequence + SEQUENCE_STEP) >>> 0;
      this.#flows.set(key, this.#open(key, segment, destination, send));
    } else if ((flags & TCP.RST) === 0) {
      const acknowledged = (segment.sequence + segment.payload.length + (flags & TCP.SYN ? 1 : 0)) >>> 0;
      const sequence = flags & TCP.ACK ? segment.acknowledged : 0;
      send({ flags: TCP.RST | TCP.ACK, sequence, acknowledged, window: 0, payload: new Uint8Array(0) });
    }
  }

  #open(
    key: string,
    syn: Segment,
    destination: number,
    send: (segment: Omit<Segment, 'sourcePort' | 'destinationPort'>) => void,
  ): TcpFlow {
    const port = syn.destinationPort;
    const host = this.#hostOf(destination, port);
    return new TcpFlow(syn, this.#sequence, send, (flow) =>
      this.#outside.connect(host, port, {
        connected: () => flow.connected(),
        data: (bytes) => flow.data(bytes),
        ended: () => flow.ended(),
        drained: () => flow.drained(),
        closed: (failed) => {
          flow.closed(failed);
          if (failed) this.#flows.delete(key);
        },
      }),
    );
  }

  #hostOf(ip: number, port: number): string {
    if (ip === NETWORK.dns && port === DNS_PORT) return this.#outside.nameServer;
    return this.#isOurs(ip) ? '127.0.0.1' : addressText(ip);
  }

  #ip(packet: Uint8Array, destination: number): void {
    const to = this.#neighbours.get(destination);
    if (to) this.#toGuests(frameBytes({ to, from: MAC, type: ETHERTYPE.IPV4, payload: packet }));
  }
}

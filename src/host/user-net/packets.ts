/** Ethernet, ARP, IPv4, UDP, TCP and ICMP as bytes: as much as a gateway needs. Addresses are u32; all is big-endian. */
export const ETHERTYPE = { IPV4: 0x0800, ARP: 0x0806 } as const;
export const PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17 } as const;
export const TCP = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;
const ETHERNET_HEADER = 14;
const IP_HEADER = 20;
const UDP_HEADER = 8;
const TCP_HEADER = 20;
const ARP_BYTES = 28;

export interface Frame {
  readonly to: Uint8Array;
  readonly from: Uint8Array;
  readonly type: number;
  readonly payload: Uint8Array;
}
export interface IpPacket {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly payload: Uint8Array;
}
export interface Datagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}
export interface Segment extends Datagram {
  readonly sequence: number;
  readonly acknowledged: number;
  /** TCP.* */
  readonly flags: number;
  readonly window: number;
  /** Maximum segment size, if a SYN says so. */
  readonly mss?: number | undefined;
}
export interface Arp {
  /** 1 request, 2 reply. */
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly sender: number;
  readonly targetMac: Uint8Array;
  readonly target: number;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function joined(head: DataView, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.byteLength + payload.length);
  bytes.set(new Uint8Array(head.buffer));
  bytes.set(payload, head.byteLength);
  return bytes;
}

export function parseFrame(bytes: Uint8Array): Frame | undefined {
  if (bytes.length < ETHERNET_HEADER) return undefined;
  const type = view(bytes).getUint16(12);
  return { to: bytes.slice(0, 6), from: bytes.slice(6, 12), type, payload: bytes.subarray(ETHERNET_HEADER) };
}

export function frameBytes({ to, from, type, payload }: Frame): Uint8Array {
  const bytes = new Uint8Array(ETHERNET_HEADER + payload.length);
  bytes.set(to);
  bytes.set(from, 6);
  view(bytes).setUint16(12, type);
  bytes.set(payload, ETHERNET_HEADER);
  return bytes;
}

/** RFC 826, for Ethernet and IPv4. */
export function parseArp(bytes: Uint8Array): Arp | undefined {
  const v = view(bytes);
  if (bytes.length < ARP_BYTES || v.getUint32(0) !== 0x00010800 || v.getUint16(4) !== 0x0604) return undefined;
  return {
    operation: v.getUint16(6),
    senderMac: bytes.slice(8, 14),
    sender: v.getUint32(14),
    targetMac: bytes.slice(18, 24),
    target: v.getUint32(24),
  };
}

export function arpBytes({ operation, senderMac, sender, targetMac, target }: Arp): Uint8Array {
  const bytes = new Uint8Array(ARP_BYTES);
  const v = view(bytes);
  v.setUint32(0, 0x00010800);
  v.setUint16(4, 0x0604);
  v.setUint16(6, operation);
  bytes.set(senderMac, 8);
  v.setUint32(14, sender);
  bytes.set(targetMac, 18);
  v.setUint32(24, target);
  return bytes;
}

/** RFC 791. @returns undefined for fragments too, which the gateway does not put together */
export function parseIp(bytes: Uint8Array): IpPacket | undefined {
  if (bytes.length < IP_HEADER || bytes[0]! >> 4 !== 4) return undefined;
  const v = view(bytes);
  const head = (bytes[0]! & 15) * 4;
  const length = v.getUint16(2);
  const MORE_OR_OFFSET = 0x3fff;
  if (head < IP_HEADER || length < head || length > bytes.length || v.getUint16(6) & MORE_OR_OFFSET) return undefined;
  const payload = bytes.subarray(head, length);
  return { source: v.getUint32(12), destination: v.getUint32(16), protocol: bytes[9]!, payload };
}

export function ipBytes({ source, destination, protocol, payload }: IpPacket): Uint8Array {
  const head = new DataView(new ArrayBuffer(IP_HEADER));
  head.setUint8(0, 0x45);
  head.setUint16(2, IP_HEADER + payload.length);
  head.setUint16(6, 0x4000); // not to be fragmented
  head.setUint8(8, 64);
  head.setUint8(9, protocol);
  head.setUint32(12, source);
  head.setUint32(16, destination);
  head.setUint16(10, checksum(new Uint8Array(head.buffer)));
  return joined(head, payload);
}

/** RFC 768. */
export function parseUdp(bytes: Uint8Array): Datagram | undefined {
  if (bytes.length < UDP_HEADER) return undefined;
  const v = view(bytes);
  const length = v.getUint16(4);
  if (length < UDP_HEADER || length > bytes.length) return undefined;
  return { sourcePort: v.getUint16(0), destinationPort: v.getUint16(2), payload: bytes.subarray(UDP_HEADER, length) };
}

/** The whole IP packet. */
export function udpBytes(source: number, destination: number, datagram: Datagram): Uint8Array {
  const { sourcePort, destinationPort, payload } = datagram;
  const head = new DataView(new ArrayBuffer(UDP_HEADER));
  head.setUint16(0, sourcePort);
  head.setUint16(2, destinationPort);
  head.setUint16(4, UDP_HEADER + payload.length);
  const bytes = joined(head, payload);
  // Zero would mean that there is none.
  view(bytes).setUint16(6, pseudoChecksum(source, destination, PROTOCOL.UDP, bytes) || 0xffff);
  return ipBytes({ source, destination, protocol: PROTOCOL.UDP, payload: bytes });
}

/** RFC 9293. */
export function parseTcp(bytes: Uint8Array): Segment | undefined {
  if (bytes.length < TCP_HEADER) return undefined;
  const v = view(bytes);
  const head = (bytes[12]! >> 4) * 4;
  if (head < TCP_HEADER || head > bytes.length) return undefined;
  return {
    sourcePort: v.getUint16(0),
    destinationPort: v.getUint16(2),
    sequence: v.getUint32(4),
    acknowledged: v.getUint32(8),
    flags: bytes[13]!,
    window: v.getUint16(14),
    mss: mssOption(bytes.subarray(TCP_HEADER, head)),
    payload: bytes.subarray(head),
  };
}

function mssOption(options: Uint8Array): number | undefined {
  const [END, NOTHING, MSS] = [0, 1, 2];
  for (let at = 0; at + 1 < options.length; ) {
    const kind = options[at]!;
    if (kind === END) return undefined;
    if (kind === NOTHING) at++;
    else {
      if (kind === MSS && at + 4 <= options.length) return (options[at + 2]! << 8) | options[at + 3]!;
      at += Math.max(2, options[at + 1]!);
    }
  }
  return undefined;
}

/** The whole IP packet. */
export function tcpBytes(source: number, destination: number, segment: Segment): Uint8Array {
  const { mss, payload } = segment;
  const head = new DataView(new ArrayBuffer(TCP_HEADER + (mss === undefined ? 0 : 4)));
  head.setUint16(0, segment.sourcePort);
  head.setUint16(2, segment.destinationPort);
  head.setUint32(4, segment.sequence);
  head.setUint32(8, segment.acknowledged);
  head.setUint8(12, (head.byteLength / 4) << 4);
  head.setUint8(13, segment.flags);
  head.setUint16(14, segment.window);
  if (mss !== undefined) head.setUint32(TCP_HEADER, 0x02040000 | mss);
  const bytes = joined(head, payload);
  view(bytes).setUint16(16, pseudoChecksum(source, destination, PROTOCOL.TCP, bytes));
  return ipBytes({ source, destination, protocol: PROTOCOL.TCP, payload: bytes });
}

/** The answer to an ICMP echo request (RFC 792), or undefined if it is none. */
export function echoReply(request: Uint8Array): Uint8Array | undefined {
  const ECHO_REQUEST = 8;
  if (request.length < 8 || request[0] !== ECHO_REQUEST || request[1] !== 0) return undefined;
  const reply = request.slice();
  reply.set([0, 0, 0, 0]);
  view(reply).setUint16(2, checksum(reply));
  return reply;
}

/** RFC 1071: the ones' complement of the ones' complement sum. */
export function checksum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  if (bytes.length % 2 === 1) sum += bytes.at(-1)! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function pseudoChecksum(source: number, destination: number, protocol: number, bytes: Uint8Array): number {
  const words = (address: number) => (address >>> 16) + (address & 0xffff);
  return checksum(bytes, words(source) + words(destination) + protocol + bytes.length);
}

/** 10.0.2.2 as a number. */
export function address(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function addressText(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

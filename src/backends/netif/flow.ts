const ETHERTYPE = { IPV4: 0x0800, IPV6: 0x86dd } as const;
const PROTOCOL = { TCP: 6, UDP: 17 } as const;
const HEADER = 14;

/**
 * A number that all frames of one flow share: FNV-1a over the IP addresses, and over the ports of TCP and UDP. Frames
 * that are no IP, and fragments among those that are, have fewer such bytes, down to none.
 */
export function flowHash(frame: Uint8Array): number {
  const value = fields(frame);
  // The low bits of FNV depend on the low bits of what went in alone.
  return (value ^ (value >>> 16)) >>> 0;
}

function fields(frame: Uint8Array): number {
  const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  if (type === ETHERTYPE.IPV4) {
    const head = HEADER + 4 * ((frame[HEADER] ?? 0) & 15);
    const fragment = (((frame[HEADER + 6] ?? 0) & 0x3f) | (frame[HEADER + 7] ?? 0)) !== 0;
    return ports(frame, fragment ? -1 : (frame[HEADER + 9] ?? 0), head, hash(frame, HEADER + 12, 8));
  }
  if (type === ETHERTYPE.IPV6) return ports(frame, frame[HEADER + 6] ?? 0, HEADER + 40, hash(frame, HEADER + 8, 32));
  return 0;
}

function ports(frame: Uint8Array, protocol: number, at: number, seed: number): number {
  return protocol === PROTOCOL.TCP || protocol === PROTOCOL.UDP ? hash(frame, at, 4, seed) : seed;
}

function hash(bytes: Uint8Array, from: number, count: number, seed = 0x811c9dc5): number {
  let value = seed;
  for (let i = from; i < from + count; i++) value = Math.imul(value ^ (bytes[i] ?? 0), 0x01000193) >>> 0;
  return value;
}

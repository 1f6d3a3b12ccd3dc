/** A DHCP server's answers (RFC 2131), for a network whose clients get addresses in the order in which they ask. */

/** Fields of a message that the server looks at or sets; all else is echoed or zero. */
const AT = { op: 0, xid: 4, flags: 10, yiaddr: 16, siaddr: 20, chaddr: 28, cookie: 236, options: 240 } as const;
const COOKIE = 0x63825363;
const OPTION = { mask: 1, router: 3, dns: 6, lease: 51, type: 53, server: 54, end: 255 } as const;
const TYPE = { discover: 1, offer: 2, request: 3, ack: 5 } as const;
const LEASE_SECONDS = 86400;
/** RFC 1542: some clients drop shorter ones. */
const MIN_BYTES = 300;

export interface DhcpNetwork {
  readonly server: number;
  readonly mask: number;
  readonly dns: number;
  /** Address of the client with this hardware address, or undefined if there is none left. */
  addressOf(mac: Uint8Array): number | undefined;
}

/** The answer to a client's message, or undefined if it needs none. */
export function dhcpAnswer(message: Uint8Array, network: DhcpNetwork): Uint8Array | undefined {
  const v = new DataView(message.buffer, message.byteOffset, message.length);
  if (message.length < AT.options || message[AT.op] !== 1 || v.getUint32(AT.cookie) !== COOKIE) return undefined;
  const asked = messageType(message.subarray(AT.options));
  const type = asked === TYPE.discover ? TYPE.offer : asked === TYPE.request ? TYPE.ack : undefined;
  const yours = type && network.addressOf(message.slice(AT.chaddr, AT.chaddr + 6));
  if (yours === undefined || type === undefined) return undefined;
  const answer = new Uint8Array(MIN_BYTES);
  const a = new DataView(answer.buffer);
  answer.set(message.subarray(0, 8));
  answer[AT.op] = 2;
  a.setUint16(AT.flags, v.getUint16(AT.flags));
  a.setUint32(AT.yiaddr, yours);
  a.setUint32(AT.siaddr, network.server);
  answer.set(message.subarray(AT.chaddr, AT.chaddr + 16), AT.chaddr);
  a.setUint32(AT.cookie, COOKIE);
  let at: number = AT.options;
  answer.set([OPTION.type, 1, type], at);
  at += 3;
  const words = [
    [OPTION.server, network.server],
    [OPTION.lease, LEASE_SECONDS],
    [OPTION.mask, network.mask],
    [OPTION.router, network.server],
    [OPTION.dns, network.dns],
  ] as const;
  for (const [option, value] of words) {
    answer.set([option, 4], at);
    a.setUint32(at + 2, value);
    at += 6;
  }
  answer[at] = OPTION.end;
  return answer;
}

function messageType(options: Uint8Array): number | undefined {
  for (let at = 0; at + 2 < options.length && options[at] !== OPTION.end; ) {
    if (options[at] === 0) at++;
    else if (options[at] === OPTION.type) return options[at + 2];
    else at += 2 + options[at + 1]!;
  }
  return undefined;
}

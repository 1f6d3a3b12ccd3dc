/**
 * The wire protocol of xen/include/public/io/xs_wire.h, one message:
 *
 *      0         4         8         12        16
 *     ┌─────────┬─────────┬─────────┬─────────┬──────────────────┐
 *     │ type    │ req_id  │ tx_id   │ length  │ payload, length  │   u32 little-endian
 *     └─────────┴─────────┴─────────┴─────────┴──────────────────┘
 */
export const HEADER_BYTES = 16;
export const PAYLOAD_MAX = 4096;

/** enum xsd_sockmsg_type. */
export const Xs = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
} as const;

export interface Message {
  readonly type: number;
  readonly requestId: number;
  readonly transaction: number;
  readonly payload: Uint8Array;
}

export function encodeMessage(message: Message): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + message.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, message.type, true);
  view.setUint32(4, message.requestId, true);
  view.setUint32(8, message.transaction, true);
  view.setUint32(12, message.payload.length, true);
  bytes.set(message.payload, HEADER_BYTES);
  return bytes;
}

/** The client broke the protocol: a payload above PAYLOAD_MAX. Its connection is of no use any more. */
export class ProtocolError extends Error {
  constructor(length: number) {
    super(`xenstore payload of ${length} bytes is larger than ${PAYLOAD_MAX}`);
    this.name = 'ProtocolError';
  }
}

/** Puts messages together from chunks of any size. Holds at most one message. */
export class MessageAssembler {
  #buffer = new Uint8Array(HEADER_BYTES + PAYLOAD_MAX);
  #have = 0;

  /** Bytes still missing of the header, or of the message once its header is there. Never 0. */
  get wanted(): number {
    return (this.#have < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + this.#length()) - this.#have;
  }

  /** Takes at most `wanted` bytes. @returns the message they complete @throws ProtocolError */
  push(chunk: Uint8Array): Message | undefined {
    this.#buffer.set(chunk, this.#have);
    this.#have += chunk.length;
    if (this.#have < HEADER_BYTES) return undefined;
    const length = this.#length();
    if (length > PAYLOAD_MAX) throw new ProtocolError(length);
    if (this.#have < HEADER_BYTES + length) return undefined;
    const view = new DataView(this.#buffer.buffer);
    this.#have = 0;
    return {
      type: view.getUint32(0, true),
      requestId: view.getUint32(4, true),
      transaction: view.getUint32(8, true),
      payload: this.#buffer.slice(HEADER_BYTES, HEADER_BYTES + length),
    };
  }

  reset(): void {
    this.#have = 0;
  }

  save(): Uint8Array {
    return this.#buffer.slice(0, this.#have);
  }
  restore(bytes: Uint8Array): void {
    this.#buffer.set(bytes);
    this.#have = bytes.length;
  }

  #length(): number {
    return new DataView(this.#buffer.buffer).getUint32(12, true);
  }
}

/** One character a byte: paths and values keep every byte. */
export function latin1(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += String.fromCharCode(byte);
  return out;
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0) & 255);
}

/** Strings, each with its closing zero. */
export function zeroTerminated(...texts: readonly string[]): Uint8Array {
  return bytesOf(texts.map((t) => `${t}\0`).join(''));
}

/** The zero-terminated strings of a payload; what follows the last zero is left out. */
export function strings(payload: Uint8Array): string[] {
  const parts = latin1(payload).split('\0');
  parts.pop();
  return parts;
}

/**
 * Packets of the remote serial protocol (GDB manual, appendix E.1): `$data#checksum`, `}` escapes, acknowledgements
 * until both sides agree to do without. Bytes in, packets out; whatever is no packet is dropped.
 */

/** Longer packets are dropped as a whole: nobody was told that they would be taken. */
export const MAX_PACKET = 0x4000;

export type Piece =
  | { readonly kind: 'packet'; readonly data: string }
  | { readonly kind: 'bad' }
  | { readonly kind: 'interrupt' };

const DOLLAR = 0x24;
const HASH = 0x23;
const ESCAPE = 0x7d;
const INTERRUPT = 0x03;

export class PacketParser {
  /** Raw bytes of the packet under way; one more than fit into a packet say that it is too long. */
  readonly #raw = Buffer.alloc(MAX_PACKET + 1);
  #length = 0;
  #open = false;
  #checksum = '';
  #inChecksum = false;

  /** @returns what `bytes` complete, in order */
  push(bytes: Uint8Array): Piece[] {
    const pieces: Piece[] = [];
    for (const byte of bytes) {
      if (this.#inChecksum) this.#checksumDigit(byte, pieces);
      else if (byte === DOLLAR) {
        this.#open = true;
        this.#length = 0;
      } else if (!this.#open) {
        if (byte === INTERRUPT) pieces.push({ kind: 'interrupt' });
      } else if (byte === HASH) {
        this.#inChecksum = true;
        this.#checksum = '';
      } else if (this.#length <= MAX_PACKET) this.#raw[this.#length++] = byte;
    }
    return pieces;
  }

  #checksumDigit(byte: number, pieces: Piece[]): void {
    this.#checksum += String.fromCharCode(byte);
    if (this.#checksum.length < 2) return;
    const raw = this.#raw.subarray(0, this.#length);
    this.#open = false;
    this.#inChecksum = false;
    let sum = 0;
    for (const each of raw) sum = (sum + each) & 255;
    const right = /^[0-9a-fA-F]{2}$/.test(this.#checksum) && Number.parseInt(this.#checksum, 16) === sum;
    if (right && raw.length <= MAX_PACKET) pieces.push({ kind: 'packet', data: unescaped(raw) });
    else pieces.push({ kind: 'bad' });
  }
}

/** One character a byte. */
function unescaped(raw: Buffer): string {
  if (!raw.includes(ESCAPE)) return raw.toString('latin1');
  const text = Buffer.alloc(raw.length);
  let length = 0;
  for (let i = 0; i < raw.length; i++) {
    text[length++] = raw[i] === ESCAPE && i + 1 < raw.length ? raw[++i]! ^ 0x20 : raw[i]!;
  }
  return text.toString('latin1', 0, length);
}

/** `data`, one character a byte, as a packet. */
export function framePacket(data: string): Uint8Array {
  const escaped = data.replace(/[#$}*]/g, (c) => `}${String.fromCharCode(c.charCodeAt(0) ^ 0x20)}`);
  let sum = 0;
  for (let i = 0; i < escaped.length; i++) sum = (sum + escaped.charCodeAt(i)) & 255;
  return Uint8Array.from(Buffer.from(`$${escaped}#${sum.toString(16).padStart(2, '0')}`, 'latin1'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** @returns undefined for anything but pairs of hexadecimal digits */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

import { type Segment, TCP } from './packets.ts';

/** A connection of the host, to where the guest wants. */
export interface Stream {
  write(bytes: Uint8Array): void;
  /** No more will be written. */
  end(): void;
  destroy(): void;
  /** Whether data may come. */
  flow(on: boolean): void;
  /** Bytes written that have not left yet. */
  readonly pending: number;
}

/** What the host's connection tells. */
export interface StreamEvents {
  connected(): void;
  data(bytes: Uint8Array): void;
  /** The far end will send no more. */
  ended(): void;
  /** Nothing will come or go any more; `failed` if that was not agreed on. */
  closed(failed: boolean): void;
  /** What was written has left. */
  drained(): void;
}

const MSS = 1460;
const WINDOW = 65535;
/** In flight to the guest: far fewer frames than its interface's queue takes. */
const MAX_IN_FLIGHT = 16 * MSS;
/** Held for the guest before the far end is asked to wait. */
const HIGH_WATER = 256 << 10;

/**
 * One TCP connection of a guest, which ends here and goes on as a connection of the host (RFC 9293, without options
 * but the segment size: the way to the guest loses next to nothing).
 *
 *     guest ──SYN──► connecting ──host is connected──► SYN,ACK ──► open, both ways ──FIN each──► over
 */
export class TcpFlow implements StreamEvents {
  over = false;
  readonly #send: (segment: Omit<Segment, 'sourcePort' | 'destinationPort'>) => void;
  readonly #stream: Stream;
  readonly #mss: number;
  /** Next byte expected of the guest. */
  #expected: number;
  /** First byte that the guest has not acknowledged: the first of `#held`. */
  #unacknowledged: number;
  /** Of `#held` and a FIN behind it, how much was sent. */
  #sent = 0;
  #held = new Uint8Array(0);
  #window: number;
  #state: 'connecting' | 'answered' | 'open' = 'connecting';
  #ended = false;
  #guestEnded = false;
  #repeated = 0;
  #progress = true;

  /** @param connect makes the host's connection, which tells this flow what happens */
  constructor(
    syn: Segment,
    initial: number,
    send: (segment: Omit<Segment, 'sourcePort' | 'destinationPort'>) => void,
    connect: (events: StreamEvents) => Stream,
  ) {
    this.#send = send;
    this.#expected = (syn.sequence + 1) >>> 0;
    this.#unacknowledged = initial;
    this.#window = syn.window;
    this.#mss = Math.min(MSS, Math.max(64, syn.mss ?? 536));
    this.#stream = connect(this);
  }

  /** A segment from the guest. */
  receive(segment: Segment): void {
    const { flags } = segment;
    if (flags & TCP.RST) {
      this.#stream.destroy();
      this.over = true;
    } else if (flags & TCP.SYN) {
      if (this.#state === 'answered') this.#answer();
    } else if (flags & TCP.ACK && this.#state !== 'connecting') {
      this.#acknowledged(segment);
      this.#take(segment);
      this.#push();
      this.#finish();
    }
  }

  connected(): void {
    this.#state = 'answered';
    this.#answer();
  }

  data(bytes: Uint8Array): void {
    const held = new Uint8Array(this.#held.length + bytes.length);
    held.set(this.#held);
    held.set(bytes, this.#held.length);
    this.#held = held;
    if (held.length > HIGH_WATER) this.#stream.flow(false);
    this.#push();
  }

  ended(): void {
    this.#ended = true;
    this.#push();
  }

  closed(failed: boolean): void {
    if (this.over) return;
    if (!failed) {
      this.ended();
      return;
    }
    this.over = true;
    this.#emit(TCP.RST | TCP.ACK, this.#unacknowledged);
  }

  drained(): void {
    if (this.#state === 'open') this.#emit(TCP.ACK, this.#next);
  }

  /** Called now and then: what was sent and brought no answer is sent again. */
  tick(): void {
    if (this.#sent > 0 && !this.#progress) {
      this.#sent = 0;
      this.#push();
    }
    this.#progress = false;
  }

  get #next(): number {
    return (this.#unacknowledged + this.#sent) >>> 0;
  }

  #answer(): void {
    this.#emit(TCP.SYN | TCP.ACK, this.#unacknowledged, undefined, MSS);
  }

  #acknowledged({ acknowledged, window, payload }: Segment): void {
    if (this.#state === 'answered') {
      if (acknowledged !== (this.#unacknowledged + 1) >>> 0) return;
      this.#unacknowledged = acknowledged;
      this.#state = 'open';
      this.#window = window;
      return;
    }
    const count = (acknowledged - this.#unacknowledged) >>> 0;
    if (count > this.#sent) return;
    const same = count === 0 && payload.length === 0 && window === this.#window;
    this.#repeated = same && this.#sent > 0 ? this.#repeated + 1 : 0;
    this.#window = window;
    if (this.#repeated === 3) this.#sent = 0;
    if (count === 0) return;
    this.#progress = true;
    this.#unacknowledged = acknowledged;
    this.#sent -= count;
    const before = this.#held.length;
    this.#held = this.#held.slice(count);
    // A FIN counts as a byte, and is none.
    if (count > before) this.#finAcknowledged = true;
    if (before > HIGH_WATER && this.#held.length <= HIGH_WATER) this.#stream.flow(true);
  }

  #finAcknowledged = false;

  #take({ sequence, payload, flags }: Segment): void {
    if (this.#state !== 'open' || (payload.length === 0 && (flags & TCP.FIN) === 0)) return;
    const known = (this.#expected - sequence) >>> 0;
    // What comes too early is not kept: the answer says what is missing.
    if (known <= payload.length && !this.#guestEnded) {
      const fresh = payload.slice(known);
      if (fresh.length > 0) this.#stream.write(fresh);
      this.#expected = (this.#expected + fresh.length) >>> 0;
      if (flags & TCP.FIN) {
        this.#expected = (this.#expected + 1) >>> 0;
        this.#guestEnded = true;
        this.#stream.end();
      }
    }
    this.#emit(TCP.ACK, this.#next);
  }

  /** Sends as much as the guest takes, and a FIN behind the last of it. */
  #push(): void {
    if (this.#state !== 'open' || this.over) return;
    const room = Math.min(this.#window, MAX_IN_FLIGHT);
    while (this.#sent < this.#held.length && this.#sent < room) {
      const payload = this.#held.slice(this.#sent, Math.min(this.#sent + this.#mss, room, this.#held.length));
      this.#emit(TCP.ACK | TCP.PSH, this.#next, payload);
      this.#sent += payload.length;
    }
    if (this.#ended && !this.#finAcknowledged && this.#sent === this.#held.length) {
      this.#emit(TCP.FIN | TCP.ACK, this.#next);
      this.#sent++;
    }
  }

  #finish(): void {
    if (this.#guestEnded && this.#finAcknowledged) this.over = true;
  }

  #emit(flags: number, sequence: number, payload = new Uint8Array(0), mss?: number): void {
    const window = Math.max(0, WINDOW - this.#stream.pending);
    this.#send({ flags, sequence, acknowledged: this.#expected, window, payload, mss });
  }
}

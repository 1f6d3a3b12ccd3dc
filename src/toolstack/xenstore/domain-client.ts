import type { Connection } from './connection.ts';
import { isSpecial } from './paths.ts';
import { BadRing, RingError, type StoreRing } from './ring.ts';
import { encodeMessage, latin1, type Message, MessageAssembler, ProtocolError, strings, Xs } from './wire.ts';
import type { Xenstored } from './xenstored.ts';

/** Replies that may wait for room before no further request is read: quota_req_outstanding of xenstored. */
const OUTSTANDING = 20;

export interface DomainClientState {
  readonly input: Uint8Array;
  readonly output: readonly Uint8Array[];
  readonly events: readonly (string | null)[];
  readonly sent: number;
  readonly ignored: boolean;
}

/** A domain's connection through its ring: partial messages in, queued messages out. */
export class DomainClient {
  readonly connection: Connection;
  readonly #daemon: Xenstored;
  readonly #ring: StoreRing;
  readonly #notify: () => void;
  readonly #input = new MessageAssembler();
  /** Encoded messages that wait, oldest first; `event` identifies a watch event, for duplicates. */
  #output: { readonly bytes: Uint8Array; readonly event: string | null }[] = [];
  #unread = 0;
  /** Bytes of the oldest that are in the ring already. */
  #sent = 0;
  #ignored = false;
  #flushDue = false;

  /** `notify` signals the domain's event channel. */
  constructor(daemon: Xenstored, domain: number, ring: StoreRing, notify: () => void) {
    this.#daemon = daemon;
    this.#ring = ring;
    this.#notify = notify;
    this.connection = daemon.connect(domain, (message) => this.#queue(message));
    this.#guarded(() => {
      if (ring.reset().reconnected) notify();
    });
  }

  /** The domain signalled: takes requests, delivers what waits. */
  run(): void {
    if (this.#ignored) return;
    let moved = this.#flush();
    this.#guarded(() => {
      while (!this.#ignored && this.#output.length < OUTSTANDING) {
        const chunk = this.#ring.take(this.#input.wanted);
        if (chunk.length === 0) break;
        moved = true;
        const message = this.#input.push(chunk);
        if (message === undefined) continue;
        this.#daemon.process(this.connection, message);
        moved = this.#flush() || moved;
      }
    });
    if (moved) this.#notify();
  }

  get ignored(): boolean {
    return this.#ignored;
  }

  close(): void {
    this.#ignored = true;
    this.#drop();
    this.#daemon.disconnect(this.connection);
  }

  save(): DomainClientState {
    return {
      input: this.#input.save(),
      output: this.#output.map((o) => o.bytes),
      events: this.#output.map((o) => o.event),
      sent: this.#sent,
      ignored: this.#ignored,
    };
  }

  restore(state: DomainClientState): void {
    this.#input.restore(state.input);
    this.#output = state.output.map((bytes, i) => ({ bytes, event: state.events[i] ?? null }));
    this.#unread = this.#output.reduce((n, o) => n + o.bytes.length, 0);
    this.#sent = state.sent;
    this.#ignored = state.ignored;
  }

  /**
   * Queues a message. A watch event that already waits in the same words is not queued again, and events beyond the
   * domain's memory quota are dropped, both as xenstored does; replies always go.
   */
  #queue(message: Message): void {
    if (this.#ignored) return;
    let event: string | null = null;
    if (message.type === Xs.WATCH_EVENT) {
      event = latin1(message.payload);
      const special = isSpecial(strings(message.payload)[0] ?? '');
      if (!special && this.#output.some((o, i) => o.event === event && (i > 0 || this.#sent === 0))) return;
      if (this.#unread + message.payload.length > this.#daemon.quotas.unreadBytes) return;
    }
    const bytes = encodeMessage(message);
    this.#output.push({ bytes, event });
    this.#unread += bytes.length;
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#daemon.defer(() => {
      this.#flushDue = false;
      if (this.#flush()) this.#notify();
    });
  }

  /** Moves what fits into the ring. @returns whether anything moved */
  #flush(): boolean {
    let moved = false;
    this.#guarded(() => {
      for (let first = this.#output[0]; first !== undefined && !this.#ignored; first = this.#output[0]) {
        const count = this.#ring.put(first.bytes.subarray(this.#sent));
        moved ||= count > 0;
        this.#sent += count;
        if (this.#sent < first.bytes.length) break;
        this.#output.shift();
        this.#unread -= first.bytes.length;
        this.#sent = 0;
      }
    });
    return moved;
  }

  /** A client that breaks the ring or the protocol is ignored from then on, with the reason in its ring page. */
  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      const reason =
        error instanceof BadRing ? error.reason : error instanceof ProtocolError ? RingError.PROTOCOL : undefined;
      if (reason === undefined) throw error;
      this.#ignored = true;
      this.#drop();
      this.connection.reset();
      try {
        this.#ring.setError(reason);
      } catch (second) {
        if (!(second instanceof BadRing)) throw second;
      }
    }
  }

  #drop(): void {
    this.#output = [];
    this.#unread = this.#sent = 0;
    this.#input.reset();
  }
}

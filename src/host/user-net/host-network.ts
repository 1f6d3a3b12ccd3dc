/** The gateway's sockets, and a session's way to it. */
import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { connect } from 'node:net';
import type { Input } from '../../machine/door.ts';
import { type DatagramSocket, Gateway, type Outside } from './gateway.ts';
import type { Stream, StreamEvents } from './tcp-flow.ts';

const TICK_MS = 500;

/** What a session offers to a network outside. */
export interface NetworkSession {
  readonly machine: { readonly door: { submit(input: Input): void } };
  /** True if a domain has an interface at the bridge `user`. */
  readonly hasUplink: boolean;
  /** Called synchronously with frames that guests send outside. */
  onUplink: (frame: Uint8Array) => void;
}

/** A session's guests and the host's network, joined by a gateway. */
export class HostNetwork {
  readonly #gateway: Gateway;
  /** What is to be closed when the session ends. */
  readonly #open = new Set<() => void>();
  readonly #ticking: NodeJS.Timeout;
  #wake: (() => void) | undefined;

  constructor(session: NetworkSession) {
    this.#gateway = new Gateway(hostSockets(this.#open), (bytes) => {
      session.machine.door.submit({ kind: 'packet', device: 0, bytes });
      this.#wake?.();
    });
    session.onUplink = (frame) => this.#gateway.receive(frame);
    this.#ticking = setInterval(() => this.#gateway.tick(), TICK_MS);
  }

  /** True while something may come from outside. */
  get busy(): boolean {
    return this.#gateway.busy;
  }

  /** Lets the host's network work: until something came from there, or for `ms`. */
  wait(ms: number): Promise<void> {
    return new Promise((done) => {
      const finish = () => {
        this.#wake = undefined;
        clearTimeout(timer);
        setImmediate(done);
      };
      const timer = setTimeout(finish, ms);
      this.#wake = finish;
    });
  }

  close(): void {
    clearInterval(this.#ticking);
    this.#gateway.close();
    for (const close of this.#open) close();
  }
}

/** The host's own sockets; what is open can be closed by `open`. */
function hostSockets(open: Set<() => void>): Outside {
  return {
    get nameServer() {
      const first = getServers().find((each) => /^\d+(\.\d+){3}$/.test(each));
      return first ?? '127.0.0.1';
    },

    connect(host: string, port: number, events: StreamEvents): Stream {
      const socket = connect({ host, port, allowHalfOpen: true });
      const close = () => socket.destroy();
      open.add(close);
      socket.on('connect', () => events.connected());
      socket.on('data', (bytes) => events.data(new Uint8Array(bytes)));
      socket.on('end', () => events.ended());
      socket.on('drain', () => events.drained());
      socket.on('error', () => events.closed(true));
      socket.on('close', () => open.delete(close));
      return {
        write: (bytes) => socket.write(bytes),
        end: () => socket.end(),
        destroy: () => socket.destroy(),
        flow: (on) => (on ? socket.resume() : socket.pause()),
        get pending() {
          return socket.writableLength;
        },
      };
    },

    datagrams(host: string, port: number, received: (bytes: Uint8Array) => void): DatagramSocket {
      const socket = createSocket('udp4');
      const close = () => {
        if (open.delete(close)) socket.close();
      };
      open.add(close);
      socket.on('message', (bytes, from) => {
        if (from.port === port && from.address === host) received(new Uint8Array(bytes));
      });
      socket.on('error', close);
      return {
        send: (bytes) => {
          if (open.has(close)) socket.send(bytes, port, host);
        },
        close,
      };
    },
  };
}

/** gdb's port: one connection at a time; the session stays when it goes, and can be joined again. */
import { createServer, type Server, type Socket } from 'node:net';
import { Stub } from '../debug/rsp/stub.ts';
import type { DebugTarget } from '../debug/target.ts';

/** Work goes on for so long before data that came meanwhile is looked at. */
const PIECE_MS = 20;
/** A client that reads slower than it asks is not listened to until it has read. */
const MAX_UNREAD = 1 << 20;
/** Bytes taken at once: the answers to so many are a few megabytes at most. */
const BITE = 1024;
/** How long a client waits for another one to be gone. */
const CHANGE_MS = 200;
/** When a client is silent for so long the host asks whether it is there. */
const KEEP_ALIVE_MS = 10_000;

export interface GdbServer {
  readonly host: string;
  readonly port: number;
  close(): void;
  /** Settles when a client says goodbye (detach or kill). */
  readonly goodbye: Promise<void>;
}

/**
 * `HOST:PORT`, `:PORT` or `PORT`; the host is the loopback unless said otherwise, port 0 any free one.
 * @throws Error for people
 */
export function parseAddress(text: string): { host: string; port: number } {
  const [, bracketed, plain, port] = /^(?:(?:\[([^\]]*)\]|([^:]*)):)?(\d{1,5})$/.exec(text) ?? [];
  const wrong = (why: string) =>
    new Error(`"${text}" is no HOST:PORT, such as :1234, localhost:1234 or [::1]:1234: ${why}`);
  if (port === undefined) throw wrong('a port is a number, and an address with colons stands in brackets');
  if (Number(port) > 65535) throw wrong('ports go to 65535');
  const host = bracketed ?? plain ?? '';
  if (/[\s/]/.test(host)) throw wrong('that is no host');
  return { host: host || '127.0.0.1', port: Number(port) };
}

/** What to type into gdb for this address. */
export function targetText({ host, port }: { readonly host: string; readonly port: number }): string {
  const reached = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `target remote ${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}

/** Listens for gdb. `say` tells a person what happens. @throws Error for people if it cannot */
export function listenForGdb(
  address: string,
  target: DebugTarget,
  say: (text: string) => void = () => {},
): Promise<GdbServer> {
  const { host, port } = parseAddress(address);
  let current: Connection | undefined;
  let waiting: Socket | undefined;
  let sayGoodbye = () => {};
  const goodbye = new Promise<void>((resolve) => {
    sayGoodbye = resolve;
  });
  const accept = (socket: Socket) => {
    // Somebody who opened the port and said nothing gives way.
    current?.close();
    const connection = new Connection(socket, target, say, sayGoodbye);
    current = connection;
    connection.onGone = () => {
      if (current === connection) current = undefined;
      const next = waiting;
      waiting = undefined;
      if (next && !next.destroyed) accept(next);
    };
  };
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    if (!current?.spoke) {
      accept(socket);
      return;
    }
    // One that has just gone may not have been missed yet.
    waiting?.destroy();
    waiting = socket;
    setTimeout(() => {
      if (waiting !== socket) return;
      waiting = undefined;
      if (!socket.destroyed) say(`another gdb came from ${socket.remoteAddress} while one is here: refused`);
      socket.destroy();
    }, CHANGE_MS);
  });
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => reject(new Error(refusal(host, port, error))));
    server.listen(port, host, () => {
      const { port: bound } = server.address() as { port: number };
      const close = () => {
        current?.close();
        server.close();
      };
      resolve({ host, port: bound, close, goodbye });
    });
  });
}

function refusal(host: string, port: number, error: NodeJS.ErrnoException): string {
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: 'something else listens there; give another port, or 0 for any free one',
    EACCES: 'ports below 1024 need privileges; give a higher one',
    EADDRNOTAVAIL: 'this computer has no such address',
    ENOTFOUND: 'no host of that name is known',
    EAI_AGAIN: 'no host of that name is known',
  };
  return `cannot wait for gdb on ${host}:${port}: ${why[error.code ?? ''] ?? error.message}`;
}

/** One client, from its first byte to its last. */
class Connection {
  /** It has sent something. */
  spoke = false;
  /** Called once, when nothing can come any more. */
  onGone: () => void = () => {};
  readonly #socket: Socket;
  readonly #target: DebugTarget;
  /** Made of the first byte that comes: a client that says nothing has no say. */
  #talk: Stub | undefined;
  readonly #say: (text: string) => void;
  readonly #sayGoodbye: () => void;
  /** What came and was not looked at yet. */
  #unheard: Buffer = Buffer.alloc(0);
  #open = true;
  #working = false;

  constructor(socket: Socket, target: DebugTarget, say: (text: string) => void, sayGoodbye: () => void) {
    this.#socket = socket;
    this.#say = say;
    this.#sayGoodbye = sayGoodbye;
    this.#target = target;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('data', (data) => {
      this.spoke = true;
      this.#unheard = this.#unheard.length === 0 ? data : Buffer.concat([this.#unheard, data]);
      this.#guarded(() => this.#listen());
    });
    socket.on('drain', () => this.#guarded(() => this.#listen()));
    socket.on('error', () => {});
    socket.on('close', () => this.#gone());
  }

  get #stub(): Stub {
    this.#talk ??= new Stub(this.#target);
    return this.#talk;
  }

  /** What was said is sent before. */
  close(): void {
    this.#socket.destroySoon();
    this.#gone();
  }

  #gone(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#guarded(() => this.#talk?.abandon());
    this.onGone();
  }

  /** Looks at what came, as long as what is answered is read. */
  #listen(): void {
    while (this.#open && this.#unheard.length > 0 && this.#socket.writableLength < MAX_UNREAD) {
      const bite = this.#unheard.subarray(0, BITE);
      this.#unheard = this.#unheard.subarray(BITE);
      this.#send(this.#stub.push(bite));
      if (this.#stub.closed) {
        this.#end();
        return;
      }
    }
    if (this.#unheard.length > 0) this.#socket.pause();
    else this.#socket.resume();
    if (this.#stub.busy && !this.#working) {
      this.#working = true;
      setImmediate(() => this.#work());
    }
  }

  /** Goes on with what is under way until it is done, with looks at what comes in between. */
  #work(): void {
    this.#guarded(() => {
      const started = performance.now();
      while (this.#stub.busy && this.#open && performance.now() - started < PIECE_MS) {
        const { out, until } = this.#stub.work();
        this.#send(out);
        if (this.#stub.closed) {
          this.#end();
          return;
        }
        if (until) {
          until.then(() => this.#work());
          return;
        }
      }
      this.#working = this.#stub.busy && this.#open;
      if (this.#working) setImmediate(() => this.#work());
      else this.#listen();
    });
  }

  #end(): void {
    this.#gone();
    this.#socket.end();
    this.#sayGoodbye();
  }

  #send(bytes: Uint8Array): void {
    if (bytes.length > 0 && this.#open) this.#socket.write(bytes);
  }

  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      // A fault of ours, or a recording that cannot be replayed: said aloud; the session stays.
      this.#say(error instanceof Error ? (error.stack ?? error.message) : String(error));
      this.#socket.destroy();
    }
  }
}

/** gdb's port: one connection at a time; the session stays when it goes, and can be joined again. */
import { createServer, type Server, type Socket } from 'node:net';
import { Stub } from '../debug/rsp/stub.ts';
import type { DebugTarget } from '../debug/target.ts';

/** Motion goes on for so long before data that came meanwhile is looked at. */
const PIECE_MS = 20;

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
  const [, host = '', port] = /^(?:(.*):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65535) throw new Error(`"${text}" is no HOST:PORT, such as :1234`);
  return { host: host.replace(/^\[|\]$/g, '') || '127.0.0.1', port: Number(port) };
}

/** Listens for gdb. @throws Error for people if it cannot */
export function listenForGdb(address: string, target: DebugTarget): Promise<GdbServer> {
  const { host, port } = parseAddress(address);
  let current: Socket | undefined;
  let sayGoodbye = () => {};
  const goodbye = new Promise<void>((resolve) => {
    sayGoodbye = resolve;
  });
  const server: Server = createServer((socket) => {
    if (current) {
      socket.destroy(); // somebody is there already
      return;
    }
    current = socket;
    serve(socket, target, sayGoodbye);
    socket.on('close', () => {
      current = undefined;
    });
  });
  return new Promise((resolve, reject) => {
    server.on('error', (error) => reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`)));
    server.listen(port, host, () => {
      const { port: bound } = server.address() as { port: number };
      const close = () => {
        current?.destroy();
        server.close();
      };
      resolve({ host, port: bound, close, goodbye });
    });
  });
}

function serve(socket: Socket, target: DebugTarget, sayGoodbye: () => void): void {
  const stub = new Stub(target);
  let open = true;
  let moving = false;
  const send = (bytes: Uint8Array) => {
    if (bytes.length > 0 && open) socket.write(bytes);
  };
  const guarded = (action: () => void) => {
    try {
      action();
    } catch (error) {
      // A fault of ours, or a recording that cannot be replayed: said aloud; the session stays.
      process.stderr.write(`rexen: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      socket.destroy();
    }
  };
  const move = () =>
    guarded(() => {
      const started = performance.now();
      while (stub.busy && open && performance.now() - started < PIECE_MS) send(stub.work());
      moving = stub.busy && open;
      if (moving) setImmediate(move);
    });
  socket.setNoDelay(true);
  socket.on('data', (data) =>
    guarded(() => {
      send(stub.push(data));
      if (stub.closed) {
        open = false;
        socket.end();
        sayGoodbye();
      } else if (stub.busy && !moving) {
        moving = true;
        setImmediate(move);
      }
    }),
  );
  socket.on('error', () => {});
  socket.on('close', () => {
    open = false;
  });
}

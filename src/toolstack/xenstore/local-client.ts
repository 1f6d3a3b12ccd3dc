import type { Connection } from './connection.ts';
import { XsError, type XsErrorName } from './errors.ts';
import { bytesOf, latin1, type Message, strings, Xs, zeroTerminated } from './wire.ts';
import type { Xenstored } from './xenstored.ts';

export type WatchCallback = (path: string) => void;

/** The store for Domain 0's own services: libxenstore's calls. All errors are XsError. */
export class LocalClient {
  readonly connection: Connection;
  readonly #daemon: Xenstored;
  readonly #callbacks = new Map<string, WatchCallback>();
  /** Where the reply to the request in execution goes. */
  #slot: { reply?: Message } = {};
  #nextToken = 0;
  #transaction = 0;

  constructor(daemon: Xenstored) {
    this.#daemon = daemon;
    this.connection = daemon.connect(0, (message) => this.#receive(message));
  }

  /** @returns the value, one character a byte, or undefined if the node is not there */
  read(path: string): string | undefined {
    try {
      return latin1(this.#ask(Xs.READ, zeroTerminated(path)));
    } catch (error) {
      if (error instanceof XsError && error.errno === 'ENOENT') return undefined;
      throw error;
    }
  }

  write(path: string, value: string): void {
    this.#ask(Xs.WRITE, bytesOf(`${path}\0${value}`));
  }

  mkdir(path: string): void {
    this.#ask(Xs.MKDIR, zeroTerminated(path));
  }

  /** Removes a node and all below; one that is not there is no error. */
  remove(path: string): void {
    try {
      this.#ask(Xs.RM, zeroTerminated(path));
    } catch (error) {
      if (!(error instanceof XsError && error.errno === 'ENOENT')) throw error;
    }
  }

  /** INTRODUCE: the daemon begins to listen to a domain. */
  introduce(domain: number, gfn: number, port: number): void {
    this.#ask(Xs.INTRODUCE, zeroTerminated(String(domain), String(gfn), String(port)));
  }

  /** Names of the children; none if the node is not there. */
  list(path: string): string[] {
    try {
      return strings(this.#ask(Xs.DIRECTORY, zeroTerminated(path)));
    } catch (error) {
      if (error instanceof XsError && error.errno === 'ENOENT') return [];
      if (error instanceof XsError && error.errno === 'E2BIG') return this.#listInParts(path);
      throw error;
    }
  }

  /** `permissions` as in 'n0', 'r5': the owner with everybody's access first. */
  setPermissions(path: string, ...permissions: readonly string[]): void {
    this.#ask(Xs.SET_PERMS, zeroTerminated(path, ...permissions));
  }

  permissions(path: string): string[] {
    return strings(this.#ask(Xs.GET_PERMS, zeroTerminated(path)));
  }

  /** Calls back once at the start and at each change, never from within a request. @returns takes the watch away */
  watch(path: string, callback: WatchCallback): () => void {
    const token = `local${this.#nextToken++}`;
    this.#callbacks.set(token, callback);
    this.#ask(Xs.WATCH, zeroTerminated(path, token));
    return () => {
      if (this.#callbacks.delete(token)) this.#ask(Xs.UNWATCH, zeroTerminated(path, token));
    };
  }

  /** Runs `body` in a transaction, again if it collides; watch callbacks wait for its end. What `body` throws aborts it. */
  transaction(body: () => void): void {
    this.#daemon.batch(() => {
      do {
        this.#transaction = Number(strings(this.#ask(Xs.TRANSACTION_START, zeroTerminated('')))[0]);
        try {
          body();
        } catch (error) {
          this.#end('F');
          throw error;
        }
      } while (this.#end('T') === 'EAGAIN');
    });
  }

  #end(verdict: 'T' | 'F'): '' | 'EAGAIN' {
    try {
      this.#ask(Xs.TRANSACTION_END, zeroTerminated(verdict));
    } catch (error) {
      if (error instanceof XsError && error.errno === 'EAGAIN') return 'EAGAIN';
      throw error;
    } finally {
      this.#transaction = 0;
    }
    return '';
  }

  #listInParts(path: string): string[] {
    let list = '';
    for (;;) {
      const answer = latin1(this.#ask(Xs.DIRECTORY_PART, zeroTerminated(path, String(list.length))));
      const part = answer.slice(answer.indexOf('\0') + 1);
      if (part.endsWith('\0\0')) return strings(bytesOf(list + part.slice(0, -1)));
      if (part === '\0') return strings(bytesOf(list));
      list += part;
    }
  }

  #ask(type: number, payload: Uint8Array): Uint8Array {
    const slot: { reply?: Message } = {};
    this.#slot = slot;
    this.#daemon.process(this.connection, { type, requestId: 0, transaction: this.#transaction, payload });
    // Callbacks that ran after the request may have asked too, and have slots of their own.
    const { reply } = slot;
    if (reply === undefined) throw new Error(`xenstore: request ${type} got no reply`);
    if (reply.type === Xs.ERROR) throw new XsError(strings(reply.payload)[0] as XsErrorName);
    return reply.payload;
  }

  #receive(message: Message): void {
    if (message.type !== Xs.WATCH_EVENT) {
      this.#slot.reply = message;
      return;
    }
    const [path, token] = strings(message.payload) as [string, string];
    this.#daemon.defer(() => this.#callbacks.get(token)?.(path));
  }
}

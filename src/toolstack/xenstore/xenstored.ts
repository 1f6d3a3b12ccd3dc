import { Connection, type ConnectionState } from './connection.ts';
import { XsError, type XsErrorName } from './errors.ts';
import { Nodes } from './nodes.ts';
import { OPERATIONS, type Request } from './operations.ts';
import { childOf, isSpecial, isWithin, parentOf } from './paths.ts';
import { accessOf, isPrivileged, type Permissions, READ } from './permissions.ts';
import { DEFAULT_QUOTAS, type Quotas } from './quotas.ts';
import { Store, type StoreState, type View } from './store.ts';
import { latin1, type Message, PAYLOAD_MAX, strings, Xs, zeroTerminated } from './wire.ts';

/** One operation as the event log shows it. */
export interface StoreOperation {
  readonly domain: number;
  /** Message type number. */
  readonly op: number;
  readonly transaction: number;
  /** Empty: success. */
  readonly error: XsErrorName | '';
  /** First string of the request, or the event's path. */
  readonly path: string;
  /** What was written or answered, one character a byte; shortened. */
  readonly value: string;
}

/** What the store asks of its surroundings when Domain 0 introduces and releases domains by message. */
export interface DomainHooks {
  introduce(domain: number, gfn: number, port: number): void;
  release(domain: number): void;
  isIntroduced(domain: number): boolean;
  resume(domain: number): void;
}

export interface XenstoredState {
  readonly store: StoreState;
  readonly special: readonly (readonly [event: string, permissions: Permissions])[];
  readonly connections: readonly ConnectionState[];
}

const VALUE_SHOWN = 256;
export const INTRODUCE_DOMAIN = '@introduceDomain';
export const RELEASE_DOMAIN = '@releaseDomain';
const DOMAIN_0_ONLY: Permissions = [{ domain: 0, access: 0 }];

/**
 * The store's daemon without its transports: connections come and go, `process` takes one request and sends the
 * answers. Behaviour is that of Xen 4.17's xenstored (docs/misc/xenstore.txt; where that is silent, its C daemon).
 */
export class Xenstored {
  readonly store = new Store();
  readonly quotas: Quotas;
  readonly #connections: Connection[] = [];
  readonly #special = new Map<string, Permissions>([
    [INTRODUCE_DOMAIN, DOMAIN_0_ONLY],
    [RELEASE_DOMAIN, DOMAIN_0_ONLY],
  ]);
  #depth = 0;
  readonly #deferred: (() => void)[] = [];
  hooks: DomainHooks | undefined;
  /** Told of each request's outcome and of each watch event. */
  onOperation: (operation: StoreOperation) => void = () => {};

  constructor(quotas: Quotas = DEFAULT_QUOTAS) {
    this.quotas = quotas;
    this.store.onChanged = (path, exact, before) => this.#fire(path, exact, before);
  }

  connect(domain: number, send: (message: Message) => void): Connection {
    const connection = new Connection(domain, send);
    this.#connections.push(connection);
    return connection;
  }

  disconnect(connection: Connection): void {
    const at = this.#connections.indexOf(connection);
    if (at >= 0) this.#connections.splice(at, 1);
    connection.reset();
  }

  connections(): readonly Connection[] {
    return this.#connections;
  }

  /** Runs one request; replies and the events it causes go to the connections' `send`, events first. */
  process(connection: Connection, message: Message): void {
    this.batch(() => this.#run(connection, message));
  }

  /** Runs `action`; what is deferred meanwhile waits for its end. */
  batch(action: () => void): void {
    this.#depth++;
    try {
      action();
    } finally {
      this.#depth--;
    }
    this.#drain();
  }

  /**
   * Runs `action` when no request is in execution: now, or right after the current one, in the order of the calls.
   * Deliveries (into rings, to callbacks) go this way, so that none of them sees a half-done request.
   */
  defer(action: () => void): void {
    this.#deferred.push(action);
    this.#drain();
  }

  #drain(): void {
    if (this.#depth > 0) return;
    this.#depth++;
    try {
      for (let action = this.#deferred.shift(); action !== undefined; action = this.#deferred.shift()) action();
    } finally {
      this.#depth--;
    }
  }

  #run(connection: Connection, message: Message): void {
    const { type, transaction: id, payload } = message;
    const reply = (kind: number, body: Uint8Array): void => connection.send({ ...message, type: kind, payload: body });
    let error: XsErrorName | '' = '';
    let body: Uint8Array = new Uint8Array(0);
    try {
      const operation = OPERATIONS.get(type);
      if (operation === undefined) throw new XsError('ENOSYS');
      if (operation.privileged && !isPrivileged(connection)) throw new XsError('EACCES');
      const transaction = operation.ignoresTransaction || id === 0 ? undefined : connection.transactions.get(id);
      if (!operation.ignoresTransaction && id !== 0 && transaction === undefined) throw new XsError('ENOENT');
      const view: View = transaction ?? this.store;
      const nodes = new Nodes(view, connection, this.quotas);
      const request: Request = { daemon: this, connection, transaction, nodes, payload };
      const { answer, afterwards } = operation.run(request);
      if (answer.length > PAYLOAD_MAX) throw new XsError('E2BIG');
      body = answer;
      reply(type, answer);
      afterwards?.();
    } catch (thrown) {
      if (!(thrown instanceof XsError)) throw thrown;
      error = thrown.errno;
      reply(Xs.ERROR, zeroTerminated(error));
    }
    this.#report(connection, message, error, body);
  }

  /** A domain is gone: its nodes go, and whoever watches @releaseDomain hears of it. */
  domainGone(domain: number): void {
    this.removeNodesOf(domain);
    for (const [event, [owner, ...others]] of this.#special)
      this.#special.set(event, [
        owner.domain === domain ? { ...owner, domain: 0 } : owner,
        ...others.filter((p) => p.domain !== domain),
      ]);
    this.fireSpecial(RELEASE_DOMAIN);
  }

  removeNodesOf(domain: number): void {
    const nodes = new Nodes(this.store, { domain: 0, target: undefined }, this.quotas);
    const pending = ['/'];
    for (let path = pending.pop(); path !== undefined && this.store.owned(domain) > 0; path = pending.pop()) {
      const node = this.store.read(path);
      if (node === undefined) continue;
      if (node.permissions[0].domain === domain && path !== '/') nodes.removeTree(path);
      else for (const child of [...node.children].reverse()) pending.push(childOf(path, child));
    }
  }

  /** Fires @introduceDomain or @releaseDomain. */
  fireSpecial(event: string): void {
    this.#fire(event, true, undefined);
  }

  specialPermissions(event: string): Permissions | undefined {
    return this.#special.get(event);
  }
  setSpecialPermissions(event: string, permissions: Permissions): void {
    this.#special.set(event, permissions);
  }

  /** Sends one watch event. */
  event(connection: Connection, path: string, token: string): void {
    const payload = zeroTerminated(path, token);
    if (payload.length > PAYLOAD_MAX) return;
    connection.send({ type: Xs.WATCH_EVENT, requestId: 0, transaction: 0, payload });
    const { domain } = connection;
    this.onOperation({
      domain,
      op: Xs.WATCH_EVENT,
      transaction: 0,
      error: '',
      path,
      value: token.slice(0, VALUE_SHOWN),
    });
  }

  save(): XenstoredState {
    return {
      store: this.store.save(),
      special: [...this.#special],
      connections: this.#connections.map((c) => c.save()),
    };
  }

  /** `connections` must have been made again, in the same order. @throws Error if they do not match */
  restore(state: XenstoredState): void {
    const domains = (list: readonly { domain: number }[]): string => list.map((c) => c.domain).join();
    if (domains(state.connections) !== domains(this.#connections))
      throw new Error(
        `xenstore: saved connections ${domains(state.connections)}, present ${domains(this.#connections)}`,
      );
    this.store.restore(state.store);
    for (const [event, permissions] of state.special) this.#special.set(event, permissions);
    for (const [i, c] of state.connections.entries())
      this.#connections[i]!.restore(c, this.store, this.quotas.transactionNodes);
  }

  #fire(path: string, exact: boolean, before: Permissions | undefined): void {
    for (const connection of [...this.#connections]) {
      if (connection.watches.length === 0 || !this.#maySee(connection, path, before)) continue;
      for (const watch of [...connection.watches])
        if (exact ? watch.path === path : isWithin(path, watch.path))
          this.event(connection, connection.eventPath(watch, path), watch.token);
    }
  }

  /** Whoever may read the node, might have before, or may read its parent. */
  #maySee(connection: Connection, path: string, before: Permissions | undefined): boolean {
    const readable = (p: Permissions): boolean => (accessOf(connection, p) & READ) !== 0;
    if (isSpecial(path)) {
      const permissions = this.#special.get(path);
      return permissions !== undefined && readable(permissions);
    }
    if (before !== undefined && readable(before)) return true;
    const node = this.store.read(path);
    if (node !== undefined && readable(node.permissions)) return true;
    const parent = path === '/' ? undefined : this.store.read(parentOf(path));
    return parent !== undefined && readable(parent.permissions);
  }

  #report(connection: Connection, message: Message, error: XsErrorName | '', body: Uint8Array): void {
    const { type, payload } = message;
    const texts = strings(payload);
    const path = texts[0] ?? '';
    const written = latin1(payload.subarray(path.length + 1, path.length + 1 + VALUE_SHOWN))
      .replaceAll('\0', ' ')
      .trimEnd();
    const answered = latin1(body.subarray(0, VALUE_SHOWN)).replaceAll('\0', ' ').trimEnd();
    const value = WRITERS.has(type) ? written : error === '' ? answered : '';
    this.onOperation({ domain: connection.domain, op: type, transaction: message.transaction, error, path, value });
  }
}

/** Requests whose second part says more than their answer, which is OK. */
const WRITERS = new Set<number>([Xs.WRITE, Xs.WATCH, Xs.UNWATCH, Xs.SET_PERMS, Xs.INTRODUCE, Xs.SET_TARGET]);

import { XsError } from './errors.ts';
import type { Permissions } from './permissions.ts';
import type { Node, Store, View } from './store.ts';

/** What a transaction knows about a path it has touched. */
export interface Touched {
  /** Its own version; undefined: not there (or removed). */
  node: Node | undefined;
  /** Generation found at the first access, if that was a read; undefined: nothing to compare. -1: was not there. */
  seen: number | undefined;
  /** Permissions before the transaction, for watchers that lose sight of the node. */
  before: Permissions | undefined;
  modified: boolean;
  fire: boolean;
  exact: boolean;
}

export interface TransactionState {
  readonly id: number;
  readonly failed: boolean;
  readonly touched: readonly (readonly [path: string, touched: Touched])[];
  readonly owned: readonly (readonly [domain: number, delta: number])[];
}

const ABSENT = -1;

/**
 * A transaction sees each node as it was when it first touched it, with its own changes. At the end every node it read
 * must still be of the generation it saw; otherwise the whole is refused with EAGAIN. Writers outside never wait.
 */
export class Transaction implements View {
  readonly id: number;
  readonly #store: Store;
  readonly #touched = new Map<string, Touched>();
  readonly #owned = new Map<number, number>();
  readonly #maxNodes: number;
  #failed = false;

  /** `maxNodes`: how many nodes may be touched before everything fails with ENOSPC. */
  constructor(id: number, store: Store, maxNodes: number) {
    this.id = id;
    this.#store = store;
    this.#maxNodes = maxNodes;
  }

  read(path: string): Node | undefined {
    const known = this.#touched.get(path);
    if (known !== undefined) return known.node;
    const node = this.#store.read(path);
    this.#touch(path, node).seen = node?.generation ?? ABSENT;
    return node;
  }

  write(path: string, node: Omit<Node, 'generation'>): void {
    const touched = this.#touched.get(path) ?? this.#touch(path, this.#store.read(path));
    if (touched.node !== undefined) this.#count(touched.node.permissions[0].domain, -1);
    this.#count(node.permissions[0].domain, 1);
    touched.node = { ...node, generation: this.#store.nextGeneration() };
    touched.modified = true;
  }

  remove(path: string): void {
    const touched = this.#touched.get(path) ?? this.#touch(path, this.#store.read(path));
    if (touched.node === undefined) return;
    this.#count(touched.node.permissions[0].domain, -1);
    touched.node = undefined;
    touched.modified = true;
  }

  changed(path: string, exact: boolean): void {
    const touched = this.#touched.get(path);
    if (touched === undefined) throw new Error(`xenstore: ${path} changed without having been touched`);
    touched.exact = touched.fire ? touched.exact && exact : exact;
    touched.fire = true;
  }

  owned(domain: number): number {
    return this.#store.owned(domain) + (this.#owned.get(domain) ?? 0);
  }

  /** Nodes that the transaction adds for each domain, for the quota at the end. */
  get added(): Iterable<[domain: number, delta: number]> {
    return this.#owned;
  }

  /** @throws XsError EAGAIN if a node it read has changed since, ENOMEM if an operation within it failed for good */
  commit(): void {
    if (this.#failed) throw new XsError('ENOMEM');
    for (const [path, { seen }] of this.#touched)
      if (seen !== undefined && (this.#store.read(path)?.generation ?? ABSENT) !== seen) throw new XsError('EAGAIN');
    for (const [path, { node, modified }] of this.#touched) {
      if (!modified) continue;
      if (node === undefined) this.#store.remove(path);
      else this.#store.write(path, node);
    }
    for (const [path, { fire, exact, before }] of this.#touched) if (fire) this.#store.changed(path, exact, before);
  }

  save(): TransactionState {
    const touched = [...this.#touched].map(([path, t]) => [path, { ...t }] as const);
    return { id: this.id, failed: this.#failed, touched, owned: [...this.#owned] };
  }

  restore(state: TransactionState): void {
    this.#failed = state.failed;
    for (const [path, t] of state.touched) this.#touched.set(path, { ...t });
    for (const [domain, delta] of state.owned) this.#owned.set(domain, delta);
  }

  #touch(path: string, node: Node | undefined): Touched {
    if (this.#touched.size >= this.#maxNodes) {
      this.#failed = true;
      throw new XsError('ENOSPC');
    }
    const touched = { node, seen: undefined, before: node?.permissions, modified: false, fire: false, exact: false };
    this.#touched.set(path, touched);
    return touched;
  }

  #count(domain: number, by: number): void {
    this.#owned.set(domain, (this.#owned.get(domain) ?? 0) + by);
  }
}

import { childOf } from './paths.ts';
import type { Permissions } from './permissions.ts';

/** A node. Never changed in place: a write makes a new one, so transactions may share them. */
export interface Node {
  readonly value: Uint8Array;
  /** Names of the children, oldest first. */
  readonly children: readonly string[];
  readonly permissions: Permissions;
  /** Set from the store's count at each write; a transaction compares it. */
  readonly generation: number;
}

/** What an operation works on: the store itself, or a transaction's view of it. */
export interface View {
  read(path: string): Node | undefined;
  /** Creates or replaces; the generation is filled in. */
  write(path: string, node: Omit<Node, 'generation'>): void;
  remove(path: string): void;
  /** A watch event is due for `path`: at once, or when the transaction ends. */
  changed(path: string, exact: boolean, before: Permissions | undefined): void;
  /** Nodes that a domain owns, as this view sees them. */
  owned(domain: number): number;
}

export interface StoreState {
  readonly generation: number;
  readonly nodes: readonly (readonly [path: string, node: Node])[];
}

const NO_VALUE = new Uint8Array(0);
const ROOT_PERMISSIONS: Permissions = [{ domain: 0, access: 0 }];

/** The tree, by full path, and how many nodes each domain owns. */
export class Store implements View {
  readonly #nodes = new Map<string, Node>();
  readonly #owned = new Map<number, number>();
  #generation = 0;
  /** Called for changes that are visible now. */
  onChanged: View['changed'] = () => {};

  /** The tree that xenstored starts with: /, /tool, /tool/xenstored. */
  constructor() {
    const make = (path: string, ...children: string[]): void =>
      this.write(path, { value: NO_VALUE, children, permissions: ROOT_PERMISSIONS });
    make('/', 'tool');
    make('/tool', 'xenstored');
    make('/tool/xenstored');
  }

  read(path: string): Node | undefined {
    return this.#nodes.get(path);
  }

  write(path: string, node: Omit<Node, 'generation'>): void {
    const old = this.#nodes.get(path);
    if (old !== undefined) this.#count(old.permissions[0].domain, -1);
    this.#count(node.permissions[0].domain, 1);
    this.#nodes.set(path, { ...node, generation: this.nextGeneration() });
  }

  remove(path: string): void {
    const old = this.#nodes.get(path);
    if (old === undefined) return;
    this.#count(old.permissions[0].domain, -1);
    this.#nodes.delete(path);
    this.nextGeneration();
  }

  changed(path: string, exact: boolean, before: Permissions | undefined): void {
    this.onChanged(path, exact, before);
  }

  owned(domain: number): number {
    return this.#owned.get(domain) ?? 0;
  }

  nextGeneration(): number {
    return ++this.#generation;
  }

  get size(): number {
    return this.#nodes.size;
  }

  paths(): IterableIterator<string> {
    return this.#nodes.keys();
  }

  /** Looks for broken links between nodes. @returns the first one found, or undefined */
  check(): string | undefined {
    let linked = 1;
    for (const [path, { children }] of this.#nodes)
      for (const name of children) {
        linked++;
        if (!this.#nodes.has(childOf(path, name))) return `${path} names a child ${name} that is not there`;
      }
    return linked === this.#nodes.size ? undefined : `${this.#nodes.size} nodes, but ${linked} are linked`;
  }

  save(): StoreState {
    return { generation: this.#generation, nodes: [...this.#nodes] };
  }

  restore(state: StoreState): void {
    this.#nodes.clear();
    this.#owned.clear();
    for (const [path, node] of state.nodes) {
      this.#nodes.set(path, node);
      this.#count(node.permissions[0].domain, 1);
    }
    this.#generation = state.generation;
  }

  #count(domain: number, by: number): void {
    this.#owned.set(domain, (this.#owned.get(domain) ?? 0) + by);
  }
}

import { XsError } from './errors.ts';
import { baseOf, childOf, isValidPath, parentOf } from './paths.ts';
import { accessOf, type Caller, isPrivileged, OWNER, type Permissions, READ, WRITE } from './permissions.ts';
import type { Quotas } from './quotas.ts';
import type { Node, View } from './store.ts';

const NODE_HEADER_BYTES = 24;
const PERMISSION_BYTES = 8;
const NO_VALUE = new Uint8Array(0);

/**
 * The operations on nodes with xenstored's rules of access. A caller without access to the nearest existing ancestor
 * learns nothing from an error but EACCES.
 */
export class Nodes {
  readonly #view: View;
  readonly #caller: Caller;
  readonly #quotas: Quotas;

  constructor(view: View, caller: Caller, quotas: Quotas) {
    this.#view = view;
    this.#caller = caller;
    this.#quotas = quotas;
  }

  /** @throws XsError EINVAL, ENOENT, EACCES */
  get(path: string, access: number): Node {
    if (!isValidPath(path)) throw new XsError('EINVAL');
    const node = this.#view.read(path);
    if (node !== undefined && (accessOf(this.#caller, node.permissions) & access) === access) return node;
    const error = node === undefined ? 'ENOENT' : 'EACCES';
    throw new XsError((this.#ancestorAccess(path) & access) !== 0 ? error : 'EACCES');
  }

  read(path: string): Uint8Array {
    return this.get(path, READ).value;
  }

  write(path: string, value: Uint8Array): void {
    const node = this.#find(path, WRITE);
    if (node === undefined) this.#create(path, value);
    else this.#put(path, { ...node, value });
    this.#view.changed(path, false, undefined);
  }

  mkdir(path: string): void {
    if (this.#find(path, WRITE) !== undefined) return;
    this.#create(path, NO_VALUE);
    this.#view.changed(path, false, undefined);
  }

  remove(path: string): void {
    if (this.#find(path, WRITE) === undefined) {
      if (path === '/' || this.#view.read(parentOf(path)) === undefined) throw new XsError('ENOENT');
      return;
    }
    if (path === '/') throw new XsError('EINVAL');
    this.removeTree(path);
  }

  /** Removes a node that exists and all below it, children first; watchers of each hear of it. */
  removeTree(root: string): void {
    const pending = [{ path: root, next: 0 }];
    for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
      const node = this.#view.read(top.path);
      const child = node?.children[top.next++];
      if (child !== undefined) {
        pending.push({ path: childOf(top.path, child), next: 0 });
        continue;
      }
      pending.pop();
      if (node === undefined) continue;
      this.#view.remove(top.path);
      this.#view.changed(top.path, top.path !== root, node.permissions);
    }
    const parent = parentOf(root);
    const node = this.#view.read(parent);
    const name = baseOf(root);
    if (node !== undefined) this.#view.write(parent, { ...node, children: node.children.filter((c) => c !== name) });
  }

  setPermissions(path: string, permissions: Permissions): void {
    const node = this.get(path, WRITE | OWNER);
    if (!isPrivileged(this.#caller) && permissions[0].domain !== node.permissions[0].domain) throw new XsError('EPERM');
    this.#put(path, { ...node, permissions });
    this.#view.changed(path, false, node.permissions);
  }

  /** The node, or undefined if it is not there but may be made. */
  #find(path: string, access: number): Node | undefined {
    try {
      return this.get(path, access);
    } catch (error) {
      if (error instanceof XsError && error.errno === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Makes a node and its missing ancestors. New nodes have their parent's permissions; a guest owns what it makes. */
  #create(path: string, value: Uint8Array): void {
    const missing = [path];
    let parent = this.#view.read(parentOf(path));
    while (parent === undefined) {
      missing.push(parentOf(missing.at(-1)!));
      parent = this.#view.read(parentOf(missing.at(-1)!));
    }
    const { domain } = this.#caller;
    const privileged = isPrivileged(this.#caller);
    if (!privileged && this.#view.owned(domain) + missing.length > this.#quotas.nodes) throw new XsError('ENOSPC');
    const [owner, ...others] = parent.permissions;
    const permissions: Permissions = [privileged ? owner : { ...owner, domain }, ...others];
    const top = parentOf(missing.at(-1)!);
    const grown = { ...parent, children: [...parent.children, baseOf(missing.at(-1)!)] };
    const made = missing.map((p, i) => ({
      path: p,
      node: { value: i === 0 ? value : NO_VALUE, children: i === 0 ? [] : [baseOf(missing[i - 1]!)], permissions },
    }));
    // All sizes are checked before anything is written, so that a refusal leaves no half-made path.
    for (const { node } of made) this.#checkSize(node);
    this.#checkSize(grown);
    this.#view.write(top, grown);
    for (const { path: p, node } of made.reverse()) this.#view.write(p, node);
  }

  #put(path: string, node: Omit<Node, 'generation'>): void {
    this.#checkSize(node);
    this.#view.write(path, node);
  }

  #checkSize(node: Omit<Node, 'generation'>): void {
    if (isPrivileged(this.#caller)) return;
    const names = node.children.reduce((n, c) => n + c.length + 1, 0);
    const size = NODE_HEADER_BYTES + PERMISSION_BYTES * node.permissions.length + node.value.length + names;
    if (size >= this.#quotas.nodeBytes) throw new XsError('ENOSPC');
  }

  #ancestorAccess(path: string): number {
    for (let at = path; at !== '/'; ) {
      at = parentOf(at);
      const node = this.#view.read(at);
      if (node !== undefined) return accessOf(this.#caller, node.permissions);
    }
    const root = this.#view.read('/');
    return root === undefined ? 0 : accessOf(this.#caller, root.permissions);
  }
}

import type { BackendServices, MappedGrant, Store, Timer } from '../../src/backends/services.ts';

/** Granted pages, event channels and timers without domains. Tests play the guest on `pages` and `signal`. */
export class FakeServices implements BackendServices {
  /** Pages by `domain:ref`; those in `readOnly` cannot be mapped for writing. */
  readonly pages = new Map<string, Uint8Array>();
  readonly readOnly = new Set<string>();
  readonly mapped = new Map<number, MappedGrant>();
  readonly handlers = new Map<number, () => void>();
  /** Guests' ports that may be bound, as `domain:port`. */
  readonly offered = new Set<string>();
  readonly notified: number[] = [];
  readonly timers = new Map<string, { due: number; fire: () => void }>();
  now = 0;
  #next = 1;

  grant(domain: number, ref: number, page = new Uint8Array(4096)): Uint8Array {
    this.pages.set(`${domain}:${ref}`, page);
    return page;
  }

  mapGrant(domain: number, ref: number, readonly: boolean): MappedGrant | undefined {
    const name = `${domain}:${ref}`;
    const page = this.pages.get(name);
    if (!page || (!readonly && this.readOnly.has(name))) return undefined;
    const grant = { handle: this.#next++, domain, ref, page, written: () => {} };
    this.mapped.set(grant.handle, grant);
    return grant;
  }
  mappedGrant(handle: number): MappedGrant {
    const grant = this.mapped.get(handle);
    if (!grant) throw new RangeError(`no mapping ${handle}`);
    return grant;
  }
  unmapGrant(handle: number): void {
    if (!this.mapped.delete(handle)) throw new RangeError(`no mapping ${handle}`);
  }
  copyFromGrant(domain: number, ref: number, offset: number, length: number): Uint8Array | undefined {
    return offset + length > 4096 ? undefined : this.pages.get(`${domain}:${ref}`)?.slice(offset, offset + length);
  }
  copyToGrant(domain: number, ref: number, offset: number, bytes: Uint8Array): boolean {
    const page = this.pages.get(`${domain}:${ref}`);
    if (!page || this.readOnly.has(`${domain}:${ref}`) || offset + bytes.length > 4096) return false;
    page.set(bytes, offset);
    return true;
  }
  bindPort(domain: number, port: number, handler: () => void): number | undefined {
    if (!this.offered.has(`${domain}:${port}`)) return undefined;
    this.handlers.set(this.#next, handler);
    return this.#next++;
  }
  handlePort(port: number, handler: () => void): void {
    this.handlers.set(port, handler);
  }
  notify(port: number): void {
    this.notified.push(port);
  }
  closePort(port: number): void {
    if (!this.handlers.delete(port)) throw new Error(`port ${port} is not bound`);
  }
  timer(name: string, fire: () => void): Timer {
    if (this.timers.has(name)) throw new Error(`timer ${name} exists`);
    const timer = { due: Number.POSITIVE_INFINITY, fire };
    this.timers.set(name, timer);
    return {
      get armed() {
        return timer.due < Number.POSITIVE_INFINITY;
      },
      set: (ticks) => {
        timer.due = this.now + ticks;
      },
      remove: () => {
        this.timers.delete(name);
      },
    };
  }

  /** Every guest notifies every port of Domain 0. */
  signal(): void {
    for (const handler of this.handlers.values()) handler();
  }
  /** Time passes. */
  pass(ticks: number): void {
    this.now += ticks;
    for (const timer of this.timers.values())
      if (timer.due <= this.now) {
        timer.due = Number.POSITIVE_INFINITY;
        timer.fire();
      }
  }
}

/** A store without permissions; watches fire at once. */
export class FakeStore implements Store {
  readonly nodes = new Map<string, string>();
  readonly #watches = new Map<string, ((path: string) => void)[]>();

  read(path: string): string | undefined {
    return this.nodes.get(path);
  }
  write(path: string, value: string): void {
    this.nodes.set(path, value);
    for (const callback of this.#watches.get(path) ?? []) callback(path);
  }
  watch(path: string, callback: (path: string) => void): () => void {
    this.#watches.set(path, [...(this.#watches.get(path) ?? []), callback]);
    callback(path);
    return () =>
      this.#watches.set(
        path,
        (this.#watches.get(path) ?? []).filter((each) => each !== callback),
      );
  }
}

import type { Hypervisor } from '../hypervisor-interface.ts';
import { DomainClient, type DomainClientState } from './domain-client.ts';
import { XsError } from './errors.ts';
import { StoreRing } from './ring.ts';
import { type DomainHooks, INTRODUCE_DOMAIN, RELEASE_DOMAIN, type Xenstored } from './xenstored.ts';

interface Connected {
  readonly client: DomainClient;
  port: number;
}

/** The daemon's transports: which domains are introduced, their rings and their event channels. */
export class StoreService implements DomainHooks {
  readonly #daemon: Xenstored;
  readonly #hypervisor: Hypervisor;
  readonly #connected = new Map<number, Connected>();

  constructor(daemon: Xenstored, hypervisor: Hypervisor) {
    this.#daemon = daemon;
    this.#hypervisor = hypervisor;
    daemon.hooks = this;
  }

  /** INTRODUCE: binds to `port` of the domain and speaks through its page `gfn`. Again: only the port is new. */
  introduce(id: number, gfn: number, port: number): void {
    const domain = this.#hypervisor.domain(id);
    if (domain === undefined) throw new XsError('ENOENT');
    const known = this.#connected.get(id);
    const local = this.#hypervisor.bindService(id, port, () => this.#connected.get(id)?.client.run());
    if (known !== undefined) {
      this.#hypervisor.closeService(known.port);
      known.port = local;
      return;
    }
    const notify = (): void => this.#hypervisor.notify(this.#connected.get(id)?.port ?? local);
    const client = new DomainClient(this.#daemon, id, new StoreRing(domain.memory, gfn), notify);
    this.#connected.set(id, { client, port: local });
    this.#daemon.fireSpecial(INTRODUCE_DOMAIN);
  }

  /** RELEASE. */
  release(id: number): void {
    if (!this.#connected.has(id)) throw new XsError('ENOENT');
    this.disconnect(id);
    this.#daemon.removeNodesOf(id);
    this.#daemon.fireSpecial(RELEASE_DOMAIN);
  }

  isIntroduced(id: number): boolean {
    return this.#connected.has(id);
  }

  resume(id: number): void {
    if (!this.#connected.has(id)) throw new XsError('ENOENT');
  }

  /** Ends a domain's connection, if there is one; its nodes stay. */
  disconnect(id: number): void {
    const connected = this.#connected.get(id);
    if (connected === undefined) return;
    this.#connected.delete(id);
    connected.client.close();
    this.#hypervisor.closeService(connected.port);
  }

  save(): readonly { readonly id: number; readonly port: number; readonly client: DomainClientState }[] {
    return [...this.#connected].map(([id, { client, port }]) => ({ id, port, client: client.save() }));
  }
  /** The same domains must be connected. @throws Error if they are not */
  restore(state: ReturnType<StoreService['save']>): void {
    for (const { id, port, client } of state) {
      const connected = this.#connected.get(id);
      if (connected === undefined) throw new Error(`xenstore: domain ${id} of the snapshot is not connected`);
      connected.port = port;
      connected.client.restore(client);
    }
  }
}

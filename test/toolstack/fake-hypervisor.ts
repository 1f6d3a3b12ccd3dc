import { MachineMemory, PAGE_SIZE } from '../../src/memory/frames.ts';
import { GuestPhysical, P2m, P2mType } from '../../src/memory/p2m.ts';
import { FakeServices } from '../backends/fake-services.ts';
import type {
  CreateOptions,
  DomainStatus,
  Hypervisor,
  MemoryMapEntry,
  PvhStart,
  ShutdownReason,
  ToolstackDomain,
} from '../../src/toolstack/hypervisor-interface.ts';

export class FakeDomain implements ToolstackDomain {
  readonly id: number;
  readonly options: CreateOptions;
  readonly memory: GuestPhysical;
  readonly params = new Map<number, bigint>();
  shutdownReason: ShutdownReason | undefined;
  paused = true;
  start: PvhStart | undefined;
  ports = 0;
  readonly #machine: MachineMemory;

  constructor(id: number, options: CreateOptions, machine: MachineMemory) {
    this.id = id;
    this.options = options;
    this.#machine = machine;
    this.memory = new GuestPhysical(machine, new P2m());
  }
  populate(gfn: number, count: number): void {
    for (let i = 0; i < count; i++) this.memory.p2m.set(gfn + i, this.#machine.allocate(), P2mType.RAM);
  }
  setParam(index: number, value: bigint): void {
    this.params.set(index, value);
  }
  setMemoryMap(_: readonly MemoryMapEntry[]): void {}
  seedGrant(): void {}
  startPvh(start: PvhStart): void {
    this.start = start;
  }
  release(): void {
    for (const [gfn, mfn] of [...this.memory.p2m.entries()]) {
      this.memory.p2m.set(gfn, 0, P2mType.HOLE);
      this.#machine.release(mfn);
    }
  }
}

/** Domains that have memory and event channels but never run. */
export class FakeHypervisor implements Hypervisor {
  readonly machine: MachineMemory;
  readonly domains = new Map<number, FakeDomain>();
  readonly backends = new FakeServices();
  /** Domain 0's ports: whose, which, and what runs. */
  readonly services = new Map<number, { id: number; port: number; handler: () => void }>();
  /** Notifications to guests, as `domain:port`. */
  readonly notified: string[] = [];
  onShutdown: (id: number) => void = () => {};
  #nextId = 1;
  #nextPort = 1;

  constructor(mib = 64) {
    this.machine = new MachineMemory(new ArrayBuffer(mib * 2 ** 20), 0, (mib * 2 ** 20) / PAGE_SIZE);
  }
  createDomain(options: CreateOptions): FakeDomain {
    const domain = new FakeDomain(this.#nextId++, options, this.machine);
    this.domains.set(domain.id, domain);
    return domain;
  }
  domain(id: number): FakeDomain | undefined {
    return this.domains.get(id);
  }
  pause(id: number): void {
    this.domains.get(id)!.paused = true;
  }
  unpause(id: number): void {
    this.domains.get(id)!.paused = false;
  }
  status(id: number): DomainStatus {
    const { options, paused, shutdownReason, memory } = this.domains.get(id)!;
    const vcpus = Array.from({ length: options.maxVcpus }, (_, i) => ({
      state: i === 0 ? ('running' as const) : ('offline' as const),
      runTicks: i === 0 ? 1_500_000_000 : 0,
      pcpu: i === 0 ? 0 : -1,
    }));
    return { pages: [...memory.p2m.entries()].length, paused, shutdown: shutdownReason, vcpus };
  }
  destroy(id: number): void {
    this.domains.get(id)!.release();
    this.domains.delete(id);
  }
  allocUnbound(id: number): number {
    return ++this.domains.get(id)!.ports;
  }
  bindService(id: number, port: number, handler: () => void): number {
    this.services.set(this.#nextPort, { id, port, handler });
    return this.#nextPort++;
  }
  notify(port: number): void {
    const service = this.services.get(port);
    if (service === undefined) throw new Error(`port ${port} of Domain 0 is not bound`);
    this.notified.push(`${service.id}:${service.port}`);
  }
  closeService(port: number): void {
    if (!this.services.delete(port)) throw new Error(`port ${port} of Domain 0 is not bound`);
  }

  /** The guest signals one of its ports. */
  signal(id: number, port: number): void {
    for (const s of [...this.services.values()]) if (s.id === id && s.port === port) s.handler();
  }
  /** The guest stops. */
  stop(id: number, reason: ShutdownReason): void {
    this.domains.get(id)!.shutdownReason = reason;
    this.onShutdown(id);
  }
}

import * as L from '../cpu/layout.ts';
import { type CpuState, REG } from '../cpu/state.ts';
import { NONE } from '../log/kinds.ts';
import type { GuestPhysical } from '../memory/p2m.ts';
import { OutOfFrames } from '../memory/frames.ts';
import { GRANT_ENTRY_BYTES, GRANTS_PER_FRAME, GTF } from './abi/grant-table.ts';
import { HVM_NR_PARAMS } from './abi/hvm.ts';
import { RUNSTATE } from './abi/vcpu.ts';
import { Dom0Services } from './dom0-services.ts';
import type { Domain } from './domain.ts';
import { pvhStart } from './hvm/start-state.ts';
import type { Xen } from './hypervisor.ts';
import type { CpuidOverride } from './hvm/cpuid-policy.ts';

const SHUTDOWN_NAMES = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft_reset'] as const;

/** A domain in the hands of the toolstack: what libxc does with domctls and foreign mappings. */
export class ControlledDomain {
  readonly #xen: Xen;
  readonly domain: Domain;

  constructor(xen: Xen, domain: Domain) {
    this.#xen = xen;
    this.domain = domain;
  }

  get id(): number {
    return this.domain.id;
  }
  /** Its guest-physical memory. */
  get memory(): GuestPhysical {
    return this.domain.physical;
  }
  get shutdownReason(): (typeof SHUTDOWN_NAMES)[number] | undefined {
    const reason = this.domain.shutdownReason;
    return reason === undefined ? undefined : (SHUTDOWN_NAMES[reason] ?? 'crash');
  }

  /** Gives zeroed RAM to `count` guest frames. @throws OutOfFrames */
  populate(gfn: number, count: number): void {
    for (let i = 0; i < count; i++) {
      if (!this.#xen.physmap.populate(this.domain, gfn + i)) throw new OutOfFrames(this.#xen.engine.frames.frameCount);
    }
  }

  setParam(index: number, value: bigint): void {
    if (!(index >= 0 && index < HVM_NR_PARAMS)) throw new RangeError(`no HVM parameter ${index}`);
    this.domain.params[index] = value;
  }

  /** What XENMEM_memory_map answers: E820 entries of 20 bytes. */
  setMemoryMap(entries: readonly { readonly start: number; readonly size: number; readonly type: number }[]): void {
    const bytes = new Uint8Array(entries.length * 20);
    const view = new DataView(bytes.buffer);
    for (const [i, { start, size, type }] of entries.entries()) {
      view.setBigUint64(i * 20, BigInt(start), true);
      view.setBigUint64(i * 20 + 8, BigInt(size), true);
      view.setUint32(i * 20 + 16, type, true);
    }
    this.domain.memoryMap = bytes;
  }

  /** Fills a grant entry on the guest's behalf (xc_dom_gnttab_seed). */
  seedGrant(ref: number, grantee: number, gfn: number): void {
    const page = this.domain.grants.frames[Math.floor(ref / GRANTS_PER_FRAME[1])];
    if (!page) throw new RangeError(`grant reference ${ref} is beyond the table`);
    const at = (ref % GRANTS_PER_FRAME[1]) * GRANT_ENTRY_BYTES[1];
    page.setU32(at, (GTF.permit_access | (grantee << 16)) >>> 0);
    page.setU32(at + 4, gfn);
  }

  /** vcpu 0 starts by PVH's rules: 32-bit protected mode at `entry`, EBX = `startInfo`. */
  startPvh(start: { readonly entry: number; readonly startInfo: number }): void {
    const vcpu = this.domain.vcpus[0];
    this.#xen.initialiseVcpu(vcpu, pvhStart(start.entry, start.startInfo));
    this.#xen.vcpuUp(vcpu);
  }

  /** Notes on the log what the domain was built from. */
  built(entry: bigint, image: string, sha256: Uint8Array): void {
    this.#xen.log.emitAt(this.id, NONE, 'domain-build', { entry, image, sha256 });
  }
}

/** What the toolstack, as a service of Domain 0, asks of the hypervisor. */
export class Control {
  readonly #xen: Xen;
  readonly #domains = new Map<number, ControlledDomain>();
  onShutdown: (id: number) => void = () => {};
  /** What back ends need. */
  readonly backends: Dom0Services;

  constructor(xen: Xen) {
    this.#xen = xen;
    this.backends = new Dom0Services(xen);
    xen.onShutdown = (domain) => {
      this.#noteRegisters(domain);
      this.onShutdown(domain.id);
    };
  }

  /** A paused domain with vcpus but no memory. Ids count up from 1 and are not reused. */
  createDomain(options: {
    readonly name: string;
    readonly uuid: string;
    readonly maxVcpus: number;
    readonly maxPages: number;
    readonly cpus?: readonly number[];
    readonly maxGrantVersion?: number;
    readonly cpuid?: readonly CpuidOverride[];
  }): ControlledDomain {
    const { name, maxVcpus, maxPages, cpus, maxGrantVersion, cpuid = [] } = options;
    const grants = maxGrantVersion === undefined ? {} : { maxGrantVersion };
    const uuid = uuidBytes(options.uuid);
    const domain = this.#xen.createDomain({ name, uuid, vcpus: maxVcpus, maxPages, cpuid, ...grants });
    if (cpus && cpus.length > 0) {
      const affinity = cpus.reduce((mask, cpu) => mask | (1n << BigInt(cpu)), 0n);
      for (const vcpu of domain.vcpus) vcpu.affinity = affinity;
    }
    const controlled = new ControlledDomain(this.#xen, domain);
    this.#domains.set(domain.id, controlled);
    return controlled;
  }

  domain(id: number): ControlledDomain | undefined {
    return this.#domains.get(id);
  }

  #get(id: number): Domain {
    const domain = this.#xen.find(id);
    if (!domain) throw new RangeError(`there is no domain ${id}`);
    return domain;
  }

  unpause(id: number): void {
    this.#xen.unpause(this.#get(id));
  }
  pause(id: number): void {
    this.#xen.pause(this.#get(id));
  }
  /** What XEN_DOMCTL_getdomaininfo and getvcpuinfo say; looking changes nothing. @throws RangeError if there is none */
  status(id: number) {
    const domain = this.#get(id);
    return {
      pages: domain.pages,
      paused: domain.pauseCount > 0 || !domain.started,
      shutdown: this.#domains.get(id)?.shutdownReason,
      vcpus: domain.vcpus.map((vcpu) => {
        const state = !vcpu.online
          ? 'offline'
          : vcpu.blocked
            ? 'blocked'
            : vcpu.pcpu >= 0 && domain.mayRun
              ? 'running'
              : 'runnable';
        const runTicks = Number(this.#xen.time.runstate(vcpu).time[RUNSTATE.running]);
        return { state, runTicks, pcpu: vcpu.blocked ? -1 : vcpu.pcpu } as const;
      }),
    };
  }
  destroy(id: number): void {
    this.#xen.destroy(this.#get(id));
    this.#domains.delete(id);
  }
  /** Ends a domain as if it had asked for it (`xl destroy` of a hung guest, a watchdog). */
  shutdown(id: number, reason: number): void {
    this.#xen.shutdown(this.#get(id), reason);
  }

  /** @returns the new port in domain `id`, which only domain `remote` may bind to */
  allocUnbound(id: number, remote: number): number {
    return this.#get(id).events.allocUnbound(remote);
  }

  /** Binds Domain 0 to `port` of domain `id`; `handler` runs after each notification. @returns the port in Domain 0 */
  bindService(id: number, port: number, handler: () => void): number {
    const { dom0, services } = this.#xen.domains;
    const local = dom0.events.bindInterdomain(this.#get(id), port);
    services.bind(local, handler);
    return local;
  }

  /** EVTCHNOP_send on a port of Domain 0. */
  notify(port: number): void {
    this.#xen.domains.dom0.events.send(port);
  }

  /** Why a domain stopped and with which registers, onto the log: of the vcpus still online, or of all if none is. */
  #noteRegisters(domain: Domain): void {
    const { engine, log } = this.#xen;
    const { current } = engine;
    const online = domain.vcpus.filter((vcpu) => vcpu.online);
    for (const vcpu of online.length > 0 ? online : domain.vcpus) {
      engine.switchTo(vcpu.slot);
      const text = `${SHUTDOWN_NAMES[domain.shutdownReason!]}: ${registersLine(engine.state)}`;
      log.emitAt(domain.id, vcpu.id, 'note', { text });
    }
    if (current) engine.switchTo(current);
  }

  closeService(port: number): void {
    const { dom0, services } = this.#xen.domains;
    services.unbind(port);
    if (dom0.events.get(port).kind !== 'free') dom0.events.close(port);
  }
}

function registersLine(state: CpuState): string {
  const hex = (value: bigint | number) => `0x${value.toString(16)}`;
  const general = Object.entries(REG)
    .filter(([name]) => name !== 'RSP')
    .map(([name, index]) => `${name.toLowerCase()} ${hex(state.reg(index))}`);
  const control = [`cr2 ${hex(state.get64(L.CR2))}`, `cr3 ${hex(state.get64(L.CR3))}`, `eflags ${hex(state.eflags)}`];
  return [`rip ${hex(state.rip)} rsp ${hex(state.reg(REG.RSP))}`, ...general, ...control].join(' ');
}

/** 16 bytes from the usual text; anything else than 32 hexadecimal digits and dashes gives zeros. */
function uuidBytes(text: string): Uint8Array {
  const digits = text.replaceAll('-', '');
  if (!/^[0-9a-fA-F]{32}$/.test(digits)) return new Uint8Array(16);
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

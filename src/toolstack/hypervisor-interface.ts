import type { BackendServices } from '../backends/services.ts';
import type { CpuidOverride } from '../hypervisor/hvm/cpuid-policy.ts';
import type { GuestPhysical } from '../memory/p2m.ts';

/** One row of the memory map that XENMEM_memory_map and start_info give: E820 types. */
export interface MemoryMapEntry {
  readonly start: number;
  readonly size: number;
  readonly type: number;
}

/** Where the first vcpu of a PVH domain starts: xen/docs/misc/pvh.pandoc. Both are guest-physical addresses. */
export interface PvhStart {
  readonly entry: number;
  readonly startInfo: number;
}

/** What the builder needs of a paused domain without memory. */
export interface BuildTarget {
  readonly id: number;
  /** Its guest-physical memory, empty at first. */
  readonly memory: GuestPhysical;
  /** Gives zeroed RAM to guest frames `gfn` to `gfn + count - 1`. @throws OutOfFrames */
  populate(gfn: number, count: number): void;
  /** Sets HVM_PARAM_* `index`. */
  setParam(index: number, value: bigint): void;
  /** What XENMEM_memory_map will answer. */
  setMemoryMap(entries: readonly MemoryMapEntry[]): void;
  /** Fills a grant table entry on the guest's behalf, so that `grantee` may map `gfn`. */
  seedGrant(ref: number, grantee: number, gfn: number): void;
  /** Sets the start state of vcpu 0. */
  startPvh(start: PvhStart): void;
}

/** Why a domain stopped: SHUTDOWN_* of xen/include/public/sched.h, by name. */
export type ShutdownReason = 'poweroff' | 'reboot' | 'suspend' | 'crash' | 'watchdog' | 'soft_reset';

/** A domain as the life cycle sees it. */
export interface ToolstackDomain extends BuildTarget {
  /** Why it stopped, or undefined while it has not. */
  readonly shutdownReason: ShutdownReason | undefined;
}

export interface CreateOptions {
  readonly name: string;
  readonly uuid: string;
  readonly maxVcpus: number;
  /** Pages it may own. */
  readonly maxPages: number;
  readonly cpus?: readonly number[];
  readonly weight?: number;
  /** Highest version of the grant table, 1 or 2. */
  readonly maxGrantVersion?: number;
  /** Changes to the default CPUID. */
  readonly cpuid?: readonly CpuidOverride[];
}

/** One vcpu as `xl vcpu-list` shows it. */
export interface VcpuStatus {
  readonly state: 'running' | 'runnable' | 'blocked' | 'offline';
  /** Time it ran. */
  readonly runTicks: number;
  /** Where it runs, or -1. */
  readonly pcpu: number;
}

/** What XEN_DOMCTL_getdomaininfo and getvcpuinfo say. */
export interface DomainStatus {
  /** RAM it owns. */
  readonly pages: number;
  readonly paused: boolean;
  readonly shutdown: ShutdownReason | undefined;
  readonly vcpus: readonly VcpuStatus[];
}

/** What the toolstack asks of the hypervisor: the calls of libxc that `xl create` makes, in our words. */
export interface Hypervisor {
  /** What back ends need. */
  readonly backends: BackendServices;
  /** A paused domain with vcpus but no memory. Ids count up from 1 and are not reused. */
  createDomain(options: CreateOptions): ToolstackDomain;
  domain(id: number): ToolstackDomain | undefined;
  unpause(id: number): void;
  pause(id: number): void;
  /** @throws RangeError if there is none */
  status(id: number): DomainStatus;
  /** Frees everything; the id is gone. */
  destroy(id: number): void;
  /** EVTCHNOP_alloc_unbound in domain `id` for `remote`. @returns the port in `id` */
  allocUnbound(id: number, remote: number): number;
  /**
   * EVTCHNOP_bind_interdomain by Domain 0 to `port` of domain `id`; `handler` then runs in Domain 0 at the next turn
   * boundary after each notification. @returns the port in Domain 0
   */
  bindService(id: number, port: number, handler: () => void): number;
  /** EVTCHNOP_send on a port of Domain 0. */
  notify(port: number): void;
  /** EVTCHNOP_close on a port of Domain 0. */
  closeService(port: number): void;
  /** Called at a turn boundary after a domain shut itself down (VIRQ_DOM_EXC). */
  onShutdown: (id: number) => void;
}

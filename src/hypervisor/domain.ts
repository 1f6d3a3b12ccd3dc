import type { GuestPhysical, P2m } from '../memory/p2m.ts';
import { HVM_NR_PARAMS } from './abi/hvm.ts';
import type { Width } from './abi/struct.ts';
import { LEGACY_MAX_VCPUS, sharedInfo, VCPU_INFO_BYTES } from './abi/xen.ts';
import type { EventChannels } from './event-channel/channels.ts';
import type { FrameView } from './frame-view.ts';
import type { GrantTable } from './grant-table/table.ts';
import type { CpuFeatures } from './hvm/cpu-features.ts';
import { type CpuidOverride, type CpuidPolicy, cpuidPolicy } from './hvm/cpuid-policy.ts';
import type { Vcpu } from './vcpu.ts';

/** What the toolstack says of a new domain. */
export interface DomainOptions {
  readonly name: string;
  readonly vcpus: number;
  /** Ceiling of its memory, pages. */
  readonly maxPages: number;
  /** 16 bytes; zero if none. */
  readonly uuid?: Uint8Array;
  /** Highest event-channel port (xl: max_event_channels). */
  readonly maxEventChannel?: number;
  readonly maxGrantFrames?: number;
  readonly maxMaptrackFrames?: number;
  /** 1 or 2. */
  readonly maxGrantVersion?: number;
  /** Changes to the default CPUID. */
  readonly cpuid?: readonly CpuidOverride[];
}

/** Where the fields of the shared info page are for a domain of one width. */
export interface SharedOffsets {
  readonly pending: number;
  readonly mask: number;
  readonly wcVersion: number;
  readonly wcSec: number;
  readonly wcNsec: number;
  readonly wcSecHi: number;
  /** Of `evtchn_pending_sel` in a vcpu_info. */
  readonly selector: number;
  readonly time: number;
}

function offsets(w: Width): SharedOffsets {
  const s = sharedInfo[w];
  return {
    pending: s.offset('evtchn_pending', w),
    mask: s.offset('evtchn_mask', w),
    wcVersion: s.offset('wc_version', w),
    wcSec: s.offset('wc_sec', w),
    wcNsec: s.offset('wc_nsec', w),
    wcSecHi: s.offset('wc_sec_hi', w),
    selector: w === 8 ? 8 : 4,
    time: 32,
  };
}
const OFFSETS = { 4: offsets(4), 8: offsets(8) } as const;

/** A virtual machine: its memory, vcpus, event channels and grants, and the state of its life. */
export class Domain {
  readonly id: number;
  readonly name: string;
  readonly uuid: Uint8Array;
  readonly maxVcpus: number;
  maxPages: number;
  /** RAM pages it owns. */
  pages = 0;
  p2m!: P2m;
  physical!: GuestPhysical;
  readonly vcpus: Vcpu[] = [];
  events!: EventChannels;
  grants!: GrantTable;
  /** The shared info page. Domain 0's services have none. */
  shared: FrameView | undefined;
  /** Frames that are Xen's own (shared info, grant table): mfn to the gfn they are mapped at, -1 for nowhere. */
  readonly xenFrames = new Map<number, number>();
  readonly params: bigint[] = new Array<bigint>(HVM_NR_PARAMS).fill(0n);
  /** E820 map for XENMEM_memory_map, 20-byte entries. */
  memoryMap: Uint8Array = new Uint8Array(0);

  /** Width of the guest that shares the page: latched as Xen does, when the guest sets up its hypercalls. */
  width: Width = 8;
  offsets: SharedOffsets = OFFSETS[8];
  /** Vector of HVM_PARAM_CALLBACK_IRQ type 2, else 0. */
  callbackVector = 0;
  vmAssist = 0n;
  /** Seconds added to the wall clock. */
  timeOffset = 0;

  /** What it sees of the processor. */
  readonly cpuid: CpuidPolicy;

  pauseCount = 0;
  started = false;
  /** SHUTDOWN_* once the guest is down. */
  shutdownReason: number | undefined;
  shutdownCode: number | undefined;
  dying = false;

  /** `features`: what the processor has. */
  constructor(id: number, options: DomainOptions, features?: CpuFeatures) {
    this.id = id;
    this.name = options.name;
    this.uuid = options.uuid ?? new Uint8Array(16);
    this.maxVcpus = options.vcpus;
    this.maxPages = options.maxPages;
    this.cpuid = cpuidPolicy(options.cpuid, features);
  }

  get mayRun(): boolean {
    return this.started && this.pauseCount === 0 && this.shutdownReason === undefined && !this.dying;
  }

  setWidth(w: Width): void {
    this.width = w;
    this.offsets = OFFSETS[w];
  }

  /** Where vcpu `id`'s vcpu_info lies in the shared page before it registers another, or undefined. */
  legacyInfoOffset(id: number): number | undefined {
    return id < LEGACY_MAX_VCPUS ? id * VCPU_INFO_BYTES : undefined;
  }
}

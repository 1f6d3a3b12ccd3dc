/** A domain, its vcpus and its guest-physical map as plain records. */
import { VCPU_INFO_BYTES } from '../hypervisor/abi/xen.ts';
import type { Domain } from '../hypervisor/domain.ts';
import type { EventChannelsState } from '../hypervisor/event-channel/channels.ts';
import { FrameView } from '../hypervisor/frame-view.ts';
import type { GrantTableState } from '../hypervisor/grant-table/table.ts';
import type { Xen } from '../hypervisor/hypervisor.ts';
import type { VcpuState } from '../hypervisor/vcpu.ts';
import type { P2m } from '../memory/p2m.ts';

/** As P2m.save gives it. */
export type SavedP2m = Float64Array;

export interface DomainState {
  readonly id: number;
  readonly maxPages: number;
  readonly pages: number;
  readonly p2m: SavedP2m;
  readonly loose: readonly number[];
  readonly events: EventChannelsState;
  readonly grants: GrantTableState;
  readonly xenFrames: readonly [mfn: number, gfn: number][];
  readonly params: readonly bigint[];
  readonly memoryMap: Uint8Array;
  readonly width: 4 | 8;
  readonly callbackVector: number;
  readonly vmAssist: bigint;
  readonly timeOffset: number;
  readonly pauseCount: number;
  readonly started: boolean;
  readonly shutdownReason: number | undefined;
  readonly shutdownCode: number | undefined;
  readonly vcpus: readonly VcpuState[];
}

export function saveDomain(xen: Xen, domain: Domain): DomainState {
  return {
    id: domain.id,
    maxPages: domain.maxPages,
    pages: domain.pages,
    p2m: saveP2m(domain.p2m),
    loose: xen.physmap.save(domain),
    events: domain.events.save(),
    grants: domain.grants.save(),
    xenFrames: [...domain.xenFrames],
    params: [...domain.params],
    memoryMap: domain.memoryMap,
    width: domain.width,
    callbackVector: domain.callbackVector,
    vmAssist: domain.vmAssist,
    timeOffset: domain.timeOffset,
    pauseCount: domain.pauseCount,
    started: domain.started,
    shutdownReason: domain.shutdownReason,
    shutdownCode: domain.shutdownCode,
    vcpus: domain.vcpus.map((vcpu) => vcpu.save()),
  };
}

/** Puts everything back but registers, memory, alarms and who runs where. */
export function restoreDomain(xen: Xen, domain: Domain, state: DomainState): void {
  domain.maxPages = state.maxPages;
  restoreP2m(domain.p2m, state.p2m);
  domain.pages = state.pages;
  xen.physmap.restore(domain, state.loose);
  domain.events.restore(state.events);
  domain.grants.restore(state.grants);
  domain.xenFrames.clear();
  for (const [mfn, gfn] of state.xenFrames) domain.xenFrames.set(mfn, gfn);
  domain.params.splice(0, Number.POSITIVE_INFINITY, ...state.params);
  domain.memoryMap = state.memoryMap;
  domain.setWidth(state.width);
  domain.callbackVector = state.callbackVector;
  domain.vmAssist = state.vmAssist;
  domain.timeOffset = state.timeOffset;
  domain.pauseCount = state.pauseCount;
  domain.started = state.started;
  domain.shutdownReason = state.shutdownReason;
  domain.shutdownCode = state.shutdownCode;
  for (const saved of state.vcpus) {
    const vcpu = domain.vcpus[saved.id];
    vcpu.info = new FrameView(xen.engine, saved.info.mfn, saved.info.offset, VCPU_INFO_BYTES);
    vcpu.pcpu = -1;
    vcpu.restore(saved);
  }
}

/** A map as it was saved last; it is saved anew only if it changed since. */
interface Known {
  saved: SavedP2m | undefined;
}
const known = new WeakMap<P2m, Known>();

function saveP2m(p2m: P2m): SavedP2m {
  const it = knowing(p2m);
  it.saved ??= p2m.save();
  return it.saved;
}

function restoreP2m(p2m: P2m, saved: SavedP2m): void {
  const it = knowing(p2m);
  if (it.saved === saved) return;
  p2m.restore(saved);
  it.saved = saved;
}

function knowing(p2m: P2m): Known {
  let it = known.get(p2m);
  if (it === undefined) {
    const fresh: Known = { saved: undefined };
    const tell = p2m.onChange;
    p2m.onChange = (gfn, entry) => {
      fresh.saved = undefined;
      tell(gfn, entry);
    };
    known.set(p2m, fresh);
    it = fresh;
  }
  return it;
}

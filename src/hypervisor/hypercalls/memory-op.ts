import { E, fail } from '../abi/errno.ts';
import * as abi from '../abi/memory.ts';
import { MAPSPACE, MEMOP_CMD_MASK, XENMEM, XENMEMF } from '../abi/memory.ts';
import { i32, pfn, ulong } from '../abi/struct.ts';
import { DOMID } from '../abi/xen.ts';
import { MAX_GFN } from '../mm/physmap.ts';
import type { Domain } from '../domain.ts';
import type { Call, Handler } from './call.ts';

/** Largest extent an unprivileged domain may ask for, 2^n pages (CONFIG_DOMU_MAX_ORDER). */
const DOMU_MAX_ORDER = 9;
const E820_BYTES = 20;
const E820_MAX = 128;

/** HYPERVISOR_memory_op: RDI = sub-operation, RSI = its structure. Reservations return the number of extents done. */
export const memoryOp: Handler = (call) => {
  const sub = call.u32(0) & MEMOP_CMD_MASK;
  const op = OPS[sub];
  return op ? op(call, call.long(1)) : call.unimplemented(sub);
};

type Op = (call: Call, arg: bigint) => number;

const OPS: Readonly<Record<number, Op>> = {
  [XENMEM.populate_physmap]: (call, arg) =>
    extents(call, arg, (domain, gfn, pages) => {
      if (gfn + pages > MAX_GFN || domain.pages + pages > domain.maxPages) return false;
      // All of an extent or nothing of it, also when the machine runs out.
      if (pages > call.xen.engine.frames.freeFrames) return false;
      for (let i = 0; i < pages; i++) if (!call.xen.physmap.populate(domain, gfn + i)) return false;
      return true;
    }),
  [XENMEM.decrease_reservation]: (call, arg) =>
    extents(call, arg, (domain, gfn, pages) => {
      for (let i = 0; i < pages; i++) if (!call.xen.physmap.remove(domain, gfn + i)) return false;
      return true;
    }),
  /** Pages without a place in the guest's map: of use to PV domains only. */
  [XENMEM.increase_reservation](call) {
    call.unimplemented(XENMEM.increase_reservation);
    return 0;
  },
  [XENMEM.current_reservation]: (call, arg) => ofDomain(call, arg, (domain) => domain.pages),
  [XENMEM.maximum_reservation]: (call, arg) => ofDomain(call, arg, (domain) => domain.maxPages),
  [XENMEM.maximum_gpfn]: (call, arg) => ofDomain(call, arg, highestGfn),
  [XENMEM.maximum_ram_page]: (call) => call.xen.engine.frames.frameCount,
  [XENMEM.memory_map]: memoryMap,
  [XENMEM.set_memory_map]: setMemoryMap,
  [XENMEM.add_to_physmap]: addToPhysmap,
  [XENMEM.add_to_physmap_batch]: addToPhysmapBatch,
  [XENMEM.remove_from_physmap](call, arg) {
    const a = call.guest.read(abi.removeFromPhysmap, arg);
    return call.xen.physmap.unmap(call.ownTarget(a.domid), a.gpfn) ? 0 : -E.NOENT;
  },
  /** For the hardware domain only (hvm_memory_op refuses both to HVM guests). */
  [XENMEM.machine_memory_map]: (call) => call.unimplemented(XENMEM.machine_memory_map),
  [XENMEM.machphys_mapping]: (call) => call.unimplemented(XENMEM.machphys_mapping),
  [XENMEM.claim_pages]: () => -E.PERM,
  [XENMEM.acquire_resource]: () => -E.PERM,
  [XENMEM.set_pod_target]: () => -E.PERM,
  [XENMEM.get_pod_target]: () => -E.PERM,
  [XENMEM.get_vnumainfo]: () => -E.OPNOTSUPP,
};

/** Runs `each` over a reservation's extents until one fails. @returns how many were done */
function extents(call: Call, arg: bigint, each: (domain: Domain, gfn: number, pages: number) => boolean): number {
  const { guest } = call;
  const r = guest.read(abi.reservation, arg);
  const domain = r.domid === DOMID.SELF ? call.domain : call.xen.find(r.domid);
  if (!domain || (domain !== call.domain && !call.privileged)) return 0;
  if (r.extent_order > DOMU_MAX_ORDER || (r.mem_flags & (XENMEMF.populate_on_demand | XENMEMF.vnode)) !== 0) return 0;
  // As Xen's preemption does, a bound on what one call can hold up the machine for.
  const count = Number(r.nr_extents < 1n << 28n ? r.nr_extents : 0n);
  const pages = 2 ** r.extent_order;
  for (let i = 0; i < count; i++) {
    const gfn = guest.read(pfn, guest.at(pfn, r.extent_start, i));
    if (!each(domain, gfn, pages)) return i;
  }
  return count;
}

function ofDomain(call: Call, arg: bigint, value: (domain: Domain) => number): number {
  return value(call.ownTarget(call.guest.read(abi.memoryDomain, arg).domid));
}

function highestGfn(domain: Domain): number {
  let highest = 0;
  for (const [gfn] of domain.p2m.entries()) highest = gfn;
  return highest;
}

function memoryMap(call: Call, arg: bigint): number {
  const a = call.guest.read(abi.memoryMap, arg);
  const have = call.domain.memoryMap;
  if (have.length === 0) return -E.NOSYS;
  a.nr_entries = Math.min(a.nr_entries, have.length / E820_BYTES);
  call.guest.writeBytes(a.buffer, have.subarray(0, a.nr_entries * E820_BYTES));
  call.guest.write(abi.memoryMap, arg, a);
  return 0;
}

function setMemoryMap(call: Call, arg: bigint): number {
  const a = call.guest.read(abi.foreignMemoryMap, arg);
  if (a.map.nr_entries > E820_MAX) fail(E.INVAL);
  const domain = call.ownTarget(a.domid);
  domain.memoryMap = call.guest.readBytes(a.map.buffer, a.map.nr_entries * E820_BYTES);
  return 0;
}

function addToPhysmap(call: Call, arg: bigint): number {
  const a = call.guest.read(abi.addToPhysmap, arg);
  // Foreign frames go through the batched form, which names the other domain.
  if (a.space === MAPSPACE.gmfn_foreign) fail(E.INVAL);
  const domain = call.ownTarget(a.domid);
  const idx = Number(a.idx);
  const count = a.space === MAPSPACE.gmfn_range ? a.size : 1;
  for (let i = 0; i < count; i++) call.xen.physmap.add(domain, a.space, idx + i, a.gpfn + i);
  return 0;
}

function addToPhysmapBatch(call: Call, arg: bigint): number {
  const { guest, xen } = call;
  const a = guest.read(abi.addToPhysmapBatch, arg);
  if (a.space === MAPSPACE.gmfn_range) fail(E.INVAL);
  const domain = call.ownTarget(a.domid);
  if (a.space === MAPSPACE.gmfn_foreign) fail(E.PERM);
  if (a.foreign_domid !== 0) fail(E.INVAL);
  for (let i = 0; i < a.size; i++) {
    const idx = Number(guest.read(ulong, guest.at(ulong, a.idxs, i)));
    const gfn = guest.read(pfn, guest.at(pfn, a.gpfns, i));
    const code = xen.errno(() => xen.physmap.add(domain, a.space, idx, gfn));
    guest.write(i32, a.errs + BigInt(4 * i), -code);
  }
  return 0;
}

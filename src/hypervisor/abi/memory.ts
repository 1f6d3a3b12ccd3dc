import { pfn, ptr, struct, u16, u32, u64, ulong } from './struct.ts';

/** xen/include/public/memory.h. */
export const XENMEM = {
  increase_reservation: 0,
  decrease_reservation: 1,
  maximum_ram_page: 2,
  current_reservation: 3,
  maximum_reservation: 4,
  machphys_mfn_list: 5,
  populate_physmap: 6,
  add_to_physmap: 7,
  memory_map: 9,
  machine_memory_map: 10,
  exchange: 11,
  machphys_mapping: 12,
  set_memory_map: 13,
  maximum_gpfn: 14,
  remove_from_physmap: 15,
  set_pod_target: 16,
  get_pod_target: 17,
  get_sharing_freed_pages: 18,
  get_sharing_shared_pages: 19,
  paging_op: 20,
  access_op: 21,
  sharing_op: 22,
  add_to_physmap_batch: 23,
  claim_pages: 24,
  machphys_compat_mfn_list: 25,
  get_vnumainfo: 26,
  reserved_device_memory_map: 27,
  acquire_resource: 28,
} as const;
/** The low bits of `cmd` are the sub-operation; the rest is Xen's continuation count. */
export const MEMOP_CMD_MASK = 0x3f;
export const XENMEMF = { populate_on_demand: 1 << 16, exact_node_request: 1 << 17, vnode: 1 << 18 } as const;
export const MAPSPACE = {
  shared_info: 0,
  grant_table: 1,
  gmfn: 2,
  gmfn_range: 3,
  gmfn_foreign: 4,
  dev_mmio: 5,
} as const;
export const MAPIDX_GRANT_STATUS = 0x80000000;

export const reservation = struct('xen_memory_reservation', {
  extent_start: ptr,
  nr_extents: ulong,
  extent_order: u32,
  mem_flags: u32,
  domid: u16,
});
export const exchange = struct('xen_memory_exchange', { in: reservation, out: reservation, nr_exchanged: ulong });
export const memoryDomain = struct('xen_memory_domain', { domid: u16 });
export const addToPhysmap = struct('xen_add_to_physmap', { domid: u16, size: u16, space: u32, idx: ulong, gpfn: pfn });
export const addToPhysmapBatch = struct('xen_add_to_physmap_batch', {
  domid: u16,
  space: u16,
  size: u16,
  foreign_domid: u16,
  idxs: ptr,
  gpfns: ptr,
  errs: ptr,
});
export const removeFromPhysmap = struct('xen_remove_from_physmap', { domid: u16, gpfn: pfn });
export const memoryMap = struct('xen_memory_map', { nr_entries: u32, buffer: ptr });
/** One entry of an E820 map: 20 bytes, packed. */
export const e820Entry = struct('e820entry', { addr_lo: u32, addr_hi: u32, size_lo: u32, size_hi: u32, type: u32 });
export const foreignMemoryMap = struct('xen_foreign_memory_map', { domid: u16, map: memoryMap });
export const podTarget = struct('xen_pod_target', {
  target_pages: u64,
  tot_pages: u64,
  pod_cache_pages: u64,
  pod_entries: u64,
  domid: u16,
});
export const acquireResource = struct('xen_mem_acquire_resource', {
  domid: u16,
  type: u16,
  id: u32,
  nr_frames: u32,
  pad: u32,
  frame: u64,
  frame_list: ptr,
});

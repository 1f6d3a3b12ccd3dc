import { i16, ptr, struct, u16, u32, u64, union, pfn } from './struct.ts';

/** xen/include/public/grant_table.h. */
export const GNTTABOP = {
  map_grant_ref: 0,
  unmap_grant_ref: 1,
  setup_table: 2,
  dump_table: 3,
  transfer: 4,
  copy: 5,
  query_size: 6,
  unmap_and_replace: 7,
  set_version: 8,
  get_status_frames: 9,
  get_version: 10,
  swap_grant_ref: 11,
  cache_flush: 12,
} as const;

/**
 * Version 1 entry, 8 bytes:
 *
 *     0        2        4                 8
 *     ├─flags──┼─domid──┼──────frame──────┤      flags: type 1..0 │ readonly 2 │ reading 3 │ writing 4 │ … │ sub-page 8
 *
 * Version 2 entry, 16 bytes; reading and writing are in pages of their own, 2 bytes a reference:
 *
 *     0        2        4          6        8                                  16
 *     ├─flags──┼─domid──┼───────unused──────┼──────────────frame───────────────┤      a whole page
 *     ├─flags──┼─domid──┼─offset───┼─length─┼──────────────frame───────────────┤      sub-page
 *     ├─flags──┼─domid──┼─domid────┼─unused─┼─────ref──────┼──────unused───────┤      transitive: another domain's grant
 */
export const GTF = {
  invalid: 0,
  permit_access: 1,
  accept_transfer: 2,
  transitive: 3,
  type_mask: 3,
  readonly: 4,
  reading: 8,
  writing: 16,
  sub_page: 256,
  transfer_committed: 32,
  transfer_completed: 64,
} as const;
/** By version. */
export const GRANT_ENTRY_BYTES = { 1: 8, 2: 16 } as const;
/** Entries a page of the table holds. */
export const GRANTS_PER_FRAME = { 1: 512, 2: 256 } as const;
export const STATUSES_PER_FRAME = 2048;
/** GNTTAB_NR_RESERVED_ENTRIES: made by the toolstack for the console and the store. */
export const NR_RESERVED_GRANTS = 8;

export const GNTMAP = {
  device_map: 1,
  host_map: 2,
  readonly: 4,
  application_map: 8,
  contains_pte: 16,
  can_fail: 32,
} as const;
export const GNTST = {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  bad_virt_addr: -5,
  bad_dev_addr: -6,
  no_device_space: -7,
  permission_denied: -8,
  bad_page: -9,
  bad_copy_arg: -10,
  address_too_big: -11,
  eagain: -12,
  no_space: -13,
} as const;
export const GNTCOPY = { source_gref: 1, dest_gref: 2 } as const;

export const mapGrantRef = struct('gnttab_map_grant_ref', {
  host_addr: u64,
  flags: u32,
  ref: u32,
  dom: u16,
  status: i16,
  handle: u32,
  dev_bus_addr: u64,
});
export const unmapGrantRef = struct('gnttab_unmap_grant_ref', {
  host_addr: u64,
  dev_bus_addr: u64,
  handle: u32,
  status: i16,
});
export const unmapAndReplace = struct('gnttab_unmap_and_replace', {
  host_addr: u64,
  new_addr: u64,
  handle: u32,
  status: i16,
});
export const setupTable = struct('gnttab_setup_table', { dom: u16, nr_frames: u32, status: i16, frame_list: ptr });
export const querySize = struct('gnttab_query_size', { dom: u16, nr_frames: u32, max_nr_frames: u32, status: i16 });
const copyPointer = struct('gnttab_copy_ptr', { u: union({ ref: u32, gmfn: pfn }), domid: u16, offset: u16 });
export const copy = struct('gnttab_copy', {
  source: copyPointer,
  dest: copyPointer,
  len: u16,
  flags: u16,
  status: i16,
});
export const setVersion = struct('gnttab_set_version', { version: u32 });
export const getVersion = struct('gnttab_get_version', { dom: u16, pad: u16, version: u32 });
export const getStatusFrames = struct('gnttab_get_status_frames', {
  nr_frames: u32,
  dom: u16,
  status: i16,
  frame_list: u64,
});
export const swapGrantRef = struct('gnttab_swap_grant_ref', { ref_a: u32, ref_b: u32, status: i16 });
export const transfer = struct('gnttab_transfer', { mfn: pfn, domid: u16, ref: u32, status: i16 });
export const cacheFlush = struct('gnttab_cache_flush', { a: u64, offset: u16, length: u16, op: u32 });

import { array, i8, struct, u8, u16, u32, u64, ulong } from './struct.ts';

/** Numbers and structures of xen/include/public/xen.h. */

/** Hypercall numbers, `__HYPERVISOR_*`. */
export const HYPERCALL = {
  set_trap_table: 0,
  mmu_update: 1,
  set_gdt: 2,
  stack_switch: 3,
  set_callbacks: 4,
  fpu_taskswitch: 5,
  sched_op_compat: 6,
  platform_op: 7,
  set_debugreg: 8,
  get_debugreg: 9,
  update_descriptor: 10,
  memory_op: 12,
  multicall: 13,
  update_va_mapping: 14,
  set_timer_op: 15,
  event_channel_op_compat: 16,
  xen_version: 17,
  console_io: 18,
  physdev_op_compat: 19,
  grant_table_op: 20,
  vm_assist: 21,
  update_va_mapping_otherdomain: 22,
  iret: 23,
  vcpu_op: 24,
  set_segment_base: 25,
  mmuext_op: 26,
  xsm_op: 27,
  nmi_op: 28,
  sched_op: 29,
  callback_op: 30,
  xenoprof_op: 31,
  event_channel_op: 32,
  physdev_op: 33,
  hvm_op: 34,
  sysctl: 35,
  domctl: 36,
  kexec_op: 37,
  tmem_op: 38,
  argo_op: 39,
  xenpmu_op: 40,
  dm_op: 41,
  hypfs_op: 42,
} as const;

/** Domain ids with a meaning. */
export const DOMID = {
  FIRST_RESERVED: 0x7ff0,
  SELF: 0x7ff0,
  IO: 0x7ff1,
  XEN: 0x7ff2,
  COW: 0x7ff3,
  INVALID: 0x7ff4,
  IDLE: 0x7fff,
} as const;

/** Virtual interrupts, `VIRQ_*`. */
export const VIRQ = {
  TIMER: 0,
  DEBUG: 1,
  CONSOLE: 2,
  DOM_EXC: 3,
  TBUF: 4,
  DEBUGGER: 6,
  XENOPROF: 7,
  CON_RING: 8,
  PCPU_STATE: 9,
  MEM_EVENT: 10,
  ARGO: 11,
  ENOMEM: 12,
  XENPMU: 13,
  ARCH_0: 16,
} as const;
export const NR_VIRQS = 24;
/** The virqs that each vcpu has for itself; all others belong to the domain. */
export const PER_VCPU_VIRQS: readonly number[] = [VIRQ.TIMER, VIRQ.DEBUG, VIRQ.XENOPROF, VIRQ.XENPMU];

export const CONSOLEIO = { write: 0, read: 1 } as const;
export const VMASST = {
  CMD_enable: 0,
  CMD_disable: 1,
  TYPE_4gb_segments: 0,
  TYPE_4gb_segments_notify: 1,
  TYPE_writable_pagetables: 2,
  TYPE_pae_extended_cr3: 3,
  TYPE_architectural_iopl: 4,
  TYPE_runstate_update_flag: 5,
  TYPE_m2p_strict: 32,
} as const;

/** `struct vcpu_time_info`: how a guest turns its TSC into system time. */
export const vcpuTimeInfo = struct('vcpu_time_info', {
  version: u32,
  pad0: u32,
  tsc_timestamp: u64,
  system_time: u64,
  tsc_to_system_mul: u32,
  tsc_shift: i8,
  flags: u8,
  pad1: u16,
});
export const PVCLOCK_TSC_STABLE_BIT = 1;

/** `struct vcpu_info` (64 bytes in both ABIs). `arch` is cr2 and padding up to `time`. */
export const vcpuInfo = struct('vcpu_info', {
  evtchn_upcall_pending: u8,
  evtchn_upcall_mask: u8,
  evtchn_pending_sel: ulong,
  arch_cr2: ulong,
  arch_pad: { ...array(u32, 5), size: (w: 4 | 8) => (w === 8 ? 8 : 20), read: () => [0], write: () => {} },
  time: vcpuTimeInfo,
});
export const VCPU_INFO_BYTES = 64;
export const LEGACY_MAX_VCPUS = 32;

/**
 * `struct shared_info`, one page a domain. Only its head is structured here: the 32 legacy vcpu_infos, then
 *
 *     64-bit: pending[64] @0x800  mask[64] @0xa00  wc_version wc_sec wc_nsec wc_sec_hi @0xc00  arch @0xc10
 *     32-bit: pending[32] @0x800  mask[32] @0x880  wc_version wc_sec wc_nsec           @0x900  arch @0x90c
 */
const SHARED_HEAD = {
  vcpu_info: array(vcpuInfo, LEGACY_MAX_VCPUS),
  evtchn_pending: { ...array(ulong, 1), size: (w: 4 | 8) => w * w * 8 },
  evtchn_mask: { ...array(ulong, 1), size: (w: 4 | 8) => w * w * 8 },
  wc_version: u32,
  wc_sec: u32,
  wc_nsec: u32,
};
const ARCH = {
  max_pfn: ulong,
  pfn_to_mfn_frame_list_list: ulong,
  nmi_reason: ulong,
  p2m_cr3: ulong,
  p2m_vaddr: ulong,
  p2m_generation: ulong,
};
const sharedInfo64 = struct('shared_info', { ...SHARED_HEAD, wc_sec_hi: u32, ...ARCH });
const sharedInfo32 = struct('compat_shared_info', { ...SHARED_HEAD, ...ARCH, wc_sec_hi: u32 });
/** The layout for a caller width; the field `wc_sec_hi` sits at different places. */
export const sharedInfo = { 4: sharedInfo32, 8: sharedInfo64 } as const;

/** `struct multicall_entry`: op, result, six arguments. */
export const multicallEntry = struct('multicall_entry', { op: ulong, result: ulong, args: array(ulong, 6) });

import { array, i32, ptr, struct, u32, u64 } from './struct.ts';

/** xen/include/public/vcpu.h. */
export const VCPUOP = {
  initialise: 0,
  up: 1,
  down: 2,
  is_up: 3,
  get_runstate_info: 4,
  register_runstate_memory_area: 5,
  set_periodic_timer: 6,
  stop_periodic_timer: 7,
  set_singleshot_timer: 8,
  stop_singleshot_timer: 9,
  register_vcpu_info: 10,
  send_nmi: 11,
  get_physid: 12,
  register_vcpu_time_memory_area: 13,
} as const;

export const RUNSTATE = { running: 0, runnable: 1, blocked: 2, offline: 3 } as const;
/** Top bit of `state_entry_time` while an update is under way (VMASST_TYPE_runstate_update_flag). */
export const RUNSTATE_UPDATE = 1n << 63n;
export const runstateInfo = struct('vcpu_runstate_info', { state: i32, state_entry_time: u64, time: array(u64, 4) });
/** The union's 64-bit member sets its size; the handle is the first pointer-sized part of it. */
export const memoryArea = struct('vcpu_register_memory_area', { addr: ptr });
export const periodicTimer = struct('vcpu_set_periodic_timer', { period_ns: u64 });
export const singleshotTimer = struct('vcpu_set_singleshot_timer', { timeout_abs_ns: u64, flags: u32 });
/** The timeout must lie in the future, else -ETIME. */
export const SSHOTTMR_FUTURE = 1;
export const ETIME = 62;
export const registerVcpuInfo = struct('vcpu_register_vcpu_info', { mfn: u64, offset: u32, rsvd: u32 });
export const getPhysid = struct('vcpu_get_physid', { phys_id: u64 });

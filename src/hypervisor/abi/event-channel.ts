import { struct, u16, u32, u64, u8, union } from './struct.ts';

/** xen/include/public/event_channel.h. */
export const EVTCHNOP = {
  bind_interdomain: 0,
  bind_virq: 1,
  bind_pirq: 2,
  close: 3,
  send: 4,
  status: 5,
  alloc_unbound: 6,
  bind_ipi: 7,
  bind_vcpu: 8,
  unmask: 9,
  reset: 10,
  init_control: 11,
  expand_array: 12,
  set_priority: 13,
  reset_cont: 14,
} as const;

export const allocUnbound = struct('evtchn_alloc_unbound', { dom: u16, remote_dom: u16, port: u32 });
export const bindInterdomain = struct('evtchn_bind_interdomain', {
  remote_dom: u16,
  remote_port: u32,
  local_port: u32,
});
export const bindVirq = struct('evtchn_bind_virq', { virq: u32, vcpu: u32, port: u32 });
export const bindPirq = struct('evtchn_bind_pirq', { pirq: u32, flags: u32, port: u32 });
export const bindIpi = struct('evtchn_bind_ipi', { vcpu: u32, port: u32 });
export const bindVcpu = struct('evtchn_bind_vcpu', { port: u32, vcpu: u32 });
/** close, send and unmask take one port. */
export const portOnly = struct('evtchn_port', { port: u32 });
export const reset = struct('evtchn_reset', { dom: u16 });
export const initControl = struct('evtchn_init_control', {
  control_gfn: u64,
  offset: u32,
  vcpu: u32,
  link_bits: u8,
});
export const expandArray = struct('evtchn_expand_array', { array_gfn: u64 });
export const setPriority = struct('evtchn_set_priority', { port: u32, priority: u32 });

export const EVTCHNSTAT = { closed: 0, unbound: 1, interdomain: 2, pirq: 3, virq: 4, ipi: 5 } as const;
export const status = struct('evtchn_status', {
  dom: u16,
  port: u32,
  status: u32,
  vcpu: u32,
  u: union({
    unbound: struct('unbound', { dom: u16 }),
    interdomain: struct('interdomain', { dom: u16, port: u32 }),
    number: u32,
  }),
});

/** The FIFO ABI's numbers: bits of an event word, and of the control block. */
export const FIFO = {
  PENDING: 0x8000_0000 | 0,
  MASKED: 0x4000_0000,
  LINKED: 0x2000_0000,
  LINK_BITS: 17,
  LINK_MASK: 0x1_ffff,
  WORDS_PER_PAGE: 1024,
  QUEUES: 16,
  DEFAULT_PRIORITY: 7,
  /** Offset of the heads in a control block. */
  HEADS: 8,
  CONTROL_BYTES: 72,
} as const;

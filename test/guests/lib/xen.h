/*
 * The part of Xen's ABI that the small guests use: 64-bit numbers and structures.
 * Authority: xen/include/public of Xen 4.17; each block names its header.
 */
#ifndef REXEN_XEN_H
#define REXEN_XEN_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096u
#define DOMID_SELF 0x7ff0u

/* xen.h: hypercall numbers */
#define HYPERCALL_memory_op 12
#define HYPERCALL_set_timer_op 15
#define HYPERCALL_xen_version 17
#define HYPERCALL_console_io 18
#define HYPERCALL_grant_table_op 20
#define HYPERCALL_vcpu_op 24
#define HYPERCALL_sched_op 29
#define HYPERCALL_event_channel_op 32
#define HYPERCALL_hvm_op 34

/* errno.h, as positive numbers */
#define XEN_ENOENT 2
#define XEN_EACCES 13
#define XEN_EINVAL 22
#define XEN_ENOSYS 38
#define XEN_ETIME 62

/* arch-x86/hvm/start_info.h */
#define START_INFO_MAGIC 0x336ec578u
struct start_info {
  uint32_t magic, version, flags, nr_modules;
  uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
  uint32_t memmap_entries, reserved;
};
struct module_entry {
  uint64_t paddr, size, cmdline_paddr, reserved;
};
struct memmap_entry {
  uint64_t addr, size;
  uint32_t type, reserved;
};

/*
 * xen.h: one vcpu_info (64 bytes), and shared_info
 *
 *   0        1        2..7     8               16            32                      64
 *   +--------+--------+--------+---------------+-------------+-----------------------+
 *   |pending | mask   |        | pending_sel   | arch        | time                  |
 *   +--------+--------+--------+---------------+-------------+-----------------------+
 */
struct vcpu_time {
  uint32_t version, pad0;
  uint64_t tsc_timestamp, system_time;
  uint32_t tsc_to_system_mul;
  int8_t tsc_shift;
  uint8_t flags, pad1[2];
};
struct vcpu_info {
  uint8_t upcall_pending, upcall_mask, pad[6];
  uint64_t pending_sel;
  uint64_t arch[2];
  struct vcpu_time time;
};
struct shared_info {
  struct vcpu_info vcpu_info[32];
  uint64_t evtchn_pending[64];
  uint64_t evtchn_mask[64];
  uint32_t wc_version, wc_sec, wc_nsec, wc_sec_hi;
};

/* memory.h */
#define XENMEM_add_to_physmap 7
#define XENMEM_memory_map 9
#define XENMAPSPACE_shared_info 0
#define XENMAPSPACE_grant_table 1
struct add_to_physmap {
  uint16_t domid, size;
  uint32_t space;
  uint64_t idx, gpfn;
};

/* hvm/hvm_op.h and hvm/params.h */
#define HVMOP_set_param 0
#define HVMOP_get_param 1
#define HVM_PARAM_CALLBACK_IRQ 0
#define HVM_PARAM_STORE_PFN 1
#define HVM_PARAM_STORE_EVTCHN 2
#define HVM_PARAM_CONSOLE_PFN 17
#define HVM_PARAM_CONSOLE_EVTCHN 18
#define CALLBACK_VIA_VECTOR(v) ((2ull << 56) | (v))
struct hvm_param {
  uint16_t domid, pad;
  uint32_t index;
  uint64_t value;
};

/* version.h */
#define XENVER_version 0
#define XENVER_extraversion 1
#define XENVER_capabilities 3
#define XENVER_get_features 6
struct feature_info {
  uint32_t submap_idx, submap;
};

/* sched.h */
#define SCHEDOP_yield 0
#define SCHEDOP_block 1
#define SCHEDOP_shutdown 2
#define SCHEDOP_poll 3
#define SHUTDOWN_poweroff 0
#define SHUTDOWN_reboot 1
#define SHUTDOWN_crash 3
struct sched_shutdown {
  uint32_t reason;
};
struct sched_poll {
  const uint32_t *ports;
  uint32_t nr_ports;
  uint64_t timeout;
};

/* vcpu.h and hvm/hvm_vcpu.h */
#define VCPUOP_initialise 0
#define VCPUOP_up 1
#define VCPUOP_down 2
#define VCPUOP_is_up 3
#define VCPUOP_get_runstate_info 4
#define VCPUOP_set_singleshot_timer 8
#define VCPUOP_stop_singleshot_timer 9
#define VCPU_HVM_MODE_64B 1
struct vcpu_singleshot_timer {
  uint64_t timeout_abs_ns;
  uint32_t flags;
};
struct vcpu_hvm_context {
  uint32_t mode, pad;
  union {
    struct {
      uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, rip, rflags, cr0, cr3, cr4, efer;
    } x86_64;
    uint8_t bytes[120];
  };
};
struct vcpu_runstate {
  int32_t state;
  uint64_t state_entry_time;
  uint64_t time[4];
};

/* event_channel.h */
#define EVTCHNOP_bind_interdomain 0
#define EVTCHNOP_bind_virq 1
#define EVTCHNOP_close 3
#define EVTCHNOP_send 4
#define EVTCHNOP_alloc_unbound 6
#define EVTCHNOP_bind_ipi 7
#define EVTCHNOP_unmask 9
#define VIRQ_TIMER 0
struct evtchn_alloc_unbound {
  uint16_t dom, remote_dom;
  uint32_t port;
};
struct evtchn_bind_interdomain {
  uint16_t remote_dom;
  uint32_t remote_port, local_port;
};
struct evtchn_bind_virq {
  uint32_t virq, vcpu, port;
};
struct evtchn_bind_ipi {
  uint32_t vcpu, port;
};

/* grant_table.h */
#define GNTTABOP_map_grant_ref 0
#define GNTTABOP_unmap_grant_ref 1
#define GNTTABOP_copy 5
#define GNTTABOP_query_size 6
#define GTF_invalid 0u
#define GTF_permit_access 1u
#define GTF_readonly 4u
#define GTF_reading 8u
#define GTF_writing 16u
#define GNTMAP_host_map 2u
#define GNTMAP_readonly 4u
#define FIRST_FREE_GREF 8u
struct grant_entry {
  uint16_t flags, domid;
  uint32_t frame;
};
struct gnttab_map {
  uint64_t host_addr;
  uint32_t flags, ref;
  uint16_t dom;
  int16_t status;
  uint32_t handle;
  uint64_t dev_bus_addr;
};
struct gnttab_unmap {
  uint64_t host_addr, dev_bus_addr;
  uint32_t handle;
  int16_t status;
};

/* io/console.h */
struct console_ring {
  char in[1024];
  char out[2048];
  uint32_t in_cons, in_prod, out_cons, out_prod;
};

/* io/xs_wire.h */
#define XS_DIRECTORY 1
#define XS_READ 2
#define XS_WATCH 4
#define XS_UNWATCH 5
#define XS_TRANSACTION_START 6
#define XS_TRANSACTION_END 7
#define XS_WRITE 11
#define XS_MKDIR 12
#define XS_RM 13
#define XS_SET_PERMS 14
#define XS_WATCH_EVENT 15
#define XS_ERROR 16
struct store_header {
  uint32_t type, req_id, tx_id, len;
};
struct store_ring {
  char req[1024], rsp[1024];
  uint32_t req_cons, req_prod, rsp_cons, rsp_prod;
};

/* io/xenbus.h */
enum xenbus_state { XENBUS_Unknown, XENBUS_Initialising, XENBUS_InitWait, XENBUS_Initialised, XENBUS_Connected, XENBUS_Closing, XENBUS_Closed };

#endif

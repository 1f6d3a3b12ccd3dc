import { struct, u8, u16, u32, u64, bytes } from './struct.ts';

/** xen/include/public/hvm/{hvm_op,params,hvm_vcpu}.h. */
export const HVMOP = {
  set_param: 0,
  get_param: 1,
  set_pci_intx_level: 2,
  set_isa_irq_level: 3,
  set_pci_link_route: 4,
  flush_tlbs: 5,
  track_dirty_vram: 6,
  modified_memory: 7,
  set_mem_type: 8,
  pagetable_dying: 9,
  get_time: 10,
  xentrace: 11,
  set_mem_access: 12,
  get_mem_access: 13,
  inject_trap: 14,
  get_mem_type: 15,
  set_evtchn_upcall_vector: 23,
  guest_request_vm_event: 24,
  altp2m: 25,
} as const;

export const HVM_PARAM = {
  CALLBACK_IRQ: 0,
  STORE_PFN: 1,
  STORE_EVTCHN: 2,
  PAE_ENABLED: 4,
  IOREQ_PFN: 5,
  BUFIOREQ_PFN: 6,
  TIMER_MODE: 10,
  HPET_ENABLED: 11,
  IDENT_PT: 12,
  DM_DOMAIN: 13,
  ACPI_S_STATE: 14,
  VM86_TSS: 15,
  VPT_ALIGN: 16,
  CONSOLE_PFN: 17,
  CONSOLE_EVTCHN: 18,
  ACPI_IOPORTS_LOCATION: 19,
  MEMORY_EVENT_CR0: 20,
  MEMORY_EVENT_CR3: 21,
  MEMORY_EVENT_CR4: 22,
  MEMORY_EVENT_INT3: 23,
  NESTEDHVM: 24,
  MEMORY_EVENT_SINGLE_STEP: 25,
  BUFIOREQ_EVTCHN: 26,
  PAGING_RING_PFN: 27,
  MONITOR_RING_PFN: 28,
  SHARING_RING_PFN: 29,
  MEMORY_EVENT_MSR: 30,
  TRIPLE_FAULT_REASON: 31,
  IOREQ_SERVER_PFN: 32,
  NR_IOREQ_SERVER_PAGES: 33,
  VM_GENERATION_ID_ADDR: 34,
  ALTP2M: 35,
  X87_FIP_WIDTH: 36,
  VM86_TSS_SIZED: 37,
  MCA_CAP: 38,
} as const;
export const HVM_NR_PARAMS = 39;
/** How CALLBACK_IRQ names the interrupt, bits 63..56. */
export const CALLBACK = { GSI: 0, PCI_INTX: 1, VECTOR: 2 } as const;

export const hvmParam = struct('xen_hvm_param', { domid: u16, pad: u16, index: u32, value: u64 });
export const upcallVector = struct('xen_hvm_evtchn_upcall_vector', { vcpu: u32, vector: u8 });
export const getTime = struct('xen_hvm_get_time', { now: u64 });
export const pagetableDying = struct('xen_hvm_pagetable_dying', {
  domid: u16,
  pad: u16,
  pad1: u16,
  pad2: u16,
  gpa: u64,
});
export const getMemType = struct('xen_hvm_get_mem_type', { domid: u16, mem_type: u16, pad0: u16, pad1: u16, pfn: u64 });
export const HVMMEM = { ram_rw: 0, ram_ro: 1, mmio_dm: 2 } as const;

/** `struct vcpu_hvm_context`: the mode, then registers in one of two forms. */
export const HVM_MODE = { B32: 0, B64: 1 } as const;
export const vcpuHvmX86_32 = struct('vcpu_hvm_x86_32', {
  eax: u32,
  ecx: u32,
  edx: u32,
  ebx: u32,
  esp: u32,
  ebp: u32,
  esi: u32,
  edi: u32,
  eip: u32,
  eflags: u32,
  cr0: u32,
  cr3: u32,
  cr4: u32,
  pad1: u32,
  efer: u64,
  cs_base: u32,
  ds_base: u32,
  ss_base: u32,
  es_base: u32,
  tr_base: u32,
  cs_limit: u32,
  ds_limit: u32,
  ss_limit: u32,
  es_limit: u32,
  tr_limit: u32,
  cs_ar: u16,
  ds_ar: u16,
  ss_ar: u16,
  es_ar: u16,
  tr_ar: u16,
  pad2: bytes(6),
});
export const vcpuHvmX86_64 = struct('vcpu_hvm_x86_64', {
  rax: u64,
  rcx: u64,
  rdx: u64,
  rbx: u64,
  rsp: u64,
  rbp: u64,
  rsi: u64,
  rdi: u64,
  rip: u64,
  rflags: u64,
  cr0: u64,
  cr3: u64,
  cr4: u64,
  efer: u64,
});
export const vcpuHvmMode = struct('vcpu_hvm_context', { mode: u32, pad: u32 });

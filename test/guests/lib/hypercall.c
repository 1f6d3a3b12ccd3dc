/* Finding Xen by CPUID, its hypercall page, and the two calls that everything else here starts with. */
#include "guest.h"

uint32_t xen_version;
uint32_t xen_cpuid_base;

/* Xen fills it with one stub of 32 bytes for each hypercall. */
__attribute__((aligned(4096), section(".bss.hypercall"))) uint8_t hypercall_page[PAGE_SIZE];

void hypercalls_init(void) {
  uint32_t r[4];
  for (uint32_t base = 0x40000000u; base < 0x40010000u; base += 0x100) {
    cpuid(base, r);
    if (r[1] != 0x566e6558u || r[2] != 0x65584d4du || r[3] != 0x4d4d566eu) continue; /* "XenVMMXenVMM" */
    xen_cpuid_base = base;
    cpuid(base + 1, r);
    xen_version = r[0];
    cpuid(base + 2, r); /* EAX: pages, EBX: the MSR that takes their address */
    write_msr(r[1], (uint64_t)hypercall_page);
    return;
  }
  __asm__ volatile("ud2"); /* no Xen, no way to say so */
}

/* Arguments go in RDI, RSI, RDX; the result comes in RAX (arch-x86/xen-x86_64.h). */
long hypercall(unsigned number, uint64_t a, uint64_t b, uint64_t c) {
  uint64_t entry = (uint64_t)hypercall_page + number * 32;
  long result;
  __asm__ volatile("call *%[entry]"
                   : "=a"(result), "+D"(a), "+S"(b), "+d"(c)
                   : [entry] "r"(entry)
                   : "memory", "rcx", "r8", "r9", "r10", "r11");
  return result;
}

uint64_t hvm_param(uint32_t index) {
  struct hvm_param param = {DOMID_SELF, 0, index, 0};
  return HYPERCALL2(hvm_op, HVMOP_get_param, &param) == 0 ? param.value : 0;
}

long add_to_physmap(uint32_t space, uint64_t idx, uint64_t gpa) {
  struct add_to_physmap request = {DOMID_SELF, 0, space, idx, gpa / PAGE_SIZE};
  return HYPERCALL2(memory_op, XENMEM_add_to_physmap, &request);
}

/*
 * system-registers: control registers, XCR0, PCID and INVPCID, MSRs with the TSC's, PAT and MTRRs, SYSENTER, the CLFLUSH family,
 * MONITOR, breakpoints on ports, and what CR4.VME does to virtual-8086 mode.
 */
#include "system/machine.h"

#define FLAG_VIF 0x80000ull
#define FLAG_VIP 0x100000ull
#define C64(name, setup, text, vector, error) CASE(reset_long, 64, name, setup, text, vector, error)
#define A64(name, setup, text, vector, error) CASE_ANY(reset_long, 64, name, setup, text, vector, error)
#define U64(name, setup, text, vector, error) CASE(reset_long_user, 64, name, setup, text, vector, error)
#define RESULT(name, setup, text, holds)                                                                               \
  do {                                                                                                                 \
    A64(name, setup, text, PASSED, 0);                                                                                 \
    check("  as written", holds);                                                                                      \
  } while (0)

static bool has_leaf1(bool edx, unsigned bit) {
  uint32_t r[4];
  cpuid(1, r);
  return r[edx ? 3 : 2] >> bit & 1;
}

static void control_registers(void) {
  C64("cr0: PG without PE", m.rax = 0x80000030, "mov %%rax, %%cr0", 13, 0);
  C64("cr0: NW without CD", m.rax = 0xa0010033, "mov %%rax, %%cr0", 13, 0);
  C64("cr0: bits above 31", m.rax = 0x180010033, "mov %%rax, %%cr0", 13, 0);
  A64("cr0: CD", NOTHING, "mov %%cr0, %%rbx\n mov %%rbx, %%rax\n bts $30, %%rax\n mov %%rax, %%cr0\n mov %%cr0, %%rcx\n mov %%rbx, %%cr0", PASSED, 0);
  check("  stays set", m.rcx >> 30 & 1);
  A64("cr0: ET", NOTHING, "mov %%cr0, %%rbx\n mov %%rbx, %%rax\n btr $4, %%rax\n mov %%rax, %%cr0\n mov %%cr0, %%rcx", PASSED, 0);
  check("  cannot be cleared", m.rcx >> 4 & 1);
  C64("cr1", NOTHING, ".byte 0x0f, 0x20, 0xc8", 6, 0);
  C64("cr5", NOTHING, ".byte 0x0f, 0x20, 0xe8", 6, 0);
  RESULT("cr2 takes any value", m.rax = 0xfedcba9876543210, "mov %%rax, %%cr2\n mov %%cr2, %%rbx", m.rbx == 0xfedcba9876543210);
  C64("cr3: an address beyond the processor's", m.rax = 1ull << 52, "mov %%rax, %%cr3", 13, 0);
  C64("cr4: a reserved bit", m.rax = 0x620 | 1ull << 31, "mov %%rax, %%cr4", 13, 0);
  C64("cr4: bits above 31", m.rax = 0x620 | 1ull << 32, "mov %%rax, %%cr4", 13, 0);
  C64("cr4: VMXE", m.rax = 0x2620, "mov %%rax, %%cr4", 13, 0);
  RESULT("cr8", m.rax = 11, "mov %%rax, %%cr8\n mov %%cr8, %%rbx\n xor %%eax, %%eax\n mov %%rax, %%cr8", m.rbx == 11);
  C64("cr8: a reserved bit", m.rax = 16, "mov %%rax, %%cr8", 13, 0);
  C64("dr6: bits above 31", m.rax = 1ull << 32, "mov %%rax, %%dr6", 13, 0);
  C64("dr7: bits above 31", m.rax = 1ull << 32, "mov %%rax, %%dr7", 13, 0);
  RESULT("dr6: reserved bits read as ones", m.rax = 0, "mov %%rax, %%dr6\n mov %%dr6, %%rbx", (m.rbx & 0xffff0ff0) == 0xffff0ff0);
  RESULT("dr7: bit 10 reads as one", m.rax = 0, "mov %%rax, %%dr7\n mov %%dr7, %%rbx", m.rbx == 0x400);
  RESULT("dr0 takes any value", m.rax = 0x8000000000000001, "mov %%rax, %%dr0\n mov %%dr0, %%rbx", m.rbx == 0x8000000000000001);
  U64("ring 3: mov cr0", NOTHING, "mov %%cr0, %%rax", 13, 0);
  U64("ring 3: mov cr8", NOTHING, "mov %%cr8, %%rax", 13, 0);
  U64("ring 3: mov dr7", NOTHING, "mov %%dr7, %%rax", 13, 0);
}

#define XSETBV(c, d, a) (m.cr4 |= 0x40000, m.rcx = (c), m.rdx = (d), m.rax = (a))
static void extended_states(void) {
  if (!has_leaf1(false, 26)) return;
  C64("xsetbv without CR4.OSXSAVE", (m.cr4 &= ~0x40000ull, m.rcx = 0, m.rdx = 0, m.rax = 3), "xsetbv", 6, 0);
  C64("xgetbv without CR4.OSXSAVE", (m.cr4 &= ~0x40000ull, m.rcx = 0), "xgetbv", 6, 0);
  C64("xcr0 without x87", XSETBV(0, 0, 2), "xsetbv", 13, 0);
  C64("xcr0 with AVX and without SSE", XSETBV(0, 0, 5), "xsetbv", 13, 0);
  C64("xcr0 with what is not there", XSETBV(0, 1, 3), "xsetbv", 13, 0);
  C64("xcr1", XSETBV(1, 0, 3), "xsetbv", 13, 0);
  RESULT("xcr0", XSETBV(0, 0, 3), "xsetbv\n xor %%eax, %%eax\n xgetbv", m.rax == 3 && m.rdx == 0);
  U64("ring 3: xsetbv", XSETBV(0, 0, 3), "xsetbv", 13, 0);
}

/* A window of its own at 2 << 39, by four levels. */
static uint64_t l3[512] __attribute__((aligned(4096))), l2[512] __attribute__((aligned(4096))), l1[512] __attribute__((aligned(4096)));
static uint8_t pages[2][4096] __attribute__((aligned(4096)));
uint64_t invpcid_descriptor[2] __attribute__((aligned(16)));
extern uint64_t page_tables[];
static void window(void) {
  reset_long();
  page_tables[2] = (uint64_t)l3 | 7;
  l3[0] = (uint64_t)l2 | 7;
  l2[0] = (uint64_t)l1 | 7;
  l1[0] = (uint64_t)pages[0] | 3;
  memset(pages[0], 0x11, sizeof pages[0]);
  memset(pages[1], 0x22, sizeof pages[1]);
  m.rsi = 2ull << 39;
  m.rdi = (uint64_t)l1;
  m.rbx = (uint64_t)pages[1] | 3;
  m.cr4 |= 0x20000;
}
#define KW(name, setup, text, vector, error) CASE(window, 64, name, setup, text, vector, error)
#define AW(name, setup, text, vector, error) CASE_ANY(window, 64, name, setup, text, vector, error)
/* Reads the window, has its entry point elsewhere, does `flush`, and reads again into RDX. */
#define REMAP(flush) "mov (%%rsi), %%eax\n mov %%rbx, (%%rdi)\n " flush "\n mov (%%rsi), %%edx"
static void process_contexts(void) {
  if (!has_leaf1(false, 17)) return;
  A64("PCIDE with a PCID in cr3", NOTHING, "mov %%cr3, %%rax\n or $5, %%al\n mov %%rax, %%cr3\n mov %%cr4, %%rax\n bts $17, %%rax\n mov %%rax, %%cr4", 13, 0);
  CASE_ANY(reset_legacy, 32, "PCIDE outside long mode", NOTHING, "mov %%cr4, %%eax\n bts $17, %%eax\n mov %%eax, %%cr4", 13, 0);
  AW("with PCIDE cr3 takes a PCID", NOTHING, "mov %%cr3, %%rax\n or $0x123, %%rax\n mov %%rax, %%cr3\n mov %%cr3, %%rbx\n xor $0x123, %%rax\n mov %%rax, %%cr3", PASSED, 0);
  check("  and keeps it", (m.rbx & 0xfff) == 0x123);
  AW("bit 63 of cr3", NOTHING, "mov %%cr3, %%rax\n bts $63, %%rax\n mov %%rax, %%cr3\n mov %%cr3, %%rbx", PASSED, 0);
  check("  is not kept", m.rbx >> 63 == 0);
  AW("mov to cr3 forgets its PCID's translations", NOTHING, REMAP("mov %%cr3, %%rcx\n mov %%rcx, %%cr3"), PASSED, 0);
  check("  so the new page is read", (uint32_t)m.rax == 0x11111111 && (uint32_t)m.rdx == 0x22222222);
  AW("another PCID has its own", NOTHING, REMAP("mov %%cr3, %%rcx\n or $7, %%rcx\n bts $63, %%rcx\n mov %%rcx, %%cr3"), PASSED, 0);
  check("  so the new page is read", (uint32_t)m.rdx == 0x22222222);
  if (!has_leaf7(10)) return;
  AW("invpcid of an address", (invpcid_descriptor[0] = 0, invpcid_descriptor[1] = 2ull << 39),
     REMAP("xor %%ecx, %%ecx\n invpcid invpcid_descriptor, %%rcx"), PASSED, 0);
  check("  so the new page is read", (uint32_t)m.rdx == 0x22222222);
  AW("invpcid of a PCID", (invpcid_descriptor[0] = 0, invpcid_descriptor[1] = 0), REMAP("mov $1, %%ecx\n invpcid invpcid_descriptor, %%rcx"), PASSED, 0);
  check("  so the new page is read", (uint32_t)m.rdx == 0x22222222);
  AW("invpcid of all", (invpcid_descriptor[0] = 0, invpcid_descriptor[1] = 0), REMAP("mov $2, %%ecx\n invpcid invpcid_descriptor, %%rcx"), PASSED, 0);
  check("  so the new page is read", (uint32_t)m.rdx == 0x22222222);
  AW("invpcid of all but global ones", (invpcid_descriptor[0] = 0, invpcid_descriptor[1] = 0), REMAP("mov $3, %%ecx\n invpcid invpcid_descriptor, %%rcx"), PASSED, 0);
  check("  so the new page is read", (uint32_t)m.rdx == 0x22222222);
  KW("invpcid: no such type", m.rcx = 4, "invpcid invpcid_descriptor, %%rcx", 13, 0);
  KW("invpcid: a reserved bit", (m.rcx = 1, invpcid_descriptor[0] = 0x1000), "invpcid invpcid_descriptor, %%rcx", 13, 0);
  KW("invpcid: an address that is not canonical", (m.rcx = 0, invpcid_descriptor[0] = 0, invpcid_descriptor[1] = 1ull << 47), "invpcid invpcid_descriptor, %%rcx", 13, 0);
  U64("ring 3: invpcid", m.rcx = 2, "invpcid invpcid_descriptor, %%rcx", 13, 0);
}

#define WRMSR(index, value) (m.rcx = (index), m.rax = (uint32_t)(value), m.rdx = (uint64_t)(value) >> 32)
#define MSR_KEEPS(name, index, value)                                                                                  \
  do {                                                                                                                 \
    const uint64_t before_ = read_msr(index);                                                                          \
    A64(name, WRMSR(index, value), "wrmsr\n xor %%eax, %%eax\n xor %%edx, %%edx\n rdmsr", PASSED, 0);                  \
    check("  is kept", (uint32_t)m.rax == (uint32_t)(value) && m.rdx == (uint64_t)(value) >> 32);                      \
    write_msr(index, before_);                                                                                         \
  } while (0)
static void msrs(void) {
  C64("no such MSR", m.rcx = 0x1234567, "rdmsr", 13, 0);
  C64("wrmsr of no such MSR", m.rcx = 0x1234567, "wrmsr", 13, 0);
  MSR_KEEPS("PAT", 0x277, 0x0706050001040600ull);
  C64("PAT: a type in the last entry", WRMSR(0x277, 3ull << 56), "wrmsr", 13, 0);
  MSR_KEEPS("KERNEL_GS_BASE", 0xc0000102, 0xffff800012345678ull);
  A64("swapgs", WRMSR(0xc0000102, 0x123456789000ull), "wrmsr\n mov $0xc0000101, %%ecx\n rdmsr\n mov %%rax, %%rbx\n swapgs\n rdmsr\n mov %%rax, %%rsi\n mov %%rdx, %%rdi\n swapgs", PASSED, 0);
  check("  exchanges the bases", (uint32_t)m.rsi == 0x56789000 && m.rdi == 0x1234);
  MSR_KEEPS("STAR", 0xc0000081, 0x0023001000000000ull);
  MSR_KEEPS("LSTAR", 0xc0000082, 0xffffffff80000000ull);
  MSR_KEEPS("SFMASK", 0xc0000084, 0x47700ull);
  MSR_KEEPS("SYSENTER_EIP", 0x176, 0x12345678ull);
  if (has_leaf1(true, 12)) {
    MSR_KEEPS("an MTRR of fixed range", 0x250, 0x0606060606060606ull);
    C64("  with a reserved type", WRMSR(0x250, 2), "wrmsr", 13, 0);
    MSR_KEEPS("a variable MTRR", 0x200, 0x80000006ull);
    C64("  with a reserved bit", WRMSR(0x200, 0x80000106ull), "wrmsr", 13, 0);
    C64("MTRR_DEF_TYPE with a reserved bit", WRMSR(0x2ff, 0x1000), "wrmsr", 13, 0);
    C64("MTRR_CAP cannot be written", WRMSR(0xfe, 0), "wrmsr", 13, 0);
  }
  U64("ring 3: rdmsr", m.rcx = 0x277, "rdmsr", 13, 0);
  A64("rdtsc goes up", NOTHING, "rdtsc\n shl $32, %%rdx\n or %%rax, %%rdx\n mov %%rdx, %%rbx\n rdtsc\n shl $32, %%rdx\n or %%rax, %%rdx", PASSED, 0);
  check("  between two of them", m.rdx > m.rbx);
  U64("ring 3: rdtsc with CR4.TSD", m.cr4 |= 4, "rdtsc", 13, 0);
  U64("ring 3: rdpmc without CR4.PCE", m.rcx = 0, "rdpmc", 13, 0);
  uint32_t r[4];
  cpuid(0x80000001u, r);
  if (r[3] >> 27 & 1) {
    A64("rdtscp", WRMSR(0xc0000103, 0x1234), "wrmsr\n rdtscp", PASSED, 0);
    check("  brings TSC_AUX", m.rcx == 0x1234);
    U64("ring 3: rdtscp with CR4.TSD", m.cr4 |= 4, "rdtscp", 13, 0);
  }
}

static void fast_calls(void) {
  const uint64_t before[3] = {read_msr(0x174), read_msr(0x175), read_msr(0x176)};
  write_msr(0x174, 0);
  CASE(reset_user, 32, "sysenter without a selector", NOTHING, "sysenter", 13, 0);
  write_msr(0x174, CODE32);
  write_msr(0x175, STACK_TOP(3));
  CASE_ANY(reset_user, 32, "sysenter", (write_msr(0x176, (uint64_t)SNIPPET(32, "mov $0x77, %%esi")), m.rflags |= FLAG_IF), "sysenter", PASSED, 0);
  check("  arrives in ring 0, interrupts off, on the MSR's stack", m.rsi == 0x77 && m.cs == CODE32 && m.ss == DATA32 && !(m.rflags & FLAG_IF));
  CASE(reset_user, 32, "ring 3: sysexit", NOTHING, "sysexit", 13, 0);
  C64("sysenter in 64-bit mode", NOTHING, "sysenter", 6, 0);
  CASE(reset_compat, 32, "sysenter in compatibility mode", NOTHING, "sysenter", 6, 0);
  for (unsigned i = 0; i < 3; i++) write_msr(0x174 + i, before[i]);
}

static void cache_lines(void) {
  C64("clflush", m.rsi = (uint64_t)pages, "clflush (%%rsi)", PASSED, 0);
  C64("clflush of an absent page", m.rsi = 0, "clflush (%%rsi)", 14, 0);
  C64("clflush of an address that is not canonical", m.rsi = 1ull << 47, "clflush (%%rsi)", 13, 0);
  if (has_leaf7(23)) C64("clflushopt of an absent page", m.rsi = 0, "clflushopt (%%rsi)", 14, 0);
  if (has_leaf7(24)) C64("clwb of an absent page", m.rsi = 0, "clwb (%%rsi)", 14, 0);
  C64("prefetch of an absent page", m.rsi = 0, "prefetcht0 (%%rsi)", PASSED, 0);
  C64("wbinvd", NOTHING, "wbinvd", PASSED, 0);
  C64("invd", NOTHING, "invd", PASSED, 0);
  U64("ring 3: wbinvd", NOTHING, "wbinvd", 13, 0);
  if (!has_leaf1(false, 3)) C64("monitor that is not offered", m.rax = (uint64_t)pages, "monitor", 6, 0);
}

static void port_breakpoints(void) {
  /* R/W 10 in DR7 with CR4.DE: ports. */
  CASE_ANY(reset_legacy, 32, "a breakpoint on a port", m.cr4 |= 8,
           "mov $0x80, %%eax\n mov %%eax, %%dr0\n mov $0x20002, %%eax\n mov %%eax, %%dr7\n out %%al, $0x80\n mov $5, %%ebx\n mov $6, %%ebx", 1, 0);
  check("  is a trap with B0", (m.dr6 & 15) == 1);
  CASE_ANY(reset_legacy, 32, "a breakpoint on the next port", m.cr4 |= 8,
           "mov $0x81, %%eax\n mov %%eax, %%dr0\n mov $0x20002, %%eax\n mov %%eax, %%dr7\n out %%al, $0x80", PASSED, 0);
}

/* Interrupts that the bitmap below the I/O map keeps in virtual-8086 mode have their bit clear; here all go to the monitor. */
static void vme(unsigned iopl) {
  reset_vm86(iopl);
  m.cr4 |= 1;
  tss32.iomap = 104 + 32;
  memset(tss32.map, 0xff, sizeof tss32.map);
}
static void vme0(void) { vme(0); }
static void vme3(void) { vme(3); }
#define V0(name, setup, text, vector, error) CASE_ANY(vme0, 16, name, setup, text, vector, error)
#define V3(name, setup, text, vector, error) CASE_ANY(vme3, 16, name, setup, text, vector, error)
static void virtual_interrupts(void) {
  if (!has_leaf1(true, 1)) return;
  V0("VME: cli with IOPL 0", m.rflags |= FLAG_VIF | FLAG_IF, "cli\n mov $3, %%bx", 13, 0);
  check("  clears VIF, not IF", (m.rbx & 0xffff) == 3 && !(m.rflags & FLAG_VIF) && (m.rflags & FLAG_IF));
  V0("VME: sti with IOPL 0", NOTHING, "sti\n mov $3, %%bx", 13, 0);
  check("  sets VIF", (m.rbx & 0xffff) == 3 && (m.rflags & FLAG_VIF));
  CASE(vme0, 16, "VME: sti with VIP", m.rflags |= FLAG_VIP, "sti", 13, 0);
  V0("VME: pushf", m.rflags |= FLAG_VIF, "pushf\n pop %%bx", 13, 0);
  check("  shows VIF as IF, and IOPL 3", (m.rbx & 0x3200) == 0x3200);
  V0("VME: popf", NOTHING, "pushw $0x202\n popf\n mov $3, %%bx", 13, 0);
  check("  sets VIF", (m.rbx & 0xffff) == 3 && (m.rflags & FLAG_VIF));
  CASE_ANY(vme0, 16, "VME: popf of TF", NOTHING, "pushw $0x102\n popf\n mov $3, %%bx", 13, 0);
  check("  is refused", (m.rbx & 0xffff) != 3);
  CASE(vme0, 16, "VME: a pushf of 32 bits", NOTHING, "pushfl", 13, 0);
  V3("VME: cli with IOPL 3", m.rflags |= FLAG_VIF | FLAG_IF, "cli", PASSED, 0);
  check("  clears IF, not VIF", (m.rflags & FLAG_VIF) && !(m.rflags & FLAG_IF));
  V0("VME: an interrupt that stays", (tss32.map[4] = 0xfd, *(volatile uint32_t *)(uint64_t)(LOW_CODE + 0x300) = 0x20cd04b3),
     "movw $0x300, %%gs:0x84\n movw $0x800, %%gs:0x86\n int $0x21", 13, 0);
  check("  goes through the table at 0", (m.rbx & 0xff) == 4);
}

void guest_main(const char *cmdline) {
  (void)cmdline;
  bench_start();
  control_registers();
  extended_states();
  process_contexts();
  msrs();
  fast_calls();
  cache_lines();
  port_breakpoints();
  virtual_interrupts();
  finish("system-registers");
}

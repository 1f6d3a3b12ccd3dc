/* The bench's tables and defaults, running and checking. */
#include "machine.h"

volatile struct machine m;
uint64_t gdt[64] __attribute__((aligned(64))), ldt[16] __attribute__((aligned(64))), idt32[64] __attribute__((aligned(64)));
struct gate64 idt64[64] __attribute__((aligned(64)));
struct tss32 tss32 __attribute__((aligned(128))), other32 __attribute__((aligned(128)));
struct tss16 other16 __attribute__((aligned(128)));
struct tss64 tss64 __attribute__((aligned(128)));
uint8_t bench_stacks[8][1024] __attribute__((aligned(64)));
extern uint8_t real_start[], real_end[], real_stubs[];
extern const uint64_t boot_gdt[9];
uint64_t back_gdt[8] __attribute__((aligned(64))); /* boot_gdt with a TSS, for the way back */
void go_legacy(void);
void go_real(void);
void go_long(void);

static enum mode mode;
static bool low;
static uint64_t start;
static unsigned cases, failures;

#define REAL_ORIGIN 0x7000ul
#define IVT 0x5000ul
#define LOW_M 0x6000ul

void bench_start(void) {
  for (unsigned i = 0; i < sizeof shared_info->evtchn_mask / sizeof shared_info->evtchn_mask[0]; i++) shared_info->evtchn_mask[i] = ~0ul;
  cpu_enable();
  cpu_pause();
  cpu_disable();
}

static void reset_tables(void) {
  memset(gdt, 0, sizeof gdt);
  memset(ldt, 0, sizeof ldt);
  gdt[CODE32 / 8] = segment(0, 0xfffff, D_CODE | D_P | D_BIG | D_PAGES);
  gdt[DATA32 / 8] = segment(0, 0xfffff, D_DATA | D_P | D_BIG | D_PAGES);
  gdt[CODE64 / 8] = segment(0, 0xfffff, D_CODE | D_P | D_LONG | D_PAGES);
  gdt[CODE16 / 8] = segment(0, 0xffff, D_CODE | D_P);
  gdt[DATA16 / 8] = segment(0, 0xffff, D_DATA | D_P);
  gdt[USER_CODE32 / 8] = segment(0, 0xfffff, D_CODE | D_P | DPL(3) | D_BIG | D_PAGES);
  gdt[USER_DATA32 / 8] = segment(0, 0xfffff, D_DATA | D_P | DPL(3) | D_BIG | D_PAGES);
  gdt[USER_CODE64 / 8] = segment(0, 0xfffff, D_CODE | D_P | DPL(3) | D_LONG | D_PAGES);
  gdt[LDT / 8] = segment((uint32_t)(uint64_t)ldt, sizeof ldt - 1, D_LDT | D_P);
  for (unsigned v = 0; v < 64; v++) idt32[v] = gate8(CODE32, (uint32_t)(uint64_t)stubs32 + v * 16, D_INT32 | D_P | DPL(3), 0);
  for (unsigned v = 0; v < 64; v++) set_gate64(v, CODE64, (uint64_t)stubs64 + v * 16, D_INT32 | D_P | DPL(3), 0);
  memset(bench_stacks, 0, sizeof bench_stacks);
}

void set_gate64(unsigned vector, uint16_t selector, uint64_t offset, uint32_t how, unsigned ist) {
  idt64[vector] = (struct gate64){gate8(selector, (uint32_t)offset, how, ist), offset >> 32};
}

static void reset_m(void) {
  reset_tables();
  memset((void *)&m, 0, sizeof m);
  m.rflags = 2;
  m.gdtr.limit = sizeof gdt - 1;
  m.gdtr.base = (uint64_t)gdt;
  m.rax = 0x11111111;
  m.rbx = 0x22222222;
  m.rcx = 0x33333333;
  m.rdx = 0x44444444;
  m.rsi = 0x55555555;
  m.rdi = 0x66666666;
  m.rbp = 0x77777777;
}

void reset_legacy(void) {
  reset_m();
  mode = LEGACY;
  low = false;
  memset(&tss32, 0, sizeof tss32);
  tss32.esp0 = STACK_TOP(2);
  tss32.ss0 = DATA32;
  tss32.iomap = sizeof tss32;
  gdt[TSS / 8] = segment((uint32_t)(uint64_t)&tss32, sizeof tss32 - 1, D_TSS32 | D_P);
  m.cr0 = 0x31;
  m.idtr.limit = sizeof idt32 - 1;
  m.idtr.base = (uint64_t)idt32;
  m.tr = TSS;
  m.cs = CODE32;
  m.ss = m.ds = m.es = DATA32;
  m.rsp = STACK_TOP(0);
}

void reset_user(void) {
  reset_legacy();
  m.cs = USER_CODE32;
  m.ss = m.ds = m.es = USER_DATA32;
  m.rsp = STACK_TOP(1);
}

void reset_16(void) {
  reset_legacy();
  low = true;
  m.cs = CODE16;
  m.ss = m.ds = m.es = DATA16;
  m.rsp = LOW_STACK;
}

void reset_vm86(unsigned iopl) {
  reset_legacy();
  low = true;
  m.rflags = 2 | FLAG_VM | (uint64_t)iopl << 12;
  m.cs = LOW_CODE >> 4;
  m.ds = m.es = LOW_DATA >> 4;
  m.fs = m.gs = 0;
  m.ss = 0;
  m.rsp = LOW_STACK;
}

void reset_real(void) {
  reset_m();
  mode = REAL;
  low = true;
  m.cr0 = 0x31;
  m.idtr.limit = 0x3ff;
  m.idtr.base = IVT;
  m.cs = LOW_CODE >> 4;
  m.ds = m.es = LOW_DATA >> 4;
  m.ss = 0;
  m.rsp = LOW_STACK;
}

void reset_long(void) {
  reset_m();
  mode = LONG;
  low = false;
  memset(&tss64, 0, sizeof tss64);
  tss64.rsp[0] = STACK_TOP(2);
  tss64.iomap = sizeof tss64;
  gdt[TSS / 8] = segment((uint32_t)(uint64_t)&tss64, sizeof tss64 - 1, D_TSS32 | D_P);
  m.idtr.limit = sizeof idt64 - 1;
  m.idtr.base = (uint64_t)idt64;
  m.tr = TSS;
  m.cs = CODE64;
  m.ss = m.ds = m.es = DATA32;
  m.rsp = STACK_TOP(0);
  uint64_t value;
  __asm__ volatile("mov %%cr0, %0" : "=r"(value));
  m.cr0 = value;
  __asm__ volatile("mov %%cr3, %0" : "=r"(value));
  m.cr3 = value;
  __asm__ volatile("mov %%cr4, %0" : "=r"(value));
  m.cr4 = value;
}

/* Ring 3 needs the identity map's user bits: levels 4 to 2 of boot.S's tables, and level 1 of the first 2 MiB. */
static void open_to_user(void) {
  extern uint64_t page_tables[];
  for (unsigned i = 0; i < 7 * 512; i++)
    if (page_tables[i] & 1) page_tables[i] |= 4;
  __asm__ volatile("mov %%cr3, %%rax\n mov %%rax, %%cr3" ::: "rax", "memory");
}

void reset_long_user(void) {
  reset_long();
  open_to_user();
  m.cs = USER_CODE64;
  m.ss = m.ds = m.es = USER_DATA32;
  m.rsp = STACK_TOP(1);
}

void reset_compat(void) {
  reset_long_user();
  m.cs = USER_CODE32;
}

void go(const void *code) {
  start = (uint64_t)code;
  memcpy(back_gdt, boot_gdt, 7 * 8);
  back_gdt[7] = segment((uint32_t)(uint64_t)&tss64, 103, D_TSS32 | D_P);
  if (low) {
    memcpy((void *)(uint64_t)LOW_CODE, code, 128);
    start = mode == LEGACY && !(m.rflags & FLAG_VM) ? LOW_CODE : 0;
  }
  m.rip = start;
  m.vector = 0xdead;
  if (mode == LONG) go_long();
  else if (mode == LEGACY) go_legacy();
  else {
    memcpy((void *)REAL_ORIGIN, real_start, (size_t)(real_end - real_start));
    for (unsigned v = 0; v < 64; v++)
      ((volatile uint32_t *)IVT)[v] = (uint32_t)(REAL_ORIGIN + (uint64_t)(real_stubs - real_start) + v * 8);
    memcpy((void *)LOW_M, (const void *)&m, sizeof m);
    go_real();
    memcpy((void *)&m, (void *)LOW_M, sizeof m);
  }
  traps_load(0);
}

void check(const char *name, bool right) {
  cases++;
  if (!right) failures++;
  print("%s %u %s\n", right ? "ok" : "NOT OK", cases, name);
}

void expect(const char *name, uint64_t vector, uint64_t error, bool exact) {
  bool right = m.vector == vector && m.error == error && (!exact || vector == PASSED || m.rip == start);
  check(name, right);
  if (!right)
    print("  came: vector %lu, error %lx, at %lx:%lx, cr2 %lx; wanted: vector %lu, error %lx, at %lx\n", m.vector, m.error, m.cs,
          m.rip, m.cr2, vector, error, start);
}

void finish(const char *guest) {
  if (failures) print("%s: %u of %u FAILED\n", guest, failures, cases);
  else print("%s: all %u passed\n", guest, cases);
}

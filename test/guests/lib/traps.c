/* The interrupt descriptor table, one GDT and TSS for each vcpu, and the way from a stub to a handler. */
#include "guest.h"

extern uint8_t trap_stubs[];
extern const uint64_t boot_gdt[9];
uint8_t stacks[MAX_VCPUS][STACK_SIZE] __attribute__((aligned(16384)));

struct gate idt[256] __attribute__((aligned(16)));
trap_handler *trap_handlers[256];

/* Intel SDM 3, figure 8-11: 64-bit task state segment */
struct __attribute__((packed)) tss {
  uint32_t reserved0;
  uint64_t rsp[3], reserved1, ist[7], reserved2;
  uint16_t reserved3, iomap;
};
struct __attribute__((packed)) table_pointer {
  uint16_t limit;
  uint64_t base;
};

static uint64_t gdts[MAX_VCPUS][9] __attribute__((aligned(16)));
static struct tss tsses[MAX_VCPUS] __attribute__((aligned(128)));
uint8_t trap_stacks[MAX_VCPUS][2][TRAP_STACK_SIZE] __attribute__((aligned(16)));

/* Type 0x8e is an interrupt gate for ring 0, 0xee for ring 3; `ist` 1 is the double fault's own stack. */
void trap_gate(unsigned vector, uint8_t type_and_dpl, uint8_t ist) {
  uint64_t stub = (uint64_t)trap_stubs + vector * 16;
  idt[vector] = (struct gate){(uint16_t)stub, SEL_CODE64, ist, type_and_dpl, (uint16_t)(stub >> 16), (uint32_t)(stub >> 32), 0};
}

void traps_init(void) {
  for (unsigned vector = 0; vector < 256; vector++) trap_gate(vector, 0x8e, 0);
  trap_gate(8, 0x8e, 1);
}

void traps_load(unsigned vcpu) {
  uint64_t *gdt = gdts[vcpu], base = (uint64_t)&tsses[vcpu];
  memcpy(gdt, boot_gdt, sizeof gdts[0]);
  tsses[vcpu].rsp[0] = (uint64_t)(trap_stacks[vcpu][0] + TRAP_STACK_SIZE);
  tsses[vcpu].ist[0] = (uint64_t)(trap_stacks[vcpu][1] + TRAP_STACK_SIZE);
  tsses[vcpu].iomap = sizeof(struct tss);
  gdt[SEL_TSS / 8] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
  gdt[SEL_TSS / 8 + 1] = base >> 32;
  struct table_pointer gdtr = {sizeof gdts[0] - 1, (uint64_t)gdt}, idtr = {sizeof idt - 1, (uint64_t)idt};
  __asm__ volatile("lgdt %0" ::"m"(gdtr));
  __asm__ volatile("lidt %0" ::"m"(idtr));
  __asm__ volatile("ltr %w0" ::"r"(SEL_TSS));
}

static void unexpected(const struct frame *f) {
  uint64_t cr2;
  __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
  print("vcpu %u: unexpected trap %lu, error %lx, at %lx:%lx, flags %lx, stack %lx, cr2 %lx\n", this_vcpu(), f->vector,
        f->error, f->cs, f->rip, f->rflags, f->rsp, cr2);
  power_off(SHUTDOWN_crash);
}

__attribute__((used)) void trap_dispatch(struct frame *frame) {
  trap_handler *handler = trap_handlers[frame->vector & 255];
  if (handler) handler(frame);
  else unexpected(frame);
}

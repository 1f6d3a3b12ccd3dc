/* Further vcpus: started by VCPUOP_initialise and VCPUOP_up in 64-bit mode on the boot vcpu's page tables. */
#include "guest.h"

extern uint8_t vcpu_entry[], page_tables[];

unsigned this_vcpu(void) {
  uint64_t at = (uint64_t)__builtin_frame_address(0) - (uint64_t)stacks;
  if (at < sizeof stacks) return (unsigned)(at / STACK_SIZE);
  return (unsigned)(((uint64_t)__builtin_frame_address(0) - (uint64_t)trap_stacks) / sizeof trap_stacks[0]);
}

__attribute__((noreturn, used)) void vcpu_main(unsigned vcpu, void (*main)(unsigned vcpu)) {
  traps_load(vcpu);
  cpu_enable();
  main(vcpu);
  for (;;) HYPERCALL3(vcpu_op, VCPUOP_down, vcpu, 0);
}

long vcpu_start(unsigned vcpu, void (*main)(unsigned vcpu)) {
  struct vcpu_hvm_context context = {.mode = VCPU_HVM_MODE_64B};
  context.x86_64.rsp = (uint64_t)(stacks[vcpu] + STACK_SIZE);
  context.x86_64.rdi = vcpu;
  context.x86_64.rsi = (uint64_t)main;
  context.x86_64.rip = (uint64_t)vcpu_entry;
  context.x86_64.rflags = 2;
  context.x86_64.cr0 = 0x80010033; /* PG WP NE ET MP PE, as boot.S */
  context.x86_64.cr3 = (uint64_t)page_tables;
  context.x86_64.cr4 = 0x620;  /* OSXMMEXCPT OSFXSR PAE */
  context.x86_64.efer = 0x500; /* LMA LME */
  long result = HYPERCALL3(vcpu_op, VCPUOP_initialise, vcpu, &context);
  return result < 0 ? result : HYPERCALL3(vcpu_op, VCPUOP_up, vcpu, 0);
}

bool vcpu_is_up(unsigned vcpu) { return HYPERCALL3(vcpu_op, VCPUOP_is_up, vcpu, 0) == 1; }

void lock_take(lock *l) {
  while (__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE)) HYPERCALL2(sched_op, SCHEDOP_yield, 0);
}

void lock_release(lock *l) { __atomic_store_n(&l->held, 0, __ATOMIC_RELEASE); }

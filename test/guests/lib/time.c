/* Xen's system time by the pvclock of vcpu_info, and the two ways to ask for a timer event. */
#include "guest.h"

uint64_t time_now(void) {
  volatile struct vcpu_time *time = &shared_info->vcpu_info[this_vcpu()].time;
  uint32_t version;
  uint64_t now;
  do {
    version = time->version & ~1u;
    __asm__ volatile("lfence" ::: "memory");
    uint64_t delta = cpu_tsc() - time->tsc_timestamp;
    if (time->tsc_shift < 0) delta >>= -time->tsc_shift;
    else delta <<= time->tsc_shift;
    now = time->system_time + (uint64_t)(((unsigned __int128)delta * time->tsc_to_system_mul) >> 32);
    __asm__ volatile("lfence" ::: "memory");
  } while (version != time->version);
  return now;
}

long timer_set(uint64_t deadline_ns) { return HYPERCALL2(set_timer_op, deadline_ns, 0); }

long timer_set_singleshot(unsigned vcpu, uint64_t deadline_ns) {
  struct vcpu_singleshot_timer timer = {deadline_ns, 0};
  return HYPERCALL3(vcpu_op, VCPUOP_set_singleshot_timer, vcpu, &timer);
}

/* Event channels in the two-level form, delivered to EVENT_VECTOR without a local APIC (CALLBACK_IRQ type 2). */
#include "guest.h"

#define MAX_PORTS 256

struct shared_info *shared_info;
static event_handler *handlers[MAX_PORTS];

static void event_trap(struct frame *frame) {
  (void)frame;
  events_dispatch();
}

void events_init(void) {
  shared_info = (void *)GPA_SHARED_INFO;
  add_to_physmap(XENMAPSPACE_shared_info, 0, GPA_SHARED_INFO);
  for (unsigned i = 0; i < 64; i++) shared_info->evtchn_mask[i] = ~0ull;
  trap_handlers[EVENT_VECTOR] = event_trap;
  struct hvm_param param = {DOMID_SELF, 0, HVM_PARAM_CALLBACK_IRQ, CALLBACK_VIA_VECTOR(EVENT_VECTOR)};
  HYPERCALL2(hvm_op, HVMOP_set_param, &param);
}

static bool clear_bit(uint64_t *words, uint32_t bit) {
  bool was;
  __asm__ volatile("lock btrq %2, %0" : "+m"(words[bit / 64]), "=@ccc"(was) : "r"((uint64_t)(bit % 64)) : "memory");
  return was;
}

void events_dispatch(void) {
  struct vcpu_info *info = &shared_info->vcpu_info[this_vcpu()];
  info->upcall_pending = 0;
  uint64_t words = __atomic_exchange_n(&info->pending_sel, 0, __ATOMIC_SEQ_CST);
  for (; words; words &= words - 1) {
    unsigned word = (unsigned)__builtin_ctzll(words);
    uint64_t bits = shared_info->evtchn_pending[word] & ~shared_info->evtchn_mask[word];
    for (; bits; bits &= bits - 1) {
      uint32_t port = word * 64 + (unsigned)__builtin_ctzll(bits);
      if (clear_bit(shared_info->evtchn_pending, port) && port < MAX_PORTS && handlers[port]) handlers[port](port);
    }
  }
}

void event_listen(uint32_t port, event_handler *handler) {
  handlers[port] = handler;
  HYPERCALL2(event_channel_op, EVTCHNOP_unmask, &port);
}

static long bound(long result, uint32_t port, event_handler *handler) {
  if (result < 0) return result;
  if (handler) event_listen(port, handler);
  return port;
}

long event_notify(uint32_t port) { return HYPERCALL2(event_channel_op, EVTCHNOP_send, &port); }

long event_close(uint32_t port) {
  if (port < MAX_PORTS) handlers[port] = 0;
  return HYPERCALL2(event_channel_op, EVTCHNOP_close, &port);
}

long event_bind_virq(uint32_t virq, unsigned vcpu, event_handler *handler) {
  struct evtchn_bind_virq bind = {virq, vcpu, 0};
  long result = HYPERCALL2(event_channel_op, EVTCHNOP_bind_virq, &bind);
  return bound(result, bind.port, handler);
}

long event_bind_ipi(unsigned vcpu, event_handler *handler) {
  struct evtchn_bind_ipi bind = {vcpu, 0};
  long result = HYPERCALL2(event_channel_op, EVTCHNOP_bind_ipi, &bind);
  return bound(result, bind.port, handler);
}

long event_bind_interdomain(uint16_t domain, uint32_t remote_port, event_handler *handler) {
  struct evtchn_bind_interdomain bind = {domain, remote_port, 0};
  long result = HYPERCALL2(event_channel_op, EVTCHNOP_bind_interdomain, &bind);
  return bound(result, bind.local_port, handler);
}

long event_alloc_unbound(uint16_t remote, event_handler *handler) {
  struct evtchn_alloc_unbound alloc = {DOMID_SELF, remote, 0};
  long result = HYPERCALL2(event_channel_op, EVTCHNOP_alloc_unbound, &alloc);
  return bound(result, alloc.port, handler);
}

bool event_take(uint32_t port) { return clear_bit(shared_info->evtchn_pending, port); }

long event_poll(uint32_t port, uint64_t deadline_ns) {
  struct sched_poll poll = {&port, 1, deadline_ns};
  return HYPERCALL2(sched_op, SCHEDOP_poll, &poll);
}

/* STI takes effect after the instruction that follows it, so no event slips in between the test and HLT. */
void wait_for(volatile bool *flag) {
  cpu_disable();
  while (!*flag) {
    cpu_halt();
    cpu_disable();
  }
  *flag = false;
  cpu_enable();
}

/* The console: the shared ring of io/console.h, or console_io where the domain has none. */
#include "guest.h"

static volatile struct console_ring *ring;
static uint32_t port;
static lock console_lock;

void console_init(void) {
  uint64_t pfn = hvm_param(HVM_PARAM_CONSOLE_PFN);
  port = (uint32_t)hvm_param(HVM_PARAM_CONSOLE_EVTCHN);
  if (pfn && port) ring = (void *)(pfn * PAGE_SIZE);
}

/* Waits until the other end takes something; the deadline is for an other end that never notifies. */
static void wait_for_room(void) {
  event_take(port);
  barrier();
  if (ring->out_prod - ring->out_cons < sizeof ring->out) return;
  event_notify(port);
  event_poll(port, time_now() + 1000000);
}

void console_write(const char *bytes, size_t count) {
  if (!ring) {
    HYPERCALL3(console_io, 0, count, bytes);
    return;
  }
  lock_take(&console_lock);
  uint32_t prod = ring->out_prod;
  for (size_t i = 0; i < count; i++) {
    while (prod - ring->out_cons >= sizeof ring->out) {
      ring->out_prod = prod;
      wait_for_room();
    }
    ring->out[prod++ % sizeof ring->out] = bytes[i];
  }
  barrier();
  ring->out_prod = prod;
  event_notify(port);
  lock_release(&console_lock);
}

/* ring-back: the back end of a split driver; answers each request with its checksum. cmdline: peer=DOMID */
#include "ring.h"

static volatile bool asked;

static void on_event(uint32_t port) {
  (void)port;
  asked = true;
}

static uint32_t connect(uint64_t peer, struct foreign_page *mapped) {
  char path[96];
  ring_path(path, sizeof path, peer, "ring-ref");
  uint64_t gref = store_read_number(path, 0);
  ring_path(path, sizeof path, peer, "event-channel");
  uint64_t remote = store_read_number(path, 0);
  long result = grant_map((uint16_t)peer, (uint32_t)gref, mapped);
  long port = result < 0 ? result : event_bind_interdomain((uint16_t)peer, (uint32_t)remote, on_event);
  print("ring-back: gref %lu mapped at %lx, remote port %lu bound to %ld\n", gref, (uint64_t)mapped->page, remote, port);
  if (port < 0) power_off(SHUTDOWN_crash);
  return (uint32_t)port;
}

/* Answers what there is and returns how many. The slots are the peer's too: each is read once, into our own memory. */
static uint32_t answer(struct ring_page *ring, uint32_t port, uint32_t *cons) {
  uint32_t start = *cons, prod = ring->req_prod;
  barrier();
  if (prod - start > RING_SLOTS) {
    print("ring-back: the front end broke the ring\n");
    power_off(SHUTDOWN_crash);
  }
  for (; *cons != prod; ++*cons) {
    struct ring_slot *slot = &ring->slots[*cons % RING_SLOTS];
    struct ring_slot copy;
    memcpy(&copy, slot, sizeof copy);
    slot->checksum = ring_checksum(copy.data, copy.length < RING_DATA ? copy.length : RING_DATA);
  }
  barrier();
  uint32_t old = ring->rsp_prod;
  ring->rsp_prod = *cons;
  barrier();
  if (*cons != old && ring_must_notify(old, *cons, ring->rsp_event)) event_notify(port);
  return *cons - start;
}

/* Answers until the front end closes. The timer is only there to look at xenstore now and then. */
static uint32_t serve(struct ring_page *ring, uint32_t port, uint64_t peer) {
  char state[96];
  ring_path(state, sizeof state, peer, "state");
  uint32_t cons = 0;
  for (;;) {
    while (answer(ring, port, &cons)) {
    }
    ring->req_event = cons + 1;
    barrier();
    if (ring->req_prod != cons) continue;
    uint64_t seen = store_read_number(state, XENBUS_Closed);
    if (seen == XENBUS_Closing || seen == XENBUS_Closed) return cons;
    timer_set_singleshot(0, time_now() + 5000000);
    wait_for(&asked);
  }
}

void guest_main(const char *cmdline) {
  store_init();
  uint64_t self = store_read_number("domid", 0);
  uint64_t peer = cmdline_number(cmdline, "peer", self + 1);
  print("ring-back: domain %lu, front end %lu\n", self, peer);

  grants_init();
  event_bind_virq(VIRQ_TIMER, 0, on_event);
  long result = ring_publish(self, peer, "state", XENBUS_InitWait);
  if (result < 0) {
    print("ring-back: xenstore refused: %ld\n", result);
    power_off(SHUTDOWN_crash);
  }
  char path[96];
  ring_path(path, sizeof path, peer, "state");
  store_watch(path, "front");
  ring_wait_state(peer, XENBUS_Initialised, XENBUS_Connected);

  struct foreign_page mapped;
  uint32_t port = connect(peer, &mapped);
  ring_set_state(self, XENBUS_Connected);
  uint32_t answered = serve(mapped.page, port, peer);

  long unmapped = grant_unmap(&mapped);
  event_close(port);
  ring_set_state(self, XENBUS_Closed);
  print("ring-back: %u requests answered, unmapped: %ld\n", answered, unmapped);
  ring_wait_state(peer, XENBUS_Closed, XENBUS_Closed);
  print("ring-back: closed\n");
}

/* ring-front: the front end of a split driver. cmdline: peer=DOMID requests=200 */
#include "ring.h"

static struct ring_page ring __attribute__((aligned(4096)));
static volatile bool answered;

static void on_event(uint32_t port) {
  (void)port;
  answered = true;
}

static void fill(struct ring_slot *slot, uint32_t id) {
  uint32_t seed = id * 2654435761u + 12345;
  slot->id = id;
  slot->length = 1 + seed % RING_DATA;
  for (uint32_t i = 0; i < slot->length; i++) {
    seed = seed * 1664525u + 1013904223u;
    slot->data[i] = (uint8_t)(seed >> 24);
  }
  slot->checksum = 0;
}

/* Takes all answers there are; returns how many were wrong. */
static uint32_t take_answers(uint32_t *rsp_cons, uint64_t *sum) {
  uint32_t wrong = 0;
  while (*rsp_cons != ring.rsp_prod) {
    const struct ring_slot *slot = &ring.slots[*rsp_cons % RING_SLOTS];
    if (slot->id != *rsp_cons || slot->checksum != ring_checksum(slot->data, slot->length)) wrong++;
    *sum = *sum * 31 + slot->checksum;
    ++*rsp_cons;
  }
  return wrong;
}

static void run_requests(uint32_t port, uint32_t requests) {
  uint32_t prod = 0, cons = 0, wrong = 0, notified = 0;
  uint64_t sum = 0;
  while (cons < requests) {
    uint32_t old = prod;
    while (prod < requests && prod - cons < RING_SLOTS) fill(&ring.slots[prod % RING_SLOTS], prod), prod++;
    barrier();
    ring.req_prod = prod;
    barrier();
    if (prod != old && ring_must_notify(old, prod, ring.req_event)) event_notify(port), notified++;
    wrong += take_answers(&cons, &sum);
    ring.rsp_event = cons + 1;
    barrier();
    bool nothing_to_send = prod == requests || prod - cons == RING_SLOTS;
    if (nothing_to_send && cons == ring.rsp_prod && cons < requests) wait_for(&answered);
  }
  print("ring-front: %u requests, %u wrong answers, sum %016lx, %s\n", requests, wrong, sum,
        notified ? "notified" : "never notified");
}

void guest_main(const char *cmdline) {
  store_init();
  uint64_t self = store_read_number("domid", 0);
  uint64_t peer = cmdline_number(cmdline, "peer", self - 1);
  uint32_t requests = (uint32_t)cmdline_number(cmdline, "requests", 200);
  print("ring-front: domain %lu, back end %lu\n", self, peer);

  grants_init();
  ring.req_event = ring.rsp_event = 1;
  long gref = grant_offer((uint16_t)peer, &ring, false);
  long port = event_alloc_unbound((uint16_t)peer, on_event);
  print("ring-front: gref %ld, port %ld\n", gref, port);
  if (gref < 0 || port < 0) power_off(SHUTDOWN_crash);
  long result = ring_publish(self, peer, "ring-ref", (uint64_t)gref);
  if (result >= 0) result = ring_publish(self, peer, "event-channel", (uint64_t)port);
  if (result >= 0) result = ring_publish(self, peer, "state", XENBUS_Initialised);
  if (result < 0) {
    print("ring-front: xenstore refused: %ld\n", result);
    power_off(SHUTDOWN_crash);
  }

  char path[96];
  ring_path(path, sizeof path, peer, "state");
  store_watch(path, "back");
  if (ring_wait_state(peer, XENBUS_Connected, XENBUS_Closed) == XENBUS_Closed) {
    print("ring-front: the back end closed\n");
    power_off(SHUTDOWN_crash);
  }
  ring_set_state(self, XENBUS_Connected);
  print("ring-front: connected\n");
  run_requests((uint32_t)port, requests);

  ring_set_state(self, XENBUS_Closing);
  ring_wait_state(peer, XENBUS_Closed, XENBUS_Closed);
  bool withdrawn = grant_withdraw((uint32_t)gref);
  event_close((uint32_t)port);
  print("ring-front: closed, grant %s\n", withdrawn ? "withdrawn" : "STILL MAPPED");
  ring_set_state(self, XENBUS_Closed);
}

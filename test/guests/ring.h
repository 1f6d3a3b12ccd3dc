/*
 * What ring-front and ring-back agree on.
 *
 * The page: four indices, then 32 slots that hold a request and later, in its place, the answer.
 *
 *   0        4           8        12           64                    64 + 32 * 64
 *   +--------+-----------+--------+-----------+-----+---------------+
 *   |req_prod| req_event |rsp_prod| rsp_event |     | slots         |
 *   +--------+-----------+--------+-----------+-----+---------------+
 *
 * As in io/ring.h, X_event is the index whose producing the consumer wants to be told of.
 *
 * In xenstore each end writes below /local/domain/ID/data/rexen-ring/0, where an ordinary domain may write:
 * `state` (enum xenbus_state), and the front end `ring-ref` and `event-channel`.
 */
#ifndef REXEN_RING_H
#define REXEN_RING_H

#include "lib/guest.h"

#define RING_SLOTS 32u
#define RING_DATA 48u

struct ring_slot {
  uint32_t id, length;
  uint64_t checksum; /* the answer */
  uint8_t data[RING_DATA];
};
struct ring_page {
  volatile uint32_t req_prod, req_event, rsp_prod, rsp_event;
  uint8_t pad[48];
  struct ring_slot slots[RING_SLOTS];
};

/* Fletcher's sum, which depends on the order of the bytes. */
static inline uint64_t ring_checksum(const uint8_t *bytes, uint32_t length) {
  uint32_t a = 1, b = 0;
  for (uint32_t i = 0; i < length; i++) {
    a = (a + bytes[i]) % 65521;
    b = (b + a) % 65521;
  }
  return (uint64_t)b << 32 | a;
}

/* True if the index moved past `event`: io/ring.h's test for whether to notify. */
static inline bool ring_must_notify(uint32_t old_prod, uint32_t new_prod, uint32_t event) {
  return new_prod - event < new_prod - old_prod;
}

static inline void ring_path(char *out, size_t size, uint64_t domain, const char *leaf) {
  format_to(out, size, "/local/domain/%lu/data/rexen-ring/0/%s", domain, leaf);
}

/* Makes one of our keys with a value, readable by the peer. */
static inline long ring_publish(uint64_t self, uint64_t peer, const char *leaf, uint64_t value) {
  char path[96], owner[16], reader[16];
  ring_path(path, sizeof path, self, leaf);
  format_to(owner, sizeof owner, "n%lu", self);
  format_to(reader, sizeof reader, "r%lu", peer);
  long result = store_write_number(path, value);
  return result < 0 ? result : store_set_perms(path, owner, reader);
}

static inline void ring_set_state(uint64_t self, enum xenbus_state state) {
  char path[96];
  ring_path(path, sizeof path, self, "state");
  store_write_number(path, state);
}

/* Waits until the peer's state is one of two; a peer that is gone counts as closed. The peer's state must be watched. */
static inline enum xenbus_state ring_wait_state(uint64_t peer, enum xenbus_state one, enum xenbus_state other) {
  char path[96], fired[96];
  ring_path(path, sizeof path, peer, "state");
  bool seen = false;
  for (;;) {
    char text[8];
    long length = store_read(path, text, sizeof text);
    enum xenbus_state state = length > 0 ? (enum xenbus_state)text_number(text) : XENBUS_Unknown;
    if (length == -XEN_ENOENT && (seen || one == XENBUS_Closed)) state = XENBUS_Closed;
    if (state != XENBUS_Unknown) seen = true;
    if (state == one || state == other || (seen && state == XENBUS_Closed)) return state;
    store_wait_watch(fired, sizeof fired);
  }
}

#endif

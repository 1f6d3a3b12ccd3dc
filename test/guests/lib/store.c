/*
 * A client of xenstore over its ring (io/xs_wire.h). One request at a time; watch events that arrive in between are
 * kept. Must be used by one vcpu only.
 */
#include "guest.h"

#define MAX_WATCHES 16
#define MAX_PAYLOAD 1024
#define RING_SIZE 1024u

static volatile struct store_ring *ring;
static uint32_t port;
static uint32_t next_request = 1;
uint32_t store_transaction;
static char watches[MAX_WATCHES][128]; /* paths of watch events not taken yet */
static unsigned nr_watches;
static char payload[MAX_PAYLOAD + 1];

/* xenstore names errors; these are the ones a client meets (xs_wire.h, xsd_errors). */
static const struct {
  const char *name;
  int number;
} errors[] = {{"EINVAL", 22}, {"EACCES", 13}, {"EEXIST", 17}, {"EISDIR", 21}, {"ENOENT", 2}, {"ENOMEM", 12}, {"ENOSPC", 28},
              {"EIO", 5}, {"ENOTEMPTY", 39}, {"ENOSYS", 38}, {"EROFS", 30}, {"EBUSY", 16}, {"EAGAIN", 11}, {"EISCONN", 106},
              {"E2BIG", 7}, {"EPERM", 1}};

bool store_init(void) {
  uint64_t pfn = hvm_param(HVM_PARAM_STORE_PFN);
  port = (uint32_t)hvm_param(HVM_PARAM_STORE_EVTCHN);
  ring = (void *)(pfn * PAGE_SIZE);
  return pfn && port;
}

static void wait_while(bool (*blocked)(void)) {
  while (blocked()) {
    event_take(port);
    barrier();
    if (blocked()) event_poll(port, 0);
  }
}

static bool no_room(void) { return ring->req_prod - ring->req_cons == RING_SIZE; }
static bool no_data(void) { return ring->rsp_prod == ring->rsp_cons; }

static void send(const void *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (no_room()) event_notify(port);
    wait_while(no_room);
    ring->req[ring->req_prod % RING_SIZE] = ((const char *)bytes)[i];
    barrier();
    ring->req_prod++;
  }
}

static void receive(void *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    bool was_full = ring->rsp_prod - ring->rsp_cons == RING_SIZE;
    wait_while(no_data);
    ((char *)bytes)[i] = ring->rsp[ring->rsp_cons % RING_SIZE];
    barrier();
    ring->rsp_cons++;
    if (was_full) event_notify(port);
  }
}

/* Reads one message; its payload lands in `payload`, cut at its size and closed with a zero. */
static struct store_header receive_message(void) {
  struct store_header header;
  receive(&header, sizeof header);
  size_t keep = header.len < MAX_PAYLOAD ? header.len : MAX_PAYLOAD;
  receive(payload, keep);
  for (size_t i = keep; i < header.len; i++) {
    char dropped;
    receive(&dropped, 1);
  }
  payload[keep] = 0;
  if (header.type == XS_WATCH_EVENT && nr_watches < MAX_WATCHES)
    format_to(watches[nr_watches++], sizeof watches[0], "%s", payload);
  return header;
}

static long error_number(const char *name) {
  for (unsigned i = 0; i < sizeof errors / sizeof errors[0]; i++)
    if (text_equal(errors[i].name, name)) return -errors[i].number;
  return -XEN_EINVAL;
}

struct part {
  const char *text;
  size_t length;
};

/* Sends the parts as one request and waits for its answer: its payload's length or -errno. */
static long request(uint32_t type, const struct part *parts, unsigned nr_parts) {
  struct store_header header = {type, next_request++, store_transaction, 0};
  for (unsigned i = 0; i < nr_parts; i++) header.len += (uint32_t)parts[i].length;
  send(&header, sizeof header);
  for (unsigned i = 0; i < nr_parts; i++) send(parts[i].text, parts[i].length);
  event_notify(port);
  for (;;) {
    struct store_header answer = receive_message();
    if (answer.type == XS_WATCH_EVENT || answer.req_id != header.req_id) continue;
    return answer.type == XS_ERROR ? error_number(payload) : (long)answer.len;
  }
}

static long request_path(uint32_t type, const char *path) {
  struct part part = {path, strlen(path) + 1};
  return request(type, &part, 1);
}

long store_read(const char *path, char *out, size_t size) {
  long length = request_path(XS_READ, path);
  if (length < 0) return length;
  format_to(out, size, "%s", payload);
  return length;
}

uint64_t store_read_number(const char *path, uint64_t otherwise) {
  return request_path(XS_READ, path) > 0 ? text_number(payload) : otherwise;
}

long store_write(const char *path, const char *value) {
  struct part parts[2] = {{path, strlen(path) + 1}, {value, strlen(value)}};
  return request(XS_WRITE, parts, 2);
}

long store_write_number(const char *path, uint64_t value) {
  char text[24];
  format_to(text, sizeof text, "%lu", value);
  return store_write(path, text);
}

long store_remove(const char *path) { return request_path(XS_RM, path); }

/* Permissions such as "n3" (owner 3, others nothing) and "r4" (domain 4 may read). */
long store_set_perms(const char *path, const char *owner, const char *other) {
  struct part parts[3] = {{path, strlen(path) + 1}, {owner, strlen(owner) + 1}, {other, strlen(other) + 1}};
  return request(XS_SET_PERMS, parts, 3);
}

long store_watch(const char *path, const char *token) {
  struct part parts[2] = {{path, strlen(path) + 1}, {token, strlen(token) + 1}};
  return request(XS_WATCH, parts, 2);
}

/* Waits for the next watch event and gives its path. */
void store_wait_watch(char *path, size_t size) {
  while (nr_watches == 0) receive_message();
  format_to(path, size, "%s", watches[0]);
  nr_watches--;
  for (unsigned i = 0; i < nr_watches; i++) memcpy(watches[i], watches[i + 1], sizeof watches[0]);
}

long store_transaction_start(void) {
  long result = request_path(XS_TRANSACTION_START, "");
  return result < 0 ? result : (long)text_number(payload);
}

long store_transaction_end(uint32_t transaction, bool commit) {
  uint32_t outer = store_transaction;
  store_transaction = transaction;
  long result = request_path(XS_TRANSACTION_END, commit ? "T" : "F");
  store_transaction = outer;
  return result;
}

/* spinner: two vcpus count together, with LOCK and without, and send each other events. cmdline: rounds=100000 ipis=100 */
#include "lib/guest.h"

static volatile uint64_t locked, plain;
static uint64_t rounds, ipis;
static volatile bool done[2], start;
static uint32_t ping_port, pong_port;
static volatile uint64_t pings, pongs;
static volatile bool pong_came;

static void count(void) {
  for (uint64_t i = 0; i < rounds; i++) {
    __asm__ volatile("lock incq %0" : "+m"(locked));
    /* three instructions, so another vcpu can come between them */
    uint64_t value = plain;
    __asm__ volatile("inc %0" : "+r"(value));
    plain = value;
  }
}

static void on_ping(uint32_t port) {
  (void)port;
  pings++;
  event_notify(pong_port);
}

static void on_pong(uint32_t port) {
  (void)port;
  pongs++;
  pong_came = true;
}

static void second(unsigned vcpu) {
  print("spinner: vcpu %u is up\n", vcpu);
  while (!start) cpu_pause();
  count();
  done[1] = true;
  for (;;) cpu_halt(); /* on_ping does the rest */
}

void guest_main(const char *cmdline) {
  rounds = cmdline_number(cmdline, "rounds", 100000);
  ipis = cmdline_number(cmdline, "ipis", 100);
  long ping = event_bind_ipi(1, on_ping), pong = event_bind_ipi(0, on_pong);
  long started = vcpu_start(1, second);
  print("spinner: ports %ld and %ld, vcpu 1 started: %ld\n", ping, pong, started);
  if (ping < 0 || pong < 0 || started < 0) power_off(SHUTDOWN_crash);
  ping_port = (uint32_t)ping;
  pong_port = (uint32_t)pong;

  start = true;
  count();
  done[0] = true;
  while (!done[1]) HYPERCALL2(sched_op, SCHEDOP_yield, 0);
  print("spinner: with LOCK %lu of %lu\n", locked, 2 * rounds);
  print("spinner: without %lu, %lu lost\n", plain, 2 * rounds - plain);

  for (uint64_t i = 0; i < ipis; i++) {
    event_notify(ping_port);
    wait_for(&pong_came);
  }
  print("spinner: %lu events to vcpu 1, %lu back\n", pings, pongs);
  print("spinner: %s\n", locked == 2 * rounds && pings == ipis && pongs == ipis ? "passed" : "FAILED");
}

/* ticker: timer events at fixed virtual times, HLT in between. cmdline: ticks=200 period_ms=10 */
#include "lib/guest.h"

static volatile bool fired;

static void on_timer(uint32_t port) {
  (void)port;
  fired = true;
}

void guest_main(const char *cmdline) {
  uint64_t ticks = cmdline_number(cmdline, "ticks", 200);
  uint64_t period_ns = cmdline_number(cmdline, "period_ms", 10) * 1000000;
  long port = event_bind_virq(VIRQ_TIMER, 0, on_timer);
  print("ticker: timer on port %ld\n", port);
  if (port < 0) power_off(SHUTDOWN_crash);

  uint64_t start = time_now(), worst_ns = 0;
  for (uint64_t tick = 1; tick <= ticks; tick++) {
    uint64_t deadline = start + tick * period_ns;
    /* both ways to ask for the same event, in turn */
    long result = tick & 1 ? timer_set_singleshot(0, deadline) : timer_set(deadline);
    if (result < 0) print("ticker: timer refused: %ld\n", result);
    wait_for(&fired);
    uint64_t now = time_now();
    if (now < deadline) print("ticker: tick %lu came %lu ns early\n", tick, deadline - now);
    else if (now - deadline > worst_ns) worst_ns = now - deadline;
    print("tick %lu at %lu ms\n", tick, (now - start) / 1000000);
  }
  print("ticker: %lu ticks, at most %lu us late\n", ticks, worst_ns / 1000);
}

/*
 * race: two vcpus sell tickets from one counter, and nobody locks it. Almost every run goes well: a vcpu that has read
 * the counter must lose the processor before it has written it, two or three instructions in tens of thousands. Then
 * the other one's sales are undone by the late store, the next ticket is sold twice, and the check that finds it ends
 * the domain as crashed. cmdline: rounds=160 work=500 jitter=1; jitter varies the work between sales
 */
#include "lib/guest.h"

#define VCPUS 2
#define TICKETS_MAX 4096

volatile uint64_t next_ticket;
volatile uint8_t sold_by[TICKETS_MAX]; /* 0: not sold, else vcpu + 1 */
static uint64_t rounds, work;
static volatile bool start, done[VCPUS];
static volatile uint64_t sink[VCPUS];

static uint64_t random_step(uint64_t value) { return value * 6364136223846793005ull + 1442695040888963407ull; }

static uint64_t work_a_while(unsigned vcpu, uint64_t random) {
  uint64_t steps = work + (random >> 33) % (work / 2 + 1);
  for (uint64_t i = 0; i < steps; i++) random = random_step(random);
  sink[vcpu] = random;
  return random;
}

__attribute__((noinline, noreturn)) static void sold_twice(unsigned vcpu, uint64_t ticket) {
  print("race: ticket %lu was sold by vcpu %u and by vcpu %u\n", ticket, sold_by[ticket] - 1u, vcpu);
  power_off(SHUTDOWN_crash);
}

__attribute__((noinline)) static uint64_t sell(void) {
  uint64_t ticket = next_ticket;
  next_ticket = ticket + 1; /* what the other vcpu sold in between is undone */
  return ticket;
}

__attribute__((noinline)) static void check(unsigned vcpu, uint64_t ticket) {
  if (sold_by[ticket]) sold_twice(vcpu, ticket);
  sold_by[ticket] = (uint8_t)(vcpu + 1);
}

static void run(unsigned vcpu, uint64_t random) {
  for (uint64_t round = 0; round < rounds; round++) {
    random = work_a_while(vcpu, random);
    check(vcpu, sell());
  }
  done[vcpu] = true;
}

static uint64_t seed;

static void second(unsigned vcpu) {
  while (!start) cpu_pause();
  run(vcpu, random_step(seed + 1));
}

void guest_main(const char *cmdline) {
  rounds = cmdline_number(cmdline, "rounds", 160);
  work = cmdline_number(cmdline, "work", 500);
  seed = random_step(cmdline_number(cmdline, "jitter", 1));
  if (rounds > TICKETS_MAX / VCPUS) rounds = TICKETS_MAX / VCPUS;
  long started = vcpu_start(1, second);
  if (started < 0) {
    print("race: no second vcpu: %ld\n", started);
    power_off(SHUTDOWN_crash);
  }
  start = true;
  run(0, seed);
  while (!done[1]) HYPERCALL2(sched_op, SCHEDOP_yield, 0);
  if (next_ticket != VCPUS * rounds) {
    print("race: %lu tickets counted, %lu sold\n", next_ticket, VCPUS * rounds);
    power_off(SHUTDOWN_crash);
  }
  print("race: %lu tickets, each sold once\n", next_ticket);
}

/*
 * race: two vcpus take nodes from one free list and give them back, and nobody locks it. Almost every run goes well:
 * the window is a handful of instructions in thousands, and the processors must take turns just there. Then one node
 * has two owners, one of them clears what the other still uses, and the domain dies by a call through a null pointer,
 * long after the deed. cmdline: rounds=40 work=2000
 */
#include "lib/guest.h"

#define NODES 8

struct node {
  struct node *next;
  void (*use)(struct node *node);
  unsigned owner, uses;
};
static struct node nodes[NODES];
static struct node *volatile free_list;
static uint64_t rounds, work;
static volatile bool start, done[2];
static volatile uint64_t sink;

static void use(struct node *node) { node->uses++; }

static struct node *take(unsigned vcpu) {
  struct node *node = free_list;
  if (!node) return 0;
  free_list = node->next; /* the other vcpu may have taken it in between */
  node->owner = vcpu + 1;
  node->use = use;
  return node;
}

static void give_back(struct node *node) {
  node->owner = 0;
  node->use = 0;
  node->next = free_list;
  free_list = node;
}

static void work_a_while(uint64_t seed) {
  for (uint64_t i = 0; i < work; i++) seed = seed * 6364136223846793005ull + 1442695040888963407ull;
  sink = seed;
}

static void run(unsigned vcpu) {
  for (uint64_t round = 0; round < rounds; round++) {
    struct node *node = take(vcpu);
    work_a_while(round * 2 + vcpu);
    if (!node) continue;
    node->use(node);
    give_back(node);
    work_a_while(round);
  }
  done[vcpu] = true;
}

static void second(unsigned vcpu) {
  while (!start) cpu_pause();
  run(vcpu);
}

void guest_main(const char *cmdline) {
  rounds = cmdline_number(cmdline, "rounds", 40);
  work = cmdline_number(cmdline, "work", 2000);
  for (unsigned i = 0; i < NODES; i++) give_back(&nodes[i]);
  long started = vcpu_start(1, second);
  if (started < 0) {
    print("race: no second vcpu: %ld\n", started);
    power_off(SHUTDOWN_crash);
  }
  start = true;
  run(0);
  while (!done[1]) HYPERCALL2(sched_op, SCHEDOP_yield, 0);
  unsigned uses = 0, listed = 0;
  for (struct node *node = free_list; node && listed <= NODES; node = node->next) listed++;
  for (unsigned i = 0; i < NODES; i++) uses += nodes[i].uses;
  print("race: %u uses of %lu, %u nodes of %u in the list\n", uses, 2 * rounds, listed, NODES);
  print("race: %s\n", uses == 2 * rounds && listed == NODES ? "no harm done" : "A NODE WAS LOST");
}

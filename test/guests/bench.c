/*
 * bench: loops for measuring the processor and the hypervisor. cmdline: loop=NAME iterations=N; without loop, all.
 * Each prints a line when it starts and one when it is done, with the ticks between by the time stamp counter.
 *
 *   alu        9 instructions with a load and a store, a working set of 8 KiB
 *   sort       fills, sorts and hashes 4,096 words
 *   chase      pointers in random order over 512 KiB, with branches nobody can foresee
 *   hypercall  xen_version, the round trip that does nothing
 */
#include "lib/guest.h"

#define WORDS 4096u
#define NODES 8192u

static uint64_t words[WORDS];
struct node {
  struct node *next;
  uint64_t value, pad[6];
};
static struct node nodes[NODES];

static uint64_t seed;
static uint64_t random_word(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

static uint64_t alu(uint64_t iterations) {
  uint64_t count = iterations, index = 0, hash = 0, value;
  __asm__ volatile(
      "1: mov (%[words],%[index],8), %[value]\n"
      "add %[count], %[value]\n"
      "xor %[value], %[hash]\n"
      "rol $5, %[hash]\n"
      "mov %[value], (%[words],%[index],8)\n"
      "inc %[index]\n"
      "and $1023, %[index]\n"
      "dec %[count]\n"
      "jnz 1b"
      : [count] "+r"(count), [index] "+r"(index), [hash] "+r"(hash), [value] "=&r"(value)
      : [words] "r"(words)
      : "memory", "cc");
  return hash;
}

static void sort_words(void) {
  for (unsigned gap = WORDS / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
    for (unsigned i = gap; i < WORDS; i++) {
      uint64_t value = words[i];
      unsigned j = i;
      for (; j >= gap && words[j - gap] > value; j -= gap) words[j] = words[j - gap];
      words[j] = value;
    }
}

static uint64_t sort(uint64_t iterations) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (uint64_t i = 0; i < iterations; i++) {
    seed = i + 1;
    for (unsigned k = 0; k < WORDS; k++) words[k] = random_word();
    sort_words();
    const uint8_t *bytes = (const uint8_t *)words;
    for (unsigned k = 0; k < sizeof words; k++) hash = (hash ^ bytes[k]) * 0x100000001b3ull;
  }
  return hash;
}

static void link_nodes(void) {
  static uint16_t order[NODES];
  seed = 88172645463325252ull;
  for (unsigned i = 0; i < NODES; i++) order[i] = (uint16_t)i;
  for (unsigned i = NODES - 1; i > 0; i--) {
    unsigned j = (unsigned)(random_word() % (i + 1));
    uint16_t swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  for (unsigned i = 0; i < NODES; i++) {
    nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
    nodes[order[i]].value = random_word();
  }
}

static uint64_t chase(uint64_t iterations) {
  link_nodes();
  struct node *at = nodes;
  uint64_t sum = 0;
  for (uint64_t i = 0; i < iterations; i++) {
    if (at->value & 1) sum += at->value >> 3;
    else if (at->value & 2) sum ^= at->value;
    else sum -= i;
    if (sum & 64) at->value += sum;
    at = at->next;
  }
  return sum;
}

static uint64_t hypercalls(uint64_t iterations) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < iterations; i++) sum += (uint64_t)HYPERCALL2(xen_version, XENVER_version, 0);
  return sum;
}

static const struct {
  const char *name;
  uint64_t (*run)(uint64_t iterations);
  uint64_t iterations;
} loops[] = {{"alu", alu, 10000000}, {"sort", sort, 50}, {"chase", chase, 5000000}, {"hypercall", hypercalls, 100000}};

static bool wanted(const char *cmdline, const char *name) {
  for (const char *at = cmdline; *at; at++) {
    if (at[0] != 'l' || at[1] != 'o' || at[2] != 'o' || at[3] != 'p' || at[4] != '=') continue;
    const char *word = at + 5;
    while (*name && *word == *name) word++, name++;
    return *name == 0 && (*word == 0 || *word == ' ');
  }
  return true;
}

void guest_main(const char *cmdline) {
  for (unsigned i = 0; i < sizeof loops / sizeof loops[0]; i++) {
    if (!wanted(cmdline, loops[i].name)) continue;
    uint64_t iterations = cmdline_number(cmdline, "iterations", loops[i].iterations);
    print("bench %s start %lu\n", loops[i].name, iterations);
    uint64_t start = cpu_tsc();
    uint64_t result = loops[i].run(iterations);
    uint64_t ticks = cpu_tsc() - start;
    print("bench %s done %lu ticks %lu result %016lx\n", loops[i].name, iterations, ticks, result);
  }
}

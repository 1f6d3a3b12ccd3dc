/*
 * The three compute loops of test/guests/bench.c in 32 bits. Talks through the first serial port's data register, without
 * looking at its state: 'S' when a loop starts, then 'D' and the result in 8 hex digits when it is done.
 */
typedef unsigned int u32;

extern volatile u32 parameters[2];

#define WORDS 4096u
#define NODES 8192u

static u32 words[WORDS];
struct node {
  struct node *next;
  u32 value, pad[6];
};
static struct node nodes[NODES];

static u32 seed;
static u32 random_word(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

static u32 alu(u32 count) {
  u32 index = 0, hash = 0, value;
  __asm__ volatile(
      "1: mov (%[words],%[index],4), %[value]\n"
      "add %[count], %[value]\n"
      "xor %[value], %[hash]\n"
      "rol $5, %[hash]\n"
      "mov %[value], (%[words],%[index],4)\n"
      "inc %[index]\n"
      "and $1023, %[index]\n"
      "dec %[count]\n"
      "jnz 1b"
      : [count] "+r"(count), [index] "+r"(index), [hash] "+r"(hash), [value] "=&r"(value)
      : [words] "r"(words)
      : "memory", "cc");
  return hash;
}

static u32 sort(u32 iterations) {
  u32 hash = 0x811c9dc5u;
  for (u32 i = 0; i < iterations; i++) {
    seed = i + 1;
    for (u32 k = 0; k < WORDS; k++) words[k] = random_word();
    for (u32 gap = WORDS / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
      for (u32 a = gap; a < WORDS; a++) {
        u32 value = words[a], b = a;
        for (; b >= gap && words[b - gap] > value; b -= gap) words[b] = words[b - gap];
        words[b] = value;
      }
    const unsigned char *bytes = (const unsigned char *)words;
    for (u32 k = 0; k < sizeof words; k++) hash = (hash ^ bytes[k]) * 0x01000193u;
  }
  return hash;
}

static u32 chase(u32 iterations) {
  static unsigned short order[NODES];
  seed = 88172645u;
  for (u32 i = 0; i < NODES; i++) order[i] = (unsigned short)i;
  for (u32 i = NODES - 1; i > 0; i--) {
    u32 j = random_word() % (i + 1);
    unsigned short swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  for (u32 i = 0; i < NODES; i++) {
    nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
    nodes[order[i]].value = random_word();
  }
  struct node *at = nodes;
  u32 sum = 0;
  for (u32 i = 0; i < iterations; i++) {
    if (at->value & 1) sum += at->value >> 3;
    else if (at->value & 2) sum ^= at->value;
    else sum -= i;
    if (sum & 64) at->value += sum;
    at = at->next;
  }
  return sum;
}

static void say(unsigned char c) { __asm__ volatile("outb %0, %w1" : : "a"(c), "d"(0x3f8)); }

void image_main(void) {
  u32 (*const loops[])(u32) = {alu, sort, chase};
  say('S');
  u32 result = loops[parameters[0] % 3](parameters[1]);
  say('D');
  for (int shift = 28; shift >= 0; shift -= 4) say("0123456789abcdef"[(result >> shift) & 15]);
  say('\n');
}

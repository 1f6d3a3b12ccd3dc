/* crash: jumps through a null pointer, deep enough to have a stack to look at; the domain ends as crashed. */
#include "lib/guest.h"

struct operations {
  void (*open)(int depth);
  void (*close)(int depth);
};

static struct operations operations;

__attribute__((noinline)) static void descend(int depth) {
  if (depth == 0) operations.close(depth);
  else descend(depth - 1);
  __asm__ volatile("" ::: "memory");
}

static void open(int depth) { print("crash: open at depth %d\n", depth); }

void guest_main(const char *cmdline) {
  (void)cmdline;
  operations.open = open; /* and nobody sets close */
  operations.open(0);
  print("crash: closing\n");
  descend(3);
  print("crash: still here\n");
}

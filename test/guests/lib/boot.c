/* The way from boot.S to guest_main. */
#include "guest.h"

const struct start_info *start_info;

__attribute__((noreturn, used)) void boot_main(const struct start_info *info) {
  start_info = info;
  hypercalls_init();
  traps_init();
  traps_load(0);
  events_init();
  console_init();
  const char *cmdline = info->cmdline_paddr ? (const char *)info->cmdline_paddr : "";
  cpu_enable();
  guest_main(cmdline);
  power_off(SHUTDOWN_poweroff);
}

__attribute__((noreturn)) void power_off(uint32_t reason) {
  struct sched_shutdown shutdown = {reason};
  for (;;) HYPERCALL2(sched_op, SCHEDOP_shutdown, &shutdown);
}

/* The number after `key=` in the command line. */
uint64_t cmdline_number(const char *cmdline, const char *key, uint64_t otherwise) {
  size_t length = strlen(key);
  for (const char *at = cmdline; *at; at++) {
    if (at != cmdline && at[-1] != ' ') continue;
    size_t i = 0;
    while (i < length && at[i] == key[i]) i++;
    if (i == length && at[i] == '=') return text_number(at + i + 1);
  }
  return otherwise;
}

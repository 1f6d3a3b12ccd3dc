/*
 * system-vcpus: what only shows with another vcpu or an NMI: code that one vcpu changes while the other executes it, on one page
 * and over the end of one, and that NMIs wait for IRET. With vcpus = 2.
 */
#include "system/machine.h"

#define ROUNDS 500
#define VCPUOP_SEND_NMI 11
#define NMI 2

/* Two pages of code: functions of "mov eax, imm32; ret" at the start, and with the immediate over the end of the first. */
static uint8_t code[2][4096] __attribute__((aligned(4096)));
typedef uint32_t function(void);

static volatile enum { IDLE, CALL, LOOP, SLEEP } order;
static function *volatile callee;
static volatile uint32_t result;
static volatile bool ready;
static volatile uint64_t nmis[2], depth, deepest;
static volatile unsigned resend;
static volatile bool breaks;

static uint8_t *function_at(unsigned offset) {
  uint8_t *at = &code[0][offset];
  at[0] = 0xb8;
  at[5] = 0xc3;
  return at;
}

static void wait_until_idle(void) {
  while (order != IDLE) HYPERCALL2(sched_op, SCHEDOP_yield, 0);
}

/* The other vcpu: does what it is told. */
static void second(unsigned vcpu) {
  (void)vcpu;
  ready = true;
  for (;;) {
    while (order == IDLE) cpu_pause();
    if (order == CALL) {
      /* As the manuals ask of whoever executes what another has written. */
      uint32_t r[4];
      cpuid(0, r);
      result = callee();
    } else if (order == LOOP) result = callee();
    else cpu_halt();
    order = IDLE;
  }
}

/* Calls the function at `offset` on the other vcpu after each change. */
static bool follows_changes(unsigned offset) {
  volatile uint8_t *at = function_at(offset);
  callee = (function *)(uint64_t)at;
  for (uint32_t round = 1; round <= ROUNDS; round++) {
    const uint32_t value = round * 0x01010101u;
    for (unsigned i = 0; i < 4; i++) at[1 + i] = (uint8_t)(value >> 8 * i);
    order = CALL;
    wait_until_idle();
    if (result != value) return false;
  }
  return true;
}

static void changed_code(void) {
  check("code that another vcpu changes is executed as it is now", follows_changes(0));
  check("  also where it lies over the end of a page", follows_changes(4096 - 3));
  /* 1: pause; jmp 1b; then mov eax, 7; ret. The jump becomes one to the next instruction. */
  static const uint8_t loop[] = {0xf3, 0x90, 0xeb, 0xfc, 0xb8, 7, 0, 0, 0, 0xc3};
  memcpy(&code[0][64], loop, sizeof loop);
  callee = (function *)(uint64_t)&code[0][64];
  order = LOOP;
  for (unsigned i = 0; i < 20; i++) HYPERCALL2(sched_op, SCHEDOP_yield, 0);
  check("a vcpu in a loop", order == LOOP);
  *(volatile uint8_t *)&code[0][67] = 0;
  wait_until_idle();
  check("  leaves it when another changes its jump", result == 7);
}

static long send_nmi(unsigned vcpu) { return HYPERCALL3(vcpu_op, VCPUOP_SEND_NMI, vcpu, 0); }

static void on_nmi(struct frame *frame) {
  (void)frame;
  depth++;
  if (depth > deepest) deepest = depth;
  nmis[this_vcpu()]++;
  for (; resend > 0; resend--) send_nmi(0);
  /* The IRET of any handler lets NMIs in again, also within this one. */
  if (breaks) {
    breaks = false;
    __asm__ volatile("int3");
  }
  depth--;
}
static void on_breakpoint(struct frame *frame) { (void)frame; }

static void reset_nmis(void) {
  nmis[0] = nmis[1] = depth = deepest = 0;
  breaks = false;
  resend = 0;
}

static void nmi_cases(void) {
  trap_handlers[NMI] = on_nmi;
  trap_handlers[3] = on_breakpoint;
  reset_nmis();
  __asm__ volatile("cli");
  const long sent = send_nmi(0);
  __asm__ volatile("nop; nop");
  check("an NMI comes although IF is 0", sent == 0 && nmis[0] == 1);
  reset_nmis();
  resend = 3;
  send_nmi(0);
  __asm__ volatile("nop; nop");
  check("three more from its handler are one more", nmis[0] == 2);
  check("  after its IRET", deepest == 1);
  reset_nmis();
  resend = 1;
  breaks = true;
  send_nmi(0);
  __asm__ volatile("nop; nop");
  check("an IRET within the handler lets the next one in", nmis[0] == 2 && deepest == 2);
  __asm__ volatile("sti");
  reset_nmis();
  order = SLEEP;
  for (unsigned i = 0; i < 20; i++) HYPERCALL2(sched_op, SCHEDOP_yield, 0);
  check("a halted vcpu", order == SLEEP);
  send_nmi(1);
  wait_until_idle();
  check("  is woken by an NMI", nmis[1] == 1 && nmis[0] == 0);
}

void guest_main(const char *cmdline) {
  (void)cmdline;
  const long started = vcpu_start(1, second);
  check("another vcpu starts", started >= 0);
  if (started >= 0) {
    while (!ready) HYPERCALL2(sched_op, SCHEDOP_yield, 0);
    changed_code();
    nmi_cases();
  }
  finish("system-vcpus");
}

/*
 * faults: makes the processor raise every exception that 64-bit code can make it raise, in ring 0 and ring 3, and
 * checks vector, error code, CR2 and where the frame points. Prints a line a case, and `faults: all N passed`.
 */
#include "faults/faults.h"

volatile struct seen seen;
volatile uint64_t resume_rip, resume_rsp, attempt_start, attempt_end;
static unsigned cases, failures;

/* Notes what came and goes on after the attempt, in ring 0, whatever mode the attempt was in. */
static void on_trap(struct frame *frame) {
  uint64_t cr2, dr6;
  __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
  __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
  seen = (struct seen){true, frame->vector, frame->error, frame->rip, frame->cs, frame->rflags, frame->rcx, cr2, dr6};
  frame->rip = resume_rip;
  frame->rsp = resume_rsp;
  frame->cs = SEL_CODE64;
  frame->ss = SEL_DATA;
  frame->rflags = 0x202;
}

void check(const char *name, bool right) {
  cases++;
  if (!right) failures++;
  print("%s %u %s\n", right ? "ok" : "NOT OK", cases, name);
}

static void compare(const char *name, uint64_t vector, uint64_t error, enum where where, bool with_cr2, uint64_t cr2) {
  uint64_t rip = where == AT_START ? attempt_start : where == AT_END ? attempt_end : seen.rip;
  bool right = seen.trapped && seen.vector == vector && seen.error == error && seen.rip == rip && (!with_cr2 || seen.cr2 == cr2);
  check(name, right);
  if (right) return;
  if (!seen.trapped) print("  nothing came; wanted vector %lu, error %lx\n", vector, error);
  else print("  came: vector %lu, error %lx, at %lx, cr2 %lx\n  wanted: vector %lu, error %lx, at %lx, cr2 %lx\n", seen.vector,
             seen.error, seen.rip, seen.cr2, vector, error, rip, with_cr2 ? cr2 : seen.cr2);
}

void expect(const char *name, uint64_t vector, uint64_t error, enum where where) {
  compare(name, vector, error, where, false, 0);
}

void expect_page(const char *name, uint64_t error, enum where where, uint64_t cr2) {
  compare(name, 14, error, where, true, cr2);
}

void guest_main(const char *cmdline) {
  (void)cmdline;
  cpu_disable();
  for (unsigned vector = 0; vector < 256; vector++)
    if (vector != EVENT_VECTOR) trap_handlers[vector] = on_trap;
  pages_init();
  integer_cases();
  debug_cases();
  segment_cases();
  control_cases();
  float_cases();
  page_cases();
  user_cases();
  if (failures) print("faults: %u of %u FAILED\n", failures, cases);
  else print("faults: all %u passed\n", cases);
}

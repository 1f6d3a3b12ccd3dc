/*
 * One attempt is a piece of code that should trap. ATTEMPT notes where it starts and where to go on; the trap handler
 * notes what came, and goes on there. `expect` then compares and prints the case's line.
 */
#ifndef REXEN_FAULTS_H
#define REXEN_FAULTS_H

#include "../lib/guest.h"

struct seen {
  bool trapped;
  uint64_t vector, error, rip, cs, rflags, rcx, cr2, dr6;
};
extern volatile struct seen seen;
extern volatile uint64_t resume_rip, resume_rsp, attempt_start, attempt_end;

/*
 * Runs `code`, which finds its operands in RAX, RCX and RDX. A fault should report its start (label 2), a trap its end
 * (label 3). Code whose first instruction is not the one that faults says where with FAULTS_HERE.
 */
#define ATTEMPT_WITH(code, a_, c_, d_)                                                                              \
  do {                                                                                                              \
    uint64_t a = (uint64_t)(a_), c = (uint64_t)(c_), d = (uint64_t)(d_);                                            \
    seen.trapped = false;                                                                                           \
    __asm__ volatile("movq $1f, resume_rip\n movq $2f, attempt_start\n movq $3f, attempt_end\n"                     \
                     "push %%rbp\n push %%rbx\n mov %%rsp, resume_rsp\n"                                            \
                     "2: " code "\n 3: nop\n"                                                                       \
                     "1: pop %%rbx\n pop %%rbp\n cld"                                                               \
                     : "+a"(a), "+c"(c), "+d"(d)::"rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", \
                     "memory", "cc");                                                                               \
  } while (0)
#define ATTEMPT(code) ATTEMPT_WITH(code, 0, 0, 0)
#define FAULTS_HERE "movq $4f, attempt_start\n 4: "

enum where { AT_START, AT_END, ANYWHERE };
#define NO_ERROR 0ull /* the stubs push 0 where the processor pushes nothing */

/* Each prints one line: `ok N name`, or `NOT OK N name: ...`. expect_page also compares CR2. */
void expect(const char *name, uint64_t vector, uint64_t error, enum where where);
void expect_page(const char *name, uint64_t error, enum where where, uint64_t cr2);
void check(const char *name, bool right);

static inline uint64_t read_cr0(void) {
  uint64_t value;
  __asm__ volatile("mov %%cr0, %0" : "=r"(value));
  return value;
}
static inline void write_cr0(uint64_t value) { __asm__ volatile("mov %0, %%cr0" ::"r"(value) : "memory"); }
static inline uint64_t read_cr4(void) {
  uint64_t value;
  __asm__ volatile("mov %%cr4, %0" : "=r"(value));
  return value;
}
static inline void write_cr4(uint64_t value) { __asm__ volatile("mov %0, %%cr4" ::"r"(value) : "memory"); }

#define CR0_PE 1ull
#define CR0_EM 4ull
#define CR0_TS 8ull
#define CR0_WP 0x10000ull
#define CR0_AM 0x40000ull
#define CR0_NW 0x20000000ull
#define CR4_OSXMMEXCPT 0x400ull
#define CR4_SMEP 0x100000ull
#define CR4_SMAP 0x200000ull

/* The test pages, mapped one after the other at TEST_AREA with the rights their names say. */
#define TEST_AREA 0x8000000000ul /* entry 1 of level 4 */
enum test_page {
  PAGE_USER_CODE,
  PAGE_USER_DATA,
  PAGE_USER_READONLY,
  PAGE_USER_NO_EXECUTE,
  PAGE_USER_RESERVED_BIT,
  PAGE_KERNEL_READONLY,
  PAGE_KERNEL_NO_EXECUTE,
  PAGE_KERNEL,
  PAGE_ABSENT, /* behind a present page, for accesses that cross over */
  TEST_PAGES
};
#define TEST_PAGE(which) (TEST_AREA + (which) * 4096ul)
extern bool has_nx;
extern uint8_t test_pages[TEST_PAGES][4096]; /* the same pages in the identity map */

void pages_init(void);
void integer_cases(void);
void debug_cases(void);
void segment_cases(void);
void control_cases(void);
void float_cases(void);
void page_cases(void);
void user_cases(void);

#endif

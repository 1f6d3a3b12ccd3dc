/* The same from ring 3: what it may not do, and that the frame says where it was. */
#include "faults.h"

extern uint64_t user_end;
uint64_t user_end, user_flags = 2;

/*
 * Copies the code between the symbols `name` and `name_end` to the user page, and runs it in ring 3 with the operands
 * in RAX, RCX and RDX until it traps.
 */
static void run(const uint8_t *code, const uint8_t *end, uint64_t a_, uint64_t c_, uint64_t d_) {
  memcpy(test_pages[PAGE_USER_CODE], code, (size_t)(end - code) + 2); /* and the ud2 behind */
  user_end = TEST_PAGE(PAGE_USER_CODE) + (uint64_t)(end - code);
  ATTEMPT_WITH("movabs $0x8000000000, %%r8\n mov %%r8, attempt_start\n"
               "mov user_end, %%r9\n mov %%r9, attempt_end\n"
               "lea 0x2000(%%r8), %%r9\n" /* the stack: the end of PAGE_USER_DATA */
               "pushq $0x23\n push %%r9\n push user_flags\n pushq $0x2b\n push %%r8\n iretq",
               a_, c_, d_);
}

#define USER_CODE(name, code)                                                                               \
  __asm__(".section .rodata\n user_" #name ": " code "\n user_" #name "_end: ud2\n .text");                 \
  extern const uint8_t user_##name[], user_##name##_end[];
#define RUN(name, a, c, d) run(user_##name, user_##name##_end, (uint64_t)(a), (uint64_t)(c), (uint64_t)(d))

USER_CODE(int80, "int $0x80")
USER_CODE(int3, "int3")
USER_CODE(int55, "int $0x55")
USER_CODE(hlt, "hlt")
USER_CODE(cli, "cli")
USER_CODE(in, "in %dx, %al")
USER_CODE(read_cr0, "mov %cr0, %rax")
USER_CODE(write_cr3, "mov %rax, %cr3")
USER_CODE(read_dr7, "mov %dr7, %rax")
USER_CODE(rdmsr, "rdmsr")
USER_CODE(lgdt, "lgdt (%rax)")
USER_CODE(invlpg, "invlpg (%rax)")
USER_CODE(clts, "clts")
USER_CODE(ud2, "ud2")
USER_CODE(syscall, "syscall")
USER_CODE(div, "div %ecx")
USER_CODE(load, "mov (%rax), %rcx")
USER_CODE(store, "mov %rcx, (%rax)")
USER_CODE(jump, "jmp *%rax")
USER_CODE(load_ds, "mov %eax, %ds")
USER_CODE(nop, "nop")
USER_CODE(aligned, "mov 1(%rax), %rcx")

static void expect_user(const char *name, uint64_t vector, uint64_t error, enum where where) {
  if (seen.trapped && seen.cs != (SEL_USER_CODE64 | 3)) check("the next case's frame has ring 3's segment", false);
  expect(name, vector, error, where);
}

static void privilege_cases(void) {
  trap_gate(0x80, 0xee, 0);
  RUN(int80, 0, 0, 0);
  expect_user("ring 3: int 0x80 by a gate for it", 0x80, NO_ERROR, AT_END);
  RUN(int55, 0, 0, 0);
  expect_user("ring 3: #GP int 0x55, a gate for ring 0", 13, 0x55 * 8 + 2, AT_START);
  RUN(int3, 0, 0, 0);
  expect_user("ring 3: #GP int3, a gate for ring 0", 13, 3 * 8 + 2, AT_START);
  trap_gate(3, 0xee, 0);
  RUN(int3, 0, 0, 0);
  expect_user("ring 3: #BP int3", 3, NO_ERROR, AT_END);
  RUN(hlt, 0, 0, 0);
  expect_user("ring 3: #GP hlt", 13, 0, AT_START);
  RUN(cli, 0, 0, 0);
  expect_user("ring 3: #GP cli", 13, 0, AT_START);
  RUN(in, 0, 0, 0x60);
  expect_user("ring 3: #GP in", 13, 0, AT_START);
  RUN(read_cr0, 0, 0, 0);
  expect_user("ring 3: #GP read cr0", 13, 0, AT_START);
  RUN(write_cr3, 0, 0, 0);
  expect_user("ring 3: #GP write cr3", 13, 0, AT_START);
  RUN(read_dr7, 0, 0, 0);
  expect_user("ring 3: #GP read dr7", 13, 0, AT_START);
  RUN(rdmsr, 0, 0xc0000080, 0);
  expect_user("ring 3: #GP rdmsr", 13, 0, AT_START);
  RUN(lgdt, TEST_PAGE(PAGE_USER_DATA), 0, 0);
  expect_user("ring 3: #GP lgdt", 13, 0, AT_START);
  RUN(invlpg, 0, 0, 0);
  expect_user("ring 3: #GP invlpg", 13, 0, AT_START);
  RUN(clts, 0, 0, 0);
  expect_user("ring 3: #GP clts", 13, 0, AT_START);
  RUN(load_ds, SEL_DATA, 0, 0);
  expect_user("ring 3: #GP ring 0's data segment", 13, SEL_DATA, AT_START);
  RUN(syscall, 0, 0, 0);
  expect_user("ring 3: #UD syscall without EFER.SCE", 6, NO_ERROR, AT_START);
}

static void expect_user_page(const char *name, uint64_t error, enum where where, uint64_t cr2) {
  if (seen.trapped && seen.cs != (SEL_USER_CODE64 | 3)) check("the next case's frame has ring 3's segment", false);
  expect_page(name, error, where, cr2);
}

static void user_page_cases(void) {
  RUN(load, TEST_PAGE(PAGE_ABSENT), 0, 0);
  expect_user_page("ring 3: #PF read, absent", 4, AT_START, TEST_PAGE(PAGE_ABSENT));
  RUN(store, TEST_PAGE(PAGE_ABSENT), 0, 0);
  expect_user_page("ring 3: #PF write, absent", 6, AT_START, TEST_PAGE(PAGE_ABSENT));
  RUN(load, TEST_PAGE(PAGE_KERNEL), 0, 0);
  expect_user_page("ring 3: #PF read, ring 0's page", 5, AT_START, TEST_PAGE(PAGE_KERNEL));
  RUN(store, TEST_PAGE(PAGE_KERNEL), 0, 0);
  expect_user_page("ring 3: #PF write, ring 0's page", 7, AT_START, TEST_PAGE(PAGE_KERNEL));
  RUN(load, 0x100000, 0, 0);
  expect_user_page("ring 3: #PF read, ring 0's large page", 5, AT_START, 0x100000);
  RUN(store, TEST_PAGE(PAGE_USER_READONLY), 0, 0);
  expect_user_page("ring 3: #PF write, read-only", 7, AT_START, TEST_PAGE(PAGE_USER_READONLY));
  RUN(load, TEST_PAGE(PAGE_USER_RESERVED_BIT), 0, 0);
  expect_user_page("ring 3: #PF reserved bit", 0xd, AT_START, TEST_PAGE(PAGE_USER_RESERVED_BIT));
  RUN(jump, TEST_PAGE(PAGE_ABSENT), 0, 0);
  expect_user_page("ring 3: #PF fetch, absent", has_nx ? 0x14 : 4, ANYWHERE, TEST_PAGE(PAGE_ABSENT));
  RUN(jump, TEST_PAGE(PAGE_KERNEL), 0, 0);
  expect_user_page("ring 3: #PF fetch, ring 0's page", has_nx ? 0x15 : 5, ANYWHERE, TEST_PAGE(PAGE_KERNEL));
  if (!has_nx) return;
  RUN(jump, TEST_PAGE(PAGE_USER_NO_EXECUTE), 0, 0);
  expect_user_page("ring 3: #PF fetch, no-execute", 0x15, ANYWHERE, TEST_PAGE(PAGE_USER_NO_EXECUTE));
}

void user_cases(void) {
  privilege_cases();
  user_page_cases();
  RUN(div, 1, 0, 0);
  expect_user("ring 3: #DE", 0, NO_ERROR, AT_START);
  RUN(ud2, 0, 0, 0);
  expect_user("ring 3: #UD", 6, NO_ERROR, AT_START);
  RUN(load, 1ull << 63, 0, 0);
  expect_user("ring 3: #GP address not canonical", 13, 0, AT_START);
  user_flags = 0x102;
  RUN(nop, 0, 0, 0);
  expect_user("ring 3: #DB single step", 1, NO_ERROR, AT_END);

  uint64_t cr0 = read_cr0();
  user_flags = 0x40002; /* AC */
  RUN(aligned, TEST_PAGE(PAGE_USER_DATA), 0, 0);
  check("ring 3: EFLAGS.AC alone says nothing", seen.trapped && seen.vector == 6);
  write_cr0(cr0 | CR0_AM);
  RUN(aligned, TEST_PAGE(PAGE_USER_DATA), 0, 0);
  expect_user("ring 3: #AC", 17, 0, AT_START);
  RUN(load, TEST_PAGE(PAGE_USER_DATA) + 8, 0, 0);
  check("ring 3: aligned is fine", seen.trapped && seen.vector == 6);
  ATTEMPT_WITH("pushfq\n orq $0x40000, (%%rsp)\n popfq\n mov 1(%%rax), %%rcx", test_pages[PAGE_USER_DATA], 0, 0);
  check("ring 0 checks no alignment", !seen.trapped);
  write_cr0(cr0);
}

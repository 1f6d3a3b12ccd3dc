/* Exceptions of the integer unit, debugging, segments and control registers, in ring 0. */
#include "faults.h"

void integer_cases(void) {
  ATTEMPT_WITH("divl %%ecx", 1, 0, 0);
  expect("#DE divide by zero", 0, NO_ERROR, AT_START);
  ATTEMPT_WITH("divl %%ecx", 0, 1, 5);
  expect("#DE quotient too big", 0, NO_ERROR, AT_START);
  ATTEMPT_WITH("idivl %%ecx", 0x80000000, 0xffffffff, 0xffffffff);
  expect("#DE most negative by minus one", 0, NO_ERROR, AT_START);
  ATTEMPT_WITH("idivq %%rcx", 1ull << 63, -1ll, -1ll);
  expect("#DE the same in 64 bits", 0, NO_ERROR, AT_START);
  ATTEMPT_WITH("idivb %%cl", 0x100, 1, 0);
  expect("#DE byte quotient too big", 0, NO_ERROR, AT_START);

  ATTEMPT("int3");
  expect("#BP int3", 3, NO_ERROR, AT_END);
  check("a trap's frame has no RF", !(seen.rflags & 0x10000));
  ATTEMPT("int $3");
  expect("#BP int 3 in two bytes", 3, NO_ERROR, AT_END);
  ATTEMPT("int $2");
  expect("int 2", 2, NO_ERROR, AT_END);
  ATTEMPT("int $4");
  expect("int 4", 4, NO_ERROR, AT_END);
  ATTEMPT("int $0x55");
  expect("int 0x55", 0x55, NO_ERROR, AT_END);

  ATTEMPT("ud2");
  expect("#UD ud2", 6, NO_ERROR, AT_START);
  check("a fault's frame has RF", seen.rflags & 0x10000);
  ATTEMPT(".byte 0xf0, 0x90");
  expect("#UD lock nop", 6, NO_ERROR, AT_START);
  ATTEMPT(".byte 0x06");
  expect("#UD push es", 6, NO_ERROR, AT_START);
  ATTEMPT(".byte 0xea, 0, 0, 0, 0, 8, 0");
  expect("#UD direct far jump", 6, NO_ERROR, AT_START);
  ATTEMPT(".byte 0x8e, 0xc8");
  expect("#UD mov to cs", 6, NO_ERROR, AT_START);
  ATTEMPT(".byte 0x0f, 0x20, 0xc8");
  expect("#UD cr1", 6, NO_ERROR, AT_START);
  ATTEMPT(".byte 0xf0, 0x48, 0x39, 0x06"); /* lock cmp */
  expect("#UD lock cmp", 6, NO_ERROR, AT_START);
  ATTEMPT(".byte 0xff, 0xff");
  expect("#UD group 5, row 7", 6, NO_ERROR, AT_START);
  ATTEMPT(".fill 15, 1, 0x66\n nop");
  expect("#GP 16 bytes long", 13, 0, AT_START);
}

static volatile uint64_t watched;

static void clear_debug(void) {
  __asm__ volatile("mov %0, %%dr7\n mov %1, %%dr6" ::"r"(0x400ull), "r"(0xffff0ff0ull));
}

void debug_cases(void) {
  clear_debug();
  ATTEMPT("pushfq\n orq $0x100, (%%rsp)\n popfq\n nop");
  expect("#DB single step", 1, NO_ERROR, AT_END);
  check("DR6.BS", (seen.dr6 & 0x600f) == 0x4000);
  check("the frame has TF", seen.rflags & 0x100);
  clear_debug();
  ATTEMPT("mov %%ss, %%ecx\n pushfq\n orq $0x100, (%%rsp)\n popfq\n mov %%ecx, %%ss\n nop");
  expect("#DB single step waits behind mov ss", 1, NO_ERROR, AT_END);
  clear_debug();
  ATTEMPT(".byte 0xf1");
  expect("#DB int1", 1, NO_ERROR, AT_END);
  clear_debug();
  ATTEMPT("movq $4f, %%rax\n mov %%rax, %%dr0\n mov $0x402, %%eax\n mov %%rax, %%dr7\n" FAULTS_HERE "nop");
  expect("#DB execution breakpoint", 1, NO_ERROR, AT_START);
  check("DR6.B0", (seen.dr6 & 0x600f) == 1);
  check("the frame has no RF: the handler must set it", !(seen.rflags & 0x10000)); /* Intel SDM 3, 17.3.1.1 */
  clear_debug();
  ATTEMPT_WITH("mov %%rax, %%dr1\n mov %%rcx, %%dr7\n movq $5, (%%rax)", &watched, 0x404 | 9 << 20, 0);
  expect("#DB write watchpoint", 1, NO_ERROR, AT_END);
  check("DR6.B1, after the write", (seen.dr6 & 0x600f) == 2 && watched == 5);
  clear_debug();
  ATTEMPT_WITH("mov %%rax, %%dr1\n mov %%rcx, %%dr7\n movq (%%rax), %%rdx", &watched, 0x404 | 9 << 20, 0);
  check("a write watchpoint lets reads pass", !seen.trapped);
  clear_debug();
  ATTEMPT_WITH("mov %%rax, %%dr2\n mov %%rcx, %%dr7\n movzbl 3(%%rax), %%edx", &watched, 0x410 | 15 << 24, 0);
  expect("#DB read watchpoint, one byte of four", 1, NO_ERROR, AT_END);
  check("DR6.B2", (seen.dr6 & 0x600f) == 4);
  clear_debug();
  ATTEMPT_WITH("mov %%rcx, %%dr7\n" FAULTS_HERE "mov %%dr0, %%rdx", 0, 0x2400, 0);
  expect("#DB general detect", 1, NO_ERROR, AT_START);
  check("DR6.BD", (seen.dr6 & 0x600f) == 0x2000);
  clear_debug();
  ATTEMPT_WITH("mov %%rax, %%dr7", 1ull << 32, 0, 0);
  expect("#GP upper half of dr7", 13, 0, AT_START);
  clear_debug();
}

/* 32-bit code in a compatibility segment: here BOUND and INTO still exist. */
#define IN_COMPATIBILITY(code) "pushq $0x18\n pushq $5f\n lretq\n .code32\n 5: " code "\n .code64\n"

static const int32_t bounds[2] = {-3, 3};
static const uint64_t bad_stack = 0x8000000000000000ull;

void segment_cases(void) {
  ATTEMPT_WITH(IN_COMPATIBILITY("movl $4f, attempt_start\n 4: bound %%ecx, (%%eax)"), bounds, 4, 0);
  expect("#BR bound, compatibility mode", 5, NO_ERROR, AT_START);
  check("the frame has the 32-bit segment", seen.cs == 0x18);
  ATTEMPT_WITH(IN_COMPATIBILITY("inc %%ecx\n into"), 0, 0x7fffffff, 0);
  expect("#OF into, compatibility mode", 4, NO_ERROR, AT_END);

  ATTEMPT_WITH("mov %%eax, %%es", SEL_NOT_PRESENT, 0, 0);
  expect("#NP segment not present", 11, SEL_NOT_PRESENT, AT_START);
  ATTEMPT_WITH("mov %%eax, %%ss", SEL_NOT_PRESENT, 0, 0);
  expect("#SS stack segment not present", 12, SEL_NOT_PRESENT, AT_START);
  ATTEMPT_WITH("mov %%rax, %%rbp\n" FAULTS_HERE "mov 8(%%rbp), %%rcx", bad_stack, 0, 0);
  expect("#SS address not canonical, by rbp", 12, 0, AT_START);
  ATTEMPT_WITH("mov (%%rax), %%rcx", bad_stack, 0, 0);
  expect("#GP address not canonical", 13, 0, AT_START);
  ATTEMPT_WITH("mov %%eax, %%ds", 0x1000, 0, 0);
  expect("#GP selector beyond the table", 13, 0x1000, AT_START);
  ATTEMPT_WITH("mov %%eax, %%ds", 0x14, 0, 0);
  expect("#GP selector in a local table that is not there", 13, 0x14, AT_START);
  ATTEMPT_WITH("mov %%eax, %%ss", SEL_CODE64, 0, 0);
  expect("#GP code as stack", 13, SEL_CODE64, AT_START);
  ATTEMPT_WITH("mov %%eax, %%ss", SEL_USER_DATA | 3, 0, 0);
  expect("#GP stack of another ring", 13, SEL_USER_DATA, AT_START);
  ATTEMPT_WITH("ltr %%ax", SEL_DATA, 0, 0);
  expect("#GP ltr of data", 13, SEL_DATA, AT_START);
  ATTEMPT_WITH("ltr %%ax", SEL_TSS, 0, 0);
  expect("#GP ltr of a busy TSS", 13, SEL_TSS, AT_START);
  ATTEMPT_WITH("lldt %%ax", SEL_DATA, 0, 0);
  expect("#GP lldt of data", 13, SEL_DATA, AT_START);
  ATTEMPT_WITH("push %%rax\n push $0\n" FAULTS_HERE "lretq", SEL_DATA, 0, 0);
  expect("#GP far return to data", 13, SEL_DATA, AT_START);
  ATTEMPT_WITH("jmp *%%rax", bad_stack, 0, 0);
  expect("#GP jump out of canonical space", 13, 0, ANYWHERE);

  uint8_t type = idt[0x55].type;
  idt[0x55].type = 0x0e;
  ATTEMPT("int $0x55");
  expect("#NP gate not present", 11, 0x55 * 8 + 2, AT_START);
  idt[0x55].type = type;
  type = idt[6].type;
  idt[6].type = 0x0e;
  ATTEMPT("ud2");
  expect("#NP gate of an exception not present", 11, 6 * 8 + 3, AT_START);
  idt[6].type = type;
  type = idt[13].type;
  idt[13].type = 0x0e;
  ATTEMPT_WITH("mov (%%rax), %%rcx", bad_stack, 0, 0);
  expect("#DF behind #GP", 8, 0, ANYWHERE);
  idt[13].type = type;
  type = idt[14].type;
  idt[14].type = 0x0e;
  ATTEMPT_WITH("mov (%%rax), %%rcx", TEST_PAGE(PAGE_ABSENT), 0, 0);
  expect("#DF behind #PF", 8, 0, ANYWHERE);
  idt[14].type = type;
}

void control_cases(void) {
  ATTEMPT_WITH("mov %%rax, %%cr0", read_cr0() & ~CR0_PE, 0, 0);
  expect("#GP paging without protection", 13, 0, AT_START);
  ATTEMPT_WITH("mov %%rax, %%cr0", read_cr0() | CR0_NW, 0, 0);
  expect("#GP CR0.NW without CD", 13, 0, AT_START);
  ATTEMPT_WITH("mov %%rax, %%cr0", read_cr0() | 1ull << 32, 0, 0);
  expect("#GP upper half of cr0", 13, 0, AT_START);
  ATTEMPT_WITH("mov %%rax, %%cr4", read_cr4() & ~0x20ull, 0, 0);
  expect("#GP PAE off in long mode", 13, 0, AT_START);
  ATTEMPT_WITH("mov %%rax, %%cr4", read_cr4() | 1ull << 40, 0, 0);
  expect("#GP reserved bit of cr4", 13, 0, AT_START);
  ATTEMPT_WITH("wrmsr", 0, 0xc0000080, 0);
  expect("#GP EFER.LME off while paging", 13, 0, AT_START);
  ATTEMPT_WITH("wrmsr", 0, 0xc0000100, 0x80000000);
  expect("#GP FS base not canonical", 13, 0, AT_START);
  ATTEMPT_WITH("rdmsr", 0, 0x12345678, 0);
  expect("#GP unknown MSR", 13, 0, AT_START);
}

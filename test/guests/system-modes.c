/* system-modes: real mode, unreal mode, virtual-8086, 16-bit protected mode, compatibility and 64-bit mode, single-step. */
#include "system/machine.h"

#define CR(name, setup, text, vector, error) CASE(reset_real, 16, name, setup, text, vector, error)
#define C16(name, setup, text, vector, error) CASE(reset_16, 16, name, setup, text, vector, error)
#define C64(name, setup, text, vector, error) CASE(reset_long, 64, name, setup, text, vector, error)
#define CC(name, setup, text, vector, error) CASE(reset_compat, 32, name, setup, text, vector, error)
static void reset_v86(void) { reset_vm86(0); }
static void reset_v86_3(void) { reset_vm86(3); }
#define CV(name, setup, text, vector, error) CASE(reset_v86, 16, name, setup, text, vector, error)
#define CV3(name, setup, text, vector, error) CASE(reset_v86_3, 16, name, setup, text, vector, error)

#define LOW8(at) (*(volatile uint8_t *)(uint64_t)(at))
#define LOW16(at) (*(volatile uint16_t *)(uint64_t)(at))
#define LOW32(at) (*(volatile uint32_t *)(uint64_t)(at))
#define AX (m.rax & 0xffff)

static void real_mode(void) {
  CR("real mode: an interrupt", NOTHING, "nop", PASSED, 0);
  check("  pushes flags, cs and ip", m.rsp == LOW_STACK && m.cs == LOW_CODE >> 4);
  CR("mov ds takes any value", m.rax = 0x1234, "mov %%ax, %%ds", PASSED, 0);
  check("  as it is", m.ds == 0x1234);
  CR("segment times 16", (LOW16(LOW_DATA + 0x10) = 0xbeef, m.rax = (LOW_DATA >> 4) + 1), "mov %%ax, %%ds\n mov 0, %%ax", PASSED, 0);
  check("  plus offset", AX == 0xbeef);
  CR("a word at 0xffff is #GP", m.rbx = 0xffff, "mov (%%bx), %%ax", 13, 0);
  CR("a byte at 0xffff is not", m.rbx = 0xffff, "mov (%%bx), %%al", PASSED, 0);
  CR("a word at ss:0xffff is #SS", m.rbp = 0xffff, "mov (%%bp), %%ax", 12, 0);
  CR("an address of 32 bits beyond the limit", m.rbx = 0x10000, "mov (%%ebx), %%al", 13, 0);
  CR("an address of 32 bits within", (LOW8(LOW_DATA + 5) = 77, m.rbx = 5), "mov (%%ebx), %%al", PASSED, 0);
  check("  reads", (m.rax & 0xff) == 77);
  CR("16-bit addresses wrap", (LOW8(LOW_DATA + 1) = 78, m.rbx = 0xffff, m.rsi = 2), "mov (%%bx,%%si), %%al", PASSED, 0);
  check("  at 64 KiB", (m.rax & 0xff) == 78);
  CR("a far call", NOTHING, "push %%cs\n push $0x55\n lcall $0x800, $1f - 771b\n 1: nop", PASSED, 0);
  check("  pushes cs and ip", m.rsp == LOW_STACK - 8 && LOW16(LOW_STACK - 6) == LOW_CODE >> 4);
  CR("a far return", NOTHING, "push %%cs\n push $1f - 771b\n lret\n ud2\n 1: mov $9, %%ax", PASSED, 0);
  check("  arrives", AX == 9);
  CR("iret", NOTHING, "pushw $0x8d7\n push %%cs\n push $1f - 771b\n iret\n 1: nop", PASSED, 0);
  check("  takes the flags", (m.rflags & 0xfd5) == 0x8d5);
  CR("#UD", NOTHING, "ud2", 6, 0);
  CR("#DE points to the instruction", m.rcx = 0, "div %%cx", 0, 0);
  CR("lldt is not there", NOTHING, "lldt %%ax", 6, 0);
  CR("ltr is not there", NOTHING, "ltr %%ax", 6, 0);
  CR("str is not there", NOTHING, "str %%ax", 6, 0);
  CR("lar is not there", NOTHING, "lar %%ax, %%cx", 6, 0);
  CR("verr is not there", NOTHING, "verr %%ax", 6, 0);
  CR("arpl is not there", NOTHING, ".byte 0x63, 0xc8", 6, 0);
  CR("smsw is", NOTHING, "smsw %%ax", PASSED, 0);
  check("  and says PE = 0", (AX & 1) == 0);
  CR("cli and popf are free", NOTHING, "push $0x3002\n popf\n pushf\n pop %%ax", PASSED, 0);
  check("  with IOPL", (AX & 0x3000) == 0x3000);
  CR("bits 12 to 15 of pushf", NOTHING, "pushf\n pop %%ax", PASSED, 0);
  check("  are zero", (AX & 0xf000) == 0);
  CR("32-bit operands", m.rax = 0xffffffff, "inc %%eax", PASSED, 0);
  check("  wrap at 32 bits", m.rax == 0);
  CR("push of 32 bits", NOTHING, "pushl %%eax", PASSED, 0);
  check("  takes four bytes", m.rsp == LOW_STACK - 4);
  CR("sp wraps at 64 KiB", (m.rsp = 0), "push %%ax\n mov %%sp, %%bx\n mov $0xd000, %%sp", PASSED, 0);
  check("  to 0xfffe", (m.rbx & 0xffff) == 0xfffe);
  CR("bt reaches 4 KiB behind its operand", (LOW8(LOW_DATA + 0x400) = 2, m.rax = 0x400 * 8 + 1, m.rsi = 0), "bt %%ax, (%%si)", PASSED, 0);
  check("  by its bit offset", m.rflags & FLAG_CF);
  CR("bt reaches before its operand", (LOW8(LOW_DATA + 0xff) = 0x80, m.rax = 0xffff, m.rsi = 0x100), "bt %%ax, (%%si)", PASSED, 0);
  check("  with a negative one", m.rflags & FLAG_CF);
  CR("bts changes it there", (LOW8(LOW_DATA + 0x300) = 0, m.rax = 0x200 * 8 + 3, m.rsi = 0x100), "bts %%ax, (%%si)", PASSED, 0);
  check("  alone", LOW8(LOW_DATA + 0x300) == 8);
  CR("bt of a segment above 64 KiB", (m.ds = 0x2000, LOW8(0x20010) = 4, m.rsi = 8, m.rax = 66), "bt %%ax, (%%si)", PASSED, 0);
  check("  adds its base once", m.rflags & FLAG_CF);
  CR("unreal mode", (m.rbx = 0x100000, m.rdx = LOW8(0x100000)),
     "lgdtl %%cs:1f - 771b\n mov %%cr0, %%eax\n inc %%ax\n mov %%eax, %%cr0\n mov $0x10, %%cx\n mov %%cx, %%fs\n dec %%ax\n mov %%eax, %%cr0\n"
     "xor %%cx, %%cx\n mov %%cx, %%fs\n mov %%fs:(%%ebx), %%al\n int $0x20\n 1: .word 63\n .long gdt\n", PASSED, 0);
  check("  reads above 1 MiB", (m.rax & 0xff) == m.rdx);
  CR("protected mode with cs of real mode", NOTHING,
     "mov %%cr0, %%eax\n inc %%ax\n mov %%eax, %%cr0\n nop\n dec %%ax\n mov %%eax, %%cr0\n mov $0x7a, %%bl", PASSED, 0);
  check("  goes on until a far jump", (m.rbx & 0xff) == 0x7a);
  CR("int beyond the table", m.idtr.limit = 0x20 * 4 + 3, "int $0x21", 13, 0);
  CR("rep movsb", (LOW32(LOW_DATA) = 0x44332211, m.rsi = 0, m.rdi = 0x20, m.rcx = 0xffff0004), "rep movsb", PASSED, 0);
  check("  counts in cx", m.rcx == 0xffff0000 && LOW32(LOW_DATA + 0x20) == 0x44332211);
  CR("rep stosw over 0xffff", (m.rdi = 0xfffd, m.rcx = 4, m.rax = 0), "rep stosw", 13, 0);
  check("  stops before it", (m.rcx & 0xffff) == 3 && (m.rdi & 0xffff) == 0xffff);
}

static void vm86(void) {
  CV3("vm86: an interrupt goes to ring 0", NOTHING, "nop", PASSED, 0);
  check("  from the TSS's stack, with VM in the frame", (m.rflags & FLAG_VM) && m.cs == LOW_CODE >> 4 && m.ss == 0 && m.rsp == LOW_STACK);
  check("  data segments are on the stack, and null", m.ds == LOW_DATA >> 4 && m.es == LOW_DATA >> 4);
  CV("int n with IOPL 0", NOTHING, "int $0x21", 13, 0);
  CASE_ANY(reset_v86, 16, "int3 does not ask for IOPL", NOTHING, "int3", 3, 0);
  CV("cli with IOPL 0", NOTHING, "cli", 13, 0);
  CV("sti with IOPL 0", NOTHING, "sti", 13, 0);
  CV("pushf with IOPL 0", NOTHING, "pushf", 13, 0);
  CV("popf with IOPL 0", NOTHING, "popf", 13, 0);
  CV("iret with IOPL 0", NOTHING, "iret", 13, 0);
  CV("hlt", NOTHING, "hlt", 13, 0);
  CV3("hlt with IOPL 3", NOTHING, "hlt", 13, 0);
  CV3("cli with IOPL 3", NOTHING, "cli", PASSED, 0);
  CV3("mov ds takes any value", m.rax = 0x4321, "mov %%ax, %%ds", PASSED, 0);
  check("  as it is", m.ds == 0x4321);
  CV3("popf cannot change IOPL", NOTHING, "push $0x0002\n popf\n pushf\n pop %%ax", PASSED, 0);
  check("  in vm86", (AX & 0x3000) == 0x3000);
  CV3("in asks the bit map even with IOPL 3", m.rdx = 0x80, "in %%dx, %%al", 13, 0);
  CV3("lldt is not there", NOTHING, "lldt %%ax", 6, 0);
  CV3("lgdt is privileged", m.rbx = 0, "lgdt (%%bx)", 13, 0);
  CV3("mov cr0 is privileged", NOTHING, "mov %%cr0, %%eax", 13, 0);
  CV3("a word at 0xffff", m.rbx = 0xffff, "mov (%%bx), %%ax", 13, 0);
  CV3("a word at ss:0xffff", m.rbp = 0xffff, "mov (%%bp), %%ax", 12, 0);
  CV3("32-bit addresses beyond the limit", m.rbx = 0x10000, "mov (%%ebx), %%al", 13, 0);
  CV3("int n with IOPL 3 through a gate of DPL 0", idt32[0x21] = gate8(CODE32, (uint32_t)(uint64_t)(stubs32 + 0x21 * 16), D_INT32 | D_P, 0), "int $0x21",
      13, 0x21 * 8 + 2);
  CV3("a far jump", NOTHING, "ljmp $0x800, $1f - 771b\n ud2\n 1: mov $5, %%ax", PASSED, 0);
  check("  needs no descriptors", AX == 5);
  CV3("lss takes both halves", (LOW16(LOW_DATA) = 0xc000, LOW16(LOW_DATA + 2) = 0x10, m.rbx = 0), "lss (%%bx), %%sp", PASSED, 0);
  check("  as they are", m.ss == 0x10 && m.rsp == 0xc000);
  CV3("sysenter is privileged by its MSR", NOTHING, "sysenter", 13, 0);
}

static void protected16(void) {
  C16("16-bit protected mode", m.rax = 0x1ffff, "inc %%ax", PASSED, 0);
  check("  has 16-bit operands", m.rax == 0x10000);
  C16("66 gives 32", m.rax = 0x1ffff, "inc %%eax", PASSED, 0);
  check("  bits", m.rax == 0x20000);
  C16("the stack is 16 bits", (m.rsp = 0x10000 + LOW_STACK), "push %%ax\n mov %%esp, %%ebx\n mov $0xd000, %%esp", PASSED, 0);
  check("  and leaves the upper half", m.rbx == 0x10000 + LOW_STACK - 2);
  C16("a limit of 64 KiB", m.rbx = 0xffff, "mov (%%bx), %%ax", 13, 0);
  C16("a call pushes two bytes", NOTHING, "call 1f\n 1: mov %%sp, %%bx", PASSED, 0);
  check("  of ip", (m.rbx & 0xffff) == LOW_STACK - 2);
  C16("enter and leave", NOTHING, "enter $8, $1\n mov %%sp, %%bx\n leave\n mov %%sp, %%cx", PASSED, 0);
  check("  move sp", (m.rbx & 0xffff) == LOW_STACK - 12 && (m.rcx & 0xffff) == LOW_STACK);
  C16("pusha", NOTHING, "pusha\n mov %%sp, %%bx", PASSED, 0);
  check("  takes 16 bytes", (m.rbx & 0xffff) == LOW_STACK - 16);
  C16("ljmp to 32-bit code", NOTHING, "ljmpl $8, $1f\n .code32\n 1: mov $0x12345678, %%eax\n int $0x20\n .code16", PASSED, 0);
  check("  changes the mode", m.rax == 0x12345678);
  C16("imul of words", (m.rax = 0x100, m.rcx = 0x100), "imul %%cx, %%ax", PASSED, 0);
  check("  overflows at 16 bits", AX == 0 && (m.rflags & FLAG_CF));
  C16("a jump wraps ip", NOTHING, "jmp 1f\n 1: nop", PASSED, 0);
}

static void long_modes(void) {
  static uint64_t far64[2] __attribute__((aligned(16)));
  C64("64-bit mode: push es", NOTHING, ".byte 0x06", 6, 0);
  C64("daa is not there", NOTHING, ".byte 0x27", 6, 0);
  C64("bound is evex", NOTHING, ".byte 0x62, 0x00, 0, 0, 0, 0", 6, 0);
  C64("a 32-bit result clears the upper half", m.rax = ~0ull, "inc %%eax", PASSED, 0);
  check("  of 64", m.rax == 0);
  C64("a 16-bit result does not", m.rax = ~0ull, "inc %%ax", PASSED, 0);
  check("  touch it", m.rax == 0xffffffffffff0000ull);
  C64("67 truncates addresses", m.rsi = 0x100000000ull + (uint64_t)far64, "addr32 mov (%%esi), %%al", PASSED, 0);
  C64("a non-canonical address", m.rsi = 1ull << 47, "mov (%%rsi), %%al", 13, 0);
  C64("a non-canonical address by rsp", m.rbp = 1ull << 47, "mov (%%rbp), %%al", 12, 0);
  CASE_ANY(reset_long, 64, "a non-canonical jump", m.rax = 1ull << 63, "jmp *%%rax", 13, 0);
  C64("the bases of ds count for nothing", (gdt[FREE / 8] = segment(0x1000, 0, D_DATA | D_P), m.ds = FREE, far64[0] = 0x77, m.rsi = (uint64_t)far64),
      "mov (%%rsi), %%al", PASSED, 0);
  check("  nor its limit", (m.rax & 0xff) == 0x77);
  C64("the base of fs counts", (gdt[FREE / 8] = segment((uint32_t)(uint64_t)far64, 0xfffff, D_DATA | D_P), far64[1] = 0x78, m.fs = FREE, m.rsi = 8),
      "mov %%fs:(%%rsi), %%al", PASSED, 0);
  check("  and not its limit", (m.rax & 0xff) == 0x78);
  C64("mov ss, null in ring 0", m.rax = 0, "mov %%eax, %%ss", PASSED, 0);
  C64("code that is both 64 and 32 bits", (gdt[FREE / 8] = segment(0, 0xfffff, D_CODE | D_P | D_LONG | D_BIG), far64[0] = ((uint64_t)FREE << 32), m.rsi = (uint64_t)far64),
      "ljmp *(%%rsi)", 13, FREE);
  C64("call gate of 64 bits", (gdt[FREE / 8] = gate8(CODE64, (uint32_t)(uint64_t)SNIPPET(64, "mov $0x5a, %%al"), D_CALL32 | D_P, 0), gdt[FREE / 8 + 1] = 0,
      far64[0] = (uint64_t)FREE << 32, m.rsi = (uint64_t)far64), "lcall *(%%rsi)", PASSED, 0);
  check("  pushes 16 bytes", (m.rax & 0xff) == 0x5a && m.rsp == STACK_TOP(0) - 16);
  C64("call gate of 64 bits, upper type not 0", (gdt[FREE / 8] = gate8(CODE64, 0, D_CALL32 | D_P, 0), gdt[FREE / 8 + 1] = 1ull << 40,
      far64[0] = (uint64_t)FREE << 32, m.rsi = (uint64_t)far64), "lcall *(%%rsi)", 13, FREE);
  C64("call gate to 32-bit code", (gdt[FREE / 8] = gate8(CODE32, 0, D_CALL32 | D_P, 0), gdt[FREE / 8 + 1] = 0, far64[0] = (uint64_t)FREE << 32,
      m.rsi = (uint64_t)far64), "lcall *(%%rsi)", 13, CODE32);
  CASE_ANY(reset_long_user, 64, "an interrupt to an IST stack", set_gate64(0x21, CODE64, (uint64_t)stubs64 + 0x21 * 16, D_INT32 | D_P | DPL(3), 2);
           tss64.ist[1] = STACK_TOP(5) + 7, "int $0x21", 0x21, 0);
  extern uint64_t handler_rsp;
  check("  aligned to 16 bytes", handler_rsp == ((STACK_TOP(5) + 7) & ~15ull) - 16);
  CASE_ANY(reset_long, 64, "an interrupt in ring 0 aligns the stack", m.rsp -= 5, "int $0x21", 0x21, 0);
  check("  and saves rsp", m.rsp == STACK_TOP(0) - 5 && handler_rsp == STACK_TOP(0) - 16 - 16);
  CASE_ANY(reset_long, 64, "an IST that is not canonical", set_gate64(0x21, CODE64, (uint64_t)stubs64 + 0x21 * 16, D_INT32 | D_P, 1);
           tss64.ist[0] = 1ull << 60, "int $0x21", 12, 0);
  C64("a gate to 32-bit code", set_gate64(0x21, CODE32, 0, D_INT32 | D_P, 0), "int $0x21", 13, CODE32);
  C64("a 16-bit gate", set_gate64(0x21, CODE64, 0, D_INT16 | D_P, 0), "int $0x21", 13, 0x21 * 8 + 2);
  C64("a task gate", set_gate64(0x21, TSS, 0, D_TASK | D_P, 0), "int $0x21", 13, 0x21 * 8 + 2);
  C64("ltr of a 16-bit TSS", (gdt[FREE / 8] = segment(0, 0x67, D_TSS16 | D_P), m.rax = FREE), "ltr %%ax", 13, FREE);
  C64("a far jump to a TSS", (gdt[TSS / 8] = segment((uint32_t)(uint64_t)&tss64, 103, D_TSS32 | D_P), gdt[FREE / 8] = gdt[TSS / 8], gdt[FREE / 8 + 1] = 0,
      far64[0] = (uint64_t)FREE << 32, m.rsi = (uint64_t)far64), "ljmp *(%%rsi)", 13, FREE);
  C64("iretq with NT", m.rflags |= FLAG_NT, "iretq", 13, 0);
  C64("paging cannot be left in 64-bit mode", NOTHING, "mov %%cr0, %%rax\n btr $31, %%rax", PASSED, 0);
  CASE_ANY(reset_long, 64, "  by cr0", NOTHING, "mov %%cr0, %%rax\n btr $31, %%rax\n mov %%rax, %%cr0", 13, 0);
  CASE_ANY(reset_long, 64, "PAE cannot be left", NOTHING, "mov %%cr4, %%rax\n btr $5, %%rax\n mov %%rax, %%cr4", 13, 0);
  C64("EFER.LME cannot be changed with paging on", (m.rcx = 0xc0000080, m.rax = 0, m.rdx = 0), "wrmsr", 13, 0);
  CC("compatibility mode: push es", NOTHING, "push %%es\n pop %%eax", PASSED, 0);
  check("  takes 4 bytes", m.rsp == STACK_TOP(1) && (m.rax & 0xffff) == USER_DATA32);
  CC("inc of a register by 40", m.rax = 1, ".byte 0x40", PASSED, 0);
  check("  is no REX prefix", m.rax == 2);
  CC("segment limits count", (gdt[FREE / 8] = segment(0, 15, D_DATA | D_P | DPL(3)), m.ds = FREE | 3, m.rsi = 16), "mov (%%esi), %%al", 13, 0);
  CC("addresses wrap at 4 GiB", (m.rsi = 0xffffffff, m.rbx = (uint32_t)(uint64_t)far64 + 1), "mov (%%esi,%%ebx), %%al", PASSED, 0);
  CASE_ANY(reset_compat, 32, "a far jump to 64-bit mode", NOTHING, "ljmp $0x5b, $1f\n .code64\n 1: mov $0x123456789abc, %%rax\n int $0x20\n .code32", PASSED, 0);
  check("  changes the mode", m.rax == 0x123456789abcull && m.cs == USER_CODE64);
  CC("in from compatibility mode", m.rdx = 0x80, "in %%dx, %%al", 13, 0);
  CASE(reset_long_user, 64, "ring 3: hlt", NOTHING, "hlt", 13, 0);
  CASE(reset_long_user, 64, "ring 3: swapgs", NOTHING, "swapgs", 13, 0);
  CASE(reset_long_user, 64, "ring 3: wrmsr", NOTHING, "wrmsr", 13, 0);
  CASE(reset_long_user, 64, "ring 3: rdfsbase without CR4.FSGSBASE", m.cr4 &= ~0x10000ull, "rdfsbase %%rax", 6, 0);
  if (has_leaf7(0)) {
    CASE(reset_long_user, 64, "ring 3: wrgsbase", (m.cr4 |= 0x10000, m.rax = 0x123456789000), "wrgsbase %%rax\n rdgsbase %%rbx", PASSED, 0);
    check("  and back", m.rbx == 0x123456789000);
    CASE(reset_long_user, 64, "ring 3: wrfsbase, not canonical", (m.cr4 |= 0x10000, m.rax = 1ull << 47), "wrfsbase %%rax", 13, 0);
  }
  CASE(reset_long_user, 64, "a null ss in ring 3", m.rax = 0, "mov %%eax, %%ss", 13, 0);
  C64("an unknown MSR", m.rcx = 0x12345678, "rdmsr", 13, 0);
  C64("writing one", m.rcx = 0x12345678, "wrmsr", 13, 0);
  C64("LSTAR must be canonical", (m.rcx = 0xc0000082, m.rax = 0, m.rdx = 0x8000), "wrmsr", 13, 0);
  C64("FS base must be canonical", (m.rcx = 0xc0000100, m.rax = 0, m.rdx = 0x8000), "wrmsr", 13, 0);
  C64("a reserved bit of EFER", (m.rcx = 0xc0000080, m.rax = 0x80000d01, m.rdx = 0), "wrmsr", 13, 0);
  C64("PAT with a reserved type", (m.rcx = 0x277, m.rax = 2, m.rdx = 0), "wrmsr", 13, 0);
  C64("cmpxchg16b not aligned", (m.rsi = (uint64_t)far64 + 8), "cmpxchg16b (%%rsi)", 13, 0);
}

static void stepping(void) {
  CASE_ANY(reset_legacy, 32, "TF traps behind an instruction", m.rflags |= FLAG_TF, "nop\n nop", 1, 0);
  check("  with DR6.BS", m.dr6 & 0x4000);
  CASE_ANY(reset_user, 32, "TF in ring 3", m.rflags |= FLAG_TF, "mov $1, %%eax\n mov $2, %%eax", 1, 0);
  check("  after one instruction", m.rax == 1);
  CASE_ANY(reset_legacy, 32, "popf setting TF", NOTHING, "pushl $0x102\n popf\n mov $1, %%eax\n mov $2, %%eax", 1, 0);
  check("  traps behind the next", m.rax == 1);
  CASE_ANY(reset_legacy, 32, "mov ss holds it off", (m.rflags |= FLAG_TF, m.rax = DATA32), "mov %%eax, %%ss\n mov $1, %%eax\n mov $2, %%eax", 1, 0);
  check("  for one instruction", m.rax == 1);
  CASE_ANY(reset_legacy, 32, "a repeated instruction traps each time", (m.rflags |= FLAG_TF, m.rcx = 3, m.rdi = (uint32_t)(uint64_t)bench_stacks[4]),
           "rep stosb", 1, 0);
  check("  after one iteration", m.rcx == 2);
  CASE_ANY(reset_legacy, 32, "int clears TF", m.rflags |= FLAG_TF, "int $0x21", 0x21, 0);
  check("  but pushes it", m.rflags & FLAG_TF);
  CASE(reset_legacy, 32, "a fault wins over TF", m.rflags |= FLAG_TF, "ud2", 6, 0);
  CASE_ANY(reset_legacy, 32, "an execution breakpoint", NOTHING, "mov $1f, %%eax\n mov %%eax, %%dr0\n mov $2, %%eax\n mov %%eax, %%dr7\n nop\n 1: nop", 1, 0);
  check("  comes before it, with B0 and without RF", (m.dr6 & 15) == 1 && !(m.rflags & FLAG_RF));
  CASE_ANY(reset_legacy, 32, "RF lets it pass", NOTHING,
           "mov $1f, %%eax\n mov %%eax, %%dr0\n mov $2, %%eax\n mov %%eax, %%dr7\n pushl $0x10002\n push $8\n push $1f\n iret\n 1: nop", PASSED, 0);
  CASE_ANY(reset_legacy, 32, "a write breakpoint", NOTHING,
           "mov $bench_stacks, %%eax\n mov %%eax, %%dr1\n mov $0xd00008, %%eax\n mov %%eax, %%dr7\n movl $1, bench_stacks\n nop", 1, 0);
  check("  is a trap with B1", (m.dr6 & 15) == 2 && *(uint32_t *)bench_stacks[0] == 1);
  CASE_ANY(reset_legacy, 32, "a write breakpoint does not see reads", NOTHING,
           "mov $bench_stacks, %%eax\n mov %%eax, %%dr1\n mov $0xd00008, %%eax\n mov %%eax, %%dr7\n mov bench_stacks, %%eax", PASSED, 0);
  CASE_ANY(reset_legacy, 32, "an access breakpoint does", NOTHING,
           "mov $bench_stacks, %%eax\n mov %%eax, %%dr2\n mov $0xf000020, %%eax\n mov %%eax, %%dr7\n mov bench_stacks+3, %%al\n nop", 1, 0);
  check("  in any of its bytes", (m.dr6 & 15) == 4);
  CASE_ANY(reset_legacy, 32, "general detect", NOTHING, "mov $0x2000, %%eax\n mov %%eax, %%dr7\n mov %%dr0, %%eax", 1, 0);
  check("  sets BD", m.dr6 & 0x2000);
  CASE_ANY(reset_legacy, 32, "dr4 with CR4.DE", m.cr4 = 8, "mov %%dr4, %%eax", 6, 0);
  CASE_ANY(reset_legacy, 32, "icebp", NOTHING, ".byte 0xf1", 1, 0);
}

void guest_main(const char *cmdline) {
  (void)cmdline;
  bench_start();
  real_mode();
  vm86();
  protected16();
  long_modes();
  stepping();
  finish("system-modes");
}

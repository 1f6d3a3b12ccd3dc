/* system-gates: call gates, interrupt and trap gates, task gates and task switches, far transfers and IRET, in 32 bits. */
#include "system/machine.h"

#define C32(name, setup, text, vector, error) CASE(reset_legacy, 32, name, setup, text, vector, error)
#define CU(name, setup, text, vector, error) CASE(reset_user, 32, name, setup, text, vector, error)
#define ANY32(name, setup, text, vector, error) CASE_ANY(reset_legacy, 32, name, setup, text, vector, error)
#define ANYU(name, setup, text, vector, error) CASE_ANY(reset_user, 32, name, setup, text, vector, error)
#define SEG(i, base, limit, how) gdt[(i) / 8] = segment(base, limit, how)
#define GATE(i, selector, target, how, count) gdt[(i) / 8] = gate8(selector, (uint32_t)(uint64_t)(target), how, count)

static uint32_t far[2];
#define FAR(selector, offset) (far[0] = (uint32_t)(uint64_t)(offset), far[1] = (selector), m.rsi = (uint32_t)(uint64_t)far)
static uint32_t stack_word(unsigned stack, unsigned from_top) { return *(uint32_t *)(bench_stacks[stack] + 1024 - 4 * from_top); }
static void put_stack(unsigned stack, unsigned from_top, uint32_t value) {
  *(uint32_t *)(bench_stacks[stack] + 1024 - 4 * from_top) = value;
}

/* Where gates lead: they stop at once, or return. */
static void *arrive, *arrive_far_return, *arrive_iret;

static void far_transfers(void) {
  C32("jmp far", FAR(CODE32, arrive), "ljmp *(%%esi)", PASSED, 0);
  C32("jmp far to null", FAR(0, arrive), "ljmp *(%%esi)", 13, 0);
  C32("jmp far to data", FAR(DATA32, arrive), "ljmp *(%%esi)", 13, DATA32);
  C32("jmp far beyond the table", FAR(0x208, arrive), "ljmp *(%%esi)", 13, 0x208);
  C32("jmp far to ring 3 code", FAR(USER_CODE32, arrive), "ljmp *(%%esi)", 13, USER_CODE32 & ~3);
  C32("jmp far, RPL 3", FAR(CODE32 | 3, arrive), "ljmp *(%%esi)", 13, CODE32);
  C32("jmp far, not present", (SEG(FREE, 0, 0xfffff, D_CODE | D_BIG | D_PAGES), FAR(FREE, arrive)), "ljmp *(%%esi)", 11, FREE);
  C32("jmp far over the limit", (SEG(FREE, 0, 0xfff, D_CODE | D_P | D_BIG), FAR(FREE, 0x1000)), "ljmp *(%%esi)", 13, 0);
  CU("jmp far to conforming ring 0 code", (SEG(FREE, 0, 0xfffff, D_CONFORMING | D_P | D_BIG | D_PAGES), FAR(FREE, arrive)),
     "ljmp *(%%esi)", PASSED, 0);
  check("  stays in ring 3", m.cs == (FREE | 3));
  CU("jmp far to ring 0 code", FAR(CODE32, arrive), "ljmp *(%%esi)", 13, CODE32);
  C32("call far", FAR(CODE32, arrive), "lcall *(%%esi)", PASSED, 0);
  check("  pushed cs and eip", m.rsp == STACK_TOP(0) - 8 && stack_word(0, 1) == CODE32);
  C32("call far and return", FAR(CODE32, arrive_far_return), "lcall *(%%esi)\n mov $1, %%eax", PASSED, 0);
  check("  to behind the call", m.rax == 1 && m.rsp == STACK_TOP(0));
  ANY32("ret far to ring 3", NOTHING, "push $0x53\n push $0x12345678\n push $0x4b\n push $1f\n lret\n 1: nop", PASSED, 0);
  check("  is in ring 3 with its stack", m.cs == USER_CODE32 && m.ss == USER_DATA32 && m.rsp == 0x12345678);
  ANY32("  and drops ring 0's data segments", NOTHING, "push $0x53\n push $0x12345678\n push $0x4b\n push $1f\n lret\n 1: mov (%%esi), %%eax",
        13, 0);
  check("  which are null", m.ds == 0 && m.es == 0);
  ANYU("ret far inwards", NOTHING, "push $8\n push $1f\n lret\n 1: nop", 13, CODE32);
  ANY32("iret to ring 3", NOTHING, "push $0x53\n push $0x1234\n push $2\n push $0x4b\n push $1f\n iret\n 1: nop", PASSED, 0);
  check("  is in ring 3", m.cs == USER_CODE32 && m.rsp == 0x1234);
  ANY32("iret with a null cs", NOTHING, "push $2\n push $0\n push $1f\n iret\n 1: nop", 13, 0);
  ANY32("iret to data", NOTHING, "push $2\n push $0x10\n push $1f\n iret\n 1: nop", 13, DATA32);
  ANY32("iret to ring 3 with ring 0's stack", NOTHING, "push $0x10\n push $0x1234\n push $2\n push $0x4b\n push $1f\n iret\n 1: nop", 13, DATA32);
  ANY32("iret to ring 3 with a null stack", NOTHING, "push $0\n push $0x1234\n push $2\n push $0x4b\n push $1f\n iret\n 1: nop", 13, 0);
  ANY32("iret keeps what popf cannot set in ring 3", NOTHING,
        "push $0x53\n push $0x1234\n push $0x3202\n push $0x4b\n push $1f\n iret\n 1: nop", PASSED, 0);
  check("  IOPL and IF come from ring 0", (m.rflags & 0x3200) == 0x3200);
  CASE_ANY(reset_user, 32, "iret in ring 3 cannot set IF", NOTHING, "push $0x3202\n push $0x4b\n push $1f\n iret\n 1: nop", PASSED, 0);
  check("  nor IOPL", (m.rflags & 0x3200) == 0);
}

static void call_gates(void) {
  C32("call gate, same ring", (GATE(FREE, CODE32, arrive, D_CALL32 | D_P, 0), FAR(FREE, 0xdead)), "lcall *(%%esi)", PASSED, 0);
  check("  offset of the gate, 8 bytes pushed", m.rsp == STACK_TOP(0) - 8);
  C32("jmp through a call gate", (GATE(FREE, CODE32, arrive, D_CALL32 | D_P, 0), FAR(FREE, 0)), "ljmp *(%%esi)", PASSED, 0);
  CU("call gate to ring 0", (GATE(FREE, CODE32, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE | 3, 0)), "lcall *(%%esi)", PASSED, 0);
  check("  is in ring 0 on the TSS's stack", m.cs == CODE32 && m.ss == DATA32 && m.rsp == STACK_TOP(2) - 16);
  check("  where the old stack and cs are", stack_word(2, 1) == USER_DATA32 && stack_word(2, 2) == STACK_TOP(1) && stack_word(2, 3) == USER_CODE32);
  CU("call gate with 2 parameters", (GATE(FREE, CODE32, arrive, D_CALL32 | D_P | DPL(3), 2), FAR(FREE, 0), put_stack(1, 2, 0xaaa),
     put_stack(1, 1, 0xbbb), m.rsp -= 8), "lcall *(%%esi)", PASSED, 0);
  check("  copies them", m.rsp == STACK_TOP(2) - 24 && stack_word(2, 3) == 0xbbb && stack_word(2, 4) == 0xaaa);
  CU("call gate and far return", (GATE(FREE, CODE32, arrive_far_return, D_CALL32 | D_P | DPL(3), 0), FAR(FREE, 0)), "lcall *(%%esi)\n mov $2, %%eax",
     PASSED, 0);
  check("  is back in ring 3", m.cs == USER_CODE32 && m.rsp == STACK_TOP(1) && m.rax == 2);
  CU("call gate of DPL 0 from ring 3", (GATE(FREE, CODE32, arrive, D_CALL32 | D_P, 0), FAR(FREE, 0)), "lcall *(%%esi)", 13, FREE);
  C32("call gate with RPL above DPL", (GATE(FREE, CODE32, arrive, D_CALL32 | D_P, 0), FAR(FREE | 3, 0)), "lcall *(%%esi)", 13, FREE);
  CU("call gate, not present", (GATE(FREE, CODE32, arrive, D_CALL32 | DPL(3), 0), FAR(FREE, 0)), "lcall *(%%esi)", 11, FREE);
  CU("call gate to null", (GATE(FREE, 0, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE, 0)), "lcall *(%%esi)", 13, 0);
  CU("call gate to data", (GATE(FREE, DATA32, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE, 0)), "lcall *(%%esi)", 13, DATA32);
  CU("call gate to code that is not present", (SEG(FREE2, 0, 0xfffff, D_CODE | D_BIG | D_PAGES), GATE(FREE, FREE2, arrive, D_CALL32 | D_P | DPL(3), 0),
     FAR(FREE, 0)), "lcall *(%%esi)", 11, FREE2);
  CU("jmp through a gate cannot change rings", (GATE(FREE, CODE32, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE, 0)), "ljmp *(%%esi)", 13, CODE32);
  CU("16-bit call gate", (SEG(FREE2, (uint32_t)(uint64_t)arrive, 0xffff, D_CODE | D_P | D_BIG), GATE(FREE, FREE2, 0, D_CALL16 | D_P | DPL(3), 0),
     FAR(FREE, 0)), "lcall *(%%esi)", PASSED, 0);
  check("  pushes words", m.rsp == STACK_TOP(2) - 8 && stack_word(2, 1) >> 16 == USER_DATA32);
  CU("call to a conforming gate target stays in ring 3", (SEG(FREE2, 0, 0xfffff, D_CONFORMING | D_P | D_BIG | D_PAGES),
     GATE(FREE, FREE2, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE, 0)), "lcall *(%%esi)", PASSED, 0);
  check("  on the same stack", m.cs == (FREE2 | 3) && m.rsp == STACK_TOP(1) - 8);
}

#define IDT(v, selector, target, how) idt32[v] = gate8(selector, (uint32_t)(uint64_t)(target), how, 0)
#define STUB(v) (stubs32 + (v) * 16)
static void interrupt_gates(void) {
  ANY32("int", NOTHING, "int $0x21", 0x21, 0);
  ANY32("int through a gate of DPL 0 from ring 0", IDT(0x21, CODE32, STUB(0x21), D_INT32 | D_P), "int $0x21", 0x21, 0);
  CU("int through a gate of DPL 0 from ring 3", IDT(0x21, CODE32, STUB(0x21), D_INT32 | D_P), "int $0x21", 13, 0x21 * 8 + 2);
  CU("int3 through a gate of DPL 0 from ring 3", IDT(3, CODE32, STUB(3), D_INT32 | D_P), "int3", 13, 3 * 8 + 2);
  CU("a fault does not ask for the DPL", IDT(6, CODE32, STUB(6), D_INT32 | D_P), "ud2", 6, 0);
  ANYU("int1 does not ask for the DPL", IDT(1, CODE32, STUB(1), D_INT32 | D_P), ".byte 0xf1", 1, 0);
  C32("int beyond the table", m.idtr.limit = 0x21 * 8 - 1, "int $0x21", 13, 0x21 * 8 + 2);
  C32("int, not present", IDT(0x21, CODE32, STUB(0x21), D_INT32), "int $0x21", 11, 0x21 * 8 + 2);
  C32("int through a call gate", IDT(0x21, CODE32, STUB(0x21), D_CALL32 | D_P), "int $0x21", 13, 0x21 * 8 + 2);
  C32("int to null", IDT(0x21, 0, STUB(0x21), D_INT32 | D_P), "int $0x21", 13, 0);
  C32("int to data", IDT(0x21, DATA32, STUB(0x21), D_INT32 | D_P), "int $0x21", 13, DATA32);
  C32("int to ring 3 code", IDT(0x21, USER_CODE32, STUB(0x21), D_INT32 | D_P), "int $0x21", 13, USER_CODE32 & ~3);
  C32("int to code beyond the table", IDT(0x21, 0x208, STUB(0x21), D_INT32 | D_P), "int $0x21", 13, 0x208);
  C32("a fault's bad gate has EXT", IDT(6, 0x208, STUB(6), D_INT32 | D_P), "ud2", 13, 0x209);
  C32("a fault's missing gate has EXT", IDT(6, CODE32, STUB(6), D_INT32), "ud2", 11, 6 * 8 + 3);
  CASE_ANY(reset_user, 32, "an interrupt from ring 3 uses the TSS's stack", NOTHING, "int $0x21", 0x21, 0);
  check("  with the old one on it", m.ss == USER_DATA32 && m.rsp == STACK_TOP(1) && stack_word(2, 1) == USER_DATA32 && stack_word(2, 2) == STACK_TOP(1));
  ANY32("16-bit interrupt gate", (SEG(FREE, (uint32_t)(uint64_t)stub16_gate, 0xffff, D_CODE | D_P | D_BIG), IDT(0x31, FREE, 0, D_INT16 | D_P)),
      "int $0x31", 0x31, 0);
  check("  pushes words", m.cs == CODE32 && m.rflags == 2);
  static void *after;
  after = SNIPPET(32, "pushf\n pop %%eax");
  ANY32("an interrupt gate clears IF and TF", (m.rflags |= FLAG_IF, IDT(0x21, CODE32, after, D_INT32 | D_P)), "int $0x21", PASSED, 0);
  check("  in the handler", (m.rax & (FLAG_IF | FLAG_TF)) == 0);
  ANY32("a trap gate leaves IF", (m.rflags |= FLAG_IF, IDT(0x21, CODE32, after, D_TRAP32 | D_P)), "int $0x21", PASSED, 0);
  check("  as it was", m.rax & FLAG_IF);
  ANY32("a gate clears NT", (IDT(0x21, CODE32, after, D_INT32 | D_P)), "push $0x4002\n popf\n int $0x21", PASSED, 0);
  check("  in the handler", (m.rax & FLAG_NT) == 0);
  ANY32("int and iret", IDT(0x21, CODE32, arrive_iret, D_INT32 | D_P), "int $0x21\n mov $3, %%eax", PASSED, 0);
  check("  goes on behind it", m.rax == 3 && m.rsp == STACK_TOP(0));
  ANYU("int and iret between rings", IDT(0x21, CODE32, arrive_iret, D_INT32 | D_P | DPL(3)), "int $0x21\n mov $3, %%eax", PASSED, 0);
  check("  goes on in ring 3", m.rax == 3 && m.cs == USER_CODE32 && m.rsp == STACK_TOP(1));
  /* A fault while a contributory fault is delivered is a double fault. */
  C32("#GP with a missing gate is a double fault", (IDT(13, CODE32, STUB(13), D_INT32), m.ds = 0), "mov (%%esi), %%eax", 8, 0);
  C32("#UD with a missing gate is not", IDT(6, CODE32, STUB(6), D_INT32), "ud2", 11, 6 * 8 + 3);
}

/* Task switches. The other task runs `eip`, which stops with all its registers. */
static void other(void *eip, uint32_t type) {
  memset(&other32, 0, sizeof other32);
  other32.eip = (uint32_t)(uint64_t)eip;
  other32.eflags = 2;
  other32.eax = 0xa1;
  other32.ebx = 0xb1;
  other32.ebp = 0xbb1;
  other32.esp = STACK_TOP(3);
  other32.cs = CODE32;
  other32.ss = other32.ds = other32.es = other32.fs = DATA32;
  other32.iomap = sizeof other32;
  other32.ss0 = DATA32;
  other32.esp0 = STACK_TOP(4);
  SEG(FREE, (uint32_t)(uint64_t)&other32, sizeof other32 - 1, type);
  FAR(FREE, 0);
}
#define OTHER other(arrive, D_TSS32 | D_P)
#define ACCESS(i) access_of(gdt[(i) / 8])

/* A task gate at `vector` catches what a bad ss0 leads to. */
#define BAD_STACK(vector, ss0_) (OTHER, idt32[vector] = gate8(FREE, 0, D_TASK | D_P, 0), tss32.ss0 = (ss0_))
#define C_TASK(name, setup, text, error_)                                                             \
  do {                                                                                                \
    reset_user();                                                                                     \
    setup;                                                                                            \
    RUN32(text);                                                                                      \
    check(name, m.vector == PASSED && m.tr == FREE && stack_word(3, 1) == (error_));                  \
  } while (0)

static void task_switches(void) {
  ANY32("jmp to a task", OTHER, "ljmp *(%%esi)", PASSED, 0);
  check("  has its registers", m.rax == 0xa1 && m.rbx == 0xb1 && m.rbp == 0xbb1 && m.rsp == STACK_TOP(3) && m.fs == DATA32);
  check("  saved the old ones", tss32.ebx == 0x22222222 && tss32.edi == 0x66666666 && tss32.esp == STACK_TOP(0) && tss32.cs == CODE32);
  check("  TR, busy bits", m.tr == FREE && ACCESS(FREE) == (D_TSS32_BUSY | D_P) && ACCESS(TSS) == (D_TSS32 | D_P));
  check("  no NT, no link, CR0.TS", !(m.rflags & FLAG_NT) && other32.link == 0 && (m.cr0 & 8));
  ANY32("call of a task", OTHER, "lcall *(%%esi)", PASSED, 0);
  check("  NT and link", (m.rflags & FLAG_NT) && other32.link == TSS);
  check("  both are busy", ACCESS(FREE) == (D_TSS32_BUSY | D_P) && ACCESS(TSS) == (D_TSS32_BUSY | D_P));
  ANY32("call of a task and iret", other(arrive_iret, D_TSS32 | D_P), "lcall *(%%esi)\n mov $4, %%eax", PASSED, 0);
  check("  is back", m.rax == 4 && m.tr == TSS && ACCESS(FREE) == (D_TSS32 | D_P) && !(m.rflags & FLAG_NT));
  ANY32("a task gate", (OTHER, GATE(FREE2, FREE, 0, D_TASK | D_P, 0), FAR(FREE2, 0)), "lcall *(%%esi)", PASSED, 0);
  check("  leads to the task", m.tr == FREE);
  ANYU("a task gate from ring 3", (OTHER, GATE(FREE2, FREE, 0, D_TASK | D_P | DPL(3), 0), FAR(FREE2, 0)), "lcall *(%%esi)", PASSED, 0);
  check("  leads to ring 0", m.cs == CODE32 && tss32.cs == USER_CODE32);
  CU("a TSS of DPL 0 from ring 3", OTHER, "ljmp *(%%esi)", 13, FREE);
  C32("a busy task", other(arrive, D_TSS32_BUSY | D_P), "ljmp *(%%esi)", 13, FREE);
  C32("a task that is not present", other(arrive, D_TSS32), "ljmp *(%%esi)", 11, FREE);
  C32("a task with a short TSS", (OTHER, SEG(FREE, (uint32_t)(uint64_t)&other32, 0x66, D_TSS32 | D_P)), "ljmp *(%%esi)", 10, FREE);
  C32("a task gate in the IDT", (OTHER, idt32[0x21] = gate8(FREE, 0, D_TASK | D_P, 0)), "int $0x21", PASSED, 0);
  check("  nests", (m.rflags & FLAG_NT) && other32.link == TSS && m.tr == FREE);
  C32("a fault with an error code through a task gate", (OTHER, idt32[13] = gate8(FREE, 0, D_TASK | D_P, 0), m.ds = 0), "mov (%%esi), %%eax", PASSED, 0);
  check("  pushes it on the new stack", m.rsp == STACK_TOP(3) - 4 && stack_word(3, 1) == 0);
  C32("a double fault through a task gate", (OTHER, idt32[8] = gate8(FREE, 0, D_TASK | D_P, 0), idt32[13] = 0, m.ds = 0), "mov (%%esi), %%eax", PASSED, 0);
  check("  starts with a good stack", m.tr == FREE && m.rsp == STACK_TOP(3) - 4);
  ANY32("a new task's bad ds faults in it", (OTHER, other32.ds = 0x208), "ljmp *(%%esi)", 10, 0x208);
  check("  TR is the new task's", m.tr == FREE && m.rip == other32.eip);
  ANY32("a new task's LDT", (OTHER, other32.ldt = LDT), "ljmp *(%%esi)", PASSED, 0);
  check("  is loaded", m.ldtr == LDT);
  ANY32("a new task in ring 3", (OTHER, other32.cs = USER_CODE32, other32.ss = other32.ds = other32.es = other32.fs = USER_DATA32), "ljmp *(%%esi)", 0x20, 0);
  check("  is in ring 3", m.cs == USER_CODE32 && m.ss == USER_DATA32 && m.rsp == STACK_TOP(3));
  ANY32("the T bit traps when the task starts", (OTHER, other32.trap = 1), "ljmp *(%%esi)", 1, 0);
  check("  with DR6.BT", m.dr6 & 0x8000 && m.rip == other32.eip);
  /* Without a good stack for ring 0 nothing but a task gate can tell. */
  C_TASK("a call gate finds a null ss0", (BAD_STACK(10, 0), GATE(FREE2, CODE32, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE2, 0)), "lcall *(%%esi)", 0);
  C_TASK("a call gate finds ring 3's ss0", (BAD_STACK(10, USER_DATA32), GATE(FREE2, CODE32, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE2, 0)), "lcall *(%%esi)", USER_DATA32 & ~3u);
  C_TASK("a call gate finds ss0 beyond the table", (BAD_STACK(10, 0x208), GATE(FREE2, CODE32, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE2, 0)), "lcall *(%%esi)", 0x208);
  C_TASK("a call gate finds data in ss0's place that is not present", (BAD_STACK(12, FREE3), SEG(FREE3, 0, 0xfffff, D_DATA | D_BIG | D_PAGES),
         GATE(FREE2, CODE32, arrive, D_CALL32 | D_P | DPL(3), 0), FAR(FREE2, 0)), "lcall *(%%esi)", FREE3);
  C_TASK("an interrupt finds a null ss0", BAD_STACK(10, 0), "int $0x21", 0);
  C_TASK("a fault finds a null ss0: EXT", BAD_STACK(10, 0), "ud2", 1);
  C_TASK("#GP and then #TS is a double fault", BAD_STACK(8, 0), "hlt", 0);
  memset(&other16, 0, sizeof other16);
  ANY32("jmp to a 16-bit task", (other16.ip = 0, other16.flags = 2, other16.ax = 0xa2, other16.sp = 0x300, other16.cs = FREE2,
        other16.ss = other16.ds = other16.es = DATA32, SEG(FREE2, (uint32_t)(uint64_t)arrive, 0xffff, D_CODE | D_P | D_BIG),
        SEG(FREE, (uint32_t)(uint64_t)&other16, sizeof other16 - 1, D_TSS16 | D_P), other16.sp = 0, SEG(FREE3, STACK_TOP(3) - 0x10000, 0xffff, D_DATA | D_P),
        other16.ss = FREE3, FAR(FREE, 0), idt32[0x20] = idt32[0x20]), "ljmp *(%%esi)", PASSED, 0);
  check("  has its registers", (m.rax & 0xffff) == 0xa2 && m.tr == FREE);
  ANY32("iret with NT and a bad link", (tss32.link = DATA32, m.rflags |= FLAG_NT), "iret", 10, DATA32);
  ANY32("iret with NT to a task that is not busy", (OTHER, tss32.link = FREE, m.rflags |= FLAG_NT), "iret", 10, FREE);
}

void guest_main(const char *cmdline) {
  (void)cmdline;
  bench_start();
  arrive = SNIPPET(32, "nop");
  arrive_far_return = SNIPPET(32, "lret");
  arrive_iret = SNIPPET(32, "iret");
  far_transfers();
  call_gates();
  interrupt_gates();
  task_switches();
  finish("system-gates");
}

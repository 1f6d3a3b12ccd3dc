/* system-segments: loading segments, their limits and types, and the instructions that ask about descriptors. */
#include "system/machine.h"

#define C32(name, setup, text, vector, error) CASE(reset_legacy, 32, name, setup, text, vector, error)
#define CU(name, setup, text, vector, error) CASE(reset_user, 32, name, setup, text, vector, error)
#define SEG(i, base, limit, how) gdt[(i) / 8] = segment(base, limit, how)
#define DESCRIPTOR(how_) (SEG(FREE, 0, 0xfffff, (how_) | D_BIG | D_PAGES), m.rax = FREE)

static uint32_t area[8] __attribute__((aligned(4096)));
#define AREA ((uint32_t)(uint64_t)area)

static void loads(void) {
  C32("mov ds, null", m.rax = 0, "mov %%ax, %%ds", PASSED, 0);
  C32("mov ds, null with RPL 3", m.rax = 3, "mov %%ax, %%ds", PASSED, 0);
  C32("a read through null ds", m.ds = 0, "mov (%%esi), %%al", 13, 0);
  C32("a write through null es", m.es = 0, "movb $1, %%es:(%%esi)", 13, 0);
  C32("mov ss, null", m.rax = 0, "mov %%ax, %%ss", 13, 0);
  C32("beyond the GDT", m.rax = 0x200, "mov %%ax, %%ds", 13, 0x200);
  C32("beyond the GDT, with RPL", m.rax = 0x203, "mov %%ax, %%es", 13, 0x200);
  C32("in an LDT that is not there", m.rax = 0x0c, "mov %%ax, %%fs", 13, 0x0c);
  C32("in the LDT", (m.ldtr = LDT, ldt[1] = segment(0, 0xfffff, D_DATA | D_P | D_BIG | D_PAGES), m.rax = 0x0c), "mov %%ax, %%fs",
      PASSED, 0);
  check("  and the selector is there", m.fs == 0x0c);
  C32("beyond the LDT", (m.ldtr = LDT, m.rax = 0x84), "mov %%ax, %%gs", 13, 0x84);
  C32("not present data", DESCRIPTOR(D_DATA), "mov %%ax, %%ds", 11, FREE);
  C32("not present stack", DESCRIPTOR(D_DATA), "mov %%ax, %%ss", 12, FREE);
  C32("execute-only code as data", DESCRIPTOR(D_CODE_XO | D_P), "mov %%ax, %%ds", 13, FREE);
  C32("readable code as data", DESCRIPTOR(D_CODE | D_P), "mov %%ax, %%ds", PASSED, 0);
  C32("readable code cannot be written", (SEG(FREE, 0, 0xfffff, D_CODE | D_P | D_BIG | D_PAGES), m.ds = FREE, m.rsi = AREA),
      "movb $1, (%%esi)", 13, 0);
  C32("read-only data cannot be written", (SEG(FREE, 0, 0xfffff, D_DATA_RO | D_P | D_BIG | D_PAGES), m.ds = FREE, m.rsi = AREA),
      "movb $1, (%%esi)", 13, 0);
  C32("read-only data can be read", (SEG(FREE, 0, 0xfffff, D_DATA_RO | D_P | D_BIG | D_PAGES), m.ds = FREE, m.rsi = AREA),
      "mov (%%esi), %%al", PASSED, 0);
  C32("code cannot be written through cs", m.rsi = AREA, "movb $1, %%cs:(%%esi)", 13, 0);
  C32("code as a stack", DESCRIPTOR(D_CODE | D_P), "mov %%ax, %%ss", 13, FREE);
  C32("read-only data as a stack", DESCRIPTOR(D_DATA_RO | D_P), "mov %%ax, %%ss", 13, FREE);
  C32("a stack with another DPL", DESCRIPTOR(D_DATA | D_P | DPL(3)), "mov %%ax, %%ss", 13, FREE);
  C32("a stack with another RPL", m.rax = DATA32 | 3, "mov %%ax, %%ss", 13, DATA32);
  C32("a system descriptor as data", m.rax = TSS, "mov %%ax, %%ds", 13, TSS);
  C32("a system descriptor as a stack", m.rax = TSS, "mov %%ax, %%ss", 13, TSS);
  C32("data with RPL 3 above its DPL", m.rax = DATA32 | 3, "mov %%ax, %%ds", 13, DATA32);
  C32("data of ring 3 in ring 0", m.rax = USER_DATA32, "mov %%ax, %%ds", PASSED, 0);
  CU("data of ring 0 in ring 3", m.rax = DATA32, "mov %%ax, %%ds", 13, DATA32);
  CU("data of ring 3, RPL 0", m.rax = USER_DATA32 & ~3, "mov %%ax, %%ds", PASSED, 0);
  CU("a stack with RPL 0 in ring 3", m.rax = USER_DATA32 & ~3, "mov %%ax, %%ss", 13, USER_DATA32 & ~3);
  CU("conforming code of ring 0 as data in ring 3", DESCRIPTOR(D_CONFORMING | D_P), "mov %%ax, %%ds", PASSED, 0);
  CU("plain code of ring 0 as data in ring 3", DESCRIPTOR(D_CODE | D_P), "mov %%ax, %%ds", 13, FREE);
  C32("mov to cs", m.rax = CODE32, ".byte 0x8e, 0xc8", 6, 0);
  C32("segment register 6", m.rax = DATA32, ".byte 0x8e, 0xf0", 6, 0);
  C32("pop ds", *(uint32_t *)(bench_stacks[0] + 1024 - 4) = USER_DATA32; m.rsp -= 4, "pop %%ds", PASSED, 0);
  check("  and the stack is popped", m.rsp == STACK_TOP(0) && m.ds == USER_DATA32);
  C32("pop ds, a bad one", *(uint32_t *)(bench_stacks[0] + 1024 - 4) = 0x1f8; m.rsp -= 4; gdt[0x3f] = 0, "pop %%ds", 13, 0x1f8);
  check("  and the stack is as it was", m.rsp == STACK_TOP(0) - 4);
  C32("lds", (area[0] = 0x1234, area[1] = USER_DATA32, m.rsi = AREA), "lds (%%esi), %%eax", PASSED, 0);
  check("  and both halves are there", m.rax == 0x1234 && m.ds == USER_DATA32);
  C32("les with a bad selector changes nothing", (area[0] = 0x1234, area[1] = 0x1f8, m.rsi = AREA), "les (%%esi), %%eax", 13, 0x1f8);
  check("  and eax is as it was", m.rax == 0x11111111);
  C32("lss", (area[0] = STACK_TOP(3), area[1] = DATA32, m.rsi = AREA), "lss (%%esi), %%esp", PASSED, 0);
  check("  and the stack is the new one", m.rsp == STACK_TOP(3));
  C32("lfs with a register", NOTHING, ".byte 0x0f, 0xb4, 0xc0", 6, 0);
  C32("loading sets the accessed bit", DESCRIPTOR(D_DATA | D_P), "mov %%ax, %%ds", PASSED, 0);
  check("  in the table", access_of(gdt[FREE / 8]) == (D_DATA | D_P | 1));
  C32("a fault does not set it", DESCRIPTOR(D_CODE_XO | D_P), "mov %%ax, %%ds", 13, FREE);
  check("  in the table", access_of(gdt[FREE / 8]) == (D_CODE_XO | D_P));
}

#define WITH(how, limit) (SEG(FREE, AREA, limit, (how) | D_P | D_BIG), m.ds = FREE)
static void limits(void) {
  C32("the last byte", (WITH(D_DATA, 15), m.rsi = 15), "mov (%%esi), %%al", PASSED, 0);
  C32("one byte behind", (WITH(D_DATA, 15), m.rsi = 16), "mov (%%esi), %%al", 13, 0);
  C32("the last dword", (WITH(D_DATA, 15), m.rsi = 12), "mov (%%esi), %%eax", PASSED, 0);
  C32("a dword over the end", (WITH(D_DATA, 15), m.rsi = 13), "mov (%%esi), %%eax", 13, 0);
  C32("a word over the end", (WITH(D_DATA, 15), m.rsi = 15), "mov %%ax, (%%esi)", 13, 0);
  C32("16 bytes over the end", (m.cr4 = 0x200, WITH(D_DATA, 15), m.rsi = 1), "movups (%%esi), %%xmm0", 13, 0);
  C32("around the top of the offset", (WITH(D_DATA, 15), m.rsi = 0xffffffff), "mov (%%esi), %%eax", 13, 0);
  C32("limit in pages", (SEG(FREE, AREA & ~4095u, 0, D_DATA | D_P | D_BIG | D_PAGES), m.ds = FREE, m.rsi = 4095), "mov (%%esi), %%al",
      PASSED, 0);
  C32("behind a limit in pages", (SEG(FREE, AREA & ~4095u, 0, D_DATA | D_P | D_BIG | D_PAGES), m.ds = FREE, m.rsi = 4096),
      "mov (%%esi), %%al", 13, 0);
  C32("expand-down: below", (WITH(D_DOWN, 15), m.rsi = 15), "mov (%%esi), %%al", 13, 0);
  C32("expand-down: above", (WITH(D_DOWN, 15), m.rsi = 16), "mov (%%esi), %%al", PASSED, 0);
  C32("expand-down: far above", (SEG(FREE, 0, 0, D_DOWN | D_P | D_BIG), m.ds = FREE, m.rsi = AREA), "mov (%%esi), %%eax", PASSED, 0);
  C32("expand-down, 16 bits: above 0xffff", (SEG(FREE, 0, 0, D_DOWN | D_P), m.ds = FREE, m.rsi = 0x10000), "mov (%%esi), %%al", 13, 0);
  C32("expand-down, 16 bits: 0xffff", (SEG(FREE, 0, 0, D_DOWN | D_P), m.ds = FREE, m.rsi = 0xffff), "mov (%%esi), %%al", PASSED, 0);
  C32("a stack access over the limit is #SS", (SEG(FREE, AREA, 15, D_DATA | D_P | D_BIG), m.rbp = 16, gdt[FREE2 / 8] = 0),
      "mov %%ss:(%%ebp), %%eax", PASSED, 0);
  CASE_ANY(reset_legacy, 32, "  through a small ss",
           (SEG(FREE, 0, (STACK_TOP(0) - 1) >> 12, D_DATA | D_P | D_BIG | D_PAGES), m.ss = FREE, m.rbp = 0x2000000), "mov (%%ebp), %%eax",
           12, 0);
  C32("cs as a data segment has cs's limit", (SEG(FREE, 0, 0xffff, D_CODE | D_P | D_BIG), m.rsi = 0x10000),
      "mov %%cs:(%%esi), %%eax", PASSED, 0);
  /* Both operands of a string instruction */
  C32("movs: source over its limit", (WITH(D_DATA, 15), m.rsi = 16, m.rdi = AREA), "movsb", 13, 0);
  C32("movs: destination over its limit", (WITH(D_DATA, 15), m.es = FREE, m.ds = DATA32, m.rsi = AREA, m.rdi = 16), "movsb", 13, 0);
  C32("movs with another source segment", (WITH(D_DATA, 15), m.ds = 0, m.fs = FREE, m.rsi = 0, m.rdi = AREA), "movsb %%fs:(%%esi), %%es:(%%edi)",
      PASSED, 0);
  C32("rep stosb to the limit's end", (WITH(D_DATA, 15), m.es = FREE, m.rcx = 20, m.rdi = 0), "rep stosb", 13, 0);
  check("  has done what fits", m.rcx == 4 && m.rdi == 16);
  C32("the source is checked before the destination", (m.ds = 0, m.es = 0), "cmpsb", 13, 0);
  C32("xlat over the limit", (WITH(D_DATA, 15), m.rbx = 10, m.rax = 6), "xlat", 13, 0);
  C32("bt reaches with its bit offset", (WITH(D_DATA, 15), m.rsi = 0, m.rax = 16 * 8), "bt %%eax, (%%esi)", 13, 0);
  C32("lea checks nothing", (WITH(D_DATA, 15), m.rsi = 16), "lea (%%esi), %%eax", PASSED, 0);
  C32("16-bit addresses wrap", (SEG(FREE, LOW_DATA, 0xffff, D_DATA | D_P | D_BIG), m.ds = FREE, m.rbx = 0x1fff0, m.rsi = 0x10),
      "addr16 mov (%%bx,%%si), %%al", PASSED, 0);
}

#define ASK(name, setup, text, zf, result)                                                     \
  do {                                                                                         \
    reset_legacy();                                                                            \
    setup;                                                                                     \
    RUN32(text);                                                                               \
    check(name, m.vector == PASSED && !(m.rflags & FLAG_ZF) == !(zf) && m.rcx == (result));    \
  } while (0)
#define UNCHANGED 0x33333333
static void questions(void) {
  ASK("lar of data", m.rax = DATA32, "lar %%eax, %%ecx", 1, 0xcf9300);
  ASK("lar of code", m.rax = CODE32, "lar %%eax, %%ecx", 1, 0xcf9b00);
  ASK("lar of null", m.rax = 0, "lar %%eax, %%ecx", 0, UNCHANGED);
  ASK("lar beyond the table", m.rax = 0x200, "lar %%eax, %%ecx", 0, UNCHANGED);
  ASK("lar of a busy TSS", m.rax = TSS, "lar %%eax, %%ecx", 1, 0x8b00);
  ASK("lar of an LDT", m.rax = LDT, "lar %%eax, %%ecx", 1, 0x8200);
  ASK("lar of a call gate", (gdt[FREE / 8] = gate8(CODE32, 0, D_CALL32 | D_P, 0), m.rax = FREE), "lar %%eax, %%ecx", 1, 0x8c00);
  ASK("lar of a task gate", (gdt[FREE / 8] = gate8(TSS, 0, D_TASK | D_P, 0), m.rax = FREE), "lar %%eax, %%ecx", 1, 0x8500);
  ASK("lar of an interrupt gate", (gdt[FREE / 8] = gate8(CODE32, 0, D_INT32 | D_P, 0), m.rax = FREE), "lar %%eax, %%ecx", 0, UNCHANGED);
  ASK("lar of data that is not present", DESCRIPTOR(D_DATA), "lar %%eax, %%ecx", 1, 0xcf1200);
  ASK("lar with RPL above DPL", m.rax = DATA32 | 3, "lar %%eax, %%ecx", 0, UNCHANGED);
  ASK("lar of conforming code, RPL 3", (SEG(FREE, 0, 0xfffff, D_CONFORMING | D_P | D_BIG | D_PAGES), m.rax = FREE | 3), "lar %%eax, %%ecx",
      1, 0xcf9e00);
  ASK("lar in 16 bits", m.rax = DATA32, "lar %%ax, %%cx", 1, 0x33339300);
  ASK("lsl in pages", m.rax = DATA32, "lsl %%eax, %%ecx", 1, 0xffffffff);
  ASK("lsl in bytes", m.rax = DATA16, "lsl %%eax, %%ecx", 1, 0xffff);
  ASK("lsl in 16 bits", m.rax = DATA32, "lsl %%ax, %%cx", 1, 0x3333ffff);
  ASK("lsl of a TSS", m.rax = TSS, "lsl %%eax, %%ecx", 1, sizeof tss32 - 1);
  ASK("lsl of an LDT", m.rax = LDT, "lsl %%eax, %%ecx", 1, sizeof ldt - 1);
  ASK("lsl of a call gate", (gdt[FREE / 8] = gate8(CODE32, 0, D_CALL32 | D_P, 0), m.rax = FREE), "lsl %%eax, %%ecx", 0, UNCHANGED);
  ASK("lsl of a task gate", (gdt[FREE / 8] = gate8(TSS, 0, D_TASK | D_P, 0), m.rax = FREE), "lsl %%eax, %%ecx", 0, UNCHANGED);
  ASK("verr of data", m.rax = DATA32, "verr %%ax", 1, UNCHANGED);
  ASK("verr of readable code", m.rax = CODE32, "verr %%ax", 1, UNCHANGED);
  ASK("verr of execute-only code", DESCRIPTOR(D_CODE_XO | D_P), "verr %%ax", 0, UNCHANGED);
  ASK("verr of null", m.rax = 0, "verr %%ax", 0, UNCHANGED);
  ASK("verr of a TSS", m.rax = TSS, "verr %%ax", 0, UNCHANGED);
  ASK("verr with RPL above DPL", m.rax = DATA32 | 1, "verr %%ax", 0, UNCHANGED);
  ASK("verr of conforming code, RPL 3", (SEG(FREE, 0, 0xfffff, D_CONFORMING | D_P | D_BIG | D_PAGES), m.rax = FREE | 3), "verr %%ax", 1,
      UNCHANGED);
  ASK("verw of data", m.rax = DATA32, "verw %%ax", 1, UNCHANGED);
  ASK("verw of read-only data", DESCRIPTOR(D_DATA_RO | D_P), "verw %%ax", 0, UNCHANGED);
  ASK("verw of code", m.rax = CODE32, "verw %%ax", 0, UNCHANGED);
  ASK("verw beyond the table", m.rax = 0x1000, "verw %%ax", 0, UNCHANGED);
  ASK("arpl raises", (m.rax = 0x10, m.rcx = 0x33333303), "arpl %%cx, %%ax", 1, 0x33333303);
  check("  the RPL", (m.rax & 0xffff) == 0x13);
  ASK("arpl leaves alone", (m.rax = 0x12, m.rcx = 0x33333301), "arpl %%cx, %%ax", 0, 0x33333301);
  check("  the RPL", (m.rax & 0xffff) == 0x12);
}

static void tables(void) {
  C32("lldt null", m.rax = 0, "lldt %%ax", PASSED, 0);
  C32("lldt", m.rax = LDT, "lldt %%ax", PASSED, 0);
  check("  is seen by sldt", m.ldtr == LDT);
  C32("lldt of data", m.rax = DATA32, "lldt %%ax", 13, DATA32);
  C32("lldt from the LDT", (m.ldtr = LDT, m.rax = 0x0c), "lldt %%ax", 13, 0x0c);
  C32("lldt, not present", (gdt[LDT / 8] &= ~(0x80ull << 40), m.rax = LDT), "lldt %%ax", 11, LDT);
  CU("lldt in ring 3", m.rax = 0, "lldt %%ax", 13, 0);
  C32("ltr null", m.rax = 0, "ltr %%ax", 13, 0);
  C32("ltr of a busy TSS", m.rax = TSS, "ltr %%ax", 13, TSS);
  C32("ltr of data", m.rax = DATA32, "ltr %%ax", 13, DATA32);
  C32("ltr", (m.tr = 0, m.rax = TSS), "ltr %%ax", PASSED, 0);
  check("  makes the TSS busy", access_of(gdt[TSS / 8]) == (D_TSS32_BUSY | D_P) && m.tr == TSS);
  C32("ltr of a 16-bit TSS", (m.tr = 0, SEG(FREE, AREA, 0x2b, D_TSS16 | D_P), m.rax = FREE), "ltr %%ax", PASSED, 0);
  check("  makes it busy", access_of(gdt[FREE / 8]) == (D_TSS16_BUSY | D_P));
  C32("ltr, not present", (SEG(FREE, AREA, 0x67, D_TSS32), m.rax = FREE), "ltr %%ax", 11, FREE);
  CU("ltr in ring 3", m.rax = TSS, "ltr %%ax", 13, 0);
  CU("lgdt in ring 3", m.rsi = AREA, "lgdt (%%esi)", 13, 0);
  CU("lidt in ring 3", m.rsi = AREA, "lidt (%%esi)", 13, 0);
  CU("sgdt in ring 3", m.rsi = AREA, "sgdt (%%esi)", PASSED, 0);
  check("  stores limit and base", (area[0] & 0xffff) == sizeof gdt - 1 && *(uint32_t *)((uint8_t *)area + 2) == (uint32_t)(uint64_t)gdt);
  CU("str in ring 3", NOTHING, "str %%eax", PASSED, 0);
  check("  stores the selector", m.rax == TSS);
  CU("smsw in ring 3", NOTHING, "smsw %%eax", PASSED, 0);
  check("  stores CR0", (m.rax & 0xffff) == 0x31);
  CU("lmsw in ring 3", NOTHING, "lmsw %%ax", 13, 0);
  C32("lmsw cannot clear PE", m.rax = 0, "lmsw %%ax", PASSED, 0);
  check("  in CR0", m.cr0 & 1);
  CU("UMIP: sgdt", (m.cr4 = 0x800, m.rsi = AREA), "sgdt (%%esi)", 13, 0);
  CU("UMIP: sidt", (m.cr4 = 0x800, m.rsi = AREA), "sidt (%%esi)", 13, 0);
  CU("UMIP: sldt", m.cr4 = 0x800, "sldt %%eax", 13, 0);
  CU("UMIP: str", m.cr4 = 0x800, "str %%eax", 13, 0);
  CU("UMIP: smsw", m.cr4 = 0x800, "smsw %%eax", 13, 0);
  C32("UMIP leaves ring 0 alone", m.cr4 = 0x800, "smsw %%eax", PASSED, 0);
  C32("sgdt of a register", NOTHING, ".byte 0x0f, 0x01, 0xc0 + 0x20 - 0x20", 6, 0);
  CU("cli in ring 3", NOTHING, "cli", 13, 0);
  CU("sti in ring 3", NOTHING, "sti", 13, 0);
  CU("cli in ring 3 with IOPL 3", m.rflags |= FLAG_IOPL, "cli", PASSED, 0);
  CU("hlt in ring 3", m.rflags |= FLAG_IOPL, "hlt", 13, 0);
  CU("mov cr0 in ring 3", NOTHING, "mov %%cr0, %%eax", 13, 0);
  CU("mov dr7 in ring 3", NOTHING, "mov %%dr7, %%eax", 13, 0);
  CU("clts in ring 3", NOTHING, "clts", 13, 0);
  CU("invlpg in ring 3", NOTHING, "invlpg (%%esi)", 13, 0);
  CU("wbinvd in ring 3", NOTHING, "wbinvd", 13, 0);
  CU("rdmsr in ring 3", m.rcx = 0x10, "rdmsr", 13, 0);
  CU("rdtsc in ring 3", NOTHING, "rdtsc", PASSED, 0);
  CU("rdtsc in ring 3 with CR4.TSD", m.cr4 = 4, "rdtsc", 13, 0);
  CU("in without rights", m.rdx = 0x80, "in %%dx, %%al", 13, 0);
  CU("in, map too short", (tss32.iomap = 0x68, m.rdx = 8 * 64), "in %%dx, %%al", 13, 0);
  CU("in, map forbids", (tss32.iomap = 0x68, tss32.map[0x10] = 2, m.rdx = 0x81), "in %%dx, %%al", 13, 0);
  CU("in of a word that touches a forbidden port", (tss32.iomap = 0x68, tss32.map[0x10] = 2, m.rdx = 0x80), "in %%dx, %%ax", 13, 0);
  CU("popf in ring 3 keeps IF and IOPL", NOTHING, "pushl $0x3202\n popf\n pushf\n pop %%eax", PASSED, 0);
  check("  as they were", (m.rax & 0x3200) == 0);
  C32("popf in ring 0 sets IOPL", NOTHING, "pushl $0x3002\n popf\n pushf\n pop %%eax", PASSED, 0);
  check("  as asked", (m.rax & 0x3000) == 0x3000);
  C32("cr0: PG without PE", m.rax = 0x80000000, "mov %%eax, %%cr0", 13, 0);
  C32("cr0: NW without CD", m.rax = 0x20000011, "mov %%eax, %%cr0", 13, 0);
  C32("cr4: a reserved bit", m.rax = 0x80000000, "mov %%eax, %%cr4", 13, 0);
  C32("lock before an instruction that has none", NOTHING, ".byte 0xf0, 0x89, 0x06", 6, 0);
  C32("bound within", (area[0] = 1, area[1] = 5, m.rsi = AREA, m.rax = 5), "bound %%eax, (%%esi)", PASSED, 0);
  C32("bound below", (area[0] = 1, area[1] = 5, m.rsi = AREA, m.rax = 0), "bound %%eax, (%%esi)", 5, 0);
  C32("bound compares signed", (area[0] = 1, area[1] = 5, m.rsi = AREA, m.rax = 0xffffffff), "bound %%eax, (%%esi)", 5, 0);
  CASE_ANY(reset_legacy, 32, "into with OF", NOTHING, "mov $0x7f, %%al\n inc %%al\n into", 4, 0);
  C32("into without OF", NOTHING, "xor %%eax, %%eax\n into", PASSED, 0);
}

void guest_main(const char *cmdline) {
  (void)cmdline;
  bench_start();
  loads();
  limits();
  questions();
  tables();
  finish("system-segments");
}

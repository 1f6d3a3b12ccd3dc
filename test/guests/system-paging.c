/*
 * system-paging: the forms of paging from 32-bit mode: two levels, with PSE, PAE, and four levels; their bits, accessed and
 * dirty bits, what a TLB may keep, page-fault error codes, WP, U/S, NX, SMEP, SMAP, and instructions over page ends.
 */
#include "system/machine.h"

/* Linear 0x40000000 on: the test pages, by their own tables. Everything below 4 MiB is mapped to itself for all rings. */
#define WINDOW 0x40000000u
#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define G 0x100ull
#define NX (1ull << 63)

static uint32_t directory[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096))), pd[4][512] __attribute__((aligned(4096))), pt[512] __attribute__((aligned(4096)));
static uint8_t pages[4][4096] __attribute__((aligned(4096)));
#define PAGE(n) ((uint32_t)(uint64_t)pages[n])
#define AT(n) (WINDOW + (n) * 4096u)

static void fill_pages(void) {
  for (unsigned n = 0; n < 4; n++) memset(pages[n], (int)(0x10 + n), 4096);
}
static void two_levels(uint64_t entry) {
  memset(directory, 0, sizeof directory);
  memset(table, 0, sizeof table);
  for (unsigned i = 0; i < 4; i++) directory[i] = (uint32_t)((i << 22) | PS | U | W | P);
  directory[WINDOW >> 22] = (uint32_t)((uint64_t)table | U | W | P);
  for (unsigned n = 0; n < 3; n++) table[n] = (uint32_t)(PAGE(n) | entry);
  m.cr3 = (uint64_t)directory;
  m.cr4 |= 0x10;
  m.cr0 |= 0x80000000;
  fill_pages();
}
static void pae(uint64_t entry) {
  memset(pdpt, 0, sizeof pdpt);
  memset(pd, 0, sizeof pd);
  memset(pt, 0, sizeof pt);
  for (unsigned i = 0; i < 4; i++) pdpt[i] = (uint64_t)pd[i] | P;
  for (unsigned i = 0; i < 8; i++) pd[0][i] = (uint64_t)i << 21 | PS | U | W | P;
  pd[1][0] = (uint64_t)pt | U | W | P;
  for (unsigned n = 0; n < 3; n++) pt[n] = PAGE(n) | entry;
  m.cr3 = (uint64_t)pdpt;
  m.cr4 |= 0x20;
  m.cr0 |= 0x80000000;
  m.efer = 0x800;
  fill_pages();
}
static uint64_t entry_ = P | W | U;
static void k2(void) { reset_legacy(); two_levels(entry_); m.rsi = WINDOW; }
static void u2(void) { reset_user(); two_levels(entry_); m.rsi = WINDOW; }
static void kp(void) { reset_legacy(); pae(entry_); m.rsi = WINDOW; }
static void up(void) { reset_user(); pae(entry_); m.rsi = WINDOW; }

#define K2(name, setup, text, vector, error) CASE(k2, 32, name, setup, text, vector, error)
#define U2(name, setup, text, vector, error) CASE(u2, 32, name, setup, text, vector, error)
#define KP(name, setup, text, vector, error) CASE(kp, 32, name, setup, text, vector, error)
#define UP(name, setup, text, vector, error) CASE(up, 32, name, setup, text, vector, error)
#define WP (m.cr0 |= 0x10000)
#define LOAD "mov (%%esi), %%eax"
#define STORE "movb $0x77, (%%esi)"

static void two_level_cases(void) {
  K2("two levels: a read", NOTHING, LOAD, PASSED, 0);
  check("  finds the page", m.rax == 0x10101010);
  check("  sets A in both levels, D in none", (table[0] & (A | D)) == A && (directory[WINDOW >> 22] & (A | D)) == A);
  K2("a write", NOTHING, STORE, PASSED, 0);
  check("  sets D in the last level only", (table[0] & (A | D)) == (A | D) && !(directory[WINDOW >> 22] & D) && pages[0][0] == 0x77);
  K2("a locked read-modify-write", NOTHING, "lock incl (%%esi)", PASSED, 0);
  check("  sets D", table[0] & D);
  K2("cmpxchg that fails writes too", NOTHING, "lock cmpxchg %%ecx, (%%esi)", PASSED, 0);
  check("  and so sets D", table[0] & D);
  K2("absent", m.rsi = AT(3), LOAD, 14, 0);
  check("  with CR2", m.cr2 == AT(3));
  K2("absent, write", m.rsi = AT(3) + 5, STORE, 14, 2);
  check("  with CR2", m.cr2 == AT(3) + 5);
  K2("absent in the directory", m.rsi = 0x50000000, LOAD, 14, 0);
  K2("a fault leaves A alone", (directory[WINDOW >> 22] &= ~1u), LOAD, 14, 0);
  check("  in the levels behind", !(table[0] & A));
  U2("user: absent", m.rsi = AT(3), LOAD, 14, 4);
  U2("user: absent, write", m.rsi = AT(3), STORE, 14, 6);
  U2("user: read-only, write", table[0] &= ~2u, STORE, 14, 7);
  check("  does not set D", !(table[0] & D));
  U2("user: read-only, read", table[0] &= ~2u, LOAD, PASSED, 0);
  U2("user: read-only in the directory", directory[WINDOW >> 22] &= ~2u, STORE, 14, 7);
  U2("user: a supervisor page", table[0] &= ~4u, LOAD, 14, 5);
  U2("user: supervisor in the directory", directory[WINDOW >> 22] &= ~4u, LOAD, 14, 5);
  K2("ring 0 writes read-only pages", table[0] &= ~2u, STORE, PASSED, 0);
  K2("but not with WP", (WP, table[0] &= ~2u), STORE, 14, 3);
  K2("nor with the directory's", (WP, directory[WINDOW >> 22] &= ~2u), STORE, 14, 3);
  CASE_ANY(u2, 32, "jump into a supervisor page", table[0] &= ~4u, "jmp *%%esi", 14, 5);
  check("  fails at the target", m.rip == WINDOW && m.cr2 == WINDOW);
  K2("a page of 4 MiB", directory[WINDOW >> 22] = (uint32_t)(PS | W | P), "mov 0x100000(%%esi), %%eax", PASSED, 0);
  check("  is mapped as one", m.rax == *(uint32_t *)0x100000 && (directory[WINDOW >> 22] & A));
  K2("a write to it", (directory[WINDOW >> 22] = (uint32_t)(PS | W | P), m.rsi = WINDOW + PAGE(0)), STORE, PASSED, 0);
  check("  sets D in the directory", directory[WINDOW >> 22] & D);
  K2("a page of 4 MiB with a reserved bit", directory[WINDOW >> 22] = (uint32_t)(PS | W | P | 0x200000), LOAD, 14, 9);
  K2("bit 7 of a table entry is PAT", table[0] |= 0x80, LOAD, PASSED, 0);
  K2("a read over two pages", m.rsi = AT(1) - 2, LOAD, PASSED, 0);
  check("  takes from both", m.rax == 0x11111010);
  K2("a write over two pages, the second absent", (m.rsi = AT(3) - 2, m.rax = 0xffffffff), "mov %%eax, (%%esi)", 14, 2);
  check("  writes nothing, and says where", m.cr2 == AT(3) && pages[2][4094] == 0x12);
  K2("a write over two pages, the first absent", (table[0] = 0, m.rsi = AT(1) - 2), "mov %%eax, (%%esi)", 14, 2);
  check("  says the first byte", m.cr2 == AT(1) - 2 && pages[1][0] == 0x11);
  K2("pages that are not neighbours in memory", (table[1] = PAGE(2) | 7, m.rsi = AT(1) - 2), "mov %%eax, (%%esi)", PASSED, 0);
  check("  each get their half", pages[0][4095] == 0x11 && pages[2][0] == 0x11 && pages[1][0] == 0x11);
}

static void strings(void) {
  K2("rep movsb into an absent page", (m.rsi = WINDOW, m.rdi = AT(3) - 5, m.rcx = 9), "rep movsb", 14, 2);
  check("  has done what could be done", m.rcx == 4 && m.rdi == AT(3) && m.rsi == WINDOW + 5 && pages[2][4095] == 0x10);
  K2("rep movsd out of an absent page", (m.rsi = AT(3) - 6, m.rdi = WINDOW, m.rcx = 4), "rep movsl", 14, 0);
  check("  stops at the element that crosses", m.rcx == 3 && m.rsi == AT(3) - 2 && m.cr2 == AT(3));
  K2("rep stosb backwards", (m.rdi = AT(1) + 2, m.rcx = 8, m.rflags |= FLAG_DF, m.rax = 0x99), "rep stosb", PASSED, 0);
  check("  goes down over the page", pages[1][0] == 0x99 && pages[0][4091] == 0x99 && pages[0][4090] == 0x10 && m.rdi == AT(0) + 4090);
  K2("rep stosb backwards into an absent page", (table[0] = 0, m.rdi = AT(1) + 2, m.rcx = 8, m.rflags |= FLAG_DF), "rep stosb", 14, 2);
  check("  stops there", m.rcx == 5 && m.cr2 == AT(1) - 1);
  K2("repne scasb to an absent page", (m.rdi = AT(3) - 3, m.rcx = 8, m.rax = 0), "repne scasb", 14, 0);
  check("  counts", m.rcx == 5);
  K2("repe cmpsb finds the difference first", (pages[2][4095] = 0, m.rsi = WINDOW, m.rdi = AT(3) - 1, m.rcx = 8), "repe cmpsb", PASSED, 0);
  check("  before the end", m.rcx == 7 && !(m.rflags & FLAG_ZF));
  K2("a count of 0 touches nothing", (m.rsi = AT(3), m.rdi = AT(3), m.rcx = 0), "rep movsb", PASSED, 0);
  K2("movs within one page, overlapping", (pages[0][0] = 1, m.rsi = WINDOW, m.rdi = WINDOW + 1, m.rcx = 8), "rep movsb", PASSED, 0);
  check("  goes byte by byte", pages[0][8] == 1 && pages[0][9] == 0x10);
  K2("enter checks its stack", m.rsi = WINDOW, "enter $16, $0\n leave", PASSED, 0);
}

static void code(void) {
  K2("an instruction over two pages", (memcpy(pages[0] + 4094, "\xb8\x78", 2), memcpy(pages[1], "\x56\x34\x12\xcd\x20", 5), m.rsi = AT(1) - 2),
     "jmp *%%esi", PASSED, 0);
  check("  has bytes of both", m.rax == 0x12345678);
  CASE_ANY(k2, 32, "its second half absent", (table[1] = 0, memcpy(pages[0] + 4094, "\xb8\x78", 2), m.rsi = AT(1) - 2), "jmp *%%esi", 14, 0);
  check("  faults at the instruction with CR2 behind it", m.rip == AT(1) - 2 && m.cr2 == AT(1));
  K2("code that changes the next instruction", (memcpy(pages[0], "\xc6\x46\x05\x41\xb0\x01\x90\xcd\x20", 9)), "jmp *%%esi", PASSED, 0);
  check("  runs the new one", (m.rax & 0xff) == 0x41);
  K2("code changed by its other mapping", (table[1] = PAGE(0) | 7, memcpy(pages[0], "\xc6\x86\x08\x10\x00\x00\x41\xb0\x01\xcd\x20", 11), m.rdi = AT(1)),
     "jmp *%%esi", PASSED, 0);
  check("  runs the new one", (m.rax & 0xff) == 0x41);
  K2("the second half of an instruction changed", (memcpy(pages[0] + 4088, "\xc6\x86\x00\x10\x00\x00\x99\xb0\x01", 8), pages[0][4095] = 0xb0,
     memcpy(pages[1], "\x55\xcd\x20", 3), m.rdi = AT(1)), "lea 4088(%%esi), %%ebx\n jmp *%%ebx", PASSED, 0);
  check("  is seen", (m.rax & 0xff) == 0x99);
  K2("another page under the same address", (memcpy(pages[0], "\xb0\x01\xc3", 3), memcpy(pages[1], "\xb0\x02\xc3", 3), m.rdi = (uint64_t)table, m.rbx = PAGE(1) | 7),
     "call *%%esi\n mov %%al, %%dl\n mov %%ebx, (%%edi)\n invlpg (%%esi)\n call *%%esi", PASSED, 0);
  check("  is run after invlpg", (m.rdx & 0xff) == 1 && (m.rax & 0xff) == 2);
}

static void translation(void) {
#define TLB(name, setup, text, want)                              \
  do {                                                            \
    k2();                                                         \
    m.rdi = (uint64_t)table;                                      \
    m.rbx = PAGE(1) | 7;                                          \
    setup;                                                        \
    RUN32(text);                                                  \
    check(name, m.vector == PASSED && (m.rax & 0xff) == (want)); \
  } while (0)
  TLB("invlpg lets the new entry in", NOTHING, "mov (%%esi), %%al\n mov %%ebx, (%%edi)\n invlpg (%%esi)\n mov (%%esi), %%al", 0x11);
  TLB("invlpg of any byte of the page", NOTHING, "mov (%%esi), %%al\n mov %%ebx, (%%edi)\n invlpg 0xabc(%%esi)\n mov (%%esi), %%al", 0x11);
  TLB("mov cr3 flushes", NOTHING, "mov (%%esi), %%al\n mov %%ebx, (%%edi)\n mov %%cr3, %%ecx\n mov %%ecx, %%cr3\n mov (%%esi), %%al", 0x11);
  TLB("a global page stays", (m.cr4 |= 0x80, table[0] |= G), "mov (%%esi), %%al\n mov %%ebx, (%%edi)\n mov %%cr3, %%ecx\n mov %%ecx, %%cr3\n mov (%%esi), %%al", 0x10);
  TLB("not without CR4.PGE", table[0] |= G, "mov (%%esi), %%al\n mov %%ebx, (%%edi)\n mov %%cr3, %%ecx\n mov %%ecx, %%cr3\n mov (%%esi), %%al", 0x11);
  TLB("invlpg flushes a global page", (m.cr4 |= 0x80, table[0] |= G), "mov (%%esi), %%al\n mov %%ebx, (%%edi)\n invlpg (%%esi)\n mov (%%esi), %%al", 0x11);
  TLB("changing CR4.PGE flushes global pages", (m.cr4 |= 0x80, table[0] |= G),
      "mov (%%esi), %%al\n mov %%ebx, (%%edi)\n mov %%cr4, %%ecx\n xor $0x80, %%ecx\n mov %%ecx, %%cr4\n mov (%%esi), %%al", 0x11);
  TLB("changing CR0.PG flushes", NOTHING,
      "mov (%%esi), %%al\n mov %%ebx, (%%edi)\n mov %%cr0, %%ecx\n btc $31, %%ecx\n mov %%ecx, %%cr0\n btc $31, %%ecx\n mov %%ecx, %%cr0\n mov (%%esi), %%al", 0x11);
  TLB("an absent entry is not kept", table[0] = 0, "mov %%ebx, (%%edi)\n mov (%%esi), %%al", 0x11);
  TLB("more rights are seen at once", table[0] = PAGE(0) | 1, "mov (%%esi), %%al\n orl $2, (%%edi)\n movb $0x44, (%%esi)\n mov (%%esi), %%al", 0x44);
  TLB("a write after a read sets D", NOTHING, "mov (%%esi), %%al\n movb $1, (%%esi)\n mov (%%edi), %%al\n and $0x40, %%al", 0x40);
  TLB("A comes back after invlpg", NOTHING, "mov (%%esi), %%al\n andl $~0x20, (%%edi)\n invlpg (%%esi)\n mov (%%esi), %%al\n mov (%%edi), %%al\n and $0x20, %%al", 0x20);
  TLB("D comes back after invlpg", NOTHING, "movb $1, (%%esi)\n andl $~0x40, (%%edi)\n invlpg (%%esi)\n movb $1, (%%esi)\n mov (%%edi), %%al\n and $0x40, %%al", 0x40);
}

static void pae_cases(void) {
  KP("PAE: a read", NOTHING, LOAD, PASSED, 0);
  check("  finds the page", m.rax == 0x10101010 && (pt[0] & A) && (pd[1][0] & A));
  KP("a write", NOTHING, STORE, PASSED, 0);
  check("  sets D", (pt[0] & D) && pages[0][0] == 0x77);
  KP("absent in the directory of directories", m.rsi = 0xc0000000, "mov (%%esi), %%eax", 14, 0);
  KP("a page of 2 MiB", pd[1][0] = PS | W | P, "mov 0x100000(%%esi), %%eax", PASSED, 0);
  check("  is mapped as one", m.rax == *(uint32_t *)0x100000);
  KP("a page of 2 MiB with a reserved bit", pd[1][0] = PS | W | P | 0x2000, LOAD, 14, 9);
  KP("a reserved address bit", pt[0] |= 1ull << 51, LOAD, 14, 9);
  KP("a reserved address bit in the directory", pd[1][0] |= 1ull << 51, LOAD, 14, 9);
  KP("NX: data", pt[0] |= NX, LOAD, PASSED, 0);
  CASE_ANY(kp, 32, "NX: code", pt[0] |= NX, "jmp *%%esi", 14, 0x11);
  CASE_ANY(kp, 32, "NX in the directory", pd[1][0] |= NX, "jmp *%%esi", 14, 0x11);
  KP("NX without EFER.NXE is reserved", (m.efer = 0, pt[0] |= NX), LOAD, 14, 9);
  CASE_ANY(kp, 32, "a fetch of an absent page", m.rsi = AT(3), "jmp *%%esi", 14, 0x10);
  CASE_ANY(up, 32, "user: a fetch of a supervisor page", pt[0] &= ~U, "jmp *%%esi", 14, 0x15);
  CASE_ANY(up, 32, "user: NX", pt[0] |= NX, "jmp *%%esi", 14, 0x15);
  UP("user: supervisor in the directory", pd[1][0] &= ~U, LOAD, 14, 5);
  UP("user: read-only in the directory", pd[1][0] &= ~W, STORE, 14, 7);
  KP("WP with the directory's read-only", (WP, pd[1][0] &= ~W), STORE, 14, 3);
  if (has_leaf7(7)) {
    /* The snippets themselves lie in user pages, so the code that turns SMEP on must not: map it for ring 0. */
    CASE_ANY(kp, 32, "SMEP: a user page", (pd[0][0] &= ~U, m.cr4 |= 0x100000), "jmp *%%esi", 14, 0x11);
    KP("SMEP: a supervisor page", (pd[0][0] &= ~U, m.cr4 |= 0x100000, pt[0] &= ~U, memcpy(pages[0], "\xcd\x20", 2)), "jmp *%%esi", PASSED, 0);
  }
  if (has_leaf7(20)) {
    KP("SMAP: a read of a user page", (pd[0][0] &= ~U, m.cr4 |= 0x200000), LOAD, 14, 1);
    KP("SMAP: a write", (pd[0][0] &= ~U, m.cr4 |= 0x200000), STORE, 14, 3);
    KP("SMAP: with AC", (pd[0][0] &= ~U, m.cr4 |= 0x200000), "stac\n mov (%%esi), %%al\n clac", PASSED, 0);
    KP("SMAP: a supervisor page", (pd[0][0] &= ~U, m.cr4 |= 0x200000, pt[0] &= ~U), LOAD, PASSED, 0);
    UP("SMAP leaves ring 3 alone", m.cr4 |= 0, LOAD, PASSED, 0);
  }
  UP("stac in ring 3", m.cr4 |= 0, "stac", 6, 0);
}

/* Four levels, within 64-bit mode: entry 2 of level 4 leads to a table of our own. */
extern uint64_t page_tables[];
static uint64_t l3[512] __attribute__((aligned(4096))), l2[512] __attribute__((aligned(4096)));
#define FAR_WINDOW (2ull << 39)
static void four(void) {
  reset_long();
  memset(l3, 0, sizeof l3);
  memset(l2, 0, sizeof l2);
  memset(pt, 0, sizeof pt);
  page_tables[2] = (uint64_t)l3 | U | W | P;
  l3[0] = (uint64_t)l2 | U | W | P;
  l2[0] = (uint64_t)pt | U | W | P;
  for (unsigned n = 0; n < 3; n++) pt[n] = PAGE(n) | U | W | P;
  fill_pages();
  m.rsi = FAR_WINDOW;
}
#define K4(name, setup, text, vector, error) CASE(four, 64, name, setup, text, vector, error)
#define LOAD64 "mov (%%rsi), %%eax"
static void four_level_cases(void) {
  K4("four levels: a read", NOTHING, LOAD64, PASSED, 0);
  check("  sets A in all", m.rax == 0x10101010 && (pt[0] & A) && (l2[0] & A) && (l3[0] & A) && (page_tables[2] & A));
  K4("PS in level 4 is reserved", page_tables[2] |= PS, LOAD64, 14, 9);
  K4("a page of 1 GiB", l3[0] = PS | W | P, "mov 0x100000(%%rsi), %%eax", PASSED, 0);
  check("  is mapped as one", m.rax == *(uint32_t *)0x100000);
  K4("a page of 1 GiB with a reserved bit", l3[0] = PS | W | P | 0x2000, LOAD64, 14, 9);
  K4("a page of 2 MiB with a reserved bit", l2[0] = PS | W | P | 0x2000, LOAD64, 14, 9);
  K4("an address bit beyond the processor's", l3[0] |= 1ull << 50, LOAD64, 14, 9);
  K4("absent in level 3", l3[0] = 0, LOAD64, 14, 0);
  K4("absent in level 2", l2[0] = 0, LOAD64, 14, 0);
  K4("read-only in level 3, with WP", l3[0] &= ~W, "movb $1, (%%rsi)", 14, 3);
  K4("supervisor in level 4, from ring 0", page_tables[2] &= ~U, LOAD64, PASSED, 0);
  page_tables[2] = 0;
}

void guest_main(const char *cmdline) {
  (void)cmdline;
  bench_start();
  two_level_cases();
  strings();
  code();
  translation();
  pae_cases();
  four_level_cases();
  finish("system-paging");
}

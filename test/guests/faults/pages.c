/* Page faults in ring 0, with all their error codes: bit 0 present, 1 write, 2 user, 3 reserved bit, 4 fetch. */
#include "faults.h"

#define PTE_PRESENT 1ull
#define PTE_WRITE 2ull
#define PTE_USER 4ull
#define PTE_RESERVED (1ull << 51) /* above what any MAXPHYADDR here allows */
#define PTE_NX (1ull << 63)

extern uint64_t page_tables[];
static uint64_t tables[3][512] __attribute__((aligned(4096)));
uint8_t test_pages[TEST_PAGES][4096] __attribute__((aligned(4096)));
bool has_nx;

void pages_init(void) {
  uint32_t r[4];
  cpuid(0x80000000u, r);
  if (r[0] >= 0x80000001u) {
    cpuid(0x80000001u, r);
    has_nx = r[3] >> 20 & 1;
  }
  if (has_nx) write_msr(0xc0000080u, read_msr(0xc0000080u) | 0x800);
  uint64_t nx = has_nx ? PTE_NX : 0, up = PTE_PRESENT | PTE_WRITE | PTE_USER;
  const uint64_t rights[TEST_PAGES] = {
      [PAGE_USER_CODE] = up,
      [PAGE_USER_DATA] = up,
      [PAGE_USER_READONLY] = PTE_PRESENT | PTE_USER,
      [PAGE_USER_NO_EXECUTE] = up | nx,
      [PAGE_USER_RESERVED_BIT] = up | PTE_RESERVED,
      [PAGE_KERNEL_READONLY] = PTE_PRESENT,
      [PAGE_KERNEL_NO_EXECUTE] = PTE_PRESENT | PTE_WRITE | nx,
      [PAGE_KERNEL] = PTE_PRESENT | PTE_WRITE,
      [PAGE_ABSENT] = 0,
  };
  for (unsigned i = 0; i < TEST_PAGES; i++) tables[2][i] = (uint64_t)test_pages[i] | rights[i];
  tables[1][0] = (uint64_t)tables[2] | up;
  tables[0][0] = (uint64_t)tables[1] | up;
  page_tables[1] = (uint64_t)tables[0] | up;
  test_pages[PAGE_USER_NO_EXECUTE][0] = test_pages[PAGE_KERNEL_NO_EXECUTE][0] = 0xc3; /* ret */
  test_pages[PAGE_USER_CODE][0] = test_pages[PAGE_KERNEL][0] = 0xc3;
}

static void feature_cases(void) {
  uint32_t r[4];
  cpuid(0, r);
  if (r[0] < 7) return;
  cpuid(7, r);
  uint64_t cr4 = read_cr4();
  if (r[1] >> 7 & 1) {
    write_cr4(cr4 | CR4_SMEP);
    ATTEMPT_WITH("call *%%rax", TEST_PAGE(PAGE_USER_CODE), 0, 0);
    expect_page("#PF SMEP", 0x11, ANYWHERE, TEST_PAGE(PAGE_USER_CODE));
    write_cr4(cr4);
  }
  if (r[1] >> 20 & 1) {
    write_cr4(cr4 | CR4_SMAP);
    ATTEMPT_WITH("mov (%%rax), %%rcx", TEST_PAGE(PAGE_USER_DATA), 0, 0);
    expect_page("#PF SMAP", 1, AT_START, TEST_PAGE(PAGE_USER_DATA));
    ATTEMPT_WITH("stac\n mov (%%rax), %%rcx\n clac", TEST_PAGE(PAGE_USER_DATA), 0, 0);
    check("stac lets SMAP pass", !seen.trapped);
    write_cr4(cr4);
  }
}

void page_cases(void) {
  uint64_t absent = TEST_PAGE(PAGE_ABSENT);
  ATTEMPT_WITH("mov (%%rax), %%rcx", absent + 8, 0, 0);
  expect_page("#PF read, absent", 0, AT_START, absent + 8);
  ATTEMPT_WITH("mov %%rcx, (%%rax)", absent + 16, 0, 0);
  expect_page("#PF write, absent", 2, AT_START, absent + 16);
  ATTEMPT_WITH("addl $1, (%%rax)", absent, 0, 0);
  expect_page("#PF read for write, absent", 2, AT_START, absent);
  ATTEMPT_WITH("mov 8(%%rax), %%rcx", 0, 0, 0);
  expect_page("#PF null pointer", 0, AT_START, 8);
  ATTEMPT_WITH("mov (%%rax), %%rcx", TEST_AREA + (1ul << 30), 0, 0);
  expect_page("#PF absent at level 3", 0, AT_START, TEST_AREA + (1ul << 30));
  ATTEMPT_WITH("mov (%%rax), %%rcx", 1ul << 40, 0, 0);
  expect_page("#PF absent at level 4", 0, AT_START, 1ul << 40);
  ATTEMPT_WITH("mov (%%rax), %%rcx", absent - 4, 0, 0);
  expect_page("#PF read across, absent behind", 0, AT_START, absent);
  ATTEMPT_WITH("mov %%rcx, (%%rax)", absent - 4, -1ll, 0);
  expect_page("#PF write across, absent behind", 2, AT_START, absent);
  check("and nothing was written", *(uint32_t *)(test_pages[PAGE_KERNEL] + 4092) == 0);
  ATTEMPT_WITH("mov %%rax, %%rdi\n xor %%eax, %%eax\n" FAULTS_HERE "rep stosb", absent - 8, 16, 0);
  expect_page("#PF in the middle of rep stosb", 2, AT_START, absent);
  check("RCX has what is left", seen.rcx == 8);
  ATTEMPT_WITH("mov %%rax, %%rsp\n" FAULTS_HERE "pop %%rcx", 0, 0, 0);
  check("a fault on a stack that is not there is a double fault", seen.trapped && seen.vector == 8 && seen.error == 0);

  ATTEMPT_WITH("mov %%rcx, (%%rax)", TEST_PAGE(PAGE_KERNEL_READONLY), 0, 0);
  expect_page("#PF write, read-only", 3, AT_START, TEST_PAGE(PAGE_KERNEL_READONLY));
  ATTEMPT_WITH("lock cmpxchg %%rcx, (%%rax)", TEST_PAGE(PAGE_KERNEL_READONLY), 0, 0);
  expect_page("#PF cmpxchg, read-only", 3, AT_START, TEST_PAGE(PAGE_KERNEL_READONLY));
  uint64_t cr0 = read_cr0();
  write_cr0(cr0 & ~CR0_WP);
  ATTEMPT_WITH("mov %%rcx, (%%rax)", TEST_PAGE(PAGE_KERNEL_READONLY), 7, 0);
  check("without CR0.WP ring 0 writes everywhere", !seen.trapped && test_pages[PAGE_KERNEL_READONLY][0] == 7);
  write_cr0(cr0);
  ATTEMPT_WITH("mov (%%rax), %%rcx", TEST_PAGE(PAGE_USER_RESERVED_BIT), 0, 0);
  expect_page("#PF reserved bit", 9, AT_START, TEST_PAGE(PAGE_USER_RESERVED_BIT));
  ATTEMPT_WITH("mov (%%rax), %%rcx", TEST_PAGE(PAGE_USER_DATA), 0, 0);
  check("ring 0 reads user pages", !seen.trapped);

  ATTEMPT_WITH("call *%%rax", TEST_PAGE(PAGE_KERNEL), 0, 0);
  check("code runs from a data page", !seen.trapped);
  ATTEMPT_WITH("call *%%rax", absent, 0, 0);
  expect_page("#PF fetch, absent", has_nx ? 0x10 : 0, ANYWHERE, absent);
  check("and the frame points to the target", seen.rip == absent);
  if (has_nx) {
    ATTEMPT_WITH("call *%%rax", TEST_PAGE(PAGE_KERNEL_NO_EXECUTE), 0, 0);
    expect_page("#PF fetch, no-execute", 0x11, ANYWHERE, TEST_PAGE(PAGE_KERNEL_NO_EXECUTE));
  }
  feature_cases();
}

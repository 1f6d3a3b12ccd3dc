/* Grants, version 1: offering our pages and mapping another domain's. */
#include "guest.h"

#define ENTRIES (PAGE_SIZE / sizeof(struct grant_entry))

static volatile struct grant_entry *table;
static uint32_t next_gref = FIRST_FREE_GREF;
static uint64_t next_foreign = GPA_FOREIGN;

void grants_init(void) {
  if (table) return;
  add_to_physmap(XENMAPSPACE_grant_table, 0, GPA_GRANT_TABLE);
  table = (void *)GPA_GRANT_TABLE;
}

long grant_offer(uint16_t domain, const void *page, bool readonly) {
  if (next_gref == ENTRIES) return -XEN_EINVAL;
  uint32_t gref = next_gref++;
  table[gref].frame = (uint32_t)((uint64_t)page / PAGE_SIZE);
  table[gref].domid = domain;
  barrier(); /* flags last: they make the entry valid (grant_table.h) */
  table[gref].flags = GTF_permit_access | (readonly ? GTF_readonly : 0);
  return gref;
}

bool grant_withdraw(uint32_t gref) {
  uint16_t flags = table[gref].flags;
  if (flags & (GTF_reading | GTF_writing)) return false;
  return __atomic_compare_exchange_n(&table[gref].flags, &flags, GTF_invalid, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Returns 0, or the operation's negative status (GNTST_*), or -errno. */
long grant_map(uint16_t domain, uint32_t gref, struct foreign_page *out) {
  struct gnttab_map map = {.host_addr = next_foreign, .flags = GNTMAP_host_map, .ref = gref, .dom = domain};
  long result = HYPERCALL3(grant_table_op, GNTTABOP_map_grant_ref, &map, 1);
  if (result < 0) return result;
  if (map.status < 0) return map.status;
  next_foreign += PAGE_SIZE;
  out->page = (void *)map.host_addr;
  out->handle = map.handle;
  return 0;
}

long grant_unmap(const struct foreign_page *page) {
  struct gnttab_unmap unmap = {.host_addr = (uint64_t)page->page, .handle = page->handle};
  long result = HYPERCALL3(grant_table_op, GNTTABOP_unmap_grant_ref, &unmap, 1);
  return result < 0 ? result : unmap.status;
}

/* hello: says what the domain was given at its start, and powers off. */
#include "lib/guest.h"

static const char *memory_type(uint32_t type) {
  static const char *names[] = {"?", "RAM", "reserved", "ACPI", "NVS", "unusable", "disabled", "persistent"};
  return type < 8 ? names[type] : "?";
}

static void print_start_info(void) {
  print("start_info: %s, version %u, flags %x, %u modules, rsdp %lx\n",
        start_info->magic == START_INFO_MAGIC ? "magic right" : "MAGIC WRONG", start_info->version, start_info->flags,
        start_info->nr_modules, start_info->rsdp_paddr);
  const struct module_entry *modules = (void *)start_info->modlist_paddr;
  for (uint32_t i = 0; i < start_info->nr_modules; i++)
    print("module %u: %lx, %lu bytes\n", i, modules[i].paddr, modules[i].size);
  if (start_info->version < 1) return;
  const struct memmap_entry *map = (void *)start_info->memmap_paddr;
  for (uint32_t i = 0; i < start_info->memmap_entries; i++)
    print("memory %016lx-%016lx %s\n", map[i].addr, map[i].addr + map[i].size - 1, memory_type(map[i].type));
}

static void print_xen(void) {
  char extra[16] = "", capabilities[1024] = "";
  long version = HYPERCALL2(xen_version, XENVER_version, 0);
  HYPERCALL2(xen_version, XENVER_extraversion, extra);
  HYPERCALL2(xen_version, XENVER_capabilities, capabilities);
  struct feature_info features = {0, 0};
  long result = HYPERCALL2(xen_version, XENVER_get_features, &features);
  print("Xen %lu.%lu%s; CPUID leaf %x says %u.%u\n", version >> 16, version & 0xffff, extra, xen_cpuid_base,
        xen_version >> 16, xen_version & 0xffff);
  print("capabilities: %s\n", capabilities);
  print("features: %08x (%ld)\n", features.submap, result);
}

static void print_store(void) {
  if (!store_init()) {
    print("xenstore: none\n");
    return;
  }
  char name[64] = "";
  long length = store_read("name", name, sizeof name);
  uint64_t domid = store_read_number("domid", 0);
  if (length < 0) print("xenstore: name: error %ld\n", -length);
  else print("xenstore: name %s, domid %lu\n", name, domid);
}

void guest_main(const char *cmdline) {
  print("hello from a PVH domain\n");
  print("cmdline: %s\n", cmdline);
  print_start_info();
  print_xen();
  uint32_t r[4];
  char vendor[13] = "";
  cpuid(0, r);
  memcpy(vendor, &r[1], 4);
  memcpy(vendor + 4, &r[3], 4);
  memcpy(vendor + 8, &r[2], 4);
  print("processor: %s, last leaf %x\n", vendor, r[0]);
  print_store();
  print("goodbye\n");
}

/*
 * A host for the small guests on /dev/kvm: loads an ELF file, enters it as PVH says, and gives it just what the system guests
 * ask of Xen. What they write on the console goes to standard output.
 *
 *     0x00001000  start_info, 0x2000 command line        0x100000  the guest        0xfe000000  what Xen would map
 *
 * CPUID leaf 0x40000000 says Xen; the MSR that leaf 0x40000002 names makes the hypercall page: stubs that put their number into
 * EAX and write it to port 0x70, where this host takes the call. The result is read from the end of the hypercall page.
 *
 * Exit status: 0 the guest powered off, 2 KVM is not usable here, 3 the guest did something else (said on standard error).
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_BYTES (32ul << 20)
#define XEN_AREA 0xfe000000ul
#define XEN_BYTES (16ul << 20)
#define START_INFO 0x1000
#define COMMAND_LINE 0x2000
#define HYPERCALL_MSR 0x40000000
#define HYPERCALL_PORT 0x70
#define RESULT_AT 0xff8
#define START_MAGIC 0x336ec578
/* Hypercalls (xen.h) and the operations that get more than a zero. */
#define HYPERVISOR_CONSOLE_IO 18
#define HYPERVISOR_SCHED_OP 29
#define HYPERVISOR_HVM_OP 34
#define SCHEDOP_SHUTDOWN 2
#define ENOSYS_RESULT (-38)

static uint8_t *ram;
static int vcpu;
static uint64_t hypercall_page;

static void unusable(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(2);
}

static void *at(uint64_t address, uint64_t bytes) {
  if (address >= RAM_BYTES || bytes > RAM_BYTES - address) {
    fprintf(stderr, "the guest names memory at 0x%lx that it has not\n", (unsigned long)address);
    exit(3);
  }
  return ram + address;
}

static uint32_t load(const char *file) {
  FILE *f = fopen(file, "rb");
  if (!f) unusable(file);
  static uint8_t image[4 << 20];
  const size_t bytes = fread(image, 1, sizeof image, f);
  fclose(f);
  const Elf64_Ehdr *elf = (void *)image;
  if (bytes < sizeof *elf || memcmp(elf->e_ident, ELFMAG, 4)) {
    fprintf(stderr, "%s is no ELF file\n", file);
    exit(3);
  }
  const Elf64_Phdr *p = (void *)(image + elf->e_phoff);
  for (int i = 0; i < elf->e_phnum; i++)
    if (p[i].p_type == PT_LOAD) memcpy(at(p[i].p_paddr, p[i].p_memsz), image + p[i].p_offset, p[i].p_filesz);
  /* The PVH entry is the note's; these guests have it in the ELF header as well. */
  return elf->e_entry;
}

static void memory(int vm, int slot, uint64_t address, uint64_t bytes, void *host) {
  struct kvm_userspace_memory_region region = {slot, 0, address, bytes, (uint64_t)host};
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region)) unusable("memory");
}

static void identify(int kvm) {
  struct {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[128];
  } id = {.head = {.nent = 120}};
  if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &id)) unusable("supported CPUID");
  uint32_t kept = 0;
  for (uint32_t i = 0; i < id.head.nent; i++)
    if (id.entries[i].function >> 8 != 0x400000) id.entries[kept++] = id.entries[i];
  const uint32_t leaves[3][4] = {
      {0x40000002, 0x566e6558, 0x65584d4d, 0x4d4d566e}, {0x00040011, 0, 0, 0}, {1, HYPERCALL_MSR, 0, 0}};
  for (uint32_t n = 0; n < 3; n++)
    id.entries[kept++] = (struct kvm_cpuid_entry2){.function = 0x40000000 + n,
                                                   .eax = leaves[n][0],
                                                   .ebx = leaves[n][1],
                                                   .ecx = leaves[n][2],
                                                   .edx = leaves[n][3]};
  id.head.nent = kept;
  if (ioctl(vcpu, KVM_SET_CPUID2, &id)) unusable("CPUID");
}

static void enter_pvh(uint32_t entry, const char *command_line) {
  struct kvm_sregs s;
  if (ioctl(vcpu, KVM_GET_SREGS, &s)) unusable("registers");
  const struct kvm_segment code = {.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
  struct kvm_segment data = code;
  data.type = 3;
  data.selector = 16;
  s.cs = code;
  s.ds = s.es = s.fs = s.gs = s.ss = data;
  s.tr = (struct kvm_segment){.limit = 0x67, .type = 11, .present = 1};
  s.ldt = (struct kvm_segment){.limit = 0xffff, .type = 2, .unusable = 1};
  s.cr0 = 0x11;
  s.cr4 = 0;
  s.efer = 0;
  if (ioctl(vcpu, KVM_SET_SREGS, &s)) unusable("segments");
  struct kvm_regs r = {.rip = entry, .rbx = START_INFO, .rflags = 2};
  if (ioctl(vcpu, KVM_SET_REGS, &r)) unusable("registers");
  uint32_t *info = at(START_INFO, 64);
  info[0] = START_MAGIC;
  info[1] = 1;
  *(uint64_t *)(info + 6) = COMMAND_LINE;
  strcpy(at(COMMAND_LINE, 256), command_line);
}

static void write_stubs(uint64_t page) {
  hypercall_page = page & ~0xffful;
  for (uint32_t n = 0; n < 64; n++) {
    uint8_t *stub = at(hypercall_page + 32 * n, 32);
    const uint32_t result = hypercall_page + RESULT_AT;
    /* mov eax, n; out PORT, eax; mov rax, [result]; ret */
    const uint8_t code[] = {0xb8, n, 0, 0, 0, 0xe7, HYPERCALL_PORT, 0x48, 0x8b, 0x04, 0x25, result, result >> 8, result >> 16, result >> 24, 0xc3};
    memcpy(stub, code, sizeof code);
  }
}

/* Returns the result; a shutdown ends the program. */
static int64_t hypercall(uint32_t number) {
  struct kvm_regs r;
  if (ioctl(vcpu, KVM_GET_REGS, &r)) unusable("registers");
  switch (number) {
    case HYPERVISOR_CONSOLE_IO:
      fwrite(at(r.rdx, r.rsi), 1, r.rsi, stdout);
      return 0;
    case HYPERVISOR_SCHED_OP:
      if (r.rdi != SCHEDOP_SHUTDOWN) return 0;
      fflush(stdout);
      const uint32_t reason = *(uint32_t *)at(r.rsi, 4);
      if (reason) fprintf(stderr, "the guest shut down with reason %u\n", reason);
      exit(reason ? 3 : 0);
    case HYPERVISOR_HVM_OP:
      return ENOSYS_RESULT; /* no console ring: it uses console_io */
    default:
      return 0;
  }
}

static void report(const struct kvm_run *run) {
  struct kvm_regs r;
  ioctl(vcpu, KVM_GET_REGS, &r);
  fflush(stdout);
  fprintf(stderr, "KVM gave up: exit %u (suberror %u) at 0x%llx\n", run->exit_reason, run->internal.suberror, r.rip);
  exit(3);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: host GUEST.elf [COMMAND LINE]\n");
    return 3;
  }
  const int kvm = open("/dev/kvm", O_RDWR);
  if (kvm < 0) unusable("/dev/kvm");
  const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) unusable("a virtual machine");
  struct kvm_enable_cap msrs = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {KVM_MSR_EXIT_REASON_UNKNOWN}};
  if (ioctl(vm, KVM_ENABLE_CAP, &msrs)) unusable("MSR exits");
  ram = mmap(0, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  void *xen = mmap(0, XEN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memory(vm, 0, 0, RAM_BYTES, ram);
  memory(vm, 1, XEN_AREA, XEN_BYTES, xen);
  const uint32_t entry = load(argv[1]);
  vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (vcpu < 0) unusable("a vcpu");
  const int bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct kvm_run *run = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  identify(kvm);
  enter_pvh(entry, argc > 2 ? argv[2] : "");
  for (;;) {
    if (ioctl(vcpu, KVM_RUN, 0) < 0 && errno != EINTR) unusable("running");
    switch (run->exit_reason) {
      case KVM_EXIT_IO:
        if (run->io.port != HYPERCALL_PORT || run->io.direction != KVM_EXIT_IO_OUT) break; /* open bus: what is there */
        *(int64_t *)at(hypercall_page + RESULT_AT, 8) = hypercall(*(uint32_t *)((uint8_t *)run + run->io.data_offset));
        break;
      case KVM_EXIT_X86_WRMSR:
        run->msr.error = run->msr.index != HYPERCALL_MSR;
        if (!run->msr.error) write_stubs(run->msr.data);
        break;
      case KVM_EXIT_X86_RDMSR:
        run->msr.error = 1;
        break;
      case KVM_EXIT_INTR:
        break;
      default:
        report(run);
    }
  }
}

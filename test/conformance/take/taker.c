/*
 * Runs single instructions on the processor at hand and reports what they did.
 *
 * stdin: a header, then cases; stdout: a result a case, in order (layouts below; cases.ts has the same).
 *
 *     main: UD2 ──► handler: saves main's context, loads the case into the signal frame ──► rt_sigreturn
 *       ▲                                                                                      │ one instruction
 *       └── rt_sigreturn ◄── handler: saves what the frame says, puts main's context back ◄────┘ trap or fault
 *
 * The instruction ends by single-step (TF), by its own exception, or at the HLT that fills the rest of the code page. A signal
 * frame holds all of the state: registers, flags, CS, SS, the XSAVE image, and the exception's number, error code and address.
 * DS, ES, FS, GS and the bases are loaded by the handler, which therefore uses no thread-local storage and no library.
 * A seccomp filter turns system calls of the instruction into a trap, and a timer ends an instruction that goes on forever.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x10000000ul
#define DATA 0x20000000ul
#define PAGE 4096
#define HLT 0xf4

/* The state before and after; general registers in Intel's order, x87 registers in the order of the stack. */
struct state {
  uint64_t gpr[16];
  uint64_t rflags, rip, fs_base, gs_base;
  uint16_t cs, ss, ds, es, fs, gs, pad[2];
  uint32_t mxcsr;
  uint16_t fcw, fsw, ftw, pad2[3];
  uint8_t st[8][16];
  uint8_t ymm[16][32];
};
/* Followed by `patches` times { u32 offset, u32 length, bytes } for the data page, each padded to 4 bytes. */
struct test_case {
  uint32_t bytes, code_offset, code_length, patches;
  uint32_t step;     /* 1: single-step */
  uint32_t xstate;   /* components that are not in their initial state: 1 x87, 2 SSE, 4 AVX */
  uint8_t code[16];
  struct state in;
};
/* Followed by `patches` like the case's: what changed in the data page. */
struct result {
  uint32_t bytes, signal, trap, patches;
  uint64_t error, address;
  struct state out;
};
struct header {
  uint32_t magic, descriptors;
};
#define MAGIC 0x656b6174
/* Numbers of `trap` that no processor has. */
#define TRAP_SYSTEM_CALL 254
#define TRAP_ENDLESS 255

static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct test_case *volatile current;
static struct result result;
static volatile int running;
static volatile unsigned generation, watched;
static uint8_t *code_alias;
static uint32_t avx_offset;
static gregset_t main_gregs;
static uint8_t main_fp[16384];
static uint32_t main_fp_bytes;
static uint64_t main_fs_base, main_gs_base;

static void copy(void *to, const void *from, size_t n) { __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory"); }

static void load_case(gregset_t g, uint8_t *fp) {
  const struct state *in = &current->in;
  for (int n = 0; n < 16; n++) g[ORDER[n]] = in->gpr[n];
  g[REG_RIP] = in->rip;
  g[REG_EFL] = in->rflags | (current->step ? 0x100 : 0);
  uint16_t selectors[4] = {in->cs, 0, 0, in->ss};
  copy(&g[REG_CSGSFS], selectors, 8);
  copy(fp, &in->fcw, 2);
  copy(fp + 2, &in->fsw, 2);
  uint64_t zero[2] = {0, 0};
  copy(fp + 4, &in->ftw, 2);
  copy(fp + 6, zero, 2);
  copy(fp + 8, zero, 16);
  copy(fp + 24, &in->mxcsr, 4);
  copy(fp + 32, in->st, 128);
  for (int n = 0; n < 16; n++) {
    copy(fp + 160 + 16 * n, in->ymm[n], 16);
    copy(fp + avx_offset + 16 * n, in->ymm[n] + 16, 16);
  }
  uint64_t *xstate_bv = (uint64_t *)(fp + 512);
  *xstate_bv = (*xstate_bv & ~0xe7ul) | current->xstate;
  __asm__ volatile("mov %w0, %%ds; mov %w1, %%es; mov %w2, %%fs; mov %w3, %%gs" ::"r"(in->ds), "r"(in->es), "r"(in->fs), "r"(in->gs));
  /* Bases are set only in 64-bit code; elsewhere they are the descriptors'. */
  if (in->cs == 0x33) {
    _writefsbase_u64(in->fs_base);
    _writegsbase_u64(in->gs_base);
  }
}

static void save_result(const gregset_t g, const uint8_t *fp) {
  struct state *out = &result.out;
  for (int n = 0; n < 16; n++) out->gpr[n] = g[ORDER[n]];
  out->rip = g[REG_RIP];
  out->rflags = g[REG_EFL] & ~0x100ul;
  uint16_t selectors[4];
  copy(selectors, &g[REG_CSGSFS], 8);
  out->cs = selectors[0];
  out->ss = selectors[3];
  copy(&out->fcw, fp, 2);
  copy(&out->fsw, fp + 2, 2);
  out->ftw = fp[4];
  copy(&out->mxcsr, fp + 24, 4);
  copy(out->st, fp + 32, 128);
  for (int n = 0; n < 16; n++) {
    copy(out->ymm[n], fp + 160 + 16 * n, 16);
    copy(out->ymm[n] + 16, fp + avx_offset + 16 * n, 16);
  }
  const uint64_t bv = *(const uint64_t *)(fp + 512);
  if (!(bv & 4))
    for (int n = 0; n < 16; n++)
      for (int i = 16; i < 32; i++) out->ymm[n][i] = 0;
  result.trap = g[REG_TRAPNO];
  result.error = g[REG_ERR];
  result.address = g[REG_CR2];
}

static void handler(int number, siginfo_t *info, void *context) {
  (void)info;
  /* The instruction's AC, NT, ID and DF must not stay. */
  __asm__ volatile("pushq $0x202; popfq" ::: "memory", "cc");
  ucontext_t *uc = context;
  greg_t *g = uc->uc_mcontext.gregs;
  uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
  if (number == SIGALRM) {
    if (!running || watched != generation) {
      watched = generation;
      return;
    }
  }
  if (!running) {
    if (number != SIGILL) _exit(3);
    copy(main_gregs, g, sizeof main_gregs);
    main_fp_bytes = *(uint32_t *)(fp + 464 + 4);
    if (main_fp_bytes > sizeof main_fp) _exit(4);
    copy(main_fp, fp, main_fp_bytes);
    main_fs_base = _readfsbase_u64();
    main_gs_base = _readgsbase_u64();
    generation++;
    running = 1;
    load_case(g, fp);
    return;
  }
  struct state *out = &result.out;
  __asm__ volatile("mov %%ds, %w0; mov %%es, %w1; mov %%fs, %w2; mov %%gs, %w3"
                   : "=r"(out->ds), "=r"(out->es), "=r"(out->fs), "=r"(out->gs));
  out->fs_base = _readfsbase_u64();
  out->gs_base = _readgsbase_u64();
  __asm__ volatile("mov %w0, %%ds; mov %w0, %%es; mov %w0, %%fs; mov %w0, %%gs" ::"r"(0));
  _writefsbase_u64(main_fs_base);
  _writegsbase_u64(main_gs_base);
  save_result(g, fp);
  result.signal = number;
  if (number == SIGALRM) result.trap = TRAP_ENDLESS;
  if (number == SIGSYS) result.trap = TRAP_SYSTEM_CALL;
  copy(g, main_gregs, sizeof main_gregs);
  g[REG_RIP] += 2;
  copy(fp, main_fp, main_fp_bytes);
  running = 0;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Only what the taker itself needs; an instruction's system call becomes SIGSYS. */
static void forbid_system_calls(void) {
#define ALLOW(n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      /* From this program only, not from the page under test. */
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      ALLOW(__NR_read),
      ALLOW(__NR_write),
      ALLOW(__NR_rt_sigreturn),
      ALLOW(__NR_exit_group),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) fail("seccomp");
}

static void map_pages(void) {
  int file = memfd_create("code", 0);
  if (file < 0 || ftruncate(file, PAGE)) fail("memfd");
  code_alias = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mmap((void *)CODE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0) != (void *)CODE) fail("code page");
  if (mmap((void *)DATA, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)DATA)
    fail("data page");
}

static void catch_signals(void) {
  static uint8_t stack[1 << 17] __attribute__((aligned(64)));
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  if (sigaltstack(&alternate, 0)) fail("sigaltstack");
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART};
  sigaddset(&action.sa_mask, SIGALRM);
  const int numbers[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP, SIGSYS, SIGALRM};
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (sigaction(numbers[i], &action, 0)) fail("sigaction");
  struct itimerval every = {{0, 100000}, {0, 100000}};
  if (setitimer(ITIMER_REAL, &every, 0)) fail("setitimer");
}

static int read_all(void *to, size_t n) {
  uint8_t *at = to;
  while (n > 0) {
    ssize_t got = read(0, at, n);
    if (got <= 0) return 0;
    at += got;
    n -= got;
  }
  return 1;
}

static void write_all(const void *from, size_t n) {
  const uint8_t *at = from;
  while (n > 0) {
    ssize_t put = write(1, at, n);
    if (put <= 0) _exit(5);
    at += put;
    n -= put;
  }
}

static uint8_t before[PAGE];
static uint8_t reply[sizeof(struct result) + 3 * PAGE];

static void run_case(struct test_case *c) {
  memset(code_alias, HLT, PAGE);
  memcpy(code_alias + c->code_offset, c->code, c->code_length);
  memset((void *)DATA, 0, PAGE);
  const uint8_t *patch = (const uint8_t *)(c + 1);
  for (uint32_t i = 0; i < c->patches; i++) {
    uint32_t word[2];
    memcpy(word, patch, 8);
    memcpy((uint8_t *)DATA + word[0], patch + 8, word[1]);
    patch += 8 + ((word[1] + 3) & ~3u);
  }
  memcpy(before, (void *)DATA, PAGE);
  current = c;
  __asm__ volatile("ud2" ::: "memory");
  /* What changed, with up to three unchanged bytes between changed ones. */
  const uint8_t *after = (const uint8_t *)DATA;
  uint8_t *at = reply + sizeof result;
  result.patches = 0;
  for (uint32_t i = 0; i < PAGE; i++) {
    if (before[i] == after[i]) continue;
    uint32_t end = i + 1;
    for (uint32_t k = end; k < PAGE && k < end + 4; k++)
      if (before[k] != after[k]) end = k + 1;
    uint32_t word[2] = {i, end - i};
    memcpy(at, word, 8);
    memcpy(at + 8, after + i, end - i);
    at += 8 + ((end - i + 3) & ~3u);
    result.patches++;
    i = end;
  }
  result.bytes = at - reply;
  memcpy(reply, &result, sizeof result);
  write_all(reply, result.bytes);
}

int main(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(13, 2, &a, &b, &c, &d) || b == 0) {
    fprintf(stderr, "taker: no AVX state here\n");
    return 2;
  }
  avx_offset = b;
  struct header header;
  if (!read_all(&header, sizeof header) || header.magic != MAGIC) {
    fprintf(stderr, "taker: no header on standard input\n");
    return 2;
  }
  map_pages();
  for (uint32_t i = 0; i < header.descriptors; i++) {
    struct user_desc descriptor;
    if (!read_all(&descriptor, sizeof descriptor)) return 2;
    if (syscall(SYS_modify_ldt, 0x11, &descriptor, sizeof descriptor)) fail("modify_ldt");
  }
  catch_signals();
  forbid_system_calls();
  static uint8_t buffer[1 << 16] __attribute__((aligned(64)));
  struct test_case *next = (struct test_case *)buffer;
  while (read_all(buffer, 4)) {
    if (next->bytes < sizeof *next || next->bytes > sizeof buffer || !read_all(buffer + 4, next->bytes - 4)) return 2;
    run_case(next);
  }
  return 0;
}

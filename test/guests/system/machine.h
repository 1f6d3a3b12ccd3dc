/*
 * The system guests' bench. A case describes a machine (mode, registers, descriptor tables, paging) in `m`, runs a
 * few instructions there with `go`, and everything ends with the first exception or interrupt: `m` then holds the state
 * found. `int $0x20` (PASSED) stands at the end of every snippet. All modes are entered from 64-bit mode and left to it.
 */
#ifndef REXEN_SYSTEM_H
#define REXEN_SYSTEM_H

#include "../lib/guest.h"

enum mode { REAL, LEGACY, LONG };
#define FLAG_CF 1ull
#define FLAG_ZF 0x40ull
#define FLAG_TF 0x100ull
#define FLAG_IF 0x200ull
#define FLAG_DF 0x400ull
#define FLAG_IOPL 0x3000ull
#define FLAG_NT 0x4000ull
#define FLAG_RF 0x10000ull
#define FLAG_VM 0x20000ull
#define FLAG_AC 0x40000ull

/* The offsets are known to switch.S. */
struct machine {
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, rip, rflags; /* 0 */
  uint64_t cs, ss, ds, es, fs, gs;                               /* 80 */
  uint64_t cr0, cr3, cr4, efer;                                  /* 128 */
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
    uint8_t pad[6];
  } gdtr, idtr;                          /* 160, 176 */
  uint64_t ldtr, tr;                     /* 192 */
  uint64_t vector, error, cr2, dr6;      /* 208; results */
};
extern volatile struct machine m;
extern uint64_t gdt[64], ldt[16];

/* Selectors of the bench's GDT. */
#define CODE32 0x08
#define DATA32 0x10
#define CODE64 0x20
#define CODE16 0x28
#define DATA16 0x30
#define TSS 0x38 /* two entries, for long mode */
#define USER_CODE32 0x4b
#define USER_DATA32 0x53
#define USER_CODE64 0x5b
#define LDT 0x60 /* two entries */
#define FREE 0x70 /* this and what follows is for the cases */
#define FREE2 0x80
#define FREE3 0x90
#define FREE4 0xa0

/* Types and attributes of descriptors. */
#define D_DATA 0x12u
#define D_DATA_RO 0x10u
#define D_DOWN 0x16u
#define D_CODE 0x1au
#define D_CODE_XO 0x18u
#define D_CONFORMING 0x1eu
#define D_TSS16 0x01u
#define D_LDT 0x02u
#define D_TSS16_BUSY 0x03u
#define D_CALL16 0x04u
#define D_TASK 0x05u
#define D_INT16 0x06u
#define D_TRAP16 0x07u
#define D_TSS32 0x09u
#define D_TSS32_BUSY 0x0bu
#define D_CALL32 0x0cu
#define D_INT32 0x0eu
#define D_TRAP32 0x0fu
#define D_P 0x80u
#define DPL(n) ((uint32_t)(n) << 5)
#define D_BIG 0x400u /* D/B */
#define D_LONG 0x200u
#define D_PAGES 0x800u /* G */

/* A segment or system descriptor: `how` is a type | DPL | D_P, with D_BIG, D_LONG, D_PAGES. */
static inline uint64_t segment(uint32_t base, uint32_t limit, uint32_t how) {
  return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(how & 0xff) << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
         (uint64_t)(how >> 8 & 15) << 52 | (uint64_t)(base >> 24) << 56;
}
/* A gate of 8 bytes. */
static inline uint64_t gate8(uint16_t selector, uint32_t offset, uint32_t how, uint32_t count) {
  return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)count << 32 | (uint64_t)(how & 0xff) << 40 |
         (uint64_t)(offset >> 16) << 48;
}
static inline uint8_t access_of(uint64_t descriptor) { return (uint8_t)(descriptor >> 40); }

#define PASSED 0x20
#define NO_ERROR 0ull

void bench_start(void); /* keeps Xen's events away, so that cases may set IF */
/* Resets `m`, the tables and the task state segment to flat segments, paging off. */
void reset_legacy(void);
void reset_user(void); /* the same in ring 3 */
void reset_16(void);   /* 16-bit code and data at 0, ring 0 */
void reset_vm86(unsigned iopl);
void reset_real(void);
void reset_long(void);
void reset_long_user(void);
void reset_compat(void); /* ring 3, 32-bit code under long mode */

/* Runs `code` where `m` says. 16-bit code is copied to LOW_CODE first. */
void go(const void *code);
#define LOW_CODE 0x8000u
#define LOW_DATA 0xa000u /* 0xa000 .. 0xbfff is free for cases */
#define LOW_STACK 0xd000u

void check(const char *name, bool right);
/* What came last: vector and error code; `exact` wants the frame to point to the snippet's first byte. */
void expect(const char *name, uint64_t vector, uint64_t error, bool exact);
void finish(const char *guest);

/* The snippet as a pointer; a snippet ends with PASSED. */
#define SNIPPET(bits, text)                                                                                            \
  ({                                                                                                                   \
    void *snippet_;                                                                                                    \
    __asm__ volatile(".pushsection .text.snippet,\"ax\",@progbits\n.balign 4\n.code" #bits "\n771: " text "\n int $0x20\n ud2\n.code64\n.popsection\n" \
                     "movq $771b, %0"                                                                                  \
                     : "=r"(snippet_));                                                                                \
    snippet_;                                                                                                          \
  })
#define RUN16(text) go(SNIPPET(16, text))
#define RUN32(text) go(SNIPPET(32, text))
#define RUN64(text) go(SNIPPET(64, text))
/* One case: a fresh machine, changes to it, a snippet, and what must come with the frame on the snippet's start. */
#define CASE(reset, bits, name, setup, text, vector_, error_)                                                          \
  do {                                                                                                                 \
    reset();                                                                                                           \
    setup;                                                                                                             \
    go(SNIPPET(bits, text));                                                                                           \
    expect(name, vector_, error_, true);                                                                               \
  } while (0)
/* The same, but the fault may come from anywhere in the snippet. */
#define CASE_ANY(reset, bits, name, setup, text, vector_, error_)                                                      \
  do {                                                                                                                 \
    reset();                                                                                                           \
    setup;                                                                                                             \
    go(SNIPPET(bits, text));                                                                                           \
    expect(name, vector_, error_, false);                                                                              \
  } while (0)
#define NOTHING (void)0

/* Interrupt tables: entry v of the legacy and of the long table. */
extern uint64_t idt32[64];
struct gate64 {
  uint64_t low, high;
};
extern struct gate64 idt64[64];
void set_gate64(unsigned vector, uint16_t selector, uint64_t offset, uint32_t how, unsigned ist);
extern uint8_t stubs32[], stubs64[]; /* 16 bytes a vector */
extern uint8_t stub16_gate[];        /* for 16-bit gates to vector 0x31 */

struct __attribute__((packed)) tss32 {
  uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
  uint32_t es, cs, ss, ds, fs, gs, ldt;
  uint16_t trap, iomap;
  uint8_t map[64];
};
struct __attribute__((packed)) tss16 {
  uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};
struct __attribute__((packed)) tss64 {
  uint32_t reserved0;
  uint64_t rsp[3], reserved1, ist[7], reserved2;
  uint16_t reserved3, iomap;
  uint8_t map[64];
};
extern struct tss32 tss32, other32;
extern struct tss16 other16;
extern struct tss64 tss64;
extern uint8_t bench_stacks[8][1024]; /* 0: ring 0, 1: ring 3, 2: TSS.sp0, 3..: free */
#define STACK_TOP(n) ((uint32_t)(uint64_t)bench_stacks[n] + 1024u)

static inline bool has_leaf7(unsigned bit) {
  uint32_t r[4];
  cpuid(0, r);
  if (r[0] < 7) return false;
  cpuid(7, r);
  return r[1] >> bit & 1;
}

#endif

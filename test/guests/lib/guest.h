/*
 * The small guests' library. A guest is one file with a `guest_main`; the library has booted it to 64-bit mode on
 * identity-mapped memory (4 GiB), found Xen, and set up console, events and traps. Returning powers the domain off.
 *
 * Errors from Xen come back as Xen gives them: zero or positive for success, -errno for failure.
 */
#ifndef REXEN_GUEST_H
#define REXEN_GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include "xen.h"

#define MAX_VCPUS 8
#define STACK_SIZE 16384u /* a power of two: the vcpu's number is found by its stack's address */
#define TRAP_STACK_SIZE 8192u
#define EVENT_VECTOR 0xf3

/* GDT selectors (boot.S builds one table for each vcpu) */
#define SEL_CODE64 0x08
#define SEL_DATA 0x10
#define SEL_USER_DATA 0x20
#define SEL_USER_CODE64 0x28
#define SEL_NOT_PRESENT 0x30 /* a data segment with P = 0, for #NP and #SS */
#define SEL_TSS 0x38

/* Guest-physical addresses above all memory, where this library puts what Xen maps. */
#define GPA_SHARED_INFO 0xfe000000ul
#define GPA_GRANT_TABLE 0xfe010000ul
#define GPA_FOREIGN 0xfe100000ul

/* The guest itself */
void guest_main(const char *cmdline);
extern const struct start_info *start_info;

/* boot: power and plain helpers */
__attribute__((noreturn)) void power_off(uint32_t reason);
uint64_t cmdline_number(const char *cmdline, const char *key, uint64_t otherwise);

/* hypercall.c */
extern uint32_t xen_version; /* major << 16 | minor, from CPUID */
extern uint32_t xen_cpuid_base;
void hypercalls_init(void);
long hypercall(unsigned number, uint64_t a, uint64_t b, uint64_t c);
#define HYPERCALL2(name, a, b) hypercall(HYPERCALL_##name, (uint64_t)(a), (uint64_t)(b), 0)
#define HYPERCALL3(name, a, b, c) hypercall(HYPERCALL_##name, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c))
uint64_t hvm_param(uint32_t index);
long add_to_physmap(uint32_t space, uint64_t idx, uint64_t gpa);

/* text.c */
size_t format(char *out, size_t size, const char *text, va_list args);
size_t format_to(char *out, size_t size, const char *text, ...) __attribute__((format(printf, 3, 4)));
void print(const char *text, ...) __attribute__((format(printf, 1, 2)));
bool text_equal(const char *a, const char *b);
uint64_t text_number(const char *text);
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
size_t strlen(const char *text);

/* console.c */
void console_init(void);
void console_write(const char *bytes, size_t count);

/* events.c */
extern struct shared_info *shared_info;
typedef void event_handler(uint32_t port);
void events_init(void);
void events_dispatch(void);
void event_listen(uint32_t port, event_handler *handler);
long event_notify(uint32_t port);
long event_close(uint32_t port);
long event_bind_virq(uint32_t virq, unsigned vcpu, event_handler *handler);
long event_bind_ipi(unsigned vcpu, event_handler *handler);
long event_bind_interdomain(uint16_t domain, uint32_t remote_port, event_handler *handler);
long event_alloc_unbound(uint16_t remote, event_handler *handler);
bool event_take(uint32_t port);                       /* clears a pending bit; for ports without a handler */
long event_poll(uint32_t port, uint64_t deadline_ns); /* SCHEDOP_poll; deadline 0 waits for ever */
void wait_for(volatile bool *flag);                   /* HLT until an event handler sets it */

/* time.c: nanoseconds of Xen's system time */
uint64_t time_now(void);
long timer_set(uint64_t deadline_ns);                          /* set_timer_op */
long timer_set_singleshot(unsigned vcpu, uint64_t deadline_ns); /* VCPUOP_set_singleshot_timer */

/* grants.c */
void grants_init(void);
long grant_offer(uint16_t domain, const void *page, bool readonly); /* a gref */
bool grant_withdraw(uint32_t gref);                                 /* false while it is mapped */
struct foreign_page {
  void *page;
  uint32_t handle;
};
long grant_map(uint16_t domain, uint32_t gref, struct foreign_page *out);
long grant_unmap(const struct foreign_page *page);

/* store.c */
bool store_init(void); /* false if the domain has no xenstore ring */
long store_read(const char *path, char *out, size_t size);
uint64_t store_read_number(const char *path, uint64_t otherwise);
long store_write(const char *path, const char *value);
long store_write_number(const char *path, uint64_t value);
long store_remove(const char *path);
long store_set_perms(const char *path, const char *owner, const char *other);
long store_watch(const char *path, const char *token);
void store_wait_watch(char *path, size_t size);
long store_transaction_start(void);
long store_transaction_end(uint32_t transaction, bool commit);
extern uint32_t store_transaction; /* the transaction that requests belong to; 0 for none */

/* traps.c */
struct frame {
  uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
  uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
typedef void trap_handler(struct frame *frame);
extern trap_handler *trap_handlers[256];
void traps_init(void);
void traps_load(unsigned vcpu);
void trap_gate(unsigned vector, uint8_t type_and_dpl, uint8_t ist);
struct gate {
  uint16_t offset_low, selector;
  uint8_t ist, type;
  uint16_t offset_mid;
  uint32_t offset_high, reserved;
};
extern struct gate idt[256];

/* vcpus.c */
unsigned this_vcpu(void);
long vcpu_start(unsigned vcpu, void (*main)(unsigned vcpu));
bool vcpu_is_up(unsigned vcpu);
extern uint8_t stacks[MAX_VCPUS][STACK_SIZE];
extern uint8_t trap_stacks[MAX_VCPUS][2][TRAP_STACK_SIZE]; /* [0]: entered from ring 3; [1]: for the double fault */

/* One instruction each */
static inline void cpu_halt(void) { __asm__ volatile("sti; hlt" ::: "memory"); }
static inline void cpu_enable(void) { __asm__ volatile("sti" ::: "memory"); }
static inline void cpu_disable(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void cpu_pause(void) { __asm__ volatile("pause" ::: "memory"); }
static inline void barrier(void) { __asm__ volatile("mfence" ::: "memory"); }
static inline uint64_t cpu_tsc(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}
static inline void cpuid(uint32_t leaf, uint32_t out[4]) {
  __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(0));
}
static inline void write_msr(uint32_t msr, uint64_t value) {
  __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}
static inline uint64_t read_msr(uint32_t msr) {
  uint32_t low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return (uint64_t)high << 32 | low;
}

/* A lock that two vcpus may share; it yields to the hypervisor, since the holder may not be running. */
typedef struct {
  volatile int held;
} lock;
void lock_take(lock *l);
void lock_release(lock *l);

#endif

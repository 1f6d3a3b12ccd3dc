/* Exceptions of x87 and SSE, and the control bits that turn them into others. */
#include "faults.h"

static const float zero = 0.0f, one = 1.0f;
static const uint16_t control_unmasked = 0x37b;     /* ZM = 0 */
static const uint32_t mxcsr_unmasked = 0x1d80;      /* ZM = 0 */
static const uint32_t mxcsr_masked = 0x1f80;
static uint8_t area[64] __attribute__((aligned(16)));

void float_cases(void) {
  uint64_t cr0 = read_cr0(), cr4 = read_cr4();

  ATTEMPT_WITH("fninit\n fldcw (%%rax)\n fld1\n fdivs (%%rcx)\n" FAULTS_HERE "fwait", &control_unmasked, &zero, 0);
  expect("#MF divide by zero, at the next x87 instruction", 16, NO_ERROR, AT_START);
  ATTEMPT_WITH("fninit\n fld1\n fdivs (%%rcx)\n fwait", 0, &zero, 0);
  check("a masked x87 exception says nothing", !seen.trapped);
  __asm__ volatile("fninit");

  ATTEMPT_WITH("ldmxcsr (%%rax)\n movss (%%rcx), %%xmm0\n" FAULTS_HERE "divss (%%rdx), %%xmm0", &mxcsr_unmasked, &one, &zero);
  expect("#XM divide by zero", 19, NO_ERROR, AT_START);
  write_cr4(cr4 & ~CR4_OSXMMEXCPT);
  ATTEMPT_WITH("ldmxcsr (%%rax)\n movss (%%rcx), %%xmm0\n" FAULTS_HERE "divss (%%rdx), %%xmm0", &mxcsr_unmasked, &one, &zero);
  expect("#UD the same without CR4.OSXMMEXCPT", 6, NO_ERROR, AT_START);
  write_cr4(cr4);
  __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr_masked));
  ATTEMPT_WITH("movss (%%rcx), %%xmm0\n divss (%%rdx), %%xmm0", 0, &one, &zero);
  check("a masked SSE exception says nothing", !seen.trapped);

  ATTEMPT_WITH("movaps (%%rax), %%xmm0", area + 4, 0, 0);
  expect("#GP movaps not aligned", 13, 0, AT_START);
  ATTEMPT_WITH("movups (%%rax), %%xmm0", area + 4, 0, 0);
  check("movups need not be aligned", !seen.trapped);

  write_cr0(cr0 | CR0_TS);
  ATTEMPT("fnop");
  expect("#NM x87 with CR0.TS", 7, NO_ERROR, AT_START);
  ATTEMPT("fwait");
  expect("#NM fwait with CR0.TS and MP", 7, NO_ERROR, AT_START);
  ATTEMPT("movaps %%xmm0, %%xmm1");
  expect("#NM SSE with CR0.TS", 7, NO_ERROR, AT_START);
  ATTEMPT_WITH("clts\n fnop", 0, 0, 0);
  check("clts", !seen.trapped);
  write_cr0(cr0 | CR0_EM);
  ATTEMPT("fnop");
  expect("#NM x87 with CR0.EM", 7, NO_ERROR, AT_START);
  ATTEMPT("movaps %%xmm0, %%xmm1");
  expect("#UD SSE with CR0.EM", 6, NO_ERROR, AT_START);
  write_cr0(cr0);
}

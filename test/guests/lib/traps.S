/*
 * One stub a vector, 16 bytes apart: it pushes an error code of 0 where the processor pushed none, and the vector.
 * The common part builds struct frame (guest.h) and calls trap_dispatch.
 */
  .text
  .balign 16
  .globl trap_stubs
  .type trap_stubs, @function
trap_stubs:
  .set vector, 0
  .rept 256
  .balign 16
  /* vectors 8, 10 to 14, 17 and 21 come with an error code (Intel SDM 3, table 6-1) */
  .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
  push $0
  .endif
  .byte 0x68 /* push imm32, so that all stubs have one size */
  .long vector
  jmp trap_common
  .set vector, vector + 1
  .endr
  .size trap_stubs, . - trap_stubs

  .type trap_common, @function
trap_common:
  push %rax
  push %rbx
  push %rcx
  push %rdx
  push %rsi
  push %rdi
  push %rbp
  push %r8
  push %r9
  push %r10
  push %r11
  push %r12
  push %r13
  push %r14
  push %r15
  cld
  mov %rsp, %rdi
  mov %rsp, %rbx
  and $-16, %rsp
  call trap_dispatch
  mov %rbx, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %r11
  pop %r10
  pop %r9
  pop %r8
  pop %rbp
  pop %rdi
  pop %rsi
  pop %rdx
  pop %rcx
  pop %rbx
  pop %rax
  add $16, %rsp
  iretq
  .size trap_common, . - trap_common

  .section .note.GNU-stack, "", @progbits

/*
 * From 64-bit mode to the machine that `m` (machine.h) describes, and back with what ended the run.
 *
 *   go_legacy   64-bit -> compatibility -> paging off -> `m`: protected mode or virtual-8086, by IRET
 *   go_real     the same, then 16-bit protected mode, then real mode through the copy of `real_start` at REAL_ORIGIN
 *   go_long     within long mode, by IRETQ
 */
  .set RAX, 0
  .set RBX, 8
  .set RCX, 16
  .set RDX, 24
  .set RSI, 32
  .set RDI, 40
  .set RBP, 48
  .set RSP, 56
  .set RIP, 64
  .set FLAGS, 72
  .set CS, 80
  .set SS, 88
  .set DS, 96
  .set ES, 104
  .set FS, 112
  .set GS, 120
  .set CR0, 128
  .set CR3, 136
  .set CR4, 144
  .set EFER, 152
  .set GDTR, 160
  .set IDTR, 176
  .set LDTR, 192
  .set TR, 200
  .set VECTOR, 208
  .set ERROR, 216
  .set CR2, 224
  .set DR6, 232
  .set REAL_ORIGIN, 0x7000
  .set LOW, 0x6000 /* the low copy of `m` */
  .set MSR_EFER, 0xc0000080

  .macro save_callee
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  pushf
  mov %rsp, saved_rsp
  mov %cr0, %rax
  mov %rax, saved_cr0
  mov %cr3, %rax
  mov %rax, saved_cr3
  mov %cr4, %rax
  mov %rax, saved_cr4
  mov $MSR_EFER, %ecx
  rdmsr
  mov %eax, saved_efer
  .endm

  .text
  .code64
  .globl go_real, go_legacy, go_long
go_real:
  movl $1, to_real
  jmp 1f
go_legacy:
  movl $0, to_real
1: save_callee
  lgdt m+GDTR
  ljmp *far_legacy32

  .code32
legacy32:
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %eax, %eax
  mov %eax, %fs
  mov %eax, %gs
  mov $harness_stack_top, %esp
  mov %cr0, %eax
  and $0x7fffffff, %eax
  mov %eax, %cr0
  mov $MSR_EFER, %ecx
  rdmsr
  mov m+EFER, %eax
  wrmsr
  mov m+CR4, %eax
  mov %eax, %cr4
  mov m+CR3, %eax
  mov %eax, %cr3
  lidt m+IDTR
  mov m+CR0, %eax
  mov %eax, %cr0
  jmp 1f
1: cmpl $0, to_real
  jne to_real_mode
  mov m+LDTR, %eax
  lldt %ax
  mov m+TR, %eax
  test %eax, %eax
  jz 1f
  ltr %ax
1: testl $0x20000, m+FLAGS
  jz 2f
  pushl m+GS
  pushl m+FS
  pushl m+DS
  pushl m+ES
  pushl m+SS
  pushl m+RSP
  jmp 4f
2: testl $3, m+CS
  jz 3f
  pushl m+SS
  pushl m+RSP
  jmp 4f
3: mov m+SS, %eax
  mov %eax, %ss
  mov m+RSP, %esp
4: pushl m+FLAGS
  pushl m+CS
  pushl m+RIP
  testl $0x20000, m+FLAGS
  jnz 5f
  mov m+ES, %eax
  mov %eax, %es
  mov m+FS, %eax
  mov %eax, %fs
  mov m+GS, %eax
  mov %eax, %gs
  mov m+DS, %eax
  mov %eax, %ds
5: mov %cs:m+RBX, %ebx
  mov %cs:m+RCX, %ecx
  mov %cs:m+RDX, %edx
  mov %cs:m+RSI, %esi
  mov %cs:m+RDI, %edi
  mov %cs:m+RBP, %ebp
  mov %cs:m+RAX, %eax
  iretl

to_real_mode:
  ljmp $0x28, $(REAL_ORIGIN + real_entry - real_start)

  .globl stubs32
  .balign 16
stubs32:
  .set vector, 0
  .rept 64
  .balign 16
  .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
  pushl $0
  .endif
  .byte 0x68
  .long vector
  jmp common32
  .set vector, vector + 1
  .endr

common32:
  push %eax
  push %ds
  mov $0x10, %eax
  mov %eax, %ds
  mov 4(%esp), %eax
  mov %eax, m+RAX
  call save32
  mov 8(%esp), %eax
  mov %eax, m+VECTOR
  mov 12(%esp), %eax
  mov %eax, m+ERROR
  mov 16(%esp), %eax
  mov %eax, m+RIP
  mov 20(%esp), %eax
  mov %eax, m+CS
  mov 24(%esp), %eax
  mov %eax, m+FLAGS
  mov (%esp), %eax
  movzwl %ax, %eax
  mov %eax, m+DS
  testl $0x20000, m+FLAGS
  jz 1f
  mov 36(%esp), %eax
  mov %eax, m+ES
  mov 40(%esp), %eax
  mov %eax, m+DS
  mov 44(%esp), %eax
  mov %eax, m+FS
  mov 48(%esp), %eax
  mov %eax, m+GS
  jmp 2f
1: testl $3, m+CS
  jnz 2f
  lea 28(%esp), %eax
  mov %eax, m+RSP
  mov %ss, %eax
  mov %eax, m+SS
  jmp back32
2: mov 28(%esp), %eax
  mov %eax, m+RSP
  mov 32(%esp), %eax
  movzwl %ax, %eax
  mov %eax, m+SS

back32:
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov $harness_stack_top, %esp
  xor %eax, %eax
  mov %eax, %dr7
  mov $0x11, %eax
  mov %eax, %cr0
  mov saved_cr4, %eax
  mov %eax, %cr4
  mov saved_cr3, %eax
  mov %eax, %cr3
  mov $MSR_EFER, %ecx
  rdmsr
  mov saved_efer, %eax
  wrmsr
  /* 64-bit mode is not entered with a 16-bit TSS in TR. */
  lgdt boot_pointer
  mov $0x38, %eax
  ltr %ax
  mov saved_cr0, %eax
  mov %eax, %cr0
  ljmp $0x08, $back64

/* All but RAX and the frame; DS is flat. */
save32:
  mov %ebx, m+RBX
  mov %ecx, m+RCX
  mov %edx, m+RDX
  mov %esi, m+RSI
  mov %edi, m+RDI
  mov %ebp, m+RBP
  mov %es, %eax
  movzwl %ax, %eax
  mov %eax, m+ES
  mov %fs, %eax
  movzwl %ax, %eax
  mov %eax, m+FS
  mov %gs, %eax
  movzwl %ax, %eax
  mov %eax, m+GS
  mov %cr0, %eax
  mov %eax, m+CR0
  mov %cr2, %eax
  mov %eax, m+CR2
  mov %dr6, %eax
  mov %eax, m+DR6
  xor %eax, %eax
  str %ax
  mov %eax, m+TR
  xor %eax, %eax
  sldt %ax
  mov %eax, m+LDTR
  ret

/* Vector 0x31 through a 16-bit gate: words in the frame. */
  .globl stub16_gate
stub16_gate:
  ljmp $0x08, $1f
1: push %eax
  push %ds
  mov $0x10, %eax
  mov %eax, %ds
  mov 4(%esp), %eax
  mov %eax, m+RAX
  call save32
  movl $0x31, m+VECTOR
  movl $0, m+ERROR
  movzwl 8(%esp), %eax
  mov %eax, m+RIP
  movzwl 10(%esp), %eax
  mov %eax, m+CS
  movzwl 12(%esp), %eax
  mov %eax, m+FLAGS
  movzwl 14(%esp), %eax
  mov %eax, m+RSP
  movzwl 16(%esp), %eax
  mov %eax, m+SS
  jmp back32

back_from_real:
  mov $0x10, %eax
  mov %eax, %ds
  mov %cr2, %eax
  jmp back32

/* Real mode's part, run at REAL_ORIGIN with CS = 0. */
  .globl real_start, real_end, real_stubs
  .code16
real_start:
real_entry:
  mov $0x30, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %fs
  mov %ax, %gs
  mov %ax, %ss
  mov %cr0, %eax
  and $0xfffffffe, %eax
  mov %eax, %cr0
  ljmp $0, $(REAL_ORIGIN + 1f - real_start)
1: xor %ax, %ax
  mov %ax, %ds
  movw LOW+SS, %ss
  movl LOW+RSP, %esp
  pushw LOW+FLAGS
  pushw LOW+CS
  pushw LOW+RIP
  movw LOW+ES, %es
  movw LOW+FS, %fs
  movw LOW+GS, %gs
  movl LOW+RBX, %ebx
  movl LOW+RCX, %ecx
  movl LOW+RDX, %edx
  movl LOW+RSI, %esi
  movl LOW+RDI, %edi
  movl LOW+RBP, %ebp
  movl LOW+RAX, %eax
  movw LOW+DS, %ds
  iretw

  .balign 8
real_stubs:
  .set vector, 0
  .rept 64
  .balign 8
  pushw $vector
  .byte 0xe9
  .word real_common - (. + 2)
  .set vector, vector + 1
  .endr

real_common:
  movl %eax, %cs:LOW+RAX
  movl %ebx, %cs:LOW+RBX
  movl %ecx, %cs:LOW+RCX
  movl %edx, %cs:LOW+RDX
  movl %esi, %cs:LOW+RSI
  movl %edi, %cs:LOW+RDI
  movl %ebp, %cs:LOW+RBP
  movw %ds, %cs:LOW+DS
  movw %es, %cs:LOW+ES
  movw %fs, %cs:LOW+FS
  movw %gs, %cs:LOW+GS
  movw %ss, %cs:LOW+SS
  xor %ax, %ax
  mov %ax, %ds
  popw LOW+VECTOR
  popw LOW+RIP
  popw LOW+CS
  popw LOW+FLAGS
  movl %esp, LOW+RSP
  movl %cr0, %eax
  movl %eax, LOW+CR0
  movl %dr6, %eax
  movl %eax, LOW+DR6
  lgdtl LOW+GDTR
  movl %cr0, %eax
  or $1, %al
  mov %eax, %cr0
  ljmpl $0x08, $back_from_real
real_end:

  .code64
go_long:
  save_callee
  lgdt m+GDTR
  lidt m+IDTR
  mov m+LDTR, %eax
  lldt %ax
  mov m+TR, %eax
  test %eax, %eax
  jz 1f
  ltr %ax
1: mov m+CR4, %rax
  mov %rax, %cr4
  mov m+CR3, %rax
  mov %rax, %cr3
  mov m+CR0, %rax
  mov %rax, %cr0
  pushq m+SS
  pushq m+RSP
  pushq m+FLAGS
  pushq m+CS
  pushq m+RIP
  mov m+DS, %eax
  mov %eax, %ds
  mov m+ES, %eax
  mov %eax, %es
  mov m+FS, %eax
  mov %eax, %fs
  mov m+GS, %eax
  mov %eax, %gs
  mov m+RAX, %rax
  mov m+RBX, %rbx
  mov m+RCX, %rcx
  mov m+RDX, %rdx
  mov m+RSI, %rsi
  mov m+RDI, %rdi
  mov m+RBP, %rbp
  iretq

  .globl stubs64
  .balign 16
stubs64:
  .set vector, 0
  .rept 64
  .balign 16
  .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
  push $0
  .endif
  .byte 0x68
  .long vector
  jmp common64
  .set vector, vector + 1
  .endr

common64:
  mov %rax, m+RAX
  mov %rbx, m+RBX
  mov %rcx, m+RCX
  mov %rdx, m+RDX
  mov %rsi, m+RSI
  mov %rdi, m+RDI
  mov %rbp, m+RBP
  popq m+VECTOR
  popq m+ERROR
  popq m+RIP
  popq m+CS
  popq m+FLAGS
  mov %rsp, handler_rsp
  popq m+RSP
  popq m+SS
  xor %eax, %eax
  mov %ds, %eax
  mov %rax, m+DS
  mov %es, %eax
  mov %rax, m+ES
  mov %fs, %eax
  mov %rax, m+FS
  mov %gs, %eax
  mov %rax, m+GS
  mov %cr0, %rax
  mov %rax, m+CR0
  mov %cr2, %rax
  mov %rax, m+CR2
  mov %dr6, %rax
  mov %rax, m+DR6
  xor %eax, %eax
  mov %rax, %dr7
  str %ax
  mov %rax, m+TR
  mov saved_cr4, %rax
  mov %rax, %cr4
  mov saved_cr3, %rax
  mov %rax, %cr3
  mov saved_cr0, %rax
  mov %rax, %cr0
  lgdt boot_pointer
  mov saved_rsp, %rsp
  push $0x08
  push $back64
  lretq

back64:
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov saved_rsp, %rsp
  popf
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret

  .section .rodata
  .balign 8
far_legacy32:
  .long legacy32
  .word 0x08
  .balign 8
boot_pointer:
  .word 8 * 8 - 1
  .quad back_gdt

  .data
  .balign 8
  .globl handler_rsp
handler_rsp: .quad 0
saved_rsp: .quad 0
saved_cr0: .quad 0
saved_cr3: .quad 0
saved_cr4: .quad 0
saved_efer: .quad 0
to_real: .long 0

  .bss
  .balign 16
  .skip 512
harness_stack_top:

  .section .note.GNU-stack, "", @progbits

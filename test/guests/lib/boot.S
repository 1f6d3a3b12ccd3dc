/*
 * Entry by PVH (XEN_ELFNOTE_PHYS32_ENTRY; docs/misc/pvh.pandoc): 32-bit protected mode, paging off, flat segments,
 * EBX = guest-physical address of hvm_start_info. Leaves in 64-bit mode with SSE and an identity map of 4 GiB, on
 * vcpu 0's stack, and calls boot_main(start_info).
 *
 *   page_tables   0: level 4    1: level 3    2..5: level 2, pages of 2 MiB    6: level 1 of the first 2 MiB,
 *                 so that page 0 can be left out and a null pointer faults
 */
#define CR0_VALUE 0x80010033 /* PG WP NE ET MP PE */
#define CR4_VALUE 0x00000620 /* OSXMMEXCPT OSFXSR PAE */
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define STACK_SIZE 16384

  .section .note.Xen, "a", @note
  .balign 4
  .long 4, 4, 18 /* name size, description size, XEN_ELFNOTE_PHYS32_ENTRY */
  .asciz "Xen"
  .long entry32

  .text
  .code32
  .globl entry32
  .type entry32, @function
entry32:
  cld
  mov $stacks + STACK_SIZE, %esp

  /* level 4 and level 3 */
  mov $page_tables, %edi
  lea 0x1003(%edi), %eax
  mov %eax, (%edi)
  lea 0x1000(%edi), %edx
  lea 0x2003(%edi), %eax
  mov $4, %ecx
1: mov %eax, (%edx)
  add $0x1000, %eax
  add $8, %edx
  loop 1b

  /* level 2: 2048 pages of 2 MiB, present, writable */
  lea 0x2000(%edi), %edx
  mov $0x83, %eax
  mov $2048, %ecx
2: mov %eax, (%edx)
  add $0x200000, %eax
  add $8, %edx
  loop 2b

  /* level 1 of the first 2 MiB, without page 0 */
  lea 0x6003(%edi), %eax
  mov %eax, 0x2000(%edi)
  lea 0x6008(%edi), %edx
  mov $0x1003, %eax
  mov $511, %ecx
3: mov %eax, (%edx)
  add $0x1000, %eax
  add $8, %edx
  loop 3b

  mov $CR4_VALUE, %eax
  mov %eax, %cr4
  mov %edi, %cr3
  mov $MSR_EFER, %ecx
  rdmsr
  or $EFER_LME, %eax
  wrmsr
  mov $CR0_VALUE, %eax
  mov %eax, %cr0
  lgdt boot_gdt_pointer
  ljmp $0x08, $entry64
  .size entry32, . - entry32

  .code64
  .type entry64, @function
entry64:
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %eax, %eax
  mov %eax, %fs
  mov %eax, %gs
  mov $stacks + STACK_SIZE, %rsp
  xor %ebp, %ebp
  push $0
  popf
  fninit
  mov %ebx, %edi
  call boot_main
  ud2
  .size entry64, . - entry64

  /* A further vcpu starts here, in 64-bit mode with null selectors; RDI = its number, RSI = what to call. */
  .globl vcpu_entry
  .type vcpu_entry, @function
vcpu_entry:
  cld
  lgdt boot_gdt_pointer
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  push $0x08
  push $1f
  lretq
1: fninit
  xor %ebp, %ebp
  call vcpu_main
  ud2
  .size vcpu_entry, . - vcpu_entry

  .section .rodata
  .balign 8
  .globl boot_gdt
  .type boot_gdt, @object
boot_gdt:
  .quad 0
  .quad 0x00af9b000000ffff /* 08 code, 64 bit */
  .quad 0x00cf93000000ffff /* 10 data */
  .quad 0x00cf9b000000ffff /* 18 code, 32 bit */
  .quad 0x00cff3000000ffff /* 20 data, user */
  .quad 0x00affb000000ffff /* 28 code, 64 bit, user */
  .quad 0x00cf13000000ffff /* 30 data, not present */
  .quad 0, 0               /* 38 TSS, filled in for each vcpu */
boot_gdt_end:
  .size boot_gdt, . - boot_gdt
  .balign 8
boot_gdt_pointer:
  .word boot_gdt_end - boot_gdt - 1
  .quad boot_gdt

  .section .bss
  .balign 4096
  .globl page_tables
  .type page_tables, @object
page_tables:
  .skip 7 * 4096
  .size page_tables, . - page_tables

  .section .note.GNU-stack, "", @progbits

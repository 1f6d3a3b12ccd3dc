/*
 * A flat 32-bit image for any machine that can enter it by the Multiboot standard (0.6.96: protected mode, paging off,
 * flat segments): loaded at 1 MiB, entered at `entry`. Maps the first 4 MiB to themselves, 4 KiB a page, switches paging
 * on and runs the loop that `parameters` asks for; whoever loads the image sets these two words before.
 *
 *   offset   0   multiboot header, 32 bytes
 *           32   parameters: number of the loop, iterations
 */
  .section .head, "ax"
  .balign 4
header:
  .long 0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
  .long header, header, load_end, bss_end, entry
  .globl parameters
parameters:
  .long 0, 0

  .globl entry
entry:
  cld
  mov $stack + 16384, %esp
  mov $page_table, %edi
  lea 3(%edi), %eax
  mov %eax, page_directory
  mov $3, %eax
  mov $1024, %ecx
1: stosl
  add $4096, %eax
  loop 1b
  mov $page_directory, %eax
  mov %eax, %cr3
  mov %cr0, %eax
  or $0x80010000, %eax
  mov %eax, %cr0
  call image_main
2: cli
  hlt
  jmp 2b

  .bss
  .balign 4096
page_directory: .skip 4096
page_table: .skip 4096
stack: .skip 16384

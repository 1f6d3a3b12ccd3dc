# Assembled by: gcc -c -x assembler boot.s && ld -Ttext=0x7c00 && objcopy -O binary; the bytes are in boot.test.ts.
# Real mode at 0x7c00 -> 32-bit -> long mode -> user -> INT 0x80, SYSCALL, #PF, single-step -> halt. Leaves marks at 0x6000.
.intel_syntax noprefix
.code16
.globl _start
_start:
  cli
  lgdt [gdtr]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  ljmp 0x08, offset prot
.code32
prot:
  mov ax, 0x10
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov esp, 0x9000
  mov dword ptr [0x6000], 0x11
  # page tables at 0xa000: identity 2 MiB, user
  mov dword ptr [0xa000], 0xb007
  mov dword ptr [0xb000], 0xc007
  mov dword ptr [0xc000], 0x00000087
  mov eax, cr4
  or eax, 0x20
  mov cr4, eax
  mov eax, 0xa000
  mov cr3, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x101
  wrmsr
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  ljmp 0x18, offset long
.code64
long:
  mov dword ptr [0x6004], 0x22
  lidt [idtr]
  mov ax, 0x48
  ltr ax
  mov ecx, 0xc0000081
  xor eax, eax
  mov edx, 0x00300018
  wrmsr
  mov ecx, 0xc0000082
  mov eax, offset syscall_entry
  xor edx, edx
  wrmsr
  mov ecx, 0xc0000084
  mov eax, 0x300
  wrmsr
  # to user: SS RSP RFLAGS CS RIP
  push 0x2b
  push 0x8800
  push 0x202
  push 0x33+8
  lea rax, [rip+user]
  push rax
  mov qword ptr [rsp+8], 0x43
  iretq
user:
  mov ax, cs
  mov word ptr [0x6008], ax
  int 0x80
  mov dword ptr [0x6010], eax
  syscall
  mov dword ptr [0x6014], eax
  mov rax, [0x40000000]
after_pf:
  pushfq
  or qword ptr [rsp], 0x100
  popfq
  nop
  nop
  int 0x81
.align 8
int80:
  mov eax, 0x80808080
  iretq
syscall_entry:
  mov eax, 0x5ca11
  sysretq
pf:
  mov rax, cr2
  mov [0x6018], rax
  pop rax
  mov [0x6020], rax
  add qword ptr [rsp], 8
  iretq
db:
  inc dword ptr [0x6028]
  mov rax, dr6
  mov [0x6030], rax
  cmp dword ptr [0x6028], 2
  jne 1f
  and qword ptr [rsp+16], ~0x100
1: iretq
gp:
  mov dword ptr [0x6038], 0x99
  hlt
done:
  mov ax, cs
  mov word ptr [0x603c], ax
  hlt
.align 16
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff   # 08 code32
  .quad 0x00cf93000000ffff   # 10 data
  .quad 0x00af9b000000ffff   # 18 code64
  .quad 0x00cf93000000ffff   # 20 data (SYSCALL SS)
  .quad 0x00cff3000000ffff   # 28 user data
  .quad 0
  .quad 0x00cff3000000ffff   # 38
  .quad 0x00affb000000ffff
  .quad 0x0000890070000067
  .quad 0
gdtr: .word 87
  .long gdt
idtr: .word 0xfff
  .quad 0x5000

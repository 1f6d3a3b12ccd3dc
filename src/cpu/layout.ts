/**
 * The map of linear memory, and of the processor state at its start.
 *
 * The *current* vcpu's state lies at address 0, so that generated code reaches a register with nothing
 * but its byte offset; switching vcpus copies these 4 KiB (see `VcpuStore`). All else is derived.
 *
 *     0x0000 ┌──────────────────────────────┐
 *            │ state of the current vcpu    │  STATE_BYTES, saved and restored as a whole
 *     0x1000 ├──────────────────────────────┤
 *            │ scratch: split accesses,     │  never part of the machine's state
 *            │ call-out operands, CRC table │
 *     0x2000 ├──────────────────────────────┤
 *            │ TLBs, one set a vcpu         │  architectural (DESIGN C3): saved with snapshots
 *            ├──────────────────────────────┤
 *            │ decoded records, code pages  │  host caches: never saved
 *            ├──────────────────────────────┤  64 KiB aligned
 *            │ machine memory, frame 0 …    │  all domains' RAM
 *            └──────────────────────────────┘
 *
 * Register slots. Decoded records name a 64-bit slot by its byte offset, one byte: 32 slots.
 *
 *     0x00 RAX RCX RDX RBX RSP RBP RSI RDI R8 … R15      0x80 ZERO (always 0)   0x88 EA (prepared address)
 *     0x90 BLOCK_RIP                                     0x98 TEMP
 *     0xA0 segment bases ES CS SS DS FS GS               0xD0 … free
 *
 * Byte registers AH CH DH BH are simply offset + 1.
 *
 * Flags. The six status flags are lazy, and read without a dispatch (the idea is Bochs's):
 *
 *     FLAG_RES  the last result, sign-extended to 64 bits from its operand size
 *     FLAG_AUX  bit 63 CF │ bit 62 CF^OF │ bits 15..8 parity delta │ bit 4 sign delta │ bit 3 AF │ rest 0
 *
 *     ZF = RES == 0            SF = RES.63 ^ AUX.4            PF = even parity of (RES.7..0 ^ AUX.15..8)
 *     CF = AUX.63              OF = AUX.63 ^ AUX.62           AF = AUX.3
 *
 * EFLAGS_REST holds the other bits (TF IF DF IOPL NT RF VM AC VIF VIP ID, and bit 1) at their places.
 */

/** Byte offsets of the general registers: `GPR + 8 * n`, Intel's numbering. */
export const GPR = 0x00;
export const SLOT_ZERO = 0x80;
/** Linear address prepared by an address micro-operation (16-bit addressing, segments that are not flat). */
export const SLOT_EA = 0x88;
/** RIP at the start of the running block (offset within CS). */
export const SLOT_BLOCK_RIP = 0x90;
export const SLOT_TEMP = 0x98;
/** Segment bases: `SLOT_SEG_BASE + 8 * s`, s in the order ES CS SS DS FS GS. */
export const SLOT_SEG_BASE = 0xa0;

export const FLAG_RES = 0x100;
export const FLAG_AUX = 0x108;
export const EFLAGS_REST = 0x110;
/** u32: 1 while interrupts are held off for one instruction (STI, MOV SS). */
export const INTERRUPT_SHADOW = 0x114;
/** u64: RIP of the current instruction; exact whenever TypeScript runs. */
export const RIP = 0x118;
/** i32: ticks that may still be retired in this run. Decreased by a whole block at its entry. */
export const BUDGET = 0x120;
/** u32: record that was executing when a fault or exit was raised. */
export const FAULT_PC = 0x124;
/** u32: linear-memory address of the data TLB for the current privilege and AC (see tlb.ts). */
export const TLB_CURRENT = 0x128;
/** u32: linear-memory address of the instruction TLB for the current privilege. */
export const ITLB_CURRENT = 0x12c;
/** i64: mask of effective addresses of the current code's default address size: 0xffff, 0xffffffff, or all ones. */
export const ADDRESS_MASK = 0x130;
/** u32: current privilege level, 0..3. */
export const CPL = 0x138;
/** u32: how code is decoded now (see `codeMode` in engine). */
export const CODE_MODE = 0x13c;
/** u32: 0 running, 1 halted (HLT), 2 waiting for a start (AP), 3 shut down (triple fault). */
export const ACTIVITY = 0x140;
/** u32: 1 if an NMI handler runs (NMIs blocked until IRET). */
export const NMI_BLOCKED = 0x144;
/** u64 (double): machine tick at which BUDGET was BUDGET_START. */
export const TICK_BASE = 0x148;
export const BUDGET_START = 0x150;
/** u32: pending debug bits for DR6 (single-step, breakpoint hit) to deliver after the instruction. */
export const PENDING_DEBUG = 0x154;
/** f64: the tick at which INTERRUPT_SHADOW ends: it holds off interrupts only at that very tick. */
export const SHADOW_TICK = 0x158;
/** i64: mask of RIP in the current code: 0xffff, 0xffffffff, or all ones. */
export const RIP_MASK = 0x160;
/** u64: linear address handed from generated code to TypeScript. */
export const ARG_LINEAR = 0x168;
/** i64: mask of the stack pointer: 0xffff, 0xffffffff, or all ones. */
export const STACK_MASK = 0x178;
/** u64: value handed over together with it. */
export const ARG_VALUE = 0x170;

/**
 * Segment registers, 16 bytes each, ES CS SS DS FS GS LDTR TR (bases of the first six in their slots):
 *
 *     +0 u16 selector  +4 u32 attributes (descriptor bits 40..55: type S DPL P - AVL L D/B G; bit 16 = null)
 *     +8 u32 limit, scaled to bytes
 */
export const SEGMENT = 0x180;
export const SEG_STRIDE = 16;
export const SEG_SELECTOR = 0;
export const SEG_ATTRIBUTES = 4;
export const SEG_LIMIT = 8;
export const LDTR_BASE = 0x200;
export const TR_BASE = 0x208;
export const GDTR_BASE = 0x210;
export const GDTR_LIMIT = 0x218;
export const IDTR_BASE = 0x220;
export const IDTR_LIMIT = 0x228;

export const CR0 = 0x240;
export const CR2 = 0x248;
export const CR3 = 0x250;
export const CR4 = 0x258;
export const CR8 = 0x260;
export const EFER = 0x268;
export const XCR0 = 0x270;
/** DR0..DR7 at `DR + 8 * n`. */
export const DR = 0x280;

export const MSR_STAR = 0x2c0;
export const MSR_LSTAR = 0x2c8;
export const MSR_CSTAR = 0x2d0;
export const MSR_SFMASK = 0x2d8;
export const MSR_KERNEL_GS_BASE = 0x2e0;
export const MSR_TSC_AUX = 0x2e8;
export const MSR_SYSENTER_CS = 0x2f0;
export const MSR_SYSENTER_ESP = 0x2f8;
export const MSR_SYSENTER_EIP = 0x300;
export const MSR_PAT = 0x308;
export const MSR_APIC_BASE = 0x310;
export const MSR_MISC_ENABLE = 0x318;
/** i64: guest TSC = tick + this. */
export const TSC_OFFSET = 0x320;
export const MSR_TSC_ADJUST = 0x328;
export const MSR_MTRR_DEF_TYPE = 0x330;
/** 11 fixed-range MTRRs, then 8 variable pairs: u64 each. */
export const MSR_MTRR_FIXED = 0x338;
export const MSR_MTRR_VARIABLE = 0x390;

/** x87 registers, physical order, 16 bytes each (low 80 bits used). */
export const X87_REGISTERS = 0x420;
export const X87_FCW = 0x4a0;
export const X87_FSW = 0x4a2;
/** u8: FXSAVE tag: bit p set = physical register p not empty. */
export const X87_FTW = 0x4a4;
export const X87_FOP = 0x4a6;
export const X87_FIP = 0x4a8;
export const X87_FDP = 0x4b0;
export const X87_FCS = 0x4b8;
export const X87_FDS = 0x4ba;
export const MXCSR = 0x4bc;

/**
 * What keeps vector instructions from executing now, derived from CR0, CR4 and XCR0: an exception vector each (#UD, #NM)
 * or 0, in the bytes VECTOR_GATE + Gate (see semantics/vector-operation.ts).
 */
export const VECTOR_GATE = 0x4c0;

/** Vector registers: `YMM + 32 * n`, XMM the low 16 bytes. */
export const YMM = 0x500;

/** u64: what is added to RIP for a linear address: 0 in 64-bit mode, else the base of CS. */
export const CODE_BASE = 0x7f8;

export const STATE_BYTES = 0x800;
export const SCRATCH = 0x1000;
export const SCRATCH_BYTES = 0x1000;
/** u32: 1 when decoded code was overwritten since a repeated string instruction last asked: it may be its own code. */
export const CODE_CHANGED = 0xff0;
/** 256 u32: CRC-32C of each byte, for the CRC32 instruction. Constant. */
export const CRC_TABLE = 0x1c00;
export const TLB_AREA = 0x2000;

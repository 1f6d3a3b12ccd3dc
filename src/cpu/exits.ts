/**
 * The only door between a processor and whatever surrounds it (a hypervisor, a bare board, a test).
 * A closed set: everything an instruction can ask of the outside is a method here, called synchronously in the
 * middle of that instruction. The shape follows Xen's `struct x86_emulate_ops`.
 *
 * What an exit may do is said by its result:
 *   - `Exit.CONTINUE`: state changed as asked, the instruction completes, the run goes on.
 *   - `Exit.YIELD`: the same, but leave the run after this instruction (a vcpu blocked, an event became
 *     pending, another vcpu should run).
 *   - `Exit.RETRY`: nothing changed; leave the run with RIP still on the instruction, not retired.
 * A handler may also raise an exception in the guest through fault.ts.
 */
export const Exit = { CONTINUE: 0, YIELD: 1, RETRY: 2 } as const;
export type ExitResult = (typeof Exit)[keyof typeof Exit];

/** Four registers of CPUID, unsigned 32 bit. */
export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** What of control registers, MSRs and a few instructions there is: setting other bits is #GP, as for a processor without the feature. */
export interface OfferedBits {
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly xcr0: bigint;
  /** IA32_TSC_AUX (RDTSCP, RDPID). */
  readonly tscAux: boolean;
  readonly mtrr: boolean;
  readonly x2apic: boolean;
  /** Instructions that are #UD without their feature: MONITOR and MWAIT, RDRAND, RDSEED. */
  readonly monitor: boolean;
  readonly rdrand: boolean;
  readonly rdseed: boolean;
}

export interface ProcessorExits {
  /** Absent: all that the processor can. */
  readonly offered?: OfferedBits;
  /** VMCALL or VMMCALL. Arguments and result are in the registers. */
  hypercall(): ExitResult;
  /** CPUID with EAX = leaf, ECX = subleaf. */
  cpuid(leaf: number, subleaf: number, out: CpuidResult): void;
  /** RDMSR of an MSR that the processor does not keep itself; undefined raises #GP. */
  readMsr(index: number): bigint | undefined;
  /** WRMSR likewise; undefined raises #GP. */
  writeMsr(index: number, value: bigint): ExitResult | undefined;
  /** Port access of 1, 2 or 4 bytes. Reads return an unsigned value. */
  portRead(port: number, size: number): number;
  portWrite(port: number, size: number, value: number): ExitResult;
  /** Physical access outside RAM, 1, 2, 4 or 8 bytes, never crossing a page. Reads return unsigned. */
  mmioRead(gpa: number, size: number): bigint;
  mmioWrite(gpa: number, size: number, value: bigint): ExitResult;
  /** HLT with nothing pending: the vcpu has been marked halted. */
  halt(): ExitResult;
  /** PAUSE, MWAIT: a hint that another vcpu could run. */
  pause(): ExitResult;
  /** Interrupts became acceptable (IF set, shadow gone, CR8 lowered), or NMIs (IRET): deliver a pending one at the next boundary? */
  interruptWindow(): boolean;
  /** Shutdown by triple fault. RIP and registers are those at the first fault. */
  tripleFault(): void;
  /** A TLB flush the guest asked for, for the log: 'cr3' | 'invlpg' | 'global'. */
  tlbFlush(kind: number, linear: bigint): void;
  /** An exception is about to be delivered through the guest's IDT (for the log; changes nothing). */
  exception(vector: number, error: number, cr2: bigint): void;
}

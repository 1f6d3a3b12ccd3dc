import type { Ticks } from '../base/ticks.ts';
import type { Instruction } from './decode/instruction.ts';
import type { ProcessorExits } from './exits.ts';
import type { CpuState } from './state.ts';

/** What follows an instruction executed by TypeScript. */
export const Flow = {
  /** Go on behind the instruction. */
  NEXT: 0,
  /** RIP was written: go on there. */
  BRANCH: 1,
  /** Retire, go on behind the instruction, but leave the run first (halted, blocked, another vcpu should run). */
  LEAVE: 2,
  /** As LEAVE, with RIP already written. */
  LEAVE_BRANCH: 3,
  /** Nothing changed: leave the run with RIP on the instruction, not retired. */
  RETRY: 4,
} as const;
export type FlowResult = (typeof Flow)[keyof typeof Flow];

/**
 * Memory as the current vcpu sees it: linear addresses, through its page tables and TLB, byte-granular and free to
 * cross pages. Every method raises #PF (or #GP/#SS for non-canonical addresses: pass `segment`) through fault.ts.
 * `supervisor` marks the implicit accesses of Intel SDM 3A 4.6 (descriptor tables, TSS): CPL is ignored.
 */
export interface VirtualMemory {
  read8(linear: bigint, supervisor?: boolean): number;
  read16(linear: bigint, supervisor?: boolean): number;
  read32(linear: bigint, supervisor?: boolean): number;
  read64(linear: bigint, supervisor?: boolean): bigint;
  write8(linear: bigint, value: number, supervisor?: boolean): void;
  write16(linear: bigint, value: number, supervisor?: boolean): void;
  write32(linear: bigint, value: number, supervisor?: boolean): void;
  write64(linear: bigint, value: bigint, supervisor?: boolean): void;
  /** Copies into `out`; nothing is read partially visible on a fault. */
  readBytes(linear: bigint, out: Uint8Array, supervisor?: boolean): void;
  /** All bytes are checked before the first is written. */
  writeBytes(linear: bigint, bytes: Uint8Array, supervisor?: boolean): void;
  /** Raises unless `length` bytes at `linear` can be written. */
  probeWrite(linear: bigint, length: number, supervisor?: boolean): void;
}

/** What instructions written in TypeScript (system/, x87/) may touch. */
export interface ProcessorContext {
  readonly s: CpuState;
  readonly mem: VirtualMemory;
  readonly exits: ProcessorExits;
  /** Tick of the instruction being executed. */
  now(): Ticks;
  /** RIP behind the instruction being executed, already truncated to the code size. */
  nextRip(): bigint;
  /** Effective address of `insn`'s memory operand: offset within its segment, truncated to the address size. */
  effectiveOffset(insn: Instruction): bigint;
  /** Linear address of `insn`'s memory operand for `size` bytes, with segment checks (#GP, #SS). */
  effectiveLinear(insn: Instruction, size: number, write: boolean): bigint;
  /** Linear address of `offset` in segment register `seg` for `size` bytes with type, limit and canonical checks. */
  segmentLinear(seg: number, offset: bigint, size: number, write: boolean): bigint;
  /** Must follow every change of CR0, CR4, EFER, CS, SS, CPL, RFLAGS.VM or RFLAGS.AC: derives the code mode and current TLBs. */
  modeChanged(): void;
  /** Drops every TLB entry (`global`) or every non-global one. */
  flushTlb(global: boolean): void;
  /** Drops the entries for the page at `linear`, global or not, all privileges. */
  flushPage(linear: bigint): void;
}

/** A system instruction: raises, or does all its work and says what follows. */
export type SystemInstruction = (cpu: ProcessorContext, insn: Instruction) => FlowResult;

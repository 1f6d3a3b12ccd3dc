/** What generated code calls: the slow halves of memory access and block lookup, and instructions written in TypeScript. */
import type { Instruction } from '../decode/instruction.ts';
import { Flow, type FlowResult } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import type { Mmu } from '../mmu.ts';
import { type CpuState, FLAG, SEG } from '../state.ts';
import { dataBreakpoint, hasDataBreakpoints, pendDebug } from '../system/debug.ts';
import type { BlockBuilder } from './blocks.ts';
import type { CodeCache } from './code-cache.ts';
import { FLAT_CODE } from './code-mode.ts';
import { SpecialOp } from './interpreter.ts';
import { checksAlignment, type Processor } from './processor.ts';
import * as R from './records.ts';
import { After, Miss } from './runtime.ts';

const STACK_MNEMONICS = new Set(['PUSH', 'POP', 'PUSHF', 'POPF', 'CALL', 'RET', 'ENTER', 'LEAVE']);

/** The run in progress. */
export interface RunState {
  /** Between `run`'s start and end. */
  active: boolean;
  /** An exit asked to leave. */
  leave: boolean;
  /** Ticks of the budget that `breakOff` took away. */
  withheld: number;
}

/** Does this answer end the run? */
export function leaves(flow: FlowResult): boolean {
  return flow === Flow.LEAVE || flow === Flow.LEAVE_BRANCH || flow === Flow.RETRY;
}

/** Legacy 16-byte operands must be aligned, but for a few; of VEX only the aligned moves'. SHA's are judged later (measured). */
function mustBeAligned(insn: Instruction): boolean {
  const { mnemonic } = insn.row;
  if (insn.vex ? !/^VMOV(A|NT|DQA)/.test(mnemonic) : /^(MOVU|MOVDQU|LDDQU|SHA|PCMP[EI]STR)/.test(mnemonic))
    return false;
  return insn.operands.some(({ kind, size }, i) => i < insn.operandCount && kind === 'mem' && size >= 128);
}

/** True while TF, RF, a breakpoint or a pending debug trap wants one instruction at a time. */
export function mustStep(s: CpuState): boolean {
  const flags = s.get32(L.EFLAGS_REST) & (FLAG.TF | FLAG.RF);
  return flags !== 0 || (s.get32(L.DR + 56) & 0xff) !== 0 || s.get32(L.PENDING_DEBUG) !== 0;
}

export class HostCalls {
  readonly run: RunState = { active: false, leave: false, withheld: 0 };
  readonly #s: CpuState;
  readonly #mmu: Mmu;
  readonly #cpu: Processor;
  readonly #cache: CodeCache;
  readonly #blocks: BlockBuilder;

  constructor(s: CpuState, mmu: Mmu, cpu: Processor, cache: CodeCache, blocks: BlockBuilder) {
    this.#s = s;
    this.#mmu = mmu;
    this.#cpu = cpu;
    this.#cache = cache;
    this.#blocks = blocks;
    mmu.nonCanonicalVector = (linear) => this.nonCanonicalVector(linear);
  }

  /** The import object of the interpreter module (runtime.ts, IMPORTS). */
  imports(): Record<string, (...args: number[]) => unknown> {
    return {
      miss: (bytes, kind) => this.#miss(bytes!, kind!),
      commit: () => this.#mmu.commitWrite(),
      raise: (vector, error) => raise(vector!, error!),
      segment: (seg, bytes, write) => {
        const s = this.#s;
        const offset = s.get64(L.ARG_LINEAR);
        if (seg === SEG.SS && bytes! >= 16) this.#requireAligned(offset + s.base(SEG.SS));
        s.set64(L.ARG_LINEAR, this.#cpu.segmentLinear(seg!, offset, bytes!, write !== 0));
      },
      resolve: (link) => this.resolve(link!),
      short: (t) => this.#short(t!),
      callout: (pc) => this.#callout(pc!),
      stale: (pc) => this.#stale(pc!),
      crossing: (pc) => this.#crossing(pc!),
      suspend: (pc) => this.#moveTo(pc!),
    };
  }

  /**
   * Ends the run right behind the instruction in execution, or the iteration of a repeated one. What is left of its block is
   * overwritten: the decoded code must be forgotten before the next run.
   * @returns false if nothing runs
   */
  breakOff(): boolean {
    const s = this.#s;
    const pc = s.get32(L.FAULT_PC);
    if (!this.run.active || this.run.leave) return this.run.active;
    this.run.leave = true;
    if (pc !== 0) this.#cache.makeStale(pc, SpecialOp.STALE);
    const rest = s.i32[L.BUDGET >> 2]!;
    this.run.withheld += rest;
    // The start moves along, so that `now` stays right.
    s.set32(L.BUDGET_START, s.get32(L.BUDGET_START) - rest);
    s.set32(L.BUDGET, 0);
    return true;
  }

  /** BLOCK_RIP becomes the RIP of the instruction of record `pc`. */
  #moveTo(pc: number): void {
    const s = this.#s;
    const rip = s.get64(L.SLOT_BLOCK_RIP) + BigInt(this.#cache.offsetOf(pc));
    s.set64(L.SLOT_BLOCK_RIP, rip & s.get64(L.RIP_MASK));
  }

  #miss(bytes: number, kind: number): number {
    const s = this.#s;
    const lo = s.u32[L.ARG_LINEAR >> 2]!;
    const hi = s.u32[(L.ARG_LINEAR >> 2) + 1]!;
    const view = this.#mmu.dataView();
    this.#watch(lo, hi, bytes, kind !== Miss.READ);
    return kind === Miss.READ
      ? this.#mmu.locateRead(lo, hi, bytes, view)
      : this.#mmu.locateWrite(lo, hi, bytes, view, kind === Miss.MODIFY);
  }

  /** Alignment checks and data breakpoints: while they are on, every access comes here. */
  #watch(lo: number, hi: number, bytes: number, write: boolean): void {
    const s = this.#s;
    const alignment = Math.min(bytes, 8) - 1;
    if ((lo & alignment) !== 0 && bytes <= 10 && checksAlignment(s)) raise(VECTOR.AC, 0);
    if (hasDataBreakpoints(s)) pendDebug(s, dataBreakpoint(s, (BigInt(hi) << 32n) | BigInt(lo), bytes, write));
  }

  /** A misaligned operand is #GP before its address could be #SS (measured on AMD's). */
  #requireAligned(linear: bigint): void {
    if ((linear & 15n) === 0n) return;
    const insn = this.#current();
    if (insn !== undefined && mustBeAligned(insn)) raise(VECTOR.GP, 0);
  }

  /** The instruction that generated code executes now. */
  #current(): Instruction | undefined {
    const s = this.#s;
    const pc = s.get32(L.FAULT_PC);
    if (!this.run.active || pc === 0) return undefined;
    const rip = s.get64(L.SLOT_BLOCK_RIP) + BigInt(this.#cache.offsetOf(pc));
    return this.#blocks.peekInstruction(rip & s.get64(L.RIP_MASK));
  }

  /** #SS for an address reached through SS: a stack instruction, or a memory operand with that segment. */
  nonCanonicalVector(linear: bigint): number {
    const s = this.#s;
    const pc = s.get32(L.FAULT_PC);
    if (!this.run.active || pc === 0) return VECTOR.GP;
    const rip = s.get64(L.SLOT_BLOCK_RIP) + BigInt(this.#cache.offsetOf(pc));
    const insn = this.#blocks.peekInstruction(rip & s.get64(L.RIP_MASK));
    if (insn === undefined) return VECTOR.GP;
    s.rip = rip & s.get64(L.RIP_MASK);
    this.#cpu.length = insn.length;
    const segment = insn.memory.segment;
    const operand = this.#cpu.effectiveOffset(insn) + (segment >= SEG.FS ? s.base(segment) : 0n);
    const isOperand = BigInt.asUintN(64, operand) === linear || insn.row.mnemonic.startsWith('BT');
    if (insn.hasMem && isOperand)
      return segment === SEG.SS && !(linear & 15n && mustBeAligned(insn)) ? VECTOR.SS : VECTOR.GP;
    return STACK_MNEMONICS.has(insn.row.mnemonic) ? VECTOR.SS : VECTOR.GP;
  }

  /** First record of the block at BLOCK_RIP, decoded if need be; 0 to leave the run. */
  resolve(link: number): number {
    const s = this.#s;
    s.set32(L.FAULT_PC, 0);
    if (s.i32[L.BUDGET >> 2]! <= 0 || this.run.leave) return 0;
    const { clears } = this.#blocks;
    const t = this.#blocks.find();
    // After a clear the record that wants the link is gone.
    if (link !== 0 && clears === this.#blocks.clears && (s.get32(L.CODE_MODE) & FLAT_CODE) !== 0) s.set32(link, t);
    return t;
  }

  /** The budget ends inside the block at `t`: a copy with just as many instructions. */
  #short(t: number): number {
    const s = this.#s;
    const rest = s.i32[L.BUDGET >> 2]!;
    if (rest <= 0) return 0;
    s.set32(L.BUDGET, 0);
    return this.#blocks.shortened(t, rest);
  }

  #stale(pc: number): number {
    const s = this.#s;
    this.#moveTo(pc);
    s.i32[L.BUDGET >> 2]! += s.u8[pc + R.R_LEFT]!;
    return this.resolve(0);
  }

  /** A block whose only instruction crosses a page: valid only while the second page is what it was. */
  #crossing(pc: number): number {
    const s = this.#s;
    s.set32(L.FAULT_PC, pc);
    if (this.#blocks.crossingIsValid(s.get32(pc + R.R_IMM))) return 1;
    s.i32[L.BUDGET >> 2]! += s.u8[pc + R.R_LEFT]!;
    this.#blocks.forgetCrossing(s.get32(pc + R.R_IMM));
    return this.resolve(0);
  }

  /** Executes an instruction in TypeScript. @returns what to do then: `After` in runtime.ts */
  #callout(pc: number): number {
    const s = this.#s;
    const { execute, insn, ends } = this.#blocks.callouts[s.u32[(pc + R.R_IMM) >> 2]!]!;
    s.u32[L.FAULT_PC >> 2] = pc;
    this.#setRip(this.#cache.offsetOf(pc));
    this.#cpu.length = insn.length;
    const flow = execute(this.#cpu, insn);
    if (flow === Flow.NEXT && !ends) return After.NEXT;
    return this.#goOn(pc, flow);
  }

  /** RIP = BLOCK_RIP + offset, by halves: this runs for every call-out. */
  #setRip(offset: number): void {
    const u32 = this.#s.u32;
    const low = u32[L.SLOT_BLOCK_RIP >> 2]! + offset;
    u32[L.RIP >> 2] = low;
    u32[(L.RIP >> 2) + 1] =
      (u32[(L.SLOT_BLOCK_RIP >> 2) + 1]! + (low > 0xffffffff ? 1 : 0)) & u32[(L.RIP_MASK >> 2) + 1]!;
  }

  /** After a call-out that ends its block: BLOCK_RIP to where it goes on, unretired ticks back, and on or out. */
  #goOn(pc: number, flow: FlowResult): number {
    const s = this.#s;
    const left = s.u8[pc + R.R_LEFT]!;
    if (flow === Flow.NEXT || flow === Flow.LEAVE) s.rip = this.#cpu.nextRip();
    s.i32[L.BUDGET >> 2]! += flow === Flow.RETRY ? left : left - 1;
    s.u32[L.FAULT_PC >> 2] = 0;
    s.u32[L.SLOT_BLOCK_RIP >> 2] = s.u32[L.RIP >> 2]!;
    s.u32[(L.SLOT_BLOCK_RIP >> 2) + 1] = s.u32[(L.RIP >> 2) + 1]!;
    if (leaves(flow)) this.run.leave = true;
    return this.run.leave || s.u32[L.ACTIVITY >> 2] !== 0 || mustStep(s) ? After.LEAVE : After.LOOK_UP;
  }
}

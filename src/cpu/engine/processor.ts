/** What system and x87 instructions see of the engine: `ProcessorContext` over the current vcpu. */
import { addTicks, type Ticks } from '../../base/ticks.ts';
import { type TlbSet, View } from '../../memory/tlb.ts';
import type { ProcessorContext } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import type { ProcessorExits } from '../exits.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import type { Mmu } from '../mmu.ts';
import { ATTR, CR0, CR4, type CpuState, FLAG, SEG } from '../state.ts';
import { hasDataBreakpoints } from '../system/debug.ts';
import { codeMode } from './code-mode.ts';
import * as R from './records.ts';

const MASK_16 = 0xffffn;
const MASK_32 = 0xffffffffn;
const ALL = 0xffffffffffffffffn;

const EXECUTE_ONLY_OR_CODE = 0x8;
const READABLE_OR_WRITABLE = 0x2;
const EXPAND_DOWN = 0x4;

export class Processor implements ProcessorContext {
  readonly s: CpuState;
  readonly mem: Mmu;
  exits!: ProcessorExits;
  tlb!: TlbSet;
  /** A data TLB in which nothing hits: for as long as every access must be looked at. */
  missingTlb = 0;
  /** Bytes of the instruction in execution, set by the call-out before it calls; RIP is on the instruction. */
  length = 0;

  constructor(s: CpuState, mem: Mmu) {
    this.s = s;
    this.mem = mem;
  }

  now(): Ticks {
    const s = this.s;
    const pc = s.get32(L.FAULT_PC);
    const left = pc === 0 ? 0 : s.u8[pc + R.R_LEFT]!;
    return addTicks(s.f64[L.TICK_BASE >> 3]! as Ticks, s.get32(L.BUDGET_START) - s.i32[L.BUDGET >> 2]! - left);
  }

  nextRip(): bigint {
    return (this.s.rip + BigInt(this.length)) & this.s.get64(L.RIP_MASK);
  }

  effectiveOffset(insn: Instruction): bigint {
    const m = insn.memory;
    const s = this.s;
    let at = (BigInt(m.dispHi) << 32n) | BigInt(m.disp >>> 0);
    if (m.ripRelative) at += this.nextRip();
    if (m.base >= 0) at += s.reg(m.base);
    if (m.index >= 0) at += s.reg(m.index) << BigInt(m.scale);
    return at & (insn.addressSize === 64 ? ALL : insn.addressSize === 32 ? MASK_32 : MASK_16);
  }

  effectiveLinear(insn: Instruction, size: number, write: boolean): bigint {
    return this.segmentLinear(insn.memory.segment, this.effectiveOffset(insn), size, write);
  }

  segmentLinear(seg: number, offset: bigint, size: number, write: boolean): bigint {
    const s = this.s;
    if (s.is64) {
      const linear = BigInt.asUintN(64, seg >= SEG.FS ? offset + s.base(seg) : offset);
      const last = BigInt.asUintN(64, linear + BigInt(Math.max(size, 1) - 1));
      if (!canonical(linear) || !canonical(last)) raise(seg === SEG.SS ? VECTOR.SS : VECTOR.GP, 0);
      return linear;
    }
    const vector = seg === SEG.SS ? VECTOR.SS : VECTOR.GP;
    const attributes = s.attributes(seg);
    if (this.#checksTypes()) this.#checkType(attributes, write, vector);
    this.#checkLimit(seg, attributes, Number(offset & MASK_32), size, vector);
    return (s.base(seg) + offset) & MASK_32;
  }

  /** Real and virtual-8086 mode check limits only. */
  #checksTypes(): boolean {
    return (this.s.cr0 & 1) !== 0 && (this.s.get32(L.EFLAGS_REST) & FLAG.VM) === 0;
  }

  #checkType(attributes: number, write: boolean, vector: number): void {
    if ((attributes & ATTR.NULL) !== 0 || (attributes & ATTR.P) === 0) raise(vector, 0);
    const code = (attributes & EXECUTE_ONLY_OR_CODE) !== 0;
    const second = (attributes & READABLE_OR_WRITABLE) !== 0;
    if (write ? code || !second : code && !second) raise(vector, 0);
  }

  #checkLimit(seg: number, attributes: number, offset: number, size: number, vector: number): void {
    const limit = this.s.limit(seg) >>> 0;
    const last = offset + Math.max(size, 1) - 1;
    const data = (attributes & EXECUTE_ONLY_OR_CODE) === 0;
    if (data && (attributes & EXPAND_DOWN) !== 0) {
      const top = (attributes & ATTR.DB) !== 0 ? 0xffffffff : 0xffff;
      if (offset <= limit || last > top) raise(vector, 0);
    } else if (last > limit) raise(vector, 0);
  }

  modeChanged(): void {
    const s = this.s;
    const is64 = s.is64;
    const mode = codeMode(s);
    if (mode !== s.get32(L.CODE_MODE)) {
      s.set32(L.CODE_MODE, mode);
      this.tlb.forgetTables(-1);
    }
    s.set64(L.RIP_MASK, is64 ? ALL : MASK_32);
    s.set64(L.ADDRESS_MASK, !is64 && (mode & 3) === 1 ? MASK_32 : ALL);
    s.set64(L.STACK_MASK, is64 ? ALL : (s.attributes(SEG.SS) & ATTR.DB) !== 0 ? MASK_32 : MASK_16);
    s.set64(L.CODE_BASE, is64 ? 0n : s.base(SEG.CS));
    const view = this.mem.dataView();
    s.set32(L.VECTOR_GATE, vectorGate(s));
    s.set32(L.TLB_CURRENT, watchesAccesses(s) ? this.missingTlb : this.tlb.dataView(view));
    s.set32(L.ITLB_CURRENT, this.tlb.fetchView(view === View.USER ? View.USER : View.SUPERVISOR));
  }

  flushTlb(global: boolean): void {
    this.tlb.flush(global);
  }

  flushPage(linear: bigint): void {
    this.tlb.flushPage(Number(linear & MASK_32), Number((linear >> 32n) & MASK_32));
  }
}

const XCR0_SSE_AVX = 6n;

/**
 * Intel SDM Vol. 2, tables 2-21 and following: #UD for the lack of support by the operating system comes before #NM.
 *
 *      23..16       15..8       7..0
 *     ┌───────────┬───────────┬───────────┐
 *     │ MMX       │ AVX       │ SSE       │   exception vector, 0: may execute
 *     └───────────┴───────────┴───────────┘
 */
function vectorGate(s: CpuState): number {
  const switched = (s.cr0 & CR0.TS) !== 0 ? VECTOR.NM : 0;
  const emulated = (s.cr0 & CR0.EM) !== 0 ? VECTOR.UD : 0;
  const sse = emulated || ((s.cr4 & CR4.OSFXSR) === 0 ? VECTOR.UD : switched);
  const isProtected = (s.cr0 & CR0.PE) !== 0 && (s.get32(L.EFLAGS_REST) & FLAG.VM) === 0;
  const avxEnabled = isProtected && (s.cr4 & CR4.OSXSAVE) !== 0 && (s.get64(L.XCR0) & XCR0_SSE_AVX) === XCR0_SSE_AVX;
  return sse | ((avxEnabled ? switched : VECTOR.UD) << 8) | ((emulated || switched) << 16);
}

/** True if data accesses must be checked one by one: alignment (CR0.AM, RFLAGS.AC, CPL 3) or data breakpoints. */
function watchesAccesses(s: CpuState): boolean {
  return checksAlignment(s) || hasDataBreakpoints(s);
}

/** Alignment checking is on (Intel SDM 3A 6.15, #AC). */
export function checksAlignment(s: CpuState): boolean {
  return (s.cr0 & CR0.AM) !== 0 && (s.get32(L.EFLAGS_REST) & FLAG.AC) !== 0 && s.cpl === 3;
}

export function canonical(linear: bigint): boolean {
  const top = linear >> 47n;
  return top === 0n || top === 0x1ffffn;
}

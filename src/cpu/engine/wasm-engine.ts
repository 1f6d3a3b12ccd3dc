/** The engine: vcpus over one linear memory, run by the interpreter module. */
import type { Ticks } from '../../base/ticks.ts';
import { MachineMemory, PAGE_SIZE } from '../../memory/frames.ts';
import type { P2m } from '../../memory/p2m.ts';
import { TLB_SET_BYTES, TlbSet } from '../../memory/tlb.ts';
import { Flow, type FlowResult, type VirtualMemory } from '../context.ts';
import type { Engine, VcpuSlot } from '../engine.ts';
import type { ProcessorExits } from '../exits.ts';
import { FAULT, raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { Mmu } from '../mmu.ts';
import { CpuState, FLAG, SEG } from '../state.ts';
import { deliver, deliverFault, instructionBreakpoint, noteDebug, powerUp, singleStep, takePendingDebug } from '../system/index.ts';
import { BlockBuilder } from './blocks.ts';
import { CodeCache, TABLE_BYTES } from './code-cache.ts';
import { FLAT_CODE } from './code-mode.ts';
import { buildInterpreter, type InterpreterModule, Miss, SpecialOp } from './interpreter.ts';
import { Processor } from './processor.ts';
import * as R from './records.ts';

export interface EngineOptions {
  /** Frames of machine memory. */
  readonly frames: number;
  /** Vcpus that can exist at once. */
  readonly vcpus: number;
  /** Bytes for decoded records; the tables take as much again. Default 24 MiB. */
  readonly codeBytes?: number;
  /** Instructions in a block at most, for tests: results must not depend on it. Default 64. */
  readonly maxBlock?: number;
  /** CPUID.1 EAX: family, model, stepping. */
  readonly signature?: number;
}

const PROCESSOR_SIGNATURE = 0x00800f12;

class Slot implements VcpuSlot {
  readonly index: number;
  readonly p2m: P2m;
  readonly tlb: TlbSet;
  readonly exits: ProcessorExits;
  /** State while another vcpu is current. */
  readonly parked = new Uint8Array(L.STATE_BYTES);
  constructor(index: number, p2m: P2m, tlb: TlbSet, exits: ProcessorExits) {
    this.index = index;
    this.p2m = p2m;
    this.tlb = tlb;
    this.exits = exits;
  }
}

/** Compiled once for each memory size: machines of one process share it. */
const modules = new Map<number, { built: InterpreterModule; module: WebAssembly.Module }>();
function interpreterFor(pages: number): { built: InterpreterModule; module: WebAssembly.Module } {
  let entry = modules.get(pages);
  if (entry === undefined) {
    const built = buildInterpreter(pages);
    entry = { built, module: new WebAssembly.Module(built.bytes) };
    modules.set(pages, entry);
  }
  return entry;
}

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

export class WasmEngine implements Engine {
  readonly frames: MachineMemory;
  readonly state: CpuState;
  readonly memory: WebAssembly.Memory;
  readonly #options: Required<EngineOptions>;
  readonly #mmu: Mmu;
  readonly #cpu: Processor;
  readonly #cache: CodeCache;
  readonly #blocks: BlockBuilder;
  readonly #slots: (Slot | undefined)[] = [];
  readonly #emptyTable: number;
  readonly #dirty: Uint8Array;
  readonly #run: (t: number) => void;
  readonly #hash: (at: number, bytes: number, seed: bigint) => bigint;
  #current: Slot | undefined;
  #running = false;
  #leave = false;

  constructor(options: EngineOptions) {
    this.#options = { codeBytes: 24 << 20, maxBlock: R.MAX_BLOCK_INSTRUCTIONS, signature: PROCESSOR_SIGNATURE, ...options };
    const { frames, vcpus, codeBytes } = this.#options;
    this.#emptyTable = roundUp(L.TLB_AREA + vcpus * TLB_SET_BYTES, 64);
    const pool = this.#emptyTable + TABLE_BYTES;
    const tables = pool + codeBytes;
    const tableCount = Math.floor(codeBytes / TABLE_BYTES);
    const base = roundUp(tables + tableCount * TABLE_BYTES, 65536);
    const pages = roundUp(base + frames * PAGE_SIZE, 65536) / 65536;
    if (pages > 65536) throw new RangeError(`machine memory of ${(frames * PAGE_SIZE) / 2 ** 20} MiB is more than the 4 GiB address space allows`);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.memory.buffer;
    this.state = new CpuState(buffer);
    this.frames = new MachineMemory(buffer, base, frames);
    this.#dirty = new Uint8Array(frames);
    this.#cache = new CodeCache(buffer, { pool, poolBytes: codeBytes, tables, tableCount }, frames);
    this.#mmu = new Mmu(this.state, this.frames, { written: (mfn, offset, length) => this.#written(mfn, offset, length) });
    this.#cpu = new Processor(this.state, this.#mmu);
    const { built, module } = interpreterFor(pages);
    this.#blocks = new BlockBuilder(this.state, this.#mmu, this.#cpu, this.#cache, this.frames, built.handlers, this.#options.maxBlock);
    this.#blocks.onFirstCode = (mfn) => {
      for (const slot of this.#slots) slot?.tlb.protectFrame(mfn);
    };
    this.#blocks.onClear = () => {
      for (const slot of this.#slots) slot?.tlb.forgetTables(-1);
    };
    this.#mmu.nonCanonicalVector = (linear) => this.#nonCanonicalVector(linear);
    const instance = new WebAssembly.Instance(module, { env: { memory: this.memory, ...this.#imports() } });
    this.#run = instance.exports['run'] as (t: number) => void;
    this.#hash = instance.exports['hash'] as (at: number, bytes: number, seed: bigint) => bigint;
  }

  get virtual(): VirtualMemory {
    return this.#mmu;
  }
  /** The current vcpu as system instructions see it. */
  get processor(): Processor {
    return this.#cpu;
  }
  get current(): VcpuSlot | undefined {
    return this.#current;
  }

  // Vcpus

  createVcpu(p2m: P2m, exits: ProcessorExits): VcpuSlot {
    let index = this.#slots.indexOf(undefined);
    if (index < 0) index = this.#slots.length;
    if (index >= this.#options.vcpus) throw new RangeError(`the machine was built for ${this.#options.vcpus} vcpus`);
    const tlb = new TlbSet(this.memory.buffer, L.TLB_AREA + index * TLB_SET_BYTES, this.#emptyTable);
    const slot = new Slot(index, p2m, tlb, exits);
    this.#slots[index] = slot;
    const before = this.#current;
    this.#makeCurrent(slot);
    powerUp(this.state, this.#options.signature, true);
    this.state.set32(L.CODE_MODE, 0xffff);
    this.#cpu.modeChanged();
    if (before !== undefined) this.#makeCurrent(before);
    return slot;
  }

  destroyVcpu(slot: VcpuSlot): void {
    if (this.#current === slot) this.#current = undefined;
    this.#slots[slot.index] = undefined;
  }

  switchTo(slot: VcpuSlot): void {
    if (this.#current !== slot) this.#makeCurrent(slot as Slot);
  }

  #makeCurrent(slot: Slot): void {
    const u8 = this.state.u8;
    this.#current?.parked.set(u8.subarray(0, L.STATE_BYTES));
    u8.set(slot.parked, 0);
    this.#current = slot;
    this.#mmu.attach(slot);
    this.#cpu.exits = slot.exits;
    this.#cpu.tlb = slot.tlb;
  }

  // Running

  run(now: Ticks, budget: number): number {
    const s = this.state;
    s.f64[L.TICK_BASE >> 3] = now;
    s.set32(L.BUDGET_START, budget);
    s.set32(L.BUDGET, budget);
    s.set32(L.FAULT_PC, 0);
    this.#leave = false;
    this.#running = true;
    this.#cpu.modeChanged();
    while (!this.#leave && s.i32[L.BUDGET >> 2]! > 0 && s.get32(L.ACTIVITY) === 0) {
      if (this.#mustStep()) this.#step();
      else this.#runBlocks();
    }
    this.#running = false;
    s.set32(L.FAULT_PC, 0);
    const retired = budget - s.i32[L.BUDGET >> 2]!;
    s.f64[L.TICK_BASE >> 3] = now + retired;
    s.set32(L.BUDGET_START, 0);
    s.set32(L.BUDGET, 0);
    return retired;
  }

  now(): Ticks {
    return this.#cpu.now();
  }

  /** Runs from RIP until budget, exit or fault; delivers the fault. */
  #runBlocks(): void {
    const s = this.state;
    try {
      s.rip = s.rip & s.get64(L.RIP_MASK);
      s.set64(L.SLOT_BLOCK_RIP, s.rip);
      s.set32(L.FAULT_PC, 0);
      this.#run(this.#resolve(0));
      s.rip = s.get64(L.SLOT_BLOCK_RIP) & s.get64(L.RIP_MASK);
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
      this.#unwind();
      this.#deliveries++;
      this.#afterFlow(deliverFault(this.#cpu));
    }
    s.set32(L.FAULT_PC, 0);
  }

  /** Puts RIP and the budget back to the instruction that faulted. Its delivery costs a tick, so that no guest can stop time. */
  #unwind(): void {
    const s = this.state;
    const pc = s.get32(L.FAULT_PC);
    const base = s.get64(L.SLOT_BLOCK_RIP);
    if (pc === 0) {
      s.rip = base & s.get64(L.RIP_MASK);
    } else {
      s.rip = (base + BigInt(this.#cache.offsetOf(pc))) & s.get64(L.RIP_MASK);
      s.i32[L.BUDGET >> 2]! += s.u8[pc + R.R_LEFT]!;
    }
    s.set32(L.FAULT_PC, 0);
    s.i32[L.BUDGET >> 2]! -= 1;
  }

  #afterFlow(flow: FlowResult): void {
    if (flow === Flow.LEAVE || flow === Flow.LEAVE_BRANCH || flow === Flow.RETRY) this.#leave = true;
  }

  // One instruction at a time: TF, RF or breakpoints are on.

  #mustStep(): boolean {
    const s = this.state;
    return (s.get32(L.EFLAGS_REST) & (FLAG.TF | FLAG.RF)) !== 0 || (s.get32(L.DR + 56) & 0xff) !== 0 || s.get32(L.PENDING_DEBUG) !== 0;
  }

  #step(): void {
    const s = this.state;
    const cpu = this.#cpu;
    if (takePendingDebug(s)) {
      s.i32[L.BUDGET >> 2]! -= 1;
      this.#afterFlow(deliver(cpu, { vector: VECTOR.DB, error: -1, kind: 'trap', cr2: 0n, instructionLength: 0 }));
      return;
    }
    const hit = instructionBreakpoint(s, (s.rip + s.get64(L.CODE_BASE)) & s.get64(L.RIP_MASK));
    if (hit !== 0) {
      noteDebug(s, hit);
      s.i32[L.BUDGET >> 2]! -= 1;
      this.#afterFlow(deliver(cpu, { vector: VECTOR.DB, error: -1, kind: 'fault', cr2: 0n, instructionLength: 0 }));
      return;
    }
    const stepping = (s.get32(L.EFLAGS_REST) & FLAG.TF) !== 0;
    const resuming = (s.get32(L.EFLAGS_REST) & FLAG.RF) !== 0;
    const rest = s.i32[L.BUDGET >> 2]! - 1;
    // The budget is lowered to one for the instruction; the start moves with it, so that `now` stays right.
    const start = s.get32(L.BUDGET_START);
    s.set32(L.BUDGET_START, start - rest);
    s.set32(L.BUDGET, 1);
    const deliveries = this.#deliveries;
    this.#runBlocks();
    const retired = s.i32[L.BUDGET >> 2]! === 0;
    s.set32(L.BUDGET_START, start);
    s.set32(L.BUDGET, s.i32[L.BUDGET >> 2]! + rest);
    if (!retired || deliveries !== this.#deliveries) return;
    if (resuming) s.set32(L.EFLAGS_REST, s.get32(L.EFLAGS_REST) & ~FLAG.RF);
    if (stepping) singleStep(s);
  }
  /** Counts exceptions delivered, to tell a retired instruction from a fault that also took its tick. */
  #deliveries = 0;

  // Interrupts

  interruptible(): boolean {
    const s = this.state;
    if ((s.get32(L.EFLAGS_REST) & FLAG.IF) === 0 || s.get32(L.ACTIVITY) > 1) return false;
    return s.get32(L.INTERRUPT_SHADOW) === 0 || s.f64[L.SHADOW_TICK >> 3] !== s.f64[L.TICK_BASE >> 3];
  }

  injectInterrupt(vector: number): void {
    this.#inject(vector, -1, 'external');
  }
  injectNmi(): void {
    this.#inject(VECTOR.NMI, -1, 'nmi');
  }
  injectException(vector: number, error: number): void {
    this.#inject(vector, error, 'fault');
  }

  #inject(vector: number, error: number, kind: 'external' | 'nmi' | 'fault'): void {
    this.state.set32(L.FAULT_PC, 0);
    this.state.set32(L.ACTIVITY, 0);
    this.#cpu.modeChanged();
    deliver(this.#cpu, { vector, error, kind, cr2: 0n, instructionLength: 0 });
  }

  guarded<T>(fn: () => T): T | undefined {
    try {
      return fn();
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
      return undefined;
    }
  }

  // Memory changed from outside

  p2mChanged(p2m: P2m): void {
    for (const slot of this.#slots) if (slot?.p2m === p2m) slot.tlb.flush(true);
  }

  frameWritten(mfn: number): void {
    this.#dirty[mfn] = 1;
    if (this.#cache.hasCode[mfn] !== 0) this.#dropCode(mfn);
  }

  #written(mfn: number, offset: number, length: number): boolean {
    this.#dirty[mfn] = 1;
    if (this.#cache.hasCode[mfn] === 0) return true;
    if (!this.#cache.hits(mfn, offset, length)) return false;
    this.#dropCode(mfn);
    return true;
  }

  #dropCode(mfn: number): void {
    this.#cache.drop(mfn);
    for (const slot of this.#slots) slot?.tlb.forgetTables(mfn);
    const pc = this.state.get32(L.FAULT_PC);
    if (this.#running && pc !== 0) this.#cache.makeStale(pc, SpecialOp.STALE);
  }

  // Digests

  takeDirtyFrames(): Uint32Array {
    const out: number[] = [];
    for (let mfn = 0; mfn < this.#dirty.length; mfn++) {
      if (this.#dirty[mfn] !== 0) out.push(mfn);
    }
    this.#dirty.fill(0);
    for (const slot of this.#slots) slot?.tlb.protectFrame(-1);
    return Uint32Array.from(out);
  }

  frameDigest(mfn: number): bigint {
    return BigInt.asUintN(64, this.#hash(this.frames.linear(mfn), PAGE_SIZE, BigInt(mfn)));
  }

  stateDigest(): bigint {
    const s = this.state;
    const copy = L.SCRATCH + 0x400;
    s.u8.copyWithin(copy, 0, L.STATE_BYTES);
    // What is derived, host-side or lazily kept is replaced by what it means.
    for (const [from, to] of DERIVED_FIELDS) s.u8.fill(0, copy + from, copy + to);
    s.set32(copy + L.EFLAGS_REST, s.eflags);
    const shadow = s.get32(L.INTERRUPT_SHADOW) !== 0 && s.f64[L.SHADOW_TICK >> 3] === s.f64[L.TICK_BASE >> 3];
    s.set32(copy + L.INTERRUPT_SHADOW, shadow ? 1 : 0);
    return BigInt.asUintN(64, this.#hash(copy, L.STATE_BYTES, 0n));
  }

  // What generated code calls

  #imports(): Record<string, (...args: number[]) => number | void> {
    return {
      miss: (bytes, kind) => this.#miss(bytes!, kind!),
      commit: () => this.#mmu.commitWrite(),
      raise: (vector, error) => raise(vector!, error!),
      segment: (seg, bytes, write) => {
        const s = this.state;
        s.set64(L.ARG_LINEAR, this.#cpu.segmentLinear(seg!, s.get64(L.ARG_LINEAR), bytes!, write !== 0));
      },
      resolve: (link) => this.#resolve(link!),
      short: (t) => this.#short(t!),
      callout: (pc) => this.#callout(pc!),
      stale: (pc) => this.#stale(pc!),
      crossing: (pc) => this.#crossing(pc!),
      suspend: (pc) => {
        const s = this.state;
        s.set64(L.SLOT_BLOCK_RIP, (s.get64(L.SLOT_BLOCK_RIP) + BigInt(this.#cache.offsetOf(pc!))) & s.get64(L.RIP_MASK));
      },
    };
  }

  #miss(bytes: number, kind: number): number {
    const s = this.state;
    const lo = s.u32[L.ARG_LINEAR >> 2]!;
    const hi = s.u32[(L.ARG_LINEAR >> 2) + 1]!;
    const view = this.#mmu.dataView();
    return kind === Miss.READ ? this.#mmu.locateRead(lo, hi, bytes, view) : this.#mmu.locateWrite(lo, hi, bytes, view, kind === Miss.MODIFY);
  }

  /** #SS for an address reached through SS: a stack instruction, or a memory operand with that segment. */
  #nonCanonicalVector(linear: bigint): number {
    const s = this.state;
    const pc = s.get32(L.FAULT_PC);
    if (!this.#running || pc === 0) return VECTOR.GP;
    const rip = s.get64(L.SLOT_BLOCK_RIP) + BigInt(this.#cache.offsetOf(pc));
    const insn = this.#blocks.peekInstruction(rip & s.get64(L.RIP_MASK));
    if (insn === undefined) return VECTOR.GP;
    this.#cpu.next = rip + BigInt(insn.length);
    const segment = insn.memory.segment;
    const operand = this.#cpu.effectiveOffset(insn) + (segment >= SEG.FS ? s.base(segment) : 0n);
    if (insn.hasMem && BigInt.asUintN(64, operand) === linear) return segment === SEG.SS ? VECTOR.SS : VECTOR.GP;
    return STACK_MNEMONICS.has(insn.row.mnemonic) ? VECTOR.SS : VECTOR.GP;
  }

  /** First record of the block at BLOCK_RIP, decoded if need be; 0 to leave the run. */
  #resolve(link: number): number {
    const s = this.state;
    s.set32(L.FAULT_PC, 0);
    if (s.i32[L.BUDGET >> 2]! <= 0 || this.#leave) return 0;
    const t = this.#blocks.find();
    if (link !== 0 && t !== 0 && (s.get32(L.CODE_MODE) & FLAT_CODE) !== 0) s.set32(link, t);
    return t;
  }

  /** The budget ends inside the block at `t`: a copy with just as many instructions. */
  #short(t: number): number {
    const s = this.state;
    const rest = s.i32[L.BUDGET >> 2]!;
    if (rest <= 0) return 0;
    s.set32(L.BUDGET, 0);
    return this.#blocks.shortened(t, rest);
  }

  #stale(pc: number): number {
    const s = this.state;
    s.set64(L.SLOT_BLOCK_RIP, (s.get64(L.SLOT_BLOCK_RIP) + BigInt(this.#cache.offsetOf(pc))) & s.get64(L.RIP_MASK));
    s.i32[L.BUDGET >> 2]! += s.u8[pc + R.R_LEFT]!;
    return this.#resolve(0);
  }

  /** A block whose only instruction crosses a page: valid only while the second page is what it was. */
  #crossing(pc: number): number {
    const s = this.state;
    s.set32(L.FAULT_PC, pc);
    if (this.#blocks.crossingIsValid(s.get32(pc + R.R_IMM))) return 1;
    s.i32[L.BUDGET >> 2]! += s.u8[pc + R.R_LEFT]!;
    this.#blocks.forgetCrossing(s.get32(pc + R.R_IMM));
    return this.#resolve(0);
  }

  /** Executes an instruction in TypeScript. @returns 1 go on behind, 0 leave, else the next block. */
  #callout(pc: number): number {
    const s = this.state;
    const { execute, insn } = this.#blocks.callouts[s.get32(pc + R.R_IMM)]!;
    const mask = s.get64(L.RIP_MASK);
    const rip = (s.get64(L.SLOT_BLOCK_RIP) + BigInt(this.#cache.offsetOf(pc))) & mask;
    s.set32(L.FAULT_PC, pc);
    s.rip = rip;
    this.#cpu.next = (rip + BigInt(insn.length)) & mask;
    const flow = execute(this.#cpu, insn);
    if (flow === Flow.NEXT && !this.#blocks.endsAt(pc)) return 1;
    return this.#goOn(pc, flow);
  }

  /** After a call-out that ends its block: RIP to BLOCK_RIP, unretired ticks back, and on or out. */
  #goOn(pc: number, flow: FlowResult): number {
    const s = this.state;
    const left = s.u8[pc + R.R_LEFT]!;
    if (flow === Flow.NEXT || flow === Flow.LEAVE) s.rip = this.#cpu.next;
    s.i32[L.BUDGET >> 2]! += flow === Flow.RETRY ? left : left - 1;
    s.set32(L.FAULT_PC, 0);
    s.set64(L.SLOT_BLOCK_RIP, s.rip & s.get64(L.RIP_MASK));
    this.#afterFlow(flow);
    if (this.#leave || this.#mustStep() || s.get32(L.ACTIVITY) !== 0) return 0;
    return this.#resolve(0);
  }
}

const STACK_MNEMONICS = new Set(['PUSH', 'POP', 'PUSHF', 'POPF', 'CALL', 'RET', 'ENTER', 'LEAVE']);

/** [from, to) of state fields that do not belong to the guest. */
const DERIVED_FIELDS: readonly (readonly [number, number])[] = [
  [L.SLOT_ZERO, L.SLOT_SEG_BASE],
  [L.FLAG_RES, L.EFLAGS_REST],
  [L.BUDGET, L.CPL],
  [L.CODE_MODE, L.ACTIVITY],
  [L.TICK_BASE, L.PENDING_DEBUG],
  [L.SHADOW_TICK, L.SEGMENT],
  [L.CODE_BASE, L.CODE_BASE + 8],
];



/** The engine: vcpus over one linear memory, run by the interpreter module. */
import type { Ticks } from '../../base/ticks.ts';
import { MachineMemory, PAGE_SIZE } from '../../memory/frames.ts';
import type { P2m } from '../../memory/p2m.ts';
import { TLB_SET_BYTES, TlbSet, writeMissingView } from '../../memory/tlb.ts';
import type { FlowResult, VirtualMemory } from '../context.ts';
import type { Engine, VcpuSlot } from '../engine.ts';
import type { ProcessorExits } from '../exits.ts';
import { FAULT, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { Mmu } from '../mmu.ts';
import { writeCrcTable } from '../semantics/moves.ts';
import { CpuState, FLAG } from '../state.ts';
import {
  deliver,
  deliverFault,
  instructionBreakpoint,
  noteDebug,
  powerUp,
  singleStep,
  takePendingDebug,
} from '../system/index.ts';
import { BlockBuilder } from './blocks.ts';
import { copyCanonicalState } from './canonical-state.ts';
import { CodeCache } from './code-cache.ts';
import { type EngineOptions, withDefaults } from './engine-options.ts';
import { DIRTY, EngineSnapshots } from './engine-snapshot.ts';
import { DebugTaps } from './debug-taps.ts';
import { HostCalls, leaves, mustStep } from './host-calls.ts';
import { SpecialOp } from './interpreter.ts';
import { interpreterFor, linearMap } from './linear-map.ts';
import { Processor } from './processor.ts';
import * as R from './records.ts';
import { Slot } from './slot.ts';
import { tiering } from './tiering.ts';

export type { EngineOptions };

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
  readonly #calls: HostCalls;
  /** Saving and restoring everything in here, invisible to guests. */
  readonly snapshots: EngineSnapshots;
  /** Where debuggers listen. */
  readonly taps: DebugTaps;
  #current: Slot | undefined;

  constructor(options: EngineOptions) {
    this.#options = withDefaults(options);
    const { frames, vcpus, codeBytes, codePages } = this.#options;
    const map = linearMap(frames, vcpus, codeBytes, codePages);
    this.#emptyTable = map.emptyTable;
    this.memory = new WebAssembly.Memory({ initial: map.pages, maximum: map.pages });
    const buffer = this.memory.buffer;
    this.state = new CpuState(buffer);
    writeCrcTable(this.state.u32);
    this.frames = new MachineMemory(buffer, map.frames, frames);
    this.#dirty = new Uint8Array(frames);
    this.#cache = new CodeCache(buffer, map.code, frames);
    this.#mmu = new Mmu(this.state, this.frames, {
      written: (mfn, offset, length) => this.#written(mfn, offset, length),
      read: (mfn, offset, length) => this.taps.reads(mfn, offset, length),
      watched: (mfn) => this.taps.readFrames.has(mfn),
    });
    this.#cpu = new Processor(this.state, this.#mmu);
    this.#cpu.missingTlb = map.missingTlb;
    writeMissingView(buffer, map.missingTlb);
    const { built, module } = interpreterFor(map.pages);
    this.#blocks = new BlockBuilder(
      this.state,
      this.#mmu,
      this.#cache,
      this.frames,
      built.handlers,
      this.#options.maxBlock,
    );
    this.#blocks.onFirstCode = (mfn) => {
      for (const slot of this.#slots) slot?.tlb.protectFrame(mfn);
    };
    this.#blocks.onClear = () => {
      for (const slot of this.#slots) slot?.tlb.forgetTables(-1);
    };
    this.taps = new DebugTaps(this.frames, {
      protect: (mfn) => {
        for (const slot of this.#slots) slot?.tlb.protectFrame(mfn);
      },
      shutReads: (mfn) => {
        this.#mmu.watchesReads = mfn >= 0;
        for (const slot of this.#slots) slot?.tlb.shutReads(mfn);
      },
      forgetCode: () => this.#blocks.clear(),
      breakOff: () => this.#calls.breakOff(),
      now: () => this.now(),
    });
    this.#blocks.taps = this.taps;
    this.snapshots = new EngineSnapshots({
      state: this.state,
      frames: this.frames,
      dirty: this.#dirty,
      slots: this.#slots,
      current: () => this.#current,
      makeCurrent: (slot) => {
        if (slot) this.#makeCurrent(slot);
        else this.#current = undefined;
      },
      frameReplaced: (mfn) => {
        if (this.#cache.hasCode[mfn] !== 0) this.#cache.drop(mfn);
      },
      listen: () => this.taps.restored(),
    });
    this.frames.onScrub = (mfn) => {
      this.#dirty[mfn]! |= DIRTY.SNAPSHOT;
      if (this.#cache.hasCode[mfn] !== 0) this.#dropCode(mfn);
    };
    this.#calls = new HostCalls(this.state, this.#mmu, this.#cpu, this.#cache, this.#blocks);
    const instance = new WebAssembly.Instance(module, { env: { memory: this.memory, ...this.#calls.imports() } });
    this.#run = instance.exports['run'] as (t: number) => void;
    // With no block to run the loop returns at once: this only gets it compiled.
    tiering.compileWell(() => this.#run(0));
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

  /** RIP of the instruction in execution, also in the middle of a block: for listeners. */
  get runningRip(): bigint {
    const pc = this.state.get32(L.FAULT_PC);
    if (!this.#calls.run.active || pc === 0) return this.state.rip;
    const rip = this.state.get64(L.SLOT_BLOCK_RIP) + BigInt(this.#cache.offsetOf(pc));
    return rip & this.state.get64(L.RIP_MASK);
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

  run(now: Ticks, most: number): number {
    const s = this.state;
    // An interrupt that waits for the shadow of STI or MOV SS to pass must be looked at again right behind it.
    const shadowed = s.get32(L.INTERRUPT_SHADOW) !== 0 && s.f64[L.SHADOW_TICK >> 3] === now;
    const budget = shadowed || this.taps.steps(this.#current!.index) ? Math.min(1, most) : most;
    s.f64[L.TICK_BASE >> 3] = now;
    s.set32(L.BUDGET_START, budget);
    s.set32(L.BUDGET, budget);
    s.set32(L.FAULT_PC, 0);
    this.#calls.run.leave = false;
    this.#calls.run.withheld = 0;
    this.#calls.run.active = true;
    this.#cpu.modeChanged();
    while (!this.#calls.run.leave && s.i32[L.BUDGET >> 2]! > 0 && s.get32(L.ACTIVITY) === 0) {
      if (mustStep(s)) this.#step();
      else this.#runBlocks();
    }
    this.#calls.run.active = false;
    s.set32(L.FAULT_PC, 0);
    const retired = budget - this.#calls.run.withheld - s.i32[L.BUDGET >> 2]!;
    if (this.taps.brokeOff) this.#blocks.clear();
    this.taps.brokeOff = false;
    s.f64[L.TICK_BASE >> 3] = now + retired;
    s.set32(L.BUDGET_START, 0);
    s.set32(L.BUDGET, 0);
    if (retired > 0) this.taps.onRun?.(this.#current!.index, now, retired);
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
      this.#run(this.#calls.resolve(0));
      s.rip = s.get64(L.SLOT_BLOCK_RIP) & s.get64(L.RIP_MASK);
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
      this.taps.faulted();
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
    if (leaves(flow)) this.#calls.run.leave = true;
  }

  // One instruction at a time: TF, RF or breakpoints are on.

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
    this.#dirty[mfn] = DIRTY.ALL;
    if (this.taps.watched.has(mfn)) this.taps.replaced(mfn);
    if (this.#cache.hasCode[mfn] !== 0) this.#dropCode(mfn);
  }

  #written(mfn: number, offset: number, length: number): boolean {
    this.#dirty[mfn] = DIRTY.ALL;
    const watched = this.taps.watched.size > 0 && this.taps.writes(mfn, offset, length);
    if (this.#cache.hasCode[mfn] === 0) return !watched;
    if (!this.#cache.hits(mfn, offset, length)) return false;
    this.#dropCode(mfn);
    return !watched;
  }

  #dropCode(mfn: number): void {
    this.#cache.drop(mfn);
    for (const slot of this.#slots) slot?.tlb.forgetTables(mfn);
    const pc = this.state.get32(L.FAULT_PC);
    if (this.#calls.run.active && pc !== 0) this.#cache.makeStale(pc, SpecialOp.STALE);
  }

  // Digests

  takeDirtyFrames(): Uint32Array {
    const out: number[] = [];
    for (let mfn = 0; mfn < this.#dirty.length; mfn++) {
      if ((this.#dirty[mfn]! & DIRTY.DIGEST) === 0) continue;
      this.#dirty[mfn]! &= ~DIRTY.DIGEST;
      out.push(mfn);
    }
    for (const slot of this.#slots) slot?.tlb.protectFrame(-1);
    return Uint32Array.from(out);
  }

  frameDigest(mfn: number): bigint {
    return BigInt.asUintN(64, this.#hash(this.frames.linear(mfn), PAGE_SIZE, BigInt(mfn)));
  }

  stateDigest(): bigint {
    const copy = L.SCRATCH + 0x400;
    copyCanonicalState(this.state, copy);
    return BigInt.asUintN(64, this.#hash(copy, L.STATE_BYTES, 0n));
  }
}

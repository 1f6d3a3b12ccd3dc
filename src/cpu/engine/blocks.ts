/** Finding and building blocks: from RIP to records. */
import type { MachineMemory } from '../../memory/frames.ts';
import { ITLB_MFN, ITLB_TABLE } from '../../memory/tlb.ts';
import type { SystemInstruction } from '../context.ts';
import { Instruction } from '../decode/instruction.ts';
import { Decoder, type DecodeResult } from '../decoder.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import type { Mmu } from '../mmu.ts';
import { attempted } from '../semantics/index.ts';
import { type CpuState, SEG } from '../state.ts';
import { isSegmentedBitString, segmentedBitString } from './bit-strings.ts';
import { calloutFor } from './callouts.ts';
import { nearBranchFor } from './near-branches.ts';
import type { CodeCache } from './code-cache.ts';
import type { DebugTaps } from './debug-taps.ts';
import { codeBits, FLAT_CODE } from './code-mode.ts';
import { SpecialOp } from './interpreter.ts';
import { type HandlerEntry, Lowering, type PageInfo, pageInfo } from './lower.ts';
import * as R from './records.ts';

interface Callout {
  readonly execute: SystemInstruction;
  readonly insn: Instruction;
  readonly ends: boolean;
}

/** What a block with a page-crossing instruction relies on. */
interface Crossing {
  readonly mfn: number;
  readonly generation: number;
  /** Where the table of the first page notes the block. */
  readonly entry: number;
  /** Linear address of the second page. */
  readonly lo: number;
  readonly hi: number;
}

const raiseUd: SystemInstruction = () => raise(VECTOR.UD);
const raiseGp: SystemInstruction = () => raise(VECTOR.GP, 0);

export class BlockBuilder {
  readonly callouts: Callout[] = [];
  /** Called when frame `mfn` holds code for the first time. */
  onFirstCode: (mfn: number) => void = () => {};
  /** Called when all code was forgotten. */
  onClear: () => void = () => {};
  taps: DebugTaps | undefined;
  readonly #s: CpuState;
  readonly #mmu: Mmu;
  readonly #cache: CodeCache;
  readonly #frames: MachineMemory;
  readonly #lowering: Lowering;
  readonly #decoder = new Decoder();
  readonly #insn = new Instruction();
  readonly #maxBlock: number;
  readonly #crossings: Crossing[] = [];
  readonly #split = new Uint8Array(32);

  constructor(
    s: CpuState,
    mmu: Mmu,
    cache: CodeCache,
    frames: MachineMemory,
    handlers: ReadonlyMap<string, HandlerEntry>,
    maxBlock: number,
  ) {
    this.#s = s;
    this.#mmu = mmu;
    this.#cache = cache;
    this.#frames = frames;
    this.#lowering = new Lowering(handlers);
    this.#maxBlock = Math.min(maxBlock, R.MAX_BLOCK_INSTRUCTIONS);
  }

  /** First record of the block at BLOCK_RIP. Raises the fetch's faults. */
  find(): number {
    const s = this.#s;
    const mode = s.get32(L.CODE_MODE);
    const rip = s.get64(L.SLOT_BLOCK_RIP) & s.get64(L.RIP_MASK);
    s.set64(L.SLOT_BLOCK_RIP, rip);
    const flat = (mode & FLAT_CODE) !== 0;
    if (!flat) this.#checkSegment(rip);
    const linear = (rip + s.get64(L.CODE_BASE)) & s.get64(L.RIP_MASK);
    const lo = Number(linear & 0xffffffffn);
    const hi = Number(linear >> 32n);
    const entry = this.#fetchOrTell(rip, lo, hi);
    if (!this.#cache.hasRoom(R.MAX_BLOCK_RECORDS)) this.clear();
    const mfn = s.get32(entry + ITLB_MFN) & 0x7fffffff;
    const table = this.#cache.table(mfn, mode);
    // Code that is not flat must come here for its limit checks every time.
    if (flat) s.set32(entry + ITLB_TABLE, table);
    const at = table + (lo & 4095) * 4;
    return s.get32(at) || this.#build(mfn, mode, lo, hi, at);
  }

  /** Blocks hold decisions by CS's limit: with another limit they are decoded again. */
  #checkSegment(rip: bigint): void {
    const limit = this.#s.limit(SEG.CS) >>> 0;
    if (limit !== this.#limit) this.clear();
    this.#limit = limit;
    if (Number(rip) > limit) raise(VECTOR.GP, 0);
  }

  /** A probe is told of where no code can be fetched, too: a debugger has functions return to such places. */
  #fetchOrTell(rip: bigint, lo: number, hi: number): number {
    if (!this.taps?.probes.has(rip)) return this.#mmu.fetchEntry(lo, hi);
    try {
      return this.#mmu.fetchEntry(lo, hi);
    } catch (fault) {
      this.taps.probed(rip);
      throw fault;
    }
  }

  /** CS's limit when code was last decoded that is not flat. */
  #limit = 0xffff;

  /** How often everything was forgotten. */
  clears = 0;

  clear(): void {
    this.clears++;
    this.#cache.clear();
    this.callouts.length = 0;
    this.#crossings.length = 0;
    this.onClear();
  }

  /** True if record `pc` is a call-out after which the block does not go on. */
  endsAt(pc: number): boolean {
    return this.callouts[this.#s.get32(pc + R.R_IMM)]!.ends;
  }

  #build(mfn: number, mode: number, lo: number, hi: number, at: number): number {
    const page = this.#frames.frame(mfn);
    const start = lo & 4095;
    const info = pageInfo(start, mode);
    const lowering = this.#lowering;
    lowering.start();
    let offset = 0;
    let open = true;
    while (open && lowering.instructions < this.#maxBlock && start + offset < 4096) {
      const result = this.#decoder.decode(page, start + offset, 4096, codeBits(mode), this.#insn);
      if (result === 'need-more') {
        if (offset > 0) break;
        return this.#buildCrossing(mfn, mode, lo, hi, at);
      }
      open = this.#append(result, offset, mode, info);
      offset += this.#insn.length;
    }
    if (open) lowering.end(offset, info);
    if (this.#cache.markDecoded(mfn, start, Math.min(4096, start + offset))) this.onFirstCode(mfn);
    return this.#install(at);
  }

  #install(at: number): number {
    const l = this.#lowering;
    l.numberInstructions();
    const t = this.#cache.install(l.words, l.count, l.offsets, l.lengths);
    if (at !== 0) this.#s.set32(at, t);
    return t;
  }

  /** Appends the instruction just decoded. @returns false if it ends the block. */
  #append(result: DecodeResult, offset: number, mode: number, info: PageInfo): boolean {
    const insn = this.#insn;
    this.#probe(offset);
    if (!this.#withinLimit(offset, mode)) return this.#callout(raiseGp, offset, true);
    if (result === 'ud') return this.#callout(raiseUd, offset, true);
    if (result === 'gp') return this.#callout(raiseGp, offset, true);
    const execute = isSegmentedBitString(insn, mode)
      ? segmentedBitString
      : (calloutFor(insn) ?? nearBranchFor(insn, this.#limitOf(mode)));
    const isGenerated =
      execute === undefined || (attempted.has(insn.row.mnemonic) && this.#lowering.mayAttempt(insn, offset, mode));
    const entry = isGenerated ? this.#lowering.handlerOf(insn, mode) : undefined;
    if (execute !== undefined) {
      if (entry !== undefined) return this.#attempt(entry, execute, offset, mode, info);
      const ends = insn.row.blockEnd !== 'none' || insn.rep !== 0;
      return this.#callout(execute, offset, ends);
    }
    if (entry === undefined) return this.#callout(raiseUd, offset, true);
    this.#lowering.instruction(insn, entry, offset, mode, info);
    return !entry.spec.terminator;
  }

  /** Puts a debugger's probe before the instruction just decoded: no instruction of its own, so it takes no tick. */
  #probe(offset: number): void {
    const taps = this.taps;
    if (taps === undefined || taps.probes.size === 0) return;
    const s = this.#s;
    const rip = (s.get64(L.SLOT_BLOCK_RIP) + BigInt(offset)) & s.get64(L.RIP_MASK);
    if (!taps.probes.has(rip)) return;
    const execute: SystemInstruction = () => taps.probed(rip);
    const id = this.callouts.push({ execute, insn: this.#insn.clone(), ends: false }) - 1;
    this.#lowering.raw(SpecialOp.CALLOUT, offset, Math.max(1, this.#insn.length), id);
  }

  /** Limit of CS, where it matters. */
  #limitOf(mode: number): number | undefined {
    return (mode & FLAT_CODE) !== 0 ? undefined : this.#s.limit(SEG.CS) >>> 0;
  }

  /** In code that is not flat every byte must lie within CS. */
  #withinLimit(offset: number, mode: number): boolean {
    if ((mode & FLAT_CODE) !== 0) return true;
    const s = this.#s;
    return Number(s.get64(L.SLOT_BLOCK_RIP)) + offset + this.#insn.length - 1 <= s.limit(SEG.CS) >>> 0;
  }

  #callout(execute: SystemInstruction, offset: number, ends: boolean): boolean {
    const id = this.callouts.length;
    this.callouts.push({ execute, insn: this.#insn.clone(), ends });
    this.#lowering.instructions++;
    this.#lowering.raw(SpecialOp.CALLOUT, offset, Math.max(1, this.#insn.length), id);
    if (ends) {
      this.#lowering.lengths[this.#lowering.count - 1]! |= 0x80;
      this.#lowering.raw(0, offset, 0);
    }
    return !ends;
  }

  /** A handler that may give up, and behind it the call-out for that case: one instruction. */
  #attempt(entry: HandlerEntry, execute: SystemInstruction, offset: number, mode: number, info: PageInfo): boolean {
    this.#lowering.instruction(this.#insn, entry, offset, mode, info);
    this.#lowering.instructions--;
    return this.#callout(execute, offset, false);
  }

  // Instructions that cross into the next page

  #buildCrossing(mfn: number, mode: number, lo: number, hi: number, at: number): number {
    const s = this.#s;
    const start = lo & 4095;
    const head = 4096 - start;
    const limit = this.#limitOf(mode);
    if (limit !== undefined && Number(s.get64(L.SLOT_BLOCK_RIP)) + head > limit) raise(VECTOR.GP, 0);
    const lo2 = ((lo & 0xfffff000) + 4096) >>> 0;
    const hi2 = lo2 === 0 && s.longMode ? (hi + 1) >>> 0 : hi;
    const mfn2 = s.get32(this.#mmu.fetchEntry(lo2, hi2) + ITLB_MFN) & 0x7fffffff;
    this.#split.fill(0);
    this.#split.set(this.#frames.frame(mfn).subarray(start), 0);
    this.#split.set(this.#frames.frame(mfn2).subarray(0, 16), head);
    const result = this.#decoder.decode(this.#split, 0, head + 16, codeBits(mode), this.#insn);
    const info: PageInfo = { linkable: () => false };
    const lowering = this.#lowering;
    lowering.start();
    const id = this.#crossings.length;
    lowering.raw(SpecialOp.CROSSING, 0, this.#insn.length, id);
    if (this.#append(result, 0, mode, info)) lowering.end(this.#insn.length, info);
    const first = this.#cache.markDecoded(mfn, start, 4096);
    const second = this.#cache.markDecoded(mfn2, 0, Math.max(1, this.#insn.length - head));
    if (first) this.onFirstCode(mfn);
    if (second) this.onFirstCode(mfn2);
    this.#crossings.push({ mfn: mfn2, generation: this.#cache.generation[mfn2]!, entry: at, lo: lo2, hi: hi2 });
    return this.#install(at);
  }

  /** Fetches the second page as the processor would, then compares it with what was decoded. */
  crossingIsValid(id: number): boolean {
    const c = this.#crossings[id]!;
    const s = this.#s;
    const linear = (s.get64(L.SLOT_BLOCK_RIP) + s.get64(L.CODE_BASE)) & s.get64(L.RIP_MASK);
    const lo = ((Number(linear & 0xffffffffn) & 0xfffff000) + 4096) >>> 0;
    const high = Number(linear >> 32n);
    const hi = lo === 0 && s.longMode ? (high + 1) >>> 0 : high;
    const mfn = s.get32(this.#mmu.fetchEntry(lo, hi) + ITLB_MFN) & 0x7fffffff;
    return mfn === c.mfn && this.#cache.generation[mfn] === c.generation;
  }

  forgetCrossing(id: number): void {
    this.#s.set32(this.#crossings[id]!.entry, 0);
  }

  /** The instruction at RIP as decoded afresh, for rare questions about it; undefined if it is not complete on its page. */
  peekInstruction(rip: bigint): Instruction | undefined {
    const s = this.#s;
    const gpa = this.#mmu.peek((rip + s.get64(L.CODE_BASE)) & s.get64(L.RIP_MASK));
    if (gpa < 0) return undefined;
    const page = this.#frames.frame(this.#mmu.mfnOf(gpa));
    const insn = new Instruction();
    return this.#decoder.decode(page, gpa % 4096, 4096, codeBits(s.get32(L.CODE_MODE)), insn) === 'ok'
      ? insn
      : undefined;
  }

  // Blocks that the budget cuts

  /** A copy of the first `instructions` instructions of the block at `t`, ending behind them. */
  shortened(t: number, instructions: number): number {
    const s = this.#s;
    const cache = this.#cache;
    if (!cache.hasRoom(R.MAX_BLOCK_RECORDS)) {
      this.clear();
      return this.shortened(this.find(), instructions);
    }
    const count = s.u8[t + R.R_LEFT]!;
    const l = this.#lowering;
    l.start();
    let offset = 0;
    for (let pc = t; count - s.u8[pc + R.R_LEFT]! < instructions; pc += R.RECORD_BYTES) {
      const length = cache.lengthOf(pc);
      l.raw(0, cache.offsetOf(pc), length);
      l.words.set(s.i32.subarray(pc >> 2, (pc >> 2) + 4), (l.count - 1) * 4);
      offset = cache.offsetOf(pc) + length;
    }
    l.instructions = instructions;
    l.end(offset, { linkable: () => false });
    return this.#install(0);
  }
}

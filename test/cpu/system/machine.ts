/**
 * A processor without an engine: the state, a flat identity-mapped memory and recorded exits, so that a system instruction
 * can be run alone and looked at.
 */
import type { Ticks } from '../../../src/base/ticks.ts';
import type { FlowResult, ProcessorContext, VirtualMemory } from '../../../src/cpu/context.ts';
import { Decoder } from '../../../src/cpu/decoder.ts';
import { Instruction } from '../../../src/cpu/decode/instruction.ts';
import { type CpuidResult, Exit, type ExitResult, type ProcessorExits } from '../../../src/cpu/exits.ts';
import { FAULT, raise, raisePageFault, VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR0, CR4, CpuState, EFER, FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import { powerUp, systemInstructionFor } from '../../../src/cpu/system/index.ts';

const MEMORY_AT = 0x10000;
export const MEMORY_BYTES = 0x40000;

/** Where the helpers put the tables. */
export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
export const LDT = 0x3800;
export const CODE = 0x8000;
export const STACK0 = 0x10000;
export const STACK3 = 0x14000;

/** Memory: linear = physical. Pages can be taken away or closed to user mode or writes. */
export class FlatMemory implements VirtualMemory {
  readonly view: DataView;
  readonly missing = new Set<number>();
  readonly supervisorOnly = new Set<number>();
  readonly readOnly = new Set<number>();
  readonly s: CpuState;

  constructor(s: CpuState) {
    this.s = s;
    this.view = new DataView(s.u8.buffer, MEMORY_AT, MEMORY_BYTES);
  }

  at(linear: bigint, size: number, write: boolean, supervisor = false): number {
    const top = linear >> 47n;
    if (top !== 0n && top !== 0x1ffffn) raise(VECTOR.GP, 0);
    const user = this.s.cpl === 3 && !supervisor;
    for (let a = linear; a < linear + BigInt(size); a += 1n) {
      const page = Number(a >> 12n);
      const bits = (write ? 2 : 0) | (user ? 4 : 0);
      if (a >= BigInt(MEMORY_BYTES) || this.missing.has(page)) raisePageFault(a, bits);
      if ((user && this.supervisorOnly.has(page)) || (write && this.readOnly.has(page))) raisePageFault(a, bits | 1);
    }
    return Number(linear);
  }
  read8 = (a: bigint, sv?: boolean): number => this.view.getUint8(this.at(a, 1, false, sv));
  read16 = (a: bigint, sv?: boolean): number => this.view.getUint16(this.at(a, 2, false, sv), true);
  read32 = (a: bigint, sv?: boolean): number => this.view.getUint32(this.at(a, 4, false, sv), true);
  read64 = (a: bigint, sv?: boolean): bigint => this.view.getBigUint64(this.at(a, 8, false, sv), true);
  write8 = (a: bigint, v: number, sv?: boolean): void => this.view.setUint8(this.at(a, 1, true, sv), v);
  write16 = (a: bigint, v: number, sv?: boolean): void => this.view.setUint16(this.at(a, 2, true, sv), v, true);
  write32 = (a: bigint, v: number, sv?: boolean): void => this.view.setUint32(this.at(a, 4, true, sv), v, true);
  write64 = (a: bigint, v: bigint, sv?: boolean): void => this.view.setBigUint64(this.at(a, 8, true, sv), v, true);
  readBytes(a: bigint, out: Uint8Array, sv?: boolean): void {
    const at = this.at(a, out.length, false, sv);
    out.set(this.s.u8.subarray(MEMORY_AT + at, MEMORY_AT + at + out.length));
  }
  writeBytes(a: bigint, bytes: Uint8Array, sv?: boolean): void {
    this.s.u8.set(bytes, MEMORY_AT + this.at(a, bytes.length, true, sv));
  }
  probeWrite(a: bigint, length: number, sv?: boolean): void {
    this.at(a, length, true, sv);
  }

  // What a test reads and writes, past all rights.
  get16 = (at: number): number => this.view.getUint16(at, true);
  get32 = (at: number): number => this.view.getUint32(at, true);
  get64 = (at: number): bigint => this.view.getBigUint64(at, true);
  put16 = (at: number, v: number): void => this.view.setUint16(at, v, true);
  put32 = (at: number, v: number): void => this.view.setUint32(at, v, true);
  put64 = (at: number, v: bigint): void => this.view.setBigUint64(at, v, true);
}

export class RecordingExits implements ProcessorExits {
  readonly calls: string[] = [];
  pending = false;
  portValue = 0;
  result: ExitResult = Exit.CONTINUE;
  msrs = new Map<number, bigint>();
  leaves = new Map<number, CpuidResult>();

  hypercall(): ExitResult {
    this.calls.push('hypercall');
    return this.result;
  }
  cpuid(leaf: number, _subleaf: number, out: CpuidResult): void {
    Object.assign(out, this.leaves.get(leaf) ?? { eax: 0, ebx: 0, ecx: 0, edx: 0 });
  }
  readMsr(index: number): bigint | undefined {
    return this.msrs.get(index);
  }
  writeMsr(index: number, value: bigint): ExitResult | undefined {
    if (!this.msrs.has(index)) return undefined;
    this.msrs.set(index, value);
    return this.result;
  }
  portRead(port: number, size: number): number {
    this.calls.push(`in ${port.toString(16)} ${size}`);
    return this.portValue;
  }
  portWrite(port: number, size: number, value: number): ExitResult {
    this.calls.push(`out ${port.toString(16)} ${size} ${value.toString(16)}`);
    return this.result;
  }
  mmioRead(): bigint {
    throw new Error('no mmio here');
  }
  mmioWrite(): ExitResult {
    throw new Error('no mmio here');
  }
  halt(): ExitResult {
    this.calls.push('halt');
    return this.result;
  }
  pause(): ExitResult {
    this.calls.push('pause');
    return this.result;
  }
  interruptWindow(): boolean {
    return this.pending;
  }
  tripleFault(): void {
    this.calls.push('tripleFault');
  }
  tlbFlush(kind: number): void {
    this.calls.push(`flush ${kind}`);
  }
  exception(vector: number, error: number): void {
    this.calls.push(`exception ${vector} ${error}`);
  }
}

const decoder = new Decoder();

export interface Thrown {
  vector: number;
  error: number;
  cr2: bigint;
}

export class Machine implements ProcessorContext {
  readonly s = new CpuState(new ArrayBuffer(MEMORY_AT + MEMORY_BYTES));
  readonly mem = new FlatMemory(this.s);
  readonly exits = new RecordingExits();
  tick = 1000;
  modeChanges = 0;
  flushes: string[] = [];
  #next = 0n;

  constructor() {
    powerUp(this.s, 0x60fb1, true);
  }

  now = (): Ticks => this.tick as Ticks;
  nextRip = (): bigint => this.#next;
  modeChanged(): void {
    this.modeChanges++;
  }
  flushTlb(global: boolean): void {
    this.flushes.push(global ? 'all' : 'nonglobal');
  }
  flushPage(linear: bigint): void {
    this.flushes.push(`page ${linear.toString(16)}`);
  }
  effectiveOffset(insn: Instruction): bigint {
    const m = insn.memory;
    let a = BigInt(m.disp);
    if (m.base >= 0) a += this.s.reg(m.base);
    if (m.index >= 0) a += this.s.reg(m.index) << BigInt(m.scale);
    if (m.ripRelative) a += this.#next;
    return BigInt.asUintN(insn.addressSize, a);
  }
  effectiveLinear(insn: Instruction, size: number, write: boolean): bigint {
    return this.segmentLinear(insn.memory.segment, this.effectiveOffset(insn), size, write);
  }
  segmentLinear(seg: number, offset: bigint, size: number, _write: boolean): bigint {
    const { s } = this;
    if (s.is64) return BigInt.asUintN(64, offset + (seg >= SEG.FS ? s.base(seg) : 0n));
    const vector = seg === SEG.SS ? VECTOR.SS : VECTOR.GP;
    if (s.attributes(seg) & 0x10000 || offset + BigInt(size - 1) > BigInt(s.limit(seg))) raise(vector, 0);
    return (offset + s.base(seg)) & 0xffffffffn;
  }

  get mode(): 16 | 32 | 64 {
    if (this.s.is64) return 64;
    return this.s.attributes(SEG.CS) & 0x4000 ? 32 : 16;
  }

  decode(hex: string): Instruction {
    const bytes = Uint8Array.from(hex.replace(/\s/g, '').match(/../g)!, (b) => Number.parseInt(b, 16));
    const insn = new Instruction();
    const result = decoder.decode(bytes, 0, bytes.length, this.mode, insn);
    if (result !== 'ok') throw new Error(`${hex} does not decode: ${result}`);
    return insn;
  }

  /** Runs one instruction at the current RIP. On Flow.NEXT and LEAVE, RIP moves on as the engine would do. */
  run(hex: string): FlowResult {
    const insn = this.decode(hex);
    const width = this.mode === 64 ? 64 : this.mode;
    this.#next = BigInt.asUintN(width, this.s.rip + BigInt(insn.length));
    const execute = systemInstructionFor(insn.row);
    if (!execute) throw new Error(`${insn.row.mnemonic} is no system instruction`);
    const flow = execute(this, insn);
    if (flow === 0 || flow === 2) this.s.rip = this.#next;
    return flow;
  }

  /** Runs one instruction that must fault, and checks that registers did not change. */
  fault(hex: string): Thrown {
    const before = this.registers();
    try {
      this.run(hex);
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
      const after = this.registers();
      if (after !== before) throw new Error(`registers changed by a faulting ${hex}:\n${before}\n${after}`);
      return { vector: FAULT.vector, error: FAULT.error, cr2: FAULT.cr2 };
    }
    throw new Error(`${hex} did not fault`);
  }

  registers(): string {
    const { s } = this;
    const hex = (v: bigint | number): string => v.toString(16);
    const gprs = Array.from({ length: 16 }, (_, n) => hex(s.reg(n))).join(' ');
    const segs = Array.from({ length: 8 }, (_, n) =>
      [s.selector(n), s.base(n), s.limit(n), s.attributes(n)].map(hex).join(':'),
    );
    const control = [L.CR0, L.CR3, L.CR4, L.EFER].map((at) => hex(s.get64(at)));
    return `${gprs}|${hex(s.rip)} ${hex(s.eflags)} cpl${s.cpl}|${segs.join(' ')}|${control.join(' ')}`;
  }

  // ── set-up ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Descriptor `index` of the GDT: access = bits 40..47, flags = G D/B L AVL as the top nibble. */
  gdt(index: number, base: number, limit: number, access: number, flags = 0): number {
    return this.descriptor(GDT, index, base, limit, access, flags);
  }
  descriptor(table: number, index: number, base: number, limit: number, access: number, flags: number): number {
    const at = table + index * 8;
    this.mem.put32(at, ((limit & 0xffff) | (base << 16)) >>> 0);
    const high = ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | (flags << 20) | (base & 0xff000000);
    this.mem.put32(at + 4, high >>> 0);
    return index * 8;
  }
  /** Gate `index` at `table`, 8 bytes. */
  gate(table: number, index: number, selector: number, offset: number, access: number, count = 0): void {
    this.mem.put32(table + index * 8, ((offset & 0xffff) | (selector << 16)) >>> 0);
    this.mem.put32(table + index * 8 + 4, ((offset & 0xffff0000) | (access << 8) | count) >>> 0);
  }
  /** 16-byte gate of long mode. */
  gate64(table: number, index: number, selector: number, offset: bigint, access: number, ist = 0): void {
    const at = table + index * 16;
    const low = Number(offset & 0xffffffffn);
    this.mem.put32(at, ((low & 0xffff) | (selector << 16)) >>> 0);
    this.mem.put32(at + 4, ((low & 0xffff0000) | (access << 8) | ist) >>> 0);
    this.mem.put64(at + 8, offset >> 32n);
  }

  /** The GDT all protected tests share (selectors in SEL). */
  baseTables(): void {
    const { s } = this;
    this.gdt(1, 0, 0xfffff, 0x9b, 0xc);
    this.gdt(2, 0, 0xfffff, 0x93, 0xc);
    this.gdt(3, 0, 0xfffff, 0xfb, 0xc);
    this.gdt(4, 0, 0xfffff, 0xf3, 0xc);
    this.gdt(5, TSS, 0x2fff, 0x8b, 0);
    this.gdt(7, 0, 0xffff, 0x9b, 0);
    this.gdt(8, 0, 0xffff, 0x93, 0);
    this.gdt(9, 0, 0xfffff, 0x9f, 0xc);
    this.gdt(10, 0, 0xfffff, 0x9b, 0xa);
    this.gdt(11, 0, 0xfffff, 0xfb, 0xa);
    this.gdt(12, LDT, 0xff, 0x82, 0);
    s.set64(L.GDTR_BASE, BigInt(GDT));
    s.set32(L.GDTR_LIMIT, 0x3ff);
    s.set64(L.IDTR_BASE, BigInt(IDT));
    s.set32(L.IDTR_LIMIT, 0xfff);
  }

  /** 32-bit protected mode, flat, at privilege `cpl`. */
  protected32(cpl = 0, eflags = 2): this {
    const { s } = this;
    this.baseTables();
    s.set64(L.CR0, BigInt(CR0.PE | CR0.ET));
    const dpl = cpl << 5;
    s.setSegment(SEG.CS, cpl === 3 ? SEL.CODE3 : SEL.CODE0 | cpl, 0n, 0xffffffff, 0xc09b | dpl);
    const data = cpl === 3 ? SEL.DATA3 : SEL.DATA0 | cpl;
    for (const seg of [SEG.SS, SEG.DS, SEG.ES, SEG.FS, SEG.GS]) s.setSegment(seg, data, 0n, 0xffffffff, 0xc093 | dpl);
    s.setSegment(SEG.TR, SEL.TSS, BigInt(TSS), 0x2fff, 0x8b);
    s.setSegment(SEG.LDTR, 0, 0n, 0, 0x10000);
    this.mem.put32(TSS + 4, STACK0);
    this.mem.put32(TSS + 8, SEL.DATA0);
    s.set32(L.CPL, cpl);
    s.eflags = eflags;
    s.setReg(REG.RSP, BigInt(cpl === 3 ? STACK3 : STACK0 - 0x800));
    s.rip = BigInt(CODE);
    return this;
  }

  /** 64-bit mode at privilege `cpl`, with a 64-bit TSS. */
  long64(cpl = 0, eflags = 2): this {
    this.protected32(cpl, eflags);
    const { s } = this;
    const dpl = cpl << 5;
    s.set64(L.CR0, BigInt((CR0.PE | CR0.ET | CR0.PG) >>> 0));
    s.set64(L.CR4, BigInt(CR4.PAE));
    s.set64(L.EFER, BigInt(EFER.LME | EFER.LMA | EFER.SCE));
    s.setSegment(SEG.CS, cpl === 3 ? SEL.LONG3 : SEL.LONG0, 0n, 0xffffffff, 0xa09b | dpl);
    this.mem.put64(TSS + 4, BigInt(STACK0));
    return this;
  }

  /** Virtual-8086 mode, CS:IP = 0x800:0, SS:SP = 0x1000:0x1000. */
  vm86(iopl = 0): this {
    this.protected32(3, 2);
    const { s } = this;
    s.eflags = 2 | FLAG.VM | (iopl << 12);
    for (const seg of [SEG.ES, SEG.DS, SEG.FS, SEG.GS]) s.setSegment(seg, 0x900, 0x9000n, 0xffff, 0xf3);
    s.setSegment(SEG.CS, 0x800, 0x8000n, 0xffff, 0xf3);
    s.setSegment(SEG.SS, 0x1000, 0x10000n, 0xffff, 0xf3);
    s.setReg(REG.RSP, 0x1000n);
    s.rip = 0n;
    return this;
  }

  /** Real mode, CS:IP = 0x800:0, SS:SP = 0x1000:0x1000, IVT at 0. */
  real(): this {
    const { s } = this;
    s.set64(L.CR0, BigInt(CR0.ET));
    s.setSegment(SEG.CS, 0x800, 0x8000n, 0xffff, 0x9b);
    s.setSegment(SEG.SS, 0x1000, 0x10000n, 0xffff, 0x93);
    for (const seg of [SEG.ES, SEG.DS, SEG.FS, SEG.GS]) s.setSegment(seg, 0x900, 0x9000n, 0xffff, 0x93);
    s.set32(L.IDTR_LIMIT, 0x3ff);
    s.set64(L.IDTR_BASE, 0n);
    s.setReg(REG.RSP, 0x1000n);
    s.rip = 0n;
    return this;
  }

  /** Puts values on the current stack, first = top, `size` bytes each. */
  pushAll(size: 2 | 4 | 8, ...values: (number | bigint)[]): this {
    const { s } = this;
    const base = s.is64 ? 0n : s.base(SEG.SS);
    let at = Number(s.reg(REG.RSP)) - size * values.length;
    s.setReg(REG.RSP, BigInt(at));
    at += Number(base);
    for (const value of values) {
      if (size === 8) this.mem.put64(at, BigInt(value));
      else if (size === 4) this.mem.put32(at, Number(value));
      else this.mem.put16(at, Number(value));
      at += size;
    }
    return this;
  }
}

export const SEL = {
  CODE0: 0x08,
  DATA0: 0x10,
  CODE3: 0x1b,
  DATA3: 0x23,
  TSS: 0x28,
  CODE16: 0x38,
  DATA16: 0x40,
  CONFORMING: 0x48,
  LONG0: 0x50,
  LONG3: 0x5b,
  LDT: 0x60,
} as const;

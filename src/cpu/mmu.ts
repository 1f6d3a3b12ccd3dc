import type { MachineMemory } from '../memory/frames.ts';
import { P2mType } from '../memory/p2m.ts';
import { TLB_FLAGS, TLB_HOST, TLB_MFN, TlbFlag, View } from '../memory/tlb.ts';
import { Access, PageWalker, type PagingState } from '../memory/walk.ts';
import type { VirtualMemory } from './context.ts';
import { raise, raisePageFault, VECTOR } from './fault.ts';
import type { FrameHooks, MmuVcpu } from './mmu-parts.ts';
import * as L from './layout.ts';
import { type CpuState, FLAG } from './state.ts';

const SCRATCH_DATA = L.SCRATCH;

/** Takes 64-bit values apart without allocating. */
const cell = new BigUint64Array(1);
const halves = new Uint32Array(cell.buffer);

/**
 * Linear addresses to bytes, for the current vcpu: the slow half of the TLB. Generated code comes here on a miss, for
 * accesses that leave a page, and for pages whose fast path is shut.
 */
export class Mmu implements VirtualMemory, PagingState {
  readonly s: CpuState;
  readonly #frames: MachineMemory;
  readonly #hooks: FrameHooks;
  readonly #walker: PageWalker;
  #vcpu!: MmuVcpu;
  /** Somebody wants to be told of reads. */
  watchesReads = false;
  #pendingMmio = -1;
  readonly #split = { first: 0, firstLength: 0, second: 0, secondLength: 0, firstMfn: 0, secondMfn: 0 };
  /** gpa of the last translation that led out of RAM. */
  #gpa = 0;

  constructor(state: CpuState, frames: MachineMemory, hooks: FrameHooks) {
    this.s = state;
    this.#frames = frames;
    this.#hooks = hooks;
    this.#walker = new PageWalker({
      read32: (gpa) => {
        const at = this.#hostOf(gpa);
        return at < 0 ? 0xffffffff : state.u32[at >> 2]!;
      },
      write32: (gpa, value) => {
        const at = this.#hostOf(gpa);
        if (at < 0) return;
        const mfn = this.#vcpu.p2m.mfn(Math.floor(gpa / 4096));
        hooks.written(mfn, gpa & 4095 & ~3, 4);
        state.u32[at >> 2] = value;
      },
    });
  }

  get cr0(): number {
    return this.s.get32(L.CR0);
  }
  get cr3(): bigint {
    return this.s.get64(L.CR3);
  }
  get cr4(): number {
    return this.s.get32(L.CR4);
  }
  get efer(): number {
    return this.s.get32(L.EFER);
  }

  attach(vcpu: MmuVcpu): void {
    this.#vcpu = vcpu;
  }

  /** The view that ordinary data accesses use now. */
  dataView(): number {
    if (this.s.cpl === 3) return View.USER;
    return (this.s.get32(L.EFLAGS_REST) & FLAG.AC) !== 0 ? View.SUPERVISOR_AC : View.SUPERVISOR;
  }

  #hostOf(gpa: number): number {
    const mfn = this.#vcpu.p2m.mfn(Math.floor(gpa / 4096));
    return mfn < 0 ? -1 : this.#frames.linear(mfn) + (gpa & 4095);
  }

  #canonical(_lo: number, hi: number): boolean {
    return hi >>> 15 === 0 || hi >>> 15 === 0x1ffff;
  }

  /**
   * Translates one page's worth of access; fills the TLB.
   * @returns linear-memory address of the first byte, or -1 if it is not RAM (then #gpa says where).
   */
  #translate(lo: number, hi: number, access: number, view: number): number {
    const s = this.s;
    const { tlb, p2m } = this.#vcpu;
    const entry = tlb.dataEntry(view, lo);
    if (
      tlb.holdsData(entry, lo, hi) &&
      ((access & Access.WRITE) === 0 || (s.u32[(entry + TLB_FLAGS) >> 2]! & TlbFlag.WRITABLE) !== 0)
    ) {
      return s.u32[(entry + TLB_HOST) >> 2]! + (lo & 4095);
    }
    const wrong = this.#walker.walk(this, lo, hi, access, view);
    if (wrong !== 0) raisePageFault((BigInt(hi) << 32n) | BigInt(lo), wrong - 1);
    const gfn = this.#walker.gfn;
    const p2mEntry = p2m.entry(gfn);
    this.#gpa = gfn * 4096 + (lo & 4095);
    if (p2mEntry === P2mType.HOLE) return -1;
    const mfn = p2mEntry >>> 4;
    const type = p2mEntry & 15;
    const readOnly = type === P2mType.RAM_RO || type === P2mType.GRANT_RO;
    if (readOnly && (access & Access.WRITE) !== 0) return -1;
    const host = this.#frames.linear(mfn);
    tlb.fillData(view, lo, hi, host, mfn, this.#walker.flags & (readOnly ? ~TlbFlag.WRITABLE : ~0), false);
    if (this.watchesReads && this.#hooks.watched(mfn)) tlb.shutRead(entry);
    return host + (lo & 4095);
  }

  /** Tells the hooks of a write through the entry for `lo` and opens its fast path if they agree. */
  #noteWrite(lo: number, host: number, view: number, length: number): void {
    const { tlb } = this.#vcpu;
    const mfn = (host - this.#frames.base) >>> 12;
    const open = this.#hooks.written(mfn, lo & 4095, length);
    const entry = tlb.dataEntry(view, lo);
    if (open && this.s.u32[(entry + TLB_MFN) >> 2] === mfn) tlb.setHostWritable(entry, true);
  }

  /** Tells of a read of RAM at `host`; -1, which is no RAM, counts for nothing. */
  #noteRead(host: number, length: number): void {
    if (host >= 0) this.#hooks.read((host - this.#frames.base) >>> 12, host & 4095, length);
  }

  /** Vector for a non-canonical address: #SS if the running instruction reaches it through SS (Intel SDM 1 3.3.7.1). */
  nonCanonicalVector: (linear: bigint) => number = () => VECTOR.GP;

  #checkCanonical(lo: number, hi: number, size: number): void {
    const wraps = lo + size > 0x100000000;
    if (this.#canonical(lo, hi) && !(wraps && !this.#canonical(0, (hi + 1) >>> 0))) return;
    raise(this.nonCanonicalVector((BigInt(hi) << 32n) | BigInt(lo)), 0);
  }

  /** The address after `lo` in the next page, wrapped as the code's linear addresses wrap. */
  #nextHigh(lo: number, hi: number): number {
    if ((lo & 0xfffff000) >>> 0 !== 0xfffff000) return hi;
    return this.s.longMode ? (hi + 1) >>> 0 : hi;
  }

  /** For reads: where `size` bytes at `hi:lo` lie in linear memory; split and MMIO reads are gathered in scratch. */
  locateRead(lo: number, hi: number, size: number, view: number): number {
    this.#checkCanonical(lo, hi, size);
    const room = 4096 - (lo & 4095);
    if (room >= size) {
      const at = this.#translate(lo, hi, Access.READ, view);
      if (this.watchesReads) this.#noteRead(at, size);
      return at >= 0 ? at : this.#readMmio(size);
    }
    const lo2 = ((lo & 0xfffff000) + 4096) >>> 0;
    const hi2 = this.#nextHigh(lo, hi);
    const first = this.#translate(lo, hi, Access.READ, view);
    this.#gather(first, room, 0);
    const second = this.#translate(lo2, hi2, Access.READ, view);
    this.#gather(second, size - room, room);
    if (this.watchesReads) {
      this.#noteRead(first, room);
      this.#noteRead(second, size - room);
    }
    return SCRATCH_DATA;
  }

  #gather(at: number, length: number, to: number): void {
    const u8 = this.s.u8;
    if (at >= 0) {
      u8.copyWithin(SCRATCH_DATA + to, at, at + length);
      return;
    }
    const gpa = this.#gpa;
    for (let i = 0; i < length; i++) u8[SCRATCH_DATA + to + i] = Number(this.#vcpu.exits.mmioRead(gpa + i, 1));
  }

  #readMmio(size: number): number {
    const gpa = this.#gpa;
    for (let i = 0; i < size; i += 8) {
      const n = Math.min(8, size - i);
      this.s.set64(SCRATCH_DATA + i, this.#vcpu.exits.mmioRead(gpa + i, n));
    }
    return SCRATCH_DATA;
  }

  /**
   * For writes and read-modify-writes: where to store `size` bytes. If that is scratch, its old content has been read
   * there (`read`), and `commitWrite` must follow the store.
   */
  locateWrite(lo: number, hi: number, size: number, view: number, read: boolean): number {
    this.#checkCanonical(lo, hi, size);
    const room = 4096 - (lo & 4095);
    this.#pendingMmio = -1;
    if (room >= size) {
      const at = this.#translate(lo, hi, Access.WRITE, view);
      if (at >= 0) {
        if (read && this.watchesReads) this.#noteRead(at, size);
        this.#noteWrite(lo, at, view, size);
        return at;
      }
      this.#pendingMmio = this.#gpa;
      this.#split.firstLength = size;
      this.#split.secondLength = 0;
      this.#split.first = -1;
      if (read) this.#readMmio(size);
      return SCRATCH_DATA;
    }
    const lo2 = ((lo & 0xfffff000) + 4096) >>> 0;
    const hi2 = this.#nextHigh(lo, hi);
    const p = this.#split;
    p.first = this.#translate(lo, hi, Access.WRITE, view);
    const gpa1 = this.#gpa;
    p.second = this.#translate(lo2, hi2, Access.WRITE, view);
    p.firstLength = room;
    p.secondLength = size - room;
    if (p.first < 0) p.firstMfn = gpa1;
    else this.#noteWrite(lo, p.first, view, room);
    if (p.second < 0) p.secondMfn = this.#gpa;
    else this.#noteWrite(lo2, p.second, view, size - room);
    if (read && this.watchesReads) {
      this.#noteRead(p.first, room);
      this.#noteRead(p.second, size - room);
    }
    if (read) {
      this.#gpa = gpa1;
      this.#gather(p.first, room, 0);
      this.#gpa = p.secondMfn;
      this.#gather(p.second, size - room, room);
    }
    return SCRATCH_DATA;
  }

  /** Carries scratch to where the last `locateWrite` pointed. */
  commitWrite(): void {
    const p = this.#split;
    if (this.#pendingMmio >= 0) {
      for (let i = 0; i < p.firstLength; i += 8) {
        const n = Math.min(8, p.firstLength - i);
        const mask = n === 8 ? 0xffffffffffffffffn : (1n << BigInt(n * 8)) - 1n;
        this.#vcpu.exits.mmioWrite(this.#pendingMmio + i, n, this.s.get64(SCRATCH_DATA + i) & mask);
      }
      this.#pendingMmio = -1;
      return;
    }
    this.#scatter(p.first, p.firstMfn, p.firstLength, 0);
    this.#scatter(p.second, p.secondMfn, p.secondLength, p.firstLength);
  }

  #scatter(at: number, gpa: number, length: number, from: number): void {
    const u8 = this.s.u8;
    if (at >= 0) {
      u8.copyWithin(at, SCRATCH_DATA + from, SCRATCH_DATA + from + length);
      return;
    }
    for (let i = 0; i < length; i++) this.#vcpu.exits.mmioWrite(gpa + i, 1, BigInt(u8[SCRATCH_DATA + from + i]!));
  }

  /** Instruction fetch: the ITLB entry for `hi:lo`, filled by a walk if need be. Raises #PF, #GP. */
  fetchEntry(lo: number, hi: number): number {
    const view = this.s.cpl === 3 ? View.USER : View.SUPERVISOR;
    const { tlb, p2m } = this.#vcpu;
    const entry = tlb.fetchEntry(view, lo);
    if (tlb.holds(entry, lo, hi)) return entry;
    if (!this.#canonical(lo, hi)) raise(VECTOR.GP, 0);
    const wrong = this.#walker.walk(this, lo, hi, Access.FETCH, view);
    if (wrong !== 0) raisePageFault((BigInt(hi) << 32n) | BigInt(lo), wrong - 1);
    const mfn = p2m.mfn(this.#walker.gfn);
    // Code outside RAM: nothing answers; deliver what a bus full of ones would lead to.
    if (mfn < 0) raise(VECTOR.GP, 0);
    return tlb.fillFetch(view, lo, hi, mfn, (this.#walker.flags & TlbFlag.GLOBAL) !== 0);
  }

  /** Walks without touching TLB or memory. @returns gpa, or -1. For debuggers. */
  peek(linear: bigint): number {
    const lo = Number(linear & 0xffffffffn);
    const hi = Number((linear >> 32n) & 0xffffffffn);
    if (!this.#canonical(lo, hi)) return -1;
    const walker = new PageWalker({
      read32: (gpa) => {
        const at = this.#hostOf(gpa);
        return at < 0 ? 0xffffffff : this.s.u32[at >> 2]!;
      },
      write32: () => {},
    });
    return walker.walk(this, lo, hi, Access.READ, View.SUPERVISOR_AC) === 0 ? walker.gfn * 4096 + (lo & 4095) : -1;
  }

  /** Machine frame of guest-physical address `gpa`, or -1. */
  mfnOf(gpa: number): number {
    return this.#vcpu.p2m.mfn(Math.floor(gpa / 4096));
  }

  // VirtualMemory

  #lo(linear: bigint): number {
    cell[0] = linear;
    return halves[0]!;
  }
  #hi(linear: bigint): number {
    cell[0] = linear;
    return halves[1]!;
  }
  #viewFor(supervisor: boolean): number {
    return supervisor ? View.SUPERVISOR : this.dataView();
  }
  #read(linear: bigint, size: number, supervisor: boolean): number {
    return this.locateRead(this.#lo(linear), this.#hi(linear), size, this.#viewFor(supervisor));
  }
  #place(linear: bigint, size: number, supervisor: boolean): number {
    return this.locateWrite(this.#lo(linear), this.#hi(linear), size, this.#viewFor(supervisor), false);
  }
  #stored(at: number): void {
    if (at === SCRATCH_DATA) this.commitWrite();
  }

  read8(linear: bigint, supervisor = false): number {
    return this.s.u8[this.#read(linear, 1, supervisor)]!;
  }
  read16(linear: bigint, supervisor = false): number {
    const at = this.#read(linear, 2, supervisor);
    return this.s.u8[at]! | (this.s.u8[at + 1]! << 8);
  }
  read32(linear: bigint, supervisor = false): number {
    const at = this.#read(linear, 4, supervisor);
    return (at & 3) === 0 ? this.s.u32[at >> 2]! : this.#u32At(at);
  }
  read64(linear: bigint, supervisor = false): bigint {
    const at = this.#read(linear, 8, supervisor);
    if ((at & 7) === 0) return this.s.u64[at >> 3]!;
    halves[0] = this.#u32At(at);
    halves[1] = this.#u32At(at + 4);
    return cell[0]!;
  }
  #u32At(at: number): number {
    const u8 = this.s.u8;
    return (u8[at]! | (u8[at + 1]! << 8) | (u8[at + 2]! << 16) | (u8[at + 3]! << 24)) >>> 0;
  }
  write8(linear: bigint, value: number, supervisor = false): void {
    const at = this.#place(linear, 1, supervisor);
    this.s.u8[at] = value;
    this.#stored(at);
  }
  write16(linear: bigint, value: number, supervisor = false): void {
    const at = this.#place(linear, 2, supervisor);
    this.#put(at, value, 2);
    this.#stored(at);
  }
  write32(linear: bigint, value: number, supervisor = false): void {
    const at = this.#place(linear, 4, supervisor);
    if ((at & 3) === 0) this.s.u32[at >> 2] = value;
    else this.#put(at, value, 4);
    this.#stored(at);
  }
  write64(linear: bigint, value: bigint, supervisor = false): void {
    const at = this.#place(linear, 8, supervisor);
    if ((at & 7) === 0) this.s.u64[at >> 3] = value;
    else {
      this.#put(at, this.#lo(value), 4);
      this.#put(at + 4, this.#hi(value), 4);
    }
    this.#stored(at);
  }
  #put(at: number, value: number, bytes: number): void {
    for (let i = 0; i < bytes; i++) this.s.u8[at + i] = value >>> (8 * i);
  }

  readBytes(linear: bigint, out: Uint8Array, supervisor = false): void {
    for (let done = 0; done < out.length; ) {
      const a = linear + BigInt(done);
      const n = Math.min(out.length - done, 4096 - (this.#lo(a) & 4095), 2048);
      const at = this.#read(a, n, supervisor);
      const u8 = this.s.u8;
      for (let i = 0; i < n; i++) out[done + i] = u8[at + i]!;
      done += n;
    }
  }

  writeBytes(linear: bigint, bytes: Uint8Array, supervisor = false): void {
    const single = bytes.length <= 4096 - (this.#lo(linear) & 4095);
    if (!single) this.probeWrite(linear, bytes.length, supervisor);
    for (let done = 0; done < bytes.length; ) {
      const a = linear + BigInt(done);
      const n = Math.min(bytes.length - done, 4096 - (this.#lo(a) & 4095), 2048);
      const at = this.#place(a, n, supervisor);
      const u8 = this.s.u8;
      for (let i = 0; i < n; i++) u8[at + i] = bytes[done + i]!;
      this.#stored(at);
      done += n;
    }
  }

  probeWrite(linear: bigint, length: number, supervisor = false): void {
    for (let done = 0; done < length; ) {
      const a = linear + BigInt(done);
      const n = Math.min(length - done, 4096 - (this.#lo(a) & 4095));
      this.#checkCanonical(this.#lo(a), this.#hi(a), n);
      this.#translate(this.#lo(a), this.#hi(a), Access.WRITE, this.#viewFor(supervisor));
      done += n;
    }
  }
}

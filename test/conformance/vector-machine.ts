/** Runs single-instruction vectors (format: shared/x86-vectors/README.md) on the engine and compares the state after. */
import type { Ticks } from '../../src/base/ticks.ts';
import type { ProcessorExits } from '../../src/cpu/exits.ts';
import { WasmEngine } from '../../src/cpu/engine/wasm-engine.ts';
import * as L from '../../src/cpu/layout.ts';
import { CR0, CR4, EFER, FLAG, SEG } from '../../src/cpu/state.ts';
import { P2m, P2mType } from '../../src/memory/p2m.ts';
import { baseOf } from './take/descriptors.ts';
import {
  basesIn,
  leaveHandler,
  loadSegments,
  loadTables,
  SEGMENT_NAMES,
  selectorIn,
  writeTables,
} from './vector-segments.ts';
import { REGISTERS } from './registers.ts';

export interface VectorState {
  rip?: string;
  regs?: Record<string, string>;
  xmm?: Record<string, string>;
  ymm?: Record<string, string>;
  mxcsr?: string;
  x87?: { fcw?: string; fsw?: string; ftw?: string; r?: Record<string, string> };
  mem?: { addr: string; bytes: string }[];
  /** Selectors that are not the mode's usual ones; descriptors are those of take/descriptors.ts. */
  segments?: Record<string, string>;
  /** FS and GS base in 64-bit code. */
  bases?: { fs: string; gs: string };
}
export interface Vector {
  id: string;
  family: string;
  form: string;
  /** Width of the code; absent: 64. */
  mode?: 16 | 32 | 64;
  bytes: string;
  rip: string;
  in: VectorState;
  out: VectorState & { rip: string };
  exception: null | { vector: number; error: number | string | null; cr2: string | null };
  undefinedFlags: string;
  undefinedRegs?: string[];
  undefinedMem?: { addr: string; len: number } | { addr: string; len: number }[];
  undefinedFsw?: string;
  approx?: boolean;
  modelSpecific?: boolean;
}

const CODE = 0x10000000;
const DATA = 0x20000000;
const MASK_64 = (1n << 64n) - 1n;

/**
 * Where the instruction stands: `alone` is one tick at its first byte; `amid` has NOPs before it in the same block and runs to
 * HLT behind it or at its target, which privilege 3 may not.
 */
export type Placement = 'alone' | 'amid';
const NOP = 0x90;
/** HLT: #GP at privilege 3 in all modes, and what the taker has there. */
const FILL = 0xf4;

/** NOPs before a vector's instruction: as many as its page has room for, up to five. */
const sledBytes = (v: Vector): number => Math.min(5, codeOffset(v));

/** Where the instruction begins on the code page. */
const codeOffset = (v: Vector): number => Number(BigInt(v.rip)) - CODE + baseOf(selectorIn(v, 'cs', false));

/** A null selector's RPL does not survive the way through the kernel: IRET makes it 0. */
const seenSelector = (selector: number): number => (selector < 4 ? 0 : selector);

/** Through their gates they would run on in a handler. */
const SOFTWARE_INTERRUPT = /^int[3o]/;

/** Thrown out of the run at the first exception; the state is that before its delivery. */
class Stopped {
  vector = 0;
  error = 0;
  cr2 = 0n;
}

export class VectorMachine {
  readonly engine: WasmEngine;
  readonly #code: number;
  readonly #data: number;
  readonly #task: number;
  readonly #stopped = new Stopped();

  /** @param maxBlock instructions in a block at the most; results must not depend on it */
  constructor(maxBlock = 64) {
    const e = new WasmEngine({ frames: 64, vcpus: 1, codeBytes: 1 << 20, maxBlock });
    this.engine = e;
    const p2m = new P2m();
    for (let gfn = 0; gfn < 16; gfn++) p2m.set(gfn, e.frames.allocate(), P2mType.RAM);
    this.#code = p2m.mfn(8);
    this.#data = p2m.mfn(9);
    this.#task = p2m.mfn(14);
    writeTables(...([12, 13, 14].map((gfn) => e.frames.frame(p2m.mfn(gfn))) as [Uint8Array, Uint8Array, Uint8Array]));
    e.switchTo(e.createVcpu(p2m, this.#exits()));
    this.#pageTables(p2m);
    this.#enterUserMode();
  }

  #exits(): ProcessorExits {
    const refuse = (): never => {
      throw new Error('a vector must not exit');
    };
    return {
      hypercall: refuse,
      cpuid: refuse,
      readMsr: refuse,
      writeMsr: refuse,
      portRead: refuse,
      portWrite: refuse,
      mmioRead: refuse,
      mmioWrite: refuse,
      halt: refuse,
      pause: () => 0,
      interruptWindow: () => false,
      tripleFault: refuse,
      tlbFlush: () => {},
      exception: (vector, error, cr2) => {
        Object.assign(this.#stopped, { vector, error, cr2 });
        throw this.#stopped;
      },
    };
  }

  /** PML4 at gfn 1; both pages are mapped through their own page tables, the supervisor's three far away in the upper half. */
  #pageTables(p2m: P2m): void {
    const put = (gfn: number, index: number, value: number, nx = false): void => {
      const view = new DataView(this.engine.memory.buffer, this.engine.frames.linear(p2m.mfn(gfn)) + index * 8, 8);
      view.setUint32(0, value, true);
      view.setUint32(4, nx ? 0x80000000 : 0, true);
    };
    put(1, 0, (2 << 12) | 7);
    put(2, 0, (3 << 12) | 7);
    put(3, CODE >>> 21, (4 << 12) | 7);
    put(3, DATA >>> 21, (5 << 12) | 7);
    put(4, (CODE >>> 12) & 511, (8 << 12) | 5);
    put(5, (DATA >>> 12) & 511, (9 << 12) | 7, true);
    put(1, 402, (6 << 12) | 3);
    put(6, 0, (7 << 12) | 3);
    put(7, 0, (10 << 12) | 3);
    for (const [page, gfn] of [12, 13, 14].entries()) put(10, page, (gfn << 12) | 3);
  }

  #enterUserMode(): void {
    const s = this.engine.state;
    s.set64(L.CR0, BigInt((CR0.PE | CR0.MP | CR0.NE | CR0.WP | CR0.AM | CR0.PG) >>> 0));
    s.set64(L.CR4, BigInt(CR4.PAE | CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE | CR4.FSGSBASE));
    s.set64(L.EFER, BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE));
    s.set64(L.CR3, 0x1000n);
    s.set64(L.XCR0, 7n);
    loadTables(s);
  }

  /**
   * @param placement where the instruction stands in its block
   * @returns differences, one a line; empty when the vector passes.
   */
  run(v: Vector, placement: Placement = 'alone'): string[] {
    this.#load(v, placement);
    const e = this.engine;
    const s = e.state;
    const start = BigInt(v.rip);
    if (placement === 'amid') return this.#runToStop(v, start);
    let raised = false;
    try {
      // Some gathers were recorded amid their elements.
      const isPartial = v.exception === null && BigInt(v.out.rip) === start;
      const repeats = /^rep/.test(v.form) || (/^vp?gather/.test(v.form) && !isPartial);
      do e.run(0 as Ticks, 1);
      while (repeats && s.rip === start);
    } catch (thrown) {
      if (thrown !== this.#stopped) throw thrown;
      raised = true;
    }
    return this.#compare(v, raised || this.#handled());
  }

  /** A software interrupt went through its gate: it counts as raised, with the state that it left. */
  #handled(): boolean {
    const { state, frames } = this.engine;
    if (state.cpl === 3) return false;
    Object.assign(this.#stopped, { vector: leaveHandler(state, frames.frame(this.#task)), error: 0, cr2: 0n });
    return true;
  }

  /** A whole block, not cut by the budget: NOPs, the instruction, and everywhere else HLT to stop at. */
  #runToStop(v: Vector, start: bigint): string[] {
    const s = this.engine.state;
    s.rip -= BigInt(sledBytes(v));
    // A branch into the sled or to itself does not come to a stop; then the ticks end.
    const target = Number(BigInt(v.out.rip) - start);
    const comesBack = v.exception === null && target >= -sledBytes(v) && target < v.bytes.length / 2;
    try {
      this.engine.run(0 as Ticks, comesBack || SOFTWARE_INTERRUPT.test(v.form) ? sledBytes(v) + 1 : 100_000);
      if (this.#handled()) return this.#compare(v, true);
    } catch (thrown) {
      if (thrown !== this.#stopped) throw thrown;
      if (s.rip === start) return this.#compare(v, true);
    }
    return this.#compare(v, false);
  }

  #load(v: Vector, placement: Placement): void {
    const e = this.engine;
    const s = e.state;
    const code = e.frames.frame(this.#code);
    const at = codeOffset(v);
    code.fill(FILL);
    if (placement === 'amid') code.fill(NOP, at - sledBytes(v), at);
    code.set(Buffer.from(v.bytes, 'hex'), at);
    e.frameWritten(this.#code);
    e.frames.frame(this.#data).fill(0);
    for (const { addr, bytes } of v.in.mem ?? [])
      e.frames.frame(this.#data).set(Buffer.from(bytes, 'hex'), Number(BigInt(addr)) - DATA);
    e.frameWritten(this.#data);
    loadSegments(s, v);
    for (let n = 0; n < 16; n++) s.setReg(n, BigInt(v.in.regs![REGISTERS[n]!] ?? 0));
    s.eflags = Number(BigInt(v.in.regs!['rflags']!)) | FLAG.IF | 2;
    s.rip = BigInt(v.rip);
    s.u8.fill(0, L.YMM, L.YMM + 512);
    s.u8.fill(0, L.X87_REGISTERS, L.X87_REGISTERS + 128);
    for (const set of [v.in.xmm, v.in.ymm])
      for (const [n, hex] of Object.entries(set ?? {})) putHex(s.u8, L.YMM + 32 * Number(n), hex);
    s.set32(L.MXCSR, Number(v.in.mxcsr ?? '0x1f80'));
    const x = v.in.x87 ?? {};
    s.u16[L.X87_FCW >> 1] = Number(x.fcw ?? '0x37f');
    s.u16[L.X87_FSW >> 1] = Number(x.fsw ?? '0');
    s.u8[L.X87_FTW] = Number(x.ftw ?? '0');
    for (const at of [L.X87_FIP, L.X87_FDP]) s.set64(at, 0n);
    s.u16[L.X87_FOP >> 1] = 0;
    s.u16[L.X87_FCS >> 1] = 0;
    s.u16[L.X87_FDS >> 1] = 0;
    for (const [n, hex] of Object.entries(x.r ?? {})) putHex(s.u8, L.X87_REGISTERS + 16 * Number(n), hex);
    s.set32(L.ACTIVITY, 0);
    s.set32(L.PENDING_DEBUG, 0);
    e.processor.modeChanged();
  }

  #compare(v: Vector, raised: boolean): string[] {
    const s = this.engine.state;
    const out: string[] = [];
    const differs = (what: string, got: bigint, want: bigint): void => {
      if (got !== want) out.push(`${what}: got ${got.toString(16)}, want ${want.toString(16)}`);
    };
    if (raised !== (v.exception !== null)) {
      out.push(raised ? `raised vector ${this.#stopped.vector}` : `did not raise vector ${v.exception!.vector}`);
      return out;
    }
    if (v.exception !== null) {
      differs('vector', BigInt(this.#stopped.vector), BigInt(v.exception.vector));
      if (v.exception.error !== null)
        differs('error', BigInt(Math.max(0, this.#stopped.error)), BigInt(v.exception.error));
      if (v.exception.vector === 14) {
        differs('cr2', this.#stopped.cr2, BigInt(v.exception.cr2 ?? 0));
      }
    }
    differs('rip', s.rip, BigInt(v.out.rip));
    if (v.modelSpecific) return out;
    const skipped = new Set(v.undefinedRegs ?? []);
    for (let n = 0; n < 16; n++) {
      const name = REGISTERS[n]!;
      if (!skipped.has(name)) differs(name, s.reg(n), BigInt(v.out.regs?.[name] ?? v.in.regs![name] ?? 0) & MASK_64);
    }
    const undefinedFlags = Number(v.undefinedFlags) | FLAG.RF;
    const flags = Number(BigInt(v.out.regs?.['rflags'] ?? v.in.regs!['rflags']!)) | FLAG.IF | 2;
    differs('rflags', BigInt((s.eflags & ~undefinedFlags) >>> 0), BigInt((flags & ~undefinedFlags) >>> 0));
    for (const [i, name] of SEGMENT_NAMES.entries())
      differs(name, BigInt(seenSelector(s.selector(i))), BigInt(selectorIn(v, name, true)));
    const bases = basesIn(v, true);
    if ((v.mode ?? 64) === 64)
      for (const name of ['fs', 'gs'] as const)
        differs(`${name} base`, s.base(name === 'fs' ? SEG.FS : SEG.GS), BigInt(bases[name]));
    this.#compareVectors(v, differs);
    this.#compareX87(v, differs);
    this.#compareMemory(v, out);
    return out;
  }

  #compareVectors(v: Vector, differs: (what: string, got: bigint, want: bigint) => void): void {
    const s = this.engine.state;
    const wide = v.in.ymm !== undefined || v.out.ymm !== undefined;
    for (let n = 0; n < 16; n++) {
      const want = v.out.ymm?.[n] ?? v.out.xmm?.[n] ?? v.in.ymm?.[n] ?? v.in.xmm?.[n] ?? '0';
      if (!v.approx) differs(`${wide ? 'ymm' : 'xmm'}${n}`, getHex(s.u8, L.YMM + 32 * n, 32), BigInt(`0x${want}`));
    }
    differs('mxcsr', BigInt(s.get32(L.MXCSR)), BigInt(v.out.mxcsr ?? v.in.mxcsr ?? '0x1f80'));
  }

  #compareX87(v: Vector, differs: (what: string, got: bigint, want: bigint) => void): void {
    const s = this.engine.state;
    const [i, o] = [v.in.x87 ?? {}, v.out.x87 ?? {}];
    const undefinedFsw = BigInt(v.undefinedFsw ?? 0);
    differs('fcw', BigInt(s.u16[L.X87_FCW >> 1]!), BigInt(o.fcw ?? i.fcw ?? '0x37f'));
    const fsw = BigInt(o.fsw ?? i.fsw ?? 0);
    if (!v.approx) differs('fsw', BigInt(s.u16[L.X87_FSW >> 1]!) & ~undefinedFsw, fsw & ~undefinedFsw);
    differs('ftw', BigInt(s.u8[L.X87_FTW]!), BigInt(o.ftw ?? i.ftw ?? 0));
    for (let n = 0; n < 8; n++) {
      const want = BigInt(`0x${o.r?.[n] ?? i.r?.[n] ?? '0'}`);
      const got = getHex(s.u8, L.X87_REGISTERS + 16 * n, 10);
      // Transcendental results may be off by one unit in the last place.
      const off = inOrder(got) - inOrder(want);
      if (!(v.approx && off >= -1n && off <= 1n)) differs(`x87 r${n}`, got, want);
    }
  }

  #compareMemory(v: Vector, out: string[]): void {
    const want = new Uint8Array(4096);
    for (const set of [v.in.mem, v.out.mem]) {
      for (const { addr, bytes } of set ?? []) want.set(Buffer.from(bytes, 'hex'), Number(BigInt(addr)) - DATA);
    }
    const got = this.engine.frames.frame(this.#data).slice();
    for (const { addr, len } of [v.undefinedMem ?? []].flat()) {
      const at = Number(BigInt(addr)) - DATA;
      if (at >= 0 && at < 4096) got.set(want.subarray(at, at + len), at);
    }
    if (Buffer.compare(got, want) === 0) return;
    const at = got.findIndex((b, i) => b !== want[i]);
    out.push(
      `memory at ${(DATA + at).toString(16)}: got ${hex(got.subarray(at, at + 16))}, want ${hex(want.subarray(at, at + 16))}`,
    );
  }
}

/** 80-bit numbers as integers in their order, so that neighbours differ by one: the integer bit carries no information. */
const inOrder = (v: bigint): bigint => ((v >> 64n) << 63n) | (v & ((1n << 63n) - 1n));

const hex = (b: Uint8Array): string => Buffer.from(b).toString('hex');

function putHex(u8: Uint8Array, at: number, text: string): void {
  const digits = text.length % 2 === 0 ? text : `0${text}`;
  for (let i = 0; i < digits.length / 2; i++)
    u8[at + i] = Number.parseInt(digits.slice(digits.length - 2 * i - 2, digits.length - 2 * i), 16);
}

function getHex(u8: Uint8Array, at: number, bytes: number): bigint {
  let v = 0n;
  for (let i = bytes - 1; i >= 0; i--) v = (v << 8n) | BigInt(u8[at + i]!);
  return v;
}

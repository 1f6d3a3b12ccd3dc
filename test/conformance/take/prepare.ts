/** The machine state that makes an instruction do something: addresses that hit, operands at edges, stacks, counts. */
import type { Instruction } from '../../../src/cpu/decode/instruction.ts';
import { baseOf } from './descriptors.ts';
import * as D from './descriptors.ts';
import type { MachineState, Patch } from './case.ts';
import type { Bits } from './encode.ts';
import { bytesOf, CODE, mxcsr, operandContents } from './contents.ts';
import { elementOf } from './forms.ts';
import { DATA, type flat, place } from './places.ts';
import { setX87 } from './x87-state.ts';
import { type Element, integer, type Random, vector } from './random.ts';

const M64 = (1n << 64n) - 1n;
const [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
/** CF PF AF ZF SF OF, and DF now and then. */
const STATUS = 0x8d5;

/** Distinct values in the registers that an instruction does not use. */
const PATTERNS: readonly bigint[] = [
  0xf0f0f0f0f0f0f0f0n,
  0x1111111120201111n,
  0x2222222231312222n,
  0x3333333342423333n,
  0x20000800n,
  0x5555555564645555n,
  0x6666666675756666n,
  0x7777777786867777n,
  0x8888888897978888n,
  0x99999999a8a89999n,
  0xaaaaaaaab9b9aaaan,
  0xbbbbbbbbcacabbbbn,
  0xccccccccdbdbccccn,
  0xddddddddececddddn,
  0xeeeeeeeefdfdeeeen,
  0xf0effffn,
];

export class Preparation {
  readonly patches: Patch[] = [];
  readonly state: MachineState;
  readonly #r: Random;
  readonly #insn: Instruction;
  readonly #mode: Bits;
  readonly #element: Element;

  constructor(insn: Instruction, mode: Bits, segments: ReturnType<typeof flat>, rip: number, r: Random) {
    this.#r = r;
    this.#insn = insn;
    this.#mode = mode;
    this.#element = elementOf(insn.row);
    const all = r.chance(4);
    this.state = {
      gpr: PATTERNS.map((p) => (all ? r.bits(64) : p)),
      rflags: 0x202 | (Number(r.bits(12)) & STATUS) | (r.chance(8) ? 0x400 : 0),
      rip: BigInt(rip),
      fsBase: 0n,
      gsBase: 0n,
      ...segments,
      mxcsr: 0x1f80,
      fcw: 0x37f,
      fsw: 0,
      ftw: 0,
      st: new Array<bigint>(8).fill(0n),
      ymm: new Array<bigint>(16).fill(0n),
    };
    this.#stack();
    this.#registers();
    this.#vectors();
    setX87(r, insn, this.state);
    this.#special();
    this.#memoryOperand();
    if (mode !== 64) this.state.gpr = this.state.gpr.map((v, n) => (n < 8 ? v & 0xffffffffn : 0n));
  }

  /** Linear address of the memory operand. */
  get operandAt(): bigint {
    return this.#current();
  }

  get #name(): string {
    return this.#insn.row.mnemonic;
  }

  /** Puts bytes at a linear address, where it lies in the data page. */
  #put(linear: bigint, bytes: Uint8Array): void {
    const at = Number(BigInt.asIntN(64, linear)) - DATA;
    const from = Math.max(0, -at);
    const to = Math.min(bytes.length, 4096 - at);
    if (from < to) this.patches.push({ offset: at + from, bytes: bytes.subarray(from, to) });
  }

  #putNumber(linear: bigint, value: bigint, bytes: number): void {
    this.#put(linear, bytesOf(value, bytes));
  }

  /** The offset of a linear address in the segment that `s` holds. */
  #offset(linear: bigint, s: (typeof SEGMENT_NAMES)[number]): bigint {
    if (this.#mode === 64) return linear;
    return BigInt.asUintN(32, linear - BigInt(baseOf(this.state[s])));
  }

  #pointer(n: number, linear: bigint, s: (typeof SEGMENT_NAMES)[number]): void {
    const offset = this.#offset(linear, s);
    const { addressSize } = this.#insn;
    // Above the address size anything may stand.
    this.state.gpr[n] = addressSize === 64 ? offset : this.#above(offset, addressSize);
  }

  #above(v: bigint, width: number): bigint {
    const mask = (1n << BigInt(width)) - 1n;
    return (v & mask) | (this.#r.chance(40) ? this.#r.bits(64) & ~mask & M64 : 0n);
  }

  #stack(): void {
    const r = this.#r;
    const uses = /^(PUSH|POP|CALL|RET|ENTER|LEAVE|IRET|INT)/.test(this.#name) && !this.#name.startsWith('POPCNT');
    const at =
      uses && r.chance(92)
        ? BigInt(DATA + 64 + r.below(4096 - 192))
        : uses
          ? place(r, 16, this.#mode)
          : BigInt(DATA + 0x800);
    this.state.gpr[RSP] = this.#offset(r.chance(80) ? at & ~1n : at, 'ss');
    if (this.#mode !== 64) return;
    if (uses && r.chance(1)) this.state.gpr[RSP] = r.pick([0x8000_0001_0000n, 0n, 4n]);
  }

  #registers(): void {
    const r = this.#r;
    const g = this.state.gpr;
    for (const n of [RAX, RCX, RDX]) if (r.chance(50)) g[n] = integer(r, 64);
    const { operands, operandCount } = this.#insn;
    for (let i = 0; i < operandCount; i++) {
      const { kind, reg, size, high8 } = operands[i]!;
      if (kind !== 'gpr' && kind !== 'reg8') continue;
      if (reg === RSP && /^(PUSH|POP|CALL|RET|ENTER|LEAVE)/.test(this.#name)) continue;
      const v = integer(r, size);
      g[reg] = high8 ? (r.bits(64) & ~0xff00n & M64) | (v << 8n) : this.#above(v, size);
    }
  }

  #vectors(): void {
    const r = this.#r;
    const { row, vex } = this.#insn;
    const avx = vex || row.feature.startsWith('avx');
    const xmm = row.operands.some(({ method, fixedKind }) => 'VUWHL'.includes(method) || fixedKind === 'xmm');
    if (!(xmm || /^(FX|X)(SAVE|RSTOR)|MXCSR/.test(row.mnemonic))) return;
    const count = this.#mode === 64 ? 16 : 8;
    const related = r.chance(15);
    const common = vector(r, 256, this.#element);
    for (let n = 0; n < count; n++) {
      if (r.chance(25) && row.operands.length > 0 && !this.#usesVector(n)) continue;
      const v = related && r.chance(60) ? common : vector(r, 256, this.#element);
      this.state.ymm[n] = avx || /^X(SAVE|RSTOR)/.test(row.mnemonic) ? v : v & ((1n << 128n) - 1n);
    }
    if (r.chance(50)) this.state.mxcsr = mxcsr(r);
  }

  #usesVector(n: number): boolean {
    const { operands, operandCount } = this.#insn;
    for (let i = 0; i < operandCount; i++) {
      const { kind, reg } = operands[i]!;
      if ((kind === 'xmm' || kind === 'ymm') && reg === n) return true;
    }
    return n === 0;
  }

  /** What single instructions want. */
  #special(): void {
    const r = this.#r;
    const g = this.state.gpr;
    const name = this.#name;
    const { insn, mode } = { insn: this.#insn, mode: this.#mode };
    const size = insn.operandSize;
    if (/^I?DIV$/.test(name) && r.chance(70)) {
      const small = r.chance(60) ? 0n : integer(r, Math.max(4, size >> 1));
      if (size === 8) g[RAX] = (g[RAX]! & ~0xff00n) | ((small & 15n) << 8n);
      else g[RDX] = r.chance(30) ? BigInt.asUintN(64, BigInt.asIntN(64, g[RAX]!) >> 63n) : small;
    }
    if (/^(R[OC][LR]|S[HA][LR]|SH[LR]D)$/.test(name))
      g[RCX] = (g[RCX]! & ~0xffn) | BigInt(r.chance(70) ? r.below(70) : r.below(256));
    if (/^(LOOP|JCXZ)/.test(name))
      g[RCX] = r.chance(70) ? this.#above(BigInt(r.below(3)), insn.addressSize) : integer(r, 64);
    if (/^(MOVS|CMPS|STOS|LODS|SCAS|INS|OUTS)$/.test(name) && insn.row.map === '1B') this.#string();
    if (name === 'XLAT') {
      const at = place(r, 256, mode);
      this.#pointer(RBX, at, SEGMENT_NAMES[insn.memory.segment]!);
      this.#put(at, r.bytes(256));
    }
    if (/^V?MASKMOV(Q|DQU)$/.test(name)) {
      const at = place(r, 16, mode);
      this.#pointer(RDI, at, SEGMENT_NAMES[insn.memory.segment]!);
      if (r.chance(60)) this.#put(at, r.bytes(16));
    }
    if (/^V?PCMPESTR/.test(name))
      for (const n of [RAX, RDX]) g[n] = r.chance(75) ? BigInt.asUintN(64, BigInt(r.below(40) - 20)) : integer(r, 64);
    if (name === 'ENTER' || name === 'LEAVE') {
      const at = r.chance(90) ? BigInt(DATA + 300 + r.below(3500)) : place(r, 64, mode);
      g[RBP] = this.#offset(at, 'ss');
      this.#put(at - 256n, r.bytes(300));
    }
    if (/^(POP|RET|IRET)/.test(name)) this.#frame();
    if (/^X(SAVE|RSTOR)/.test(name)) {
      // Components that a host may have beyond ours stay out of the request.
      g[RAX] = BigInt(r.chance(30) ? 7 : r.below(8)) | (r.chance(20) ? r.bits(64) & 0xffff_ffff_0000_0000n : 0n);
      g[RDX] = r.chance(70) ? 0n : 0x40000000n | (r.bits(64) & 0xffff_ffff_0000_0000n);
    }
    if (/^(WR[FG]SBASE)$/.test(name))
      for (let n = 0; n < 16; n++)
        if (n !== RSP && r.chance(60))
          g[n] = r.pick([0n, r.bits(46), r.bits(64), 0x7fff_ffff_ffffn, 0x8000_0000_0000n]);
    if (
      /^(LAR|LSL|VERR|VERW|ARPL)$/.test(name) ||
      (name === 'MOV' && insn.row.operands.some(({ method }) => method === 'S'))
    )
      for (let n = 0; n < 8; n++) if (n !== RSP && r.chance(70)) g[n] = this.#above(BigInt(r.pick(D.SELECTORS)), 16);
    if (mode === 64 && /^(RD|WR)[FG]SBASE$/.test(name)) {
      this.state.fsBase = r.bits(46);
      this.state.gsBase = r.bits(46);
    }
  }

  #string(): void {
    const r = this.#r;
    const { insn, mode } = { insn: this.#insn, mode: this.#mode };
    const width = (insn.operandSize || 8) / 8;
    const count = r.chance(10) ? 0 : 1 + r.below(r.chance(80) ? 8 : 24);
    if (insn.rep !== 0) this.state.gpr[RCX] = this.#above(BigInt(count), insn.addressSize);
    const bytes = width * Math.max(count, 1);
    const span = (at: bigint): bigint => (this.state.rflags & 0x400 ? at + BigInt(bytes - width) : at);
    const source = place(r, bytes, mode);
    // Source and destination overlap now and then.
    const destination = r.chance(20) ? source + BigInt(r.below(2 * width + 1) - width) : place(r, bytes, mode);
    const same = r.chance(60);
    const text = r.bytes(bytes);
    if (same && r.chance(50)) text.fill(r.below(256));
    this.#put(source, text);
    if (/^(CMPS|SCAS|LODS)$/.test(this.#name) && same) {
      const copy = text.slice();
      if (r.chance(60)) copy[r.below(copy.length)]! ^= 1 << r.below(8);
      this.#put(destination, copy);
      if (this.#name === 'SCAS') {
        let v = 0n;
        for (let i = width - 1; i >= 0; i--) v = (v << 8n) | BigInt(copy[i]!);
        if (r.chance(70)) this.state.gpr[RAX] = this.#above(v, 8 * width);
      }
    } else if (!/^(MOVS|STOS|INS)$/.test(this.#name) || r.chance(40)) this.#put(destination, r.bytes(bytes));
    this.#pointer(RSI, span(source), SEGMENT_NAMES[insn.memory.segment]!);
    this.#pointer(RDI, span(destination), 'es');
  }

  /** Something to pop: values, or a way back into the code page. */
  #frame(): void {
    const r = this.#r;
    const s = this.state;
    const size = this.#insn.operandSize / 8;
    const at = s.gpr[RSP]! + BigInt(this.#mode === 64 ? 0 : baseOf(s.ss));
    const rip = BigInt((this.#mode === 64 || s.cs === 0x23 ? CODE : 0) + 0x20 + r.below(0xfc0));
    const words: bigint[] = [];
    if (this.#name === 'POPF') words.push(r.bits(32) & ~0x100n);
    else if (/^(RET|IRET)/.test(this.#name)) {
      const outer = r.chance(10);
      words.push(r.chance(92) ? rip : integer(r, 8 * size));
      words.push(BigInt(outer ? r.pick(D.SELECTORS) : s.cs));
      if (this.#name === 'IRET') words.push((r.bits(22) & ~0x24100n) | 0x202n);
      words.push(BigInt(DATA + 0x100 + r.below(0xe00)) & ~15n, BigInt(r.chance(70) ? s.ss : r.pick(D.SELECTORS)));
    } else if (this.#insn.row.operands.some(({ fixedKind }) => fixedKind === 'sreg')) {
      words.push(BigInt(r.pick(D.SELECTORS)) | (r.chance(30) ? r.bits(64) & ~0xffffn : 0n));
      if (r.chance(60)) words[0] = BigInt(r.pick([0x2b, ...D.DATA_ANY]));
    } else for (let i = 0; i < 8; i++) words.push(integer(r, 8 * size));
    for (const [i, v] of words.entries()) this.#putNumber(at + BigInt(size * i), v, size);
  }

  #memoryOperand(): void {
    const { insn, mode } = { insn: this.#insn, mode: this.#mode };
    if (!insn.hasMem || insn.row.operands.some(({ method }) => method === 'O')) {
      if (insn.hasMem) this.#contents(this.#current(), this.#width());
      return;
    }
    const width = this.#width();
    if (insn.memory.vsibBits !== 0) this.#gather();
    let at = place(this.#r, width || 8, mode);
    if (/^BT/.test(this.#name)) at = this.#bitString(at);
    if (/^FX(SAVE|RSTOR)|^X(SAVE|RSTOR)/.test(this.#name) && this.#r.chance(92))
      at &= this.#name.startsWith('X') ? ~63n : ~15n;
    this.#aim(at);
    this.#contents(this.#current(), width);
  }

  #width(): number {
    const { insn } = { insn: this.#insn };
    const memory = insn.operands.find(({ kind }, i) => i < insn.operandCount && (kind === 'mem' || kind === 'vsib'));
    if (/^X(SAVE|RSTOR)/.test(this.#name)) return 832;
    if (/^FX/.test(this.#name)) return 512;
    return (memory?.size ?? 0) >> 3;
  }

  /** Sets base and index so that the operand lies at `linear`, as nearly as they can. */
  #aim(linear: bigint): void {
    const { memory, addressSize } = this.#insn;
    const r = this.#r;
    const g = this.state.gpr;
    const mask = (1n << BigInt(addressSize)) - 1n;
    const wanted = this.#offset(linear, SEGMENT_NAMES[memory.segment]!) & mask;
    const disp = BigInt(memory.disp) + (BigInt(memory.dispHi) - BigInt(memory.disp < 0 ? -1 : 0)) * (1n << 32n);
    const { base, index, scale } = memory;
    const vsib = memory.vsibBits !== 0;
    const useIndex = index >= 0 && !vsib;
    const set = (n: number, v: bigint): void => {
      g[n] = this.#above(v & mask, addressSize);
    };
    if (base < 0 && !useIndex) return;
    if (base < 0) set(index, (wanted - disp) >> BigInt(scale));
    else if (useIndex && base === index) set(base, ((wanted - disp) & mask) / (1n + (1n << BigInt(scale))));
    else {
      if (useIndex) set(index, r.chance(70) ? BigInt(r.below(4096)) : integer(r, addressSize));
      const scaled = useIndex ? (g[index]! & mask) << BigInt(scale) : 0n;
      set(base, wanted - disp - scaled);
    }
  }

  /** Where the operand is, linear. */
  #current(): bigint {
    const { memory, addressSize, length } = this.#insn;
    const g = this.state.gpr;
    const mask = (1n << BigInt(addressSize)) - 1n;
    let at = BigInt(memory.disp) + (BigInt(memory.dispHi) - BigInt(memory.disp < 0 ? -1 : 0)) * (1n << 32n);
    if (memory.ripRelative) at += this.state.rip + BigInt(length);
    if (memory.base >= 0) at += g[memory.base]!;
    if (memory.index >= 0 && memory.vsibBits === 0) at += g[memory.index]! << BigInt(memory.scale);
    at &= mask;
    if (this.#mode !== 64) at = BigInt.asUintN(32, at + BigInt(baseOf(this.state[SEGMENT_NAMES[memory.segment]!])));
    return at;
  }

  #contents(at: bigint, width: number): void {
    if (width > 0) this.#put(at, operandContents(this.#r, this.#insn, this.state, width));
    else if (this.#insn.memory.vsibBits !== 0) this.#put(at - 128n, this.#r.bytes(256));
  }

  /** BT with a register: the bit lies around the operand. */
  #bitString(at: bigint): bigint {
    const { operands, operandSize } = this.#insn;
    const bit = operands[1]!;
    if (bit.kind !== 'gpr') return at;
    const r = this.#r;
    // Never so far as the code page.
    const offset = r.chance(80) ? BigInt(r.below(4000) - 2000) : BigInt.asIntN(20, integer(r, 20));
    this.state.gpr[bit.reg] = this.#above(BigInt.asUintN(64, offset), operandSize);
    return at;
  }

  /** Indices that lead into the page, and a mask of sign bits. */
  #gather(): void {
    const r = this.#r;
    const { memory, operands, row } = this.#insn;
    const wide = /Q(D|Q|PS|PD)$/.test(row.mnemonic);
    let indices = 0n;
    for (let at = 0; at < 256; at += wide ? 64 : 32) {
      const v = r.chance(96) ? BigInt.asUintN(wide ? 64 : 32, BigInt(r.below(100) - 50)) : r.bits(wide ? 64 : 32);
      indices |= v << BigInt(at);
    }
    this.state.ymm[memory.index] = indices;
    this.state.ymm[operands[2]!.reg] = r.bits(256);
  }
}

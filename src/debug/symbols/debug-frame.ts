/**
 * A Linux kernel's unwind tables in the form that gdb reads: `.debug_frame` (DWARF 3, section 6.4), made of the ORC
 * tables. With it `backtrace`, `finish` and `up` are exact in a kernel without debug information.
 *
 *     ┌─────┬─────────────────┬────────────────────┬────────────────────┬────
 *     │ CIE │ CIE of frames   │ FDE of a stretch   │ FDE of a stretch   │ …
 *     │     │ of interrupts   │ of code: its rows  │                    │
 *     └─────┴─────────────────┴────────────────────┴────────────────────┴────
 */
import { ORC, type OrcRow } from './orc.ts';

/** DWARF's numbers of registers (System V ABI for x86-64, figure 3.36). */
const REG = { RDX: 1, RDI: 5, RBP: 6, RSP: 7, R10: 10, R13: 13, RIP: 16 } as const;
/** Registers at the start of struct pt_regs, 8 bytes each, in its order. */
const PT_REGS = [15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5];
const PT_REGS_RIP = 128;
const PT_REGS_RSP = 152;
const IRET_RSP = 24;
const CFA = {
  ADVANCE: 0x40,
  ADVANCE1: 2,
  ADVANCE2: 3,
  ADVANCE4: 4,
  UNDEFINED: 7,
  SAME: 8,
  DEF: 12,
  DEF_EXPRESSION: 15,
};
const OFFSET_SF = 0x11;
const EXPRESSION = 0x10;
const OFFSET = 0x80;
const OP = { DEREF: 0x06, BREG0: 0x70, PLUS_UCONST: 0x23 };
const CIE_ID = 0xffffffff;
/** Rows of one entry at most: gdb runs through them for each frame. */
const MAX_ROWS = 64;

class Bytes {
  #buffer = Buffer.alloc(64);
  length = 0;

  byte(...values: number[]): void {
    this.#room(values.length);
    for (const value of values) this.#buffer[this.length++] = value;
  }
  u16(value: number): void {
    this.byte(value & 255, value >>> 8);
  }
  u32(value: number): void {
    this.#room(4);
    this.length = this.#buffer.writeUInt32LE(value, this.length);
  }
  u64(value: bigint): void {
    this.#room(8);
    this.length = this.#buffer.writeBigUInt64LE(BigInt.asUintN(64, value), this.length);
  }
  unsigned(value: number): void {
    let rest = value;
    for (; rest >= 128; rest >>>= 7) this.byte((rest & 127) | 128);
    this.byte(rest);
  }
  signed(value: number): void {
    let rest = value;
    for (; rest < -64 || rest > 63; rest >>= 7) this.byte((rest & 127) | 128);
    this.byte(rest & 127);
  }
  patch32(at: number, value: number): void {
    this.#buffer.writeUInt32LE(value, at);
  }
  take(): Uint8Array {
    return new Uint8Array(this.#buffer.subarray(0, this.length));
  }
  #room(bytes: number): void {
    if (this.length + bytes <= this.#buffer.length) return;
    // Twice as much.
    this.#buffer = Buffer.concat([this.#buffer, Buffer.alloc(this.#buffer.length)]);
  }
}

/** `rows` ascend; each holds up to the next one. The last one only says where the code ends. */
export function debugFrame(rows: readonly OrcRow[]): Uint8Array {
  const out = new Bytes();
  const calls = writeCie(out, false);
  const interrupts = writeCie(out, true);
  for (let i = 0; i + 1 < rows.length; ) {
    const isCall = rows[i]!.type === 'call';
    let last = i + 1;
    while (isCall && last - i < MAX_ROWS && last + 1 < rows.length && rows[last]!.type === 'call') last++;
    writeFde(out, isCall ? calls : interrupts, rows.slice(i, last), rows[last]!.address);
    i = last;
  }
  return out.take();
}

/** @returns its place, which entries name */
function writeCie(out: Bytes, interrupt: boolean): number {
  const at = out.length;
  out.u32(0);
  out.u32(CIE_ID);
  out.byte(1);
  // An interrupted instruction is where it is; a return address lies behind its call.
  out.byte(...(interrupt ? [0x7a, 0x53, 0] : [0]));
  out.unsigned(1);
  out.signed(-8);
  out.byte(REG.RIP);
  if (interrupt) out.unsigned(0);
  out.byte(CFA.DEF, REG.RSP, 8, OFFSET | REG.RIP, 1);
  finish(out, at);
  return at;
}

function writeFde(out: Bytes, cie: number, rows: readonly OrcRow[], end: bigint): void {
  const at = out.length;
  const start = rows[0]!.address;
  out.u32(0);
  out.u32(cie);
  out.u64(start);
  out.u64(end - start);
  if (rows[0]!.type !== 'call') out.unsigned(0);
  let here = start;
  for (const row of rows) {
    advance(out, Number(row.address - here));
    here = row.address;
    writeRow(out, row);
  }
  finish(out, at);
}

/** Fills up with DW_CFA_nop, and writes the length. */
function finish(out: Bytes, at: number): void {
  while ((out.length - at) % 8 !== 0) out.byte(0);
  out.patch32(at, out.length - at - 4);
}

function advance(out: Bytes, delta: number): void {
  if (delta === 0) return;
  if (delta < 64) out.byte(CFA.ADVANCE | delta);
  else if (delta < 256) out.byte(CFA.ADVANCE1, delta);
  else if (delta < 65536) {
    out.byte(CFA.ADVANCE2);
    out.u16(delta);
  } else {
    out.byte(CFA.ADVANCE4);
    out.u32(delta);
  }
}

function writeRow(out: Bytes, row: OrcRow): void {
  if (row.type === 'end' || row.type === 'none' || !defineFrame(out, row)) {
    out.byte(CFA.UNDEFINED, REG.RIP);
    return;
  }
  if (row.type === 'regs') {
    for (const [i, register] of PT_REGS.entries()) saved(out, register, 8 * i);
    saved(out, REG.RIP, PT_REGS_RIP);
    saved(out, REG.RSP, PT_REGS_RSP);
  } else if (row.type === 'partial') {
    saved(out, REG.RIP, 0);
    saved(out, REG.RSP, IRET_RSP);
  } else {
    out.byte(OFFSET | REG.RIP, 1);
    framePointer(out, row);
  }
}

/** A register lies `offset` bytes behind the frame's address. */
function saved(out: Bytes, register: number, offset: number): void {
  out.byte(OFFSET_SF, register);
  out.signed(-offset / 8);
}

/** The frame's address: the stack pointer of the caller, or where registers were pushed. @returns false if it cannot be told */
function defineFrame(out: Bytes, { spRegister, spOffset }: OrcRow): boolean {
  const plain: Readonly<Record<number, number>> = {
    [ORC.SP]: REG.RSP,
    [ORC.BP]: REG.RBP,
    [ORC.R10]: REG.R10,
    [ORC.R13]: REG.R13,
    [ORC.DI]: REG.RDI,
    [ORC.DX]: REG.RDX,
  };
  const register = plain[spRegister];
  if (register !== undefined && spOffset >= 0) {
    out.byte(CFA.DEF, register);
    out.unsigned(spOffset);
    return true;
  }
  if (spRegister !== ORC.SP_INDIRECT && spRegister !== ORC.BP_INDIRECT) return false;
  const isSp = spRegister === ORC.SP_INDIRECT;
  const inside = new Bytes();
  inside.byte(OP.BREG0 + (isSp ? REG.RSP : REG.RBP));
  inside.signed(isSp ? 0 : spOffset);
  inside.byte(OP.DEREF);
  if (isSp && spOffset > 0) {
    inside.byte(OP.PLUS_UCONST);
    inside.unsigned(spOffset);
  }
  out.byte(CFA.DEF_EXPRESSION);
  out.unsigned(inside.length);
  out.byte(...inside.take());
  return true;
}

function framePointer(out: Bytes, { bpRegister, bpOffset }: OrcRow): void {
  if (bpRegister === ORC.PREV_SP && bpOffset % 8 === 0) saved(out, REG.RBP, bpOffset);
  else if (bpRegister === ORC.BP) {
    const inside = new Bytes();
    inside.byte(OP.BREG0 + REG.RBP);
    inside.signed(bpOffset);
    out.byte(EXPRESSION, REG.RBP);
    out.unsigned(inside.length);
    out.byte(...inside.take());
  } else out.byte(CFA.SAME, REG.RBP);
}

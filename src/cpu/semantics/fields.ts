import { type Expr, i32, i64, type Local } from '../../wasm/index.ts';
import { R_A, R_B, R_BASE, R_DISP, R_IMM, R_INDEX, R_LEFT, R_SEG_SCALE } from '../engine/records.ts';

/** Where a semantics function's operands come from. All addresses are of linear memory. */
export interface Fields {
  /** The record, for whoever must find the instruction again after a fault. */
  pc(): Expr<'i32'>;
  /** Slot address of the first, second, third, fourth register operand. */
  register(which: 'a' | 'b' | 'c' | 'd'): Expr<'i32'>;
  base(): Expr<'i64'>;
  index(): Expr<'i64'>;
  scale(): Expr<'i64'>;
  segmentBase(): Expr<'i64'>;
  disp(): Expr<'i64'>;
  /** Immediate, sign-extended from 32 bits. */
  imm(): Expr<'i64'>;
  /** 64-bit immediate. */
  imm64(): Expr<'i64'>;
  /** Instructions from here to the end of the block, this one included. */
  left(): Expr<'i32'>;
}

/** Operands read from the record at `pc`: what the interpreter uses. */
export class RecordFields implements Fields {
  readonly #pc: Local<'i32'>;
  constructor(pc: Local<'i32'>) {
    this.#pc = pc;
  }
  pc(): Expr<'i32'> {
    return this.#pc;
  }
  register(which: 'a' | 'b' | 'c' | 'd'): Expr<'i32'> {
    return i32.load8_u(this.#pc, { a: R_A, b: R_B, c: R_IMM, d: R_DISP }[which]);
  }
  base(): Expr<'i64'> {
    return i64.load(i32.load8_u(this.#pc, R_BASE));
  }
  index(): Expr<'i64'> {
    return i64.load(i32.load8_u(this.#pc, R_INDEX));
  }
  scale(): Expr<'i64'> {
    return i64.and(i64.load8_u(this.#pc, R_SEG_SCALE), i64.const(3));
  }
  segmentBase(): Expr<'i64'> {
    return i64.load(i32.and(i32.load8_u(this.#pc, R_SEG_SCALE), i32.const(0xf8)));
  }
  disp(): Expr<'i64'> {
    return i64.load32_s(this.#pc, R_DISP);
  }
  imm(): Expr<'i64'> {
    return i64.load32_s(this.#pc, R_IMM);
  }
  imm64(): Expr<'i64'> {
    return i64.load(this.#pc, R_DISP);
  }
  left(): Expr<'i32'> {
    return i32.load8_u(this.#pc, R_LEFT);
  }
}

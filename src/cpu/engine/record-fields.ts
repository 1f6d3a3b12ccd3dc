import { type Expr, type FuncRef, i32, i64, type Local, type ModuleBuilder } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Fields } from '../semantics/tier.ts';
import { R_A, R_B, R_BASE, R_DISP, R_IMM, R_INDEX, R_LEFT, R_SEG_SCALE } from './records.ts';

/** Operands read from the record at `pc`: what the interpreter uses. */
export class RecordFields implements Fields {
  readonly #pc: Local<'i32'>;
  readonly #linear: (() => Expr<'i64'>) | undefined;
  /** `linear` calls `record_linear` for `pc`; without it the address is computed in line. */
  constructor(pc: Local<'i32'>, linear?: () => Expr<'i64'>) {
    this.#pc = pc;
    this.#linear = linear;
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
  linear(): Expr<'i64'> | undefined {
    return this.#linear?.();
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

/** Address of a record whose memory operand is base + disp without index and segment (handlers.ts, SIMPLE). */
export const simpleLinear = (pc: Local<'i32'>) => (): Expr<'i64'> => {
  const offset = i64.add(i64.load(i32.load8_u(pc, R_BASE)), i64.load32_s(pc, R_DISP));
  return i64.and(offset, i64.load(i32.const(0), L.ADDRESS_MASK));
};

/** (pc) -> linear address of the record's memory operand: one copy for all handlers that are not hot. */
export function defineRecordLinear(b: ModuleBuilder): FuncRef<readonly ['i32'], readonly ['i64']> {
  return b.func('record_linear', ['i32'], ['i64'], (_, pc) => {
    const fields = new RecordFields(pc);
    const offset = i64.add(i64.add(fields.base(), i64.shl(fields.index(), fields.scale())), fields.disp());
    return i64.add(i64.and(offset, i64.load(i32.const(0), L.ADDRESS_MASK)), fields.segmentBase());
  });
}

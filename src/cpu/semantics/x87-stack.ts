/**
 * What x87 instructions in generated code share: the state's words, functions that many call, operands. The instructions: x87.ts.
 *
 * A record of these instructions has the stack registers' numbers in a and b, and in imm what the unit remembers:
 *
 *     25..23      22..12             11..0
 *    ┌───────────┬──────────────────┬───────────────────────────────┐
 *    │ segment   │ opcode, 11 bits  │ bytes from the block's start  │
 *    └───────────┴──────────────────┴───────────────────────────────┘
 */
import {
  type Expr,
  type FuncRef,
  f32,
  f64,
  i32,
  i64,
  type Label,
  type Local,
  type ModuleBuilder,
} from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Operation } from './operation.ts';
import { DONE, defineX87Values, type X87Values } from './x87-values.ts';

/** Of the record's imm. */
export const POINTER_OPCODE = 12;
export const POINTER_SEGMENT = 23;

export const EM_TS = 0xc;
const ES = 0x80;
export const SUMMARY_AND_C1 = 0x8280;
const RC = 0xc00;
const MASKS = 0x3f;

export const at0 = i32.const(0);
export const fsw = (): Expr<'i32'> => i32.load16_u(at0, L.X87_FSW);
export const fcw = (): Expr<'i32'> => i32.load16_u(at0, L.X87_FCW);
export const ftw = (): Expr<'i32'> => i32.load8_u(at0, L.X87_FTW);
export const setFsw = (value: Expr<'i32'>): Expr<'void'> => i32.store16(at0, value, L.X87_FSW);

interface Helpers extends X87Values {
  /** -> 1 if x87 instructions may execute; (…)Quiet: with all exceptions masked; (…)Nearest: and rounding to nearest. */
  readonly ready: FuncRef<readonly [], readonly ['i32']>;
  readonly quiet: FuncRef<readonly [], readonly ['i32']>;
  readonly nearest: FuncRef<readonly [], readonly ['i32']>;
  /** (i) -> address of ST(i); 1 if it is not empty. */
  readonly slot: FuncRef<readonly ['i32'], readonly ['i32']>;
  readonly isFull: FuncRef<readonly ['i32'], readonly ['i32']>;
  /** (status): C1 and PE of a result. */
  readonly settle: FuncRef<readonly ['i32'], readonly []>;
  readonly push: FuncRef<readonly ['i64', 'i32'], readonly []>;
  readonly pop: FuncRef<readonly [], readonly []>;
  /** (imm): instruction pointer and opcode; (imm, offset): data pointer. */
  readonly point: FuncRef<readonly ['i32'], readonly []>;
  readonly pointData: FuncRef<readonly ['i32', 'i64'], readonly []>;
}
const KEYS = [
  'ready quiet nearest slot isFull settle push pop point pointData',
  'sum product quotient compare narrow integer',
]
  .join(' ')
  .split(' ') as (keyof Helpers)[];

/** Makes the functions that these instructions call, after those of multiplication. */
export function defineX87Helpers(b: ModuleBuilder, helpers: Map<string, FuncRef>): void {
  const values = defineX87Values(b, helpers);
  const ready = b.func('x87_ready', [], ['i32'], () =>
    i32.eqz(i32.or(i32.and(i32.load(at0, L.CR0), i32.const(EM_TS)), i32.and(fsw(), i32.const(ES)))),
  );
  const quiet = b.func('x87_quiet', [], ['i32'], (f) =>
    i32.and(f.call(ready), i32.eq(i32.and(fcw(), i32.const(MASKS)), i32.const(MASKS))),
  );
  const nearest = b.func('x87_nearest', [], ['i32'], (f) =>
    i32.and(f.call(quiet), i32.eqz(i32.and(fcw(), i32.const(RC)))),
  );
  const physical = (i: Expr<'i32'>): Expr<'i32'> => i32.and(i32.add(i32.shr_u(fsw(), i32.const(11)), i), i32.const(7));
  const addressOf = (p: Expr<'i32'>): Expr<'i32'> => i32.add(i32.const(L.X87_REGISTERS), i32.shl(p, i32.const(4)));
  const all: Helpers = {
    ...values,
    ready,
    quiet,
    nearest,
    slot: b.func('x87_slot', ['i32'], ['i32'], (_, i) => addressOf(physical(i))),
    isFull: b.func('x87_full', ['i32'], ['i32'], (_, i) => i32.and(i32.shr_u(ftw(), physical(i)), i32.const(1))),
    settle: b.func('x87_settle', ['i32'], [], (f, status) => {
      const kept = i32.and(fsw(), i32.const(~SUMMARY_AND_C1));
      f.do(setFsw(i32.or(kept, i32.and(status, i32.const(~DONE)))));
    }),
    push: b.func('x87_push', ['i64', 'i32'], [], (f, m, e) => {
      const p = f.let(physical(i32.const(7)));
      f.do(setFsw(i32.or(i32.and(fsw(), i32.const(~(SUMMARY_AND_C1 | 0x3800))), i32.shl(p, i32.const(11)))));
      f.do(i32.store8(at0, i32.or(ftw(), i32.shl(i32.const(1), p)), L.X87_FTW));
      const at = f.let(addressOf(p));
      f.do(i64.store(at, m));
      f.do(i64.store(at, i64.extend_i32_u(e), 8));
    }),
    pop: b.func('x87_pop', [], [], (f) => {
      const p = f.let(physical(at0));
      f.do(i32.store8(at0, i32.and(ftw(), i32.rotl(i32.const(-2), p)), L.X87_FTW));
      const next = i32.and(i32.add(p, i32.const(1)), i32.const(7));
      f.do(setFsw(i32.or(i32.and(fsw(), i32.const(~0x3800)), i32.shl(next, i32.const(11)))));
    }),
    point: b.func('x87_point', ['i32'], [], (f, imm) => {
      const offset = i64.extend_i32_u(i32.and(imm, i32.const(0xfff)));
      const rip = i64.add(i64.load(at0, L.SLOT_BLOCK_RIP), offset);
      f.do(i64.store(at0, i64.and(rip, i64.load(at0, L.RIP_MASK)), L.X87_FIP));
      f.do(i32.store16(at0, i32.load16_u(at0, L.SEGMENT + L.SEG_STRIDE), L.X87_FCS));
      f.do(i32.store16(at0, i32.and(i32.shr_u(imm, i32.const(POINTER_OPCODE)), i32.const(0x7ff)), L.X87_FOP));
    }),
    pointData: b.func('x87_point_data', ['i32', 'i64'], [], (f, imm, offset) => {
      f.do(i64.store(at0, offset, L.X87_FDP));
      const segment = i32.and(i32.shr_u(imm, i32.const(POINTER_SEGMENT)), i32.const(7));
      f.do(i32.store16(at0, i32.load16_u(i32.shl(segment, i32.const(4)), L.SEGMENT), L.X87_FDS));
    }),
  };
  for (const key of KEYS) helpers.set(`x87 ${key}`, all[key] as unknown as FuncRef);
}

/** One x87 instruction in the making. */
export class Stack {
  readonly o: Operation;
  readonly h: Helpers;
  readonly giveUp: Label;

  constructor(o: Operation, giveUp: Label) {
    this.o = o;
    this.giveUp = giveUp;
    this.h = Object.fromEntries(KEYS.map((key) => [key, o.runtime.helpers.get(`x87 ${key}`)])) as unknown as Helpers;
  }

  require(condition: Expr<'i32'>): void {
    this.o.f.brIf(this.giveUp, i32.eqz(condition));
  }
  /** ST(i) must not be empty, or, for a push, ST(7) must be. */
  requireFull(...numbers: Expr<'i32'>[]): void {
    for (const i of numbers) this.require(this.o.f.call(this.h.isFull, i));
  }
  requireRoom(): void {
    this.o.f.brIf(this.giveUp, this.o.f.call(this.h.isFull, i32.const(7)));
  }
  requireReady(kind: 'ready' | 'quiet' | 'nearest'): void {
    this.require(this.o.f.call(this.h[kind]));
  }

  get a(): Expr<'i32'> {
    return this.o.fields.register('a');
  }
  get b(): Expr<'i32'> {
    return this.o.fields.register('b');
  }
  slot(i: Expr<'i32'>): Local<'i32'> {
    return this.o.f.let(this.o.f.call(this.h.slot, i));
  }
  settle(status: Expr<'i32'>): void {
    this.o.f.do(this.o.f.call(this.h.settle, status));
  }
  pop(times = 1): void {
    for (let i = 0; i < times; i++) this.o.f.do(this.o.f.call(this.h.pop));
  }
  push(m: Expr<'i64'>, e: Expr<'i32'>): void {
    this.o.f.do(this.o.f.call(this.h.push, m, e));
  }
  /** What FNSTENV shows of this instruction. */
  point(): void {
    const { o, h } = this;
    const imm = i32.wrap_i64(o.fields.imm());
    o.f.do(o.f.call(h.point, imm));
    if (!o.operands.some(({ kind }) => kind === 'm')) return;
    o.f.do(o.f.call(h.pointData, imm, i64.sub(o.linear(), o.fields.segmentBase())));
  }

  /** The memory operand as a float: gives up for all but plain numbers and zeros. */
  loadFloat(): Parts {
    const { o } = this;
    const { f } = o;
    const host = o.memory.read(o.linear(), o.width(0) / 8);
    if (o.width(0) === 32) {
      const bits = f.let(i32.load(host));
      const exponent = i32.and(bits, i32.const(0x7f800000));
      const isNormal = i32.lt_u(i32.sub(exponent, i32.const(0x00800000)), i32.const(0x7f000000));
      this.require(i32.or(isNormal, i32.eqz(i32.shl(bits, i32.const(1)))));
      return fromDouble(this, f.let(i64.reinterpret_f64(f64.promote_f32(f32.reinterpret_i32(bits)))));
    }
    const bits = f.let(i64.load(host));
    const exponent = i32.and(i32.wrap_i64(i64.shr_u(bits, i64.const(52))), i32.const(0x7ff));
    const isNormal = i32.lt_u(i32.sub(exponent, i32.const(1)), i32.const(0x7fe));
    this.require(i32.or(isNormal, i64.eqz(i64.shl(bits, i64.const(1)))));
    return fromDouble(this, bits);
  }

  /** The memory operand as an integer. */
  loadInteger(): Parts {
    const { o } = this;
    const { f } = o;
    const size = o.width(0);
    const host = o.memory.read(o.linear(), size / 8);
    return this.integerParts(
      f.let(size === 64 ? i64.load(host) : size === 32 ? i64.load32_s(host) : i64.load16_s(host)),
    );
  }

  /** A signed integer as a float, exactly. */
  integerParts(n: Local<'i64'>): Parts {
    const { f } = this.o;
    const magnitude = f.let(f.select(i64.sub(i64.const(0), n), n, i64.lt_s(n, i64.const(0))));
    const zeros = f.let(i64.clz(magnitude));
    const sign = i32.wrap_i64(i64.shl(i64.shr_u(n, i64.const(63)), i64.const(15)));
    const exponent = i32.sub(i32.const(16383 + 63), i32.wrap_i64(zeros));
    const e = f.let(f.select(at0, i32.or(exponent, sign), i64.eqz(n)));
    return { m: f.let(f.select(i64.const(0), i64.shl(magnitude, zeros), i64.eqz(n))), e };
  }
}

export interface Parts {
  readonly m: Expr<'i64'>;
  readonly e: Expr<'i32'>;
}

/** Bits of a normal double or zero. */
function fromDouble({ o: { f } }: Stack, bits: Local<'i64'>): Parts {
  const isZero = i64.eqz(i64.shl(bits, i64.const(1)));
  const fraction = i64.or(i64.shl(bits, i64.const(11)), i64.const(1n << 63n));
  const m = f.let(f.select(i64.const(0), fraction, isZero));
  const biased = i32.and(i32.wrap_i64(i64.shr_u(bits, i64.const(52))), i32.const(0x7ff));
  const sign = i32.and(i32.wrap_i64(i64.shr_u(bits, i64.const(48))), i32.const(0x8000));
  return { m, e: f.let(i32.or(sign, f.select(at0, i32.add(biased, i32.const(16383 - 1023)), isZero))) };
}

export const partsAt = (at: Local<'i32'>): Parts => ({ m: i64.load(at), e: i32.load16_u(at, 8) });

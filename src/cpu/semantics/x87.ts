/**
 * The common x87 instructions in generated code, exact: whatever needs more than x87-values.ts offers is handed to TypeScript
 * (src/cpu/x87), unchanged. The conditions under which generated code goes on:
 *
 *   - the unit is available (CR0.EM and TS clear), no exception waits (FSW.ES clear), all exceptions are masked;
 *   - registers that are read are not empty, one that is pushed is;
 *   - rounding to nearest, but for FIST(P) and FRNDINT, which round as they are told; any precision control.
 */
import { type Expr, i32, i64, type Local } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import { at0, EM_TS, fcw, fsw, ftw, type Parts, partsAt, setFsw, Stack, SUMMARY_AND_C1 } from './x87-stack.ts';
import { SCRATCH_STATUS } from './x87-values.ts';

const CONDITIONS = 0x4500;
const C0 = 0x100;
const C3 = 0x4000;
const MASKS = 0x3f;
/** Rounding control, two bits: towards zero. */
const CHOP = 3;
const roundingControl = (): Expr<'i32'> => i32.and(i32.shr_u(fcw(), i32.const(10)), i32.const(3));

const x87 =
  (body: (s: Stack) => void): Semantics =>
  (o) =>
    o.control.attempt((giveUp) => body(new Stack(o, giveUp)));

const isMemory = (s: Stack): boolean => s.o.operands[0]?.kind === 'm';

// Loads and stores

const load = x87((s) => {
  const { o } = s;
  s.requireReady('quiet');
  if (isMemory(s)) {
    s.requireRoom();
    if (o.width(0) === 80) {
      const host = o.memory.read(o.linear(), 10);
      s.push(i64.load(host), i32.load16_u(host, 8));
    } else {
      const { m, e } = s.loadFloat();
      s.push(m, e);
    }
  } else {
    s.requireFull(s.a);
    s.requireRoom();
    const { m, e } = partsAt(s.slot(s.a));
    s.push(m, e);
  }
  s.point();
});

const loadInteger = x87((s) => {
  s.requireReady('quiet');
  s.requireRoom();
  const { m, e } = s.loadInteger();
  s.push(m, e);
  s.point();
});

const loadConstant = (m: bigint, e: number): Semantics =>
  x87((s) => {
    s.requireReady('quiet');
    s.requireRoom();
    s.push(i64.const(m), i32.const(e));
    s.point();
  });

/** Writes `value` of the memory operand's width; page faults come before anything changes. */
function storeValue(s: Stack, value: Expr<'i64'>): void {
  const { o } = s;
  const status = o.let(i32.load(at0, SCRATCH_STATUS));
  s.require(status);
  o.memory.write(o.linear(), value, o.width(0));
  s.settle(status);
}

const store = (pops: boolean): Semantics =>
  x87((s) => {
    const { o, h } = s;
    if (!isMemory(s)) {
      s.requireReady('ready');
      s.requireFull(at0);
      storeRegister(s);
    } else if (o.width(0) === 80) {
      s.requireReady('quiet');
      s.requireFull(at0);
      const host = o.memory.locateWrite(o.linear(), 10);
      const { m, e } = partsAt(s.slot(at0));
      o.f.do(i64.store(host, m));
      o.f.do(i32.store16(host, e, 8));
      o.memory.commit(host);
      s.settle(at0);
    } else {
      s.requireReady('nearest');
      s.requireFull(at0);
      const { m, e } = partsAt(s.slot(at0));
      storeValue(s, o.let(o.f.call(h.narrow, m, e, i32.const(o.width(0) === 64 ? 53 : 24))));
    }
    if (pops) s.pop();
    s.point();
  });

/** ST(a) = ST(0), which it marks as full; C1 becomes 0. */
function storeRegister(s: Stack): void {
  const { f } = s.o;
  const to = s.slot(s.a);
  const { m, e } = partsAt(s.slot(at0));
  f.do(i64.store(to, m));
  f.do(i64.store(to, i64.extend_i32_u(e), 8));
  const p = i32.shr_u(i32.sub(to, i32.const(L.X87_REGISTERS)), i32.const(4));
  f.do(i32.store8(at0, i32.or(ftw(), i32.shl(i32.const(1), p)), L.X87_FTW));
  f.do(setFsw(i32.and(fsw(), i32.const(~0x200))));
}

const storeInteger = (pops: boolean, truncates: boolean): Semantics =>
  x87((s) => {
    const { o, h } = s;
    s.requireReady('quiet');
    s.requireFull(at0);
    const control = truncates ? i32.const(CHOP) : roundingControl();
    const { m, e } = partsAt(s.slot(at0));
    storeValue(s, o.let(o.f.call(h.integer, m, e, i32.const(o.width(0)), control)));
    if (pops) s.pop();
    s.point();
  });

/** FRNDINT. Numbers of 2^63 and above, whole as they are, are left to TypeScript. */
const roundToInteger = x87((s) => {
  const { o, h } = s;
  const { f } = o;
  s.requireReady('quiet');
  s.requireFull(at0);
  const at = s.slot(at0);
  const { m, e } = partsAt(at);
  const n = f.let(f.call(h.integer, m, e, i32.const(64), roundingControl()));
  const status = f.let(i32.load(at0, SCRATCH_STATUS));
  s.require(status);
  const sign = f.let(i32.and(e, i32.const(0x8000)));
  const parts = s.integerParts(n);
  f.do(i64.store(at, parts.m));
  f.do(i64.store(at, i64.extend_i32_u(i32.or(parts.e, sign)), 8));
  s.settle(status);
  s.point();
});

/** FCMOVcc: neither flags nor C1 change. */
const conditionalMove = (condition: number): Semantics =>
  x87((s) => {
    const { o } = s;
    const { f } = o;
    s.requireReady('ready');
    s.requireFull(at0, s.b);
    f.if(o.flags.condition(f, condition), () => {
      const [to, from] = [s.slot(at0), s.slot(s.b)];
      f.do(i64.store(to, i64.load(from)));
      f.do(i64.store(to, i64.load(from, 8), 8));
    });
    s.point();
  });

const exchange = x87((s) => {
  const { f } = s.o;
  s.requireReady('ready');
  s.requireFull(at0, s.b);
  const [top, other] = [s.slot(at0), s.slot(s.b)];
  const [m, e] = [f.let(i64.load(top)), f.let(i64.load(top, 8))];
  f.do(i64.store(top, i64.load(other)));
  f.do(i64.store(top, i64.load(other, 8), 8));
  f.do(i64.store(other, m));
  f.do(i64.store(other, e, 8));
  f.do(setFsw(i32.and(fsw(), i32.const(~0x200))));
  s.point();
});

// Arithmetic

type Operation2 = 'sum' | 'product' | 'quotient';

/** `negates`: the second operand's sign is turned; `reversed`: source op destination. */
const arithmetic = (op: Operation2, negates: boolean, reversed: boolean, operand: 'float' | 'integer', pops = false) =>
  x87((s) => {
    const { o, h } = s;
    const { f } = o;
    s.requireReady('nearest');
    let to: Local<'i32'>;
    let source: Parts;
    if (isMemory(s)) {
      s.requireFull(at0);
      source = operand === 'float' ? s.loadFloat() : s.loadInteger();
      to = s.slot(at0);
    } else {
      s.requireFull(s.a, s.b);
      source = partsAt(s.slot(s.b));
      to = s.slot(s.a);
    }
    const [x, y] = reversed ? [source, partsAt(to)] : [partsAt(to), source];
    const ye = negates ? i32.xor(y.e, i32.const(0x8000)) : y.e;
    const status = o.let(f.call(h[op], to, x.m, x.e, y.m, ye));
    s.require(status);
    s.settle(status);
    if (pops) s.pop();
    s.point();
  });

const changeSign = (change: (e: Expr<'i32'>) => Expr<'i32'>): Semantics =>
  x87((s) => {
    s.requireReady('quiet');
    s.requireFull(at0);
    const at = s.slot(at0);
    s.o.f.do(i64.store(at, i64.extend_i32_u(change(i32.load16_u(at, 8))), 8));
    s.settle(at0);
    s.point();
  });

// Comparisons

const compare = (target: 'codes' | 'eflags', pops: number, operand: 'float' | 'integer' = 'float'): Semantics =>
  x87((s) => {
    const { o, h } = s;
    const { f } = o;
    s.requireReady('quiet');
    s.requireFull(at0);
    let other: Parts;
    if (isMemory(s)) other = operand === 'float' ? s.loadFloat() : s.loadInteger();
    else {
      // FCOMPP and FUCOMPP name no operands.
      const i = o.operands.length === 0 ? i32.const(1) : s.b;
      s.requireFull(i);
      other = partsAt(s.slot(i));
    }
    const top = partsAt(s.slot(at0));
    const relation = o.let(f.call(h.compare, top.m, top.e, other.m, other.e));
    f.brIf(s.giveUp, i32.eq(relation, i32.const(3)));
    const isLess = i32.eq(relation, i32.const(1));
    const isEqual = i32.eq(relation, i32.const(2));
    if (target === 'codes') {
      const code = i32.or(i32.mul(isLess, i32.const(C0)), i32.mul(isEqual, i32.const(C3)));
      f.do(setFsw(i32.or(i32.and(fsw(), i32.const(~(SUMMARY_AND_C1 | CONDITIONS))), code)));
    } else {
      // C1 stays. Flags as in sse-float-compare.ts.
      f.do(setFsw(i32.and(fsw(), i32.const(~0x8080))));
      f.do(i64.store(at0, i64.extend_i32_u(i32.ne(relation, i32.const(2))), L.FLAG_RES));
      const carry = i64.shl(i64.extend_i32_u(i32.mul(isLess, i32.const(3))), i64.const(62));
      f.do(i64.store(at0, i64.or(carry, i64.shl(i64.extend_i32_u(isEqual), i64.const(8))), L.FLAG_AUX));
    }
    s.pop(pops);
    s.point();
  });

// Control: no exception is waited for by the FN… forms, and none of these moves the pointers.

const isAvailable = (): Expr<'i32'> => i32.eqz(i32.and(i32.load(at0, L.CR0), i32.const(EM_TS)));

const storeWord = (word: () => Expr<'i32'>): Semantics =>
  x87((s) => {
    s.require(isAvailable());
    s.o.write(0, i64.extend_i32_u(word()));
  });

/** Gives up if the new masks let an exception through. */
const loadControl = x87((s) => {
  const { o } = s;
  s.requireReady('ready');
  const value = o.let(i32.wrap_i64(o.read(0)));
  const unmasked = i32.and(i32.and(fsw(), i32.xor(value, i32.const(-1))), i32.const(MASKS));
  o.f.brIf(s.giveUp, unmasked);
  o.f.do(i32.store16(at0, i32.or(i32.and(value, i32.const(0x1f3f)), i32.const(0x40)), L.X87_FCW));
  o.f.do(setFsw(i32.and(fsw(), i32.const(~0x8080))));
});

const ARITHMETIC: Record<string, readonly [Operation2, negates: boolean, reversed: boolean]> = {
  ADD: ['sum', false, false],
  MUL: ['product', false, false],
  SUB: ['sum', true, false],
  SUBR: ['sum', true, true],
  DIV: ['quotient', false, false],
  DIVR: ['quotient', false, true],
};

export const x87Common: Record<string, Semantics> = {
  FLD: load,
  FILD: loadInteger,
  FLD1: loadConstant(1n << 63n, 16383),
  FLDZ: loadConstant(0n, 0),
  FST: store(false),
  FSTP: store(true),
  FIST: storeInteger(false, false),
  FISTP: storeInteger(true, false),
  FISTTP: storeInteger(true, true),
  FXCH: exchange,
  FRNDINT: roundToInteger,
  FCMOVB: conditionalMove(2),
  FCMOVNB: conditionalMove(3),
  FCMOVE: conditionalMove(4),
  FCMOVNE: conditionalMove(5),
  FCMOVBE: conditionalMove(6),
  FCMOVNBE: conditionalMove(7),
  FCMOVU: conditionalMove(10),
  FCMOVNU: conditionalMove(11),
  FCHS: changeSign((e) => i32.xor(e, i32.const(0x8000))),
  FABS: changeSign((e) => i32.and(e, i32.const(0x7fff))),
  FCOM: compare('codes', 0),
  FCOMP: compare('codes', 1),
  FCOMPP: compare('codes', 2),
  FUCOM: compare('codes', 0),
  FUCOMP: compare('codes', 1),
  FUCOMPP: compare('codes', 2),
  FICOM: compare('codes', 0, 'integer'),
  FICOMP: compare('codes', 1, 'integer'),
  FCOMI: compare('eflags', 0),
  FCOMIP: compare('eflags', 1),
  FUCOMI: compare('eflags', 0),
  FUCOMIP: compare('eflags', 1),
  FNSTCW: storeWord(fcw),
  FNSTSW: storeWord(fsw),
  FLDCW: loadControl,
};
for (const [name, [op, negates, reversed]] of Object.entries(ARITHMETIC)) {
  x87Common[`F${name}`] = arithmetic(op, negates, reversed, 'float');
  x87Common[`F${name}P`] = arithmetic(op, negates, reversed, 'float', true);
  x87Common[`FI${name}`] = arithmetic(op, negates, reversed, 'integer');
}

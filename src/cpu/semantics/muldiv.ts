/** Multiplication and division. Flags that the SDM leaves undefined stay as they were (as AMD's processors do). */
import {
  type Expr,
  type FuncRef,
  type FunctionBuilder,
  i32,
  i64,
  type Local,
  type ModuleBuilder,
} from '../../wasm/index.ts';
import { mask, type Operation, type Semantics, signExtend } from './operation.ts';

type Binary64 = FuncRef<readonly ['i64', 'i64'], readonly ['i64']>;
type Divide = FuncRef<readonly ['i64', 'i64', 'i64'], readonly ['i64', 'i64']>;

/** High 64 bits of the unsigned product, from four 32-bit products. */
function defineMulHigh(b: ModuleBuilder): Binary64 {
  return b.func('mul_high_u', ['i64', 'i64'], ['i64'], (f, x, y) => {
    const low = (v: Expr<'i64'>) => i64.and(v, i64.const(0xffffffffn));
    const high = (v: Expr<'i64'>) => i64.shr_u(v, i64.const(32));
    const ll = f.let(i64.mul(low(x), low(y)));
    const hl = f.let(i64.add(i64.mul(high(x), low(y)), high(ll)));
    const lh = f.let(i64.add(i64.mul(low(x), high(y)), low(hl)));
    return i64.add(i64.add(i64.mul(high(x), high(y)), high(hl)), high(lh));
  });
}

/** (high, low, divisor) -> quotient, remainder; needs high < divisor. One bit a turn: 128-bit dividends are rare. */
function defineDivide(b: ModuleBuilder): Divide {
  return b.func('div_128_u', ['i64', 'i64', 'i64'], ['i64', 'i64'], (f, high, low, divisor) => {
    const turns = f.let(i32.const(64));
    f.if(i64.eqz(high), () => f.return(i64.div_u(low, divisor), i64.rem_u(low, divisor)));
    f.loop((again) => {
      const out = f.let(i64.shr_u(high, i64.const(63)), 'out');
      f.set(high, i64.or(i64.shl(high, i64.const(1)), i64.shr_u(low, i64.const(63))));
      f.set(low, i64.shl(low, i64.const(1)));
      f.if(i32.or(i32.wrap_i64(out), i64.ge_u(high, divisor)), () => {
        f.set(high, i64.sub(high, divisor));
        f.set(low, i64.or(low, i64.const(1)));
      });
      f.set(turns, i32.sub(turns, i32.const(1)));
      f.brIf(again, turns);
    });
    f.return(low, high);
  });
}

/** Makes the helpers that this family's code calls. */
export function defineMulDivHelpers(b: ModuleBuilder, helpers: Map<string, FuncRef>): void {
  helpers.set('mul_high_u', defineMulHigh(b) as unknown as FuncRef);
  helpers.set('div_128_u', defineDivide(b) as unknown as FuncRef);
}

const mulHigh = (o: Operation, a: Expr<'i64'>, b: Expr<'i64'>): Expr<'i64'> =>
  o.f.call(o.runtime.helpers.get('mul_high_u') as unknown as Binary64, a, b);

/** Signed from unsigned high half: subtract each operand where the other is negative. */
function mulHighSigned(o: Operation, a: Local<'i64'>, b: Local<'i64'>): Expr<'i64'> {
  const correction = i64.add(i64.and(i64.shr_s(a, i64.const(63)), b), i64.and(i64.shr_s(b, i64.const(63)), a));
  return i64.sub(mulHigh(o, a, b), correction);
}

/** Stores a double-width product: AX, DX:AX, EDX:EAX, RDX:RAX. */
function storeProduct(o: Operation, low: Expr<'i64'>, high: Expr<'i64'>): void {
  if (o.size === 8) {
    o.setReg(0, low, 16);
    return;
  }
  const l = o.let(low, 'low');
  const h = o.let(high, 'high');
  o.setReg(0, l);
  o.setReg(2, h);
}

const setBoth = (o: Operation, overflow: Expr<'i32'>): void => {
  const v = o.let(i64.extend_i32_u(overflow));
  o.flags.setCarryAndOverflow(o.f, v, v);
};

const mul: Semantics = (o) => {
  const a = o.let(o.reg(0), 'a');
  const b = o.let(o.read(0), 'b');
  const low = o.let(i64.mul(a, b), 'low');
  const high = o.let(o.size === 64 ? mulHigh(o, a, b) : i64.shr_u(low, i64.const(o.size)), 'high');
  storeProduct(o, low, high);
  setBoth(o, i32.eqz(i64.eqz(high)));
};

/** A signed product of `size` bits is exact if its sign extension gives the whole. */
function imulInto(
  o: Operation,
  a: Local<'i64'>,
  b: Local<'i64'>,
  store: (low: Local<'i64'>, high: Local<'i64'>) => void,
): void {
  const low = o.let(i64.mul(a, b), 'low');
  if (o.size === 64) {
    const high = o.let(mulHighSigned(o, a, b), 'high');
    store(low, high);
    setBoth(o, i64.ne(high, i64.shr_s(low, i64.const(63))));
  } else {
    store(low, o.let(i64.shr_s(low, i64.const(o.size)), 'high'));
    setBoth(o, i64.ne(low, signExtend(low, o.size)));
  }
}

const imul: Semantics = (o) => {
  const n = o.operands.length;
  if (n === 1) {
    imulInto(o, o.let(o.regSigned(0)), o.let(o.readSigned(0)), (low, high) => storeProduct(o, low, high));
    return;
  }
  const b = o.let(o.readSigned(n - 1), 'b');
  const a = o.let(o.readSigned(n - 2), 'a');
  imulInto(o, a, b, (low) => o.write(0, low));
};

/** Dividend of the narrow divisions as one i64 (unsigned). */
function narrowDividend(o: Operation): Expr<'i64'> {
  if (o.size === 8) return o.reg(0, 16);
  return i64.or(i64.shl(o.reg(2), i64.const(o.size)), o.reg(0));
}

function storeQuotient(o: Operation, quotient: Expr<'i64'>, remainder: Expr<'i64'>): void {
  const q = o.let(quotient, 'quotient');
  const r = o.let(remainder, 'remainder');
  if (o.size === 8) {
    o.setReg(0, i64.or(i64.and(q, i64.const(0xff)), i64.shl(i64.and(r, i64.const(0xff)), i64.const(8))), 16);
    return;
  }
  o.setReg(0, q);
  o.setReg(2, r);
}

const divideError = (o: Operation, when: Expr<'i32'>): void => o.f.if(when, () => o.raise(0));

const div: Semantics = (o) => {
  const d = o.let(o.read(0), 'divisor');
  divideError(o, i64.eqz(d));
  if (o.size < 64) {
    const n = o.let(narrowDividend(o), 'dividend');
    const q = o.let(i64.div_u(n, d), 'q');
    divideError(o, i64.gt_u(q, i64.const(mask(o.size))));
    storeQuotient(o, q, i64.rem_u(n, d));
    return;
  }
  const high = o.let(o.reg(2), 'high');
  divideError(o, i64.ge_u(high, d));
  const q = o.f.local('i64', 'q');
  const r = o.f.local('i64', 'r');
  o.f.callInto([q, r], o.runtime.helpers.get('div_128_u') as unknown as Divide, high, o.reg(0), d);
  storeQuotient(o, q, r);
};

const absolute = (f: FunctionBuilder, v: Local<'i64'>): Local<'i64'> =>
  f.let(f.select(i64.sub(i64.const(0), v), v, i64.lt_s(v, i64.const(0))));

const idiv: Semantics = (o) => {
  const d = o.let(o.readSigned(0), 'divisor');
  divideError(o, i64.eqz(d));
  if (o.size < 64) {
    const n = o.let(o.size === 8 ? o.regSigned(0, 16) : signExtend(narrowDividend(o), o.size * 2), 'dividend');
    if (o.size === 32) divideError(o, i32.and(i64.eq(n, i64.const(-(1n << 63n))), i64.eq(d, i64.const(-1))));
    const q = o.let(i64.div_s(n, d), 'q');
    divideError(o, i64.ne(q, signExtend(q, o.size)));
    storeQuotient(o, q, i64.rem_s(n, d));
    return;
  }
  // 128 bit: divide magnitudes, then put the signs back; the remainder has the dividend's.
  const high = o.let(o.reg(2), 'high');
  const low = o.let(o.reg(0), 'low');
  const negative = o.let(i64.lt_s(high, i64.const(0)), 'negative');
  const magHigh = o.let(high);
  const magLow = o.let(low);
  o.f.if(negative, () => {
    o.f.set(magLow, i64.sub(i64.const(0), low));
    o.f.set(magHigh, i64.sub(i64.xor(high, i64.const(-1)), i64.extend_i32_u(i32.eqz(i64.eqz(low)))));
    o.f.set(magHigh, i64.add(magHigh, i64.const(1)));
  });
  const magD = absolute(o.f, d);
  divideError(o, i64.ge_u(magHigh, magD));
  const q = o.f.local('i64', 'q');
  const r = o.f.local('i64', 'r');
  o.f.callInto([q, r], o.runtime.helpers.get('div_128_u') as unknown as Divide, magHigh, magLow, magD);
  const opposite = o.let(i32.xor(negative, i64.lt_s(d, i64.const(0))), 'opposite');
  // |q| may be 2^63 only for a negative quotient.
  divideError(o, i64.gt_u(q, i64.add(i64.const((1n << 63n) - 1n), i64.extend_i32_u(opposite))));
  storeQuotient(
    o,
    o.f.select(i64.sub(i64.const(0), q), q, opposite),
    o.f.select(i64.sub(i64.const(0), r), r, negative),
  );
};

/** MULX hi, lo, src: no flags; with both destinations the same register the high half stays. */
const mulx: Semantics = (o) => {
  const a = o.let(o.reg(2), 'a');
  const b = o.let(o.read(2), 'b');
  const low = o.let(i64.mul(a, b), 'low');
  const high = o.let(o.size === 64 ? mulHigh(o, a, b) : i64.shr_u(low, i64.const(32)), 'high');
  o.write(1, low);
  o.write(0, high);
};

export const muldiv: Record<string, Semantics> = { MUL: mul, IMUL: imul, DIV: div, IDIV: idiv, MULX: mulx };

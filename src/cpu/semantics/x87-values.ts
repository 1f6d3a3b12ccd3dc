/**
 * x87 arithmetic in generated code: functions over 80-bit values in their two parts. Only plain numbers, zeros and results that
 * need neither denormals nor infinities; everything else is left to TypeScript (src/cpu/x87) by a status of 0.
 *
 *     m   i64: the significand, bit 63 its integer bit; 0 for zero
 *     e   i32: sign in bit 15, biased exponent below; that of zero is 0
 *
 * A status is 1 for success, and the bits of the status word that the result sets: PE (0x20) when inexact, C1 (0x200) when rounded up.
 */
import {
  type Expr,
  type FuncRef,
  type FunctionBuilder,
  i32,
  i64,
  type Local,
  type ModuleBuilder,
} from '../../wasm/index.ts';
import * as L from '../layout.ts';

const SIGN = 0x8000;
const EXPONENT = 0x7fff;
const BIAS = 16383;
const INTEGER_BIT = i64.const(1n << 63n);
const FAILED = i32.const(0);
export const DONE = 1;
export const PE = 0x20;
export const C1 = 0x200;

export type Binary = FuncRef<readonly ['i32', 'i64', 'i32', 'i64', 'i32'], readonly ['i32']>;
export interface X87Values {
  /** (address of the result, am, ae, bm, be) -> status: a + b, a * b, a / b, rounded to nearest by FCW's precision. */
  readonly sum: Binary;
  readonly product: Binary;
  readonly quotient: Binary;
  /** (am, ae, bm, be) -> 0 a > b, 1 a < b, 2 a = b, 3 undecided. */
  readonly compare: FuncRef<readonly ['i64', 'i32', 'i64', 'i32'], readonly ['i32']>;
  /** (m, e, precision 53 or 24) -> bits of a double or single; its status is in SCRATCH_STATUS. */
  readonly narrow: FuncRef<readonly ['i64', 'i32', 'i32'], readonly ['i64']>;
  /** (m, e, bits 16, 32 or 64, rounding control) -> signed integer; its status is in SCRATCH_STATUS. */
  readonly integer: FuncRef<readonly ['i64', 'i32', 'i32', 'i32'], readonly ['i64']>;
}

/** Where `narrow` and `integer` leave their status. */
export const SCRATCH_STATUS = L.SCRATCH + 0x40;

/** (m, e) is a plain number or zero. */
function isUsual(m: Local<'i64'>, e: Expr<'i32'>): Expr<'i32'> {
  const exponent = i32.and(e, i32.const(EXPONENT));
  const isInRange = i32.lt_u(i32.sub(exponent, i32.const(1)), i32.const(EXPONENT - 1));
  const isNormal = i32.and(i64.lt_s(m, i64.const(0)), isInRange);
  return i32.or(isNormal, i32.and(i64.eqz(m), i32.eqz(exponent)));
}

const exponentOf = (e: Expr<'i32'>): Expr<'i32'> => i32.and(e, i32.const(EXPONENT));

/** (value rounded up?, inexact?) as a status. */
function statusOf(up: Expr<'i32'>, inexact: Expr<'i32'>): Expr<'i32'> {
  return i32.or(i32.const(DONE), i32.or(i32.shl(up, i32.const(9)), i32.shl(inexact, i32.const(5))));
}

type Round = FuncRef<readonly ['i32', 'i64', 'i64', 'i32', 'i32'], readonly ['i32']>;

/** (address, high, low, exponent, sign) -> status: rounds high:low, whose bit 127 is set, to nearest and stores it. */
function defineRound(b: ModuleBuilder): Round {
  return b.func('x87_round', ['i32', 'i64', 'i64', 'i32', 'i32'], ['i32'], (f, at, high, low, exponent, sign) => {
    f.if(i32.le_s(exponent, i32.const(0)), () => f.return(FAILED));
    // What lies below the precision: nothing of `high` for 64 bits, else its low bits, of which `low` is the sticky rest.
    const control = f.let(i32.and(i32.load16_u(i32.const(0), L.X87_FCW), i32.const(0x300)));
    const rest = f.let(low);
    const unit = f.let(i64.const(1));
    const half = f.let(INTEGER_BIT);
    f.if(i32.or(i32.eqz(control), i32.eq(control, i32.const(0x200))), () => {
      f.set(unit, f.select(i64.const(1n << 11n), i64.const(1n << 40n), control));
      f.set(half, unit);
      const below = i64.and(high, i64.sub(unit, i64.const(1)));
      const sticky = i64.extend_i32_u(i64.ne(low, i64.const(0)));
      f.set(rest, i64.or(i64.shl(below, i64.const(1)), sticky));
      f.set(high, i64.and(high, i64.sub(i64.const(0), unit)));
    });
    const isOdd = i64.ne(i64.and(high, unit), i64.const(0));
    const up = f.let(i32.or(i64.gt_u(rest, half), i32.and(i64.eq(rest, half), isOdd)));
    f.if(up, () => {
      f.set(high, i64.add(high, unit));
      f.if(i64.eqz(high), () => {
        f.set(high, INTEGER_BIT);
        f.set(exponent, i32.add(exponent, i32.const(1)));
      });
    });
    f.if(i32.ge_s(exponent, i32.const(EXPONENT)), () => f.return(FAILED));
    f.do(i64.store(at, high));
    f.do(i64.store(at, i64.extend_i32_u(i32.or(exponent, sign)), 8));
    return statusOf(up, i64.ne(rest, i64.const(0)));
  });
}

const PARAMETERS = ['i32', 'i64', 'i32', 'i64', 'i32'] as const;

function failUnlessUsual(
  f: FunctionBuilder,
  am: Local<'i64'>,
  ae: Local<'i32'>,
  bm: Local<'i64'>,
  be: Local<'i32'>,
): void {
  f.if(i32.eqz(i32.and(isUsual(am, ae), isUsual(bm, be))), () => f.return(FAILED));
}

function swap<T extends 'i32' | 'i64'>(f: FunctionBuilder, a: Local<T>, b: Local<T>): void {
  const old = f.let(a as Expr<T>);
  f.set(a, b as Expr<T>);
  f.set(b, old as Expr<T>);
}

function defineSum(b: ModuleBuilder, round: Round): Binary {
  return b.func('x87_sum', PARAMETERS, ['i32'], (f, at, am, ae, bm, be) => {
    failUnlessUsual(f, am, ae, bm, be);
    const isSmaller = i32.lt_u(exponentOf(ae), exponentOf(be));
    const isSameButSmaller = i32.and(i32.eq(exponentOf(ae), exponentOf(be)), i64.lt_u(am, bm));
    f.if(i32.or(isSmaller, isSameButSmaller), () => {
      swap(f, am, bm);
      swap(f, ae, be);
    });
    // Zero and zero have rules of their own.
    f.if(i64.eqz(am), () => f.return(FAILED));
    const sign = f.let(i32.and(ae, i32.const(SIGN)));
    const exponent = f.let(exponentOf(ae));
    const distance = f.let(i64.extend_i32_u(i32.sub(exponent, exponentOf(be))));
    // b as high:low, shifted into place. Beyond 126 bits only that there is something counts.
    const high = f.let(i64.const(0));
    const low = f.let(i64.extend_i32_u(i64.ne(bm, i64.const(0))));
    f.if(i64.lt_u(distance, i64.const(64)), () => {
      f.set(high, i64.shr_u(bm, distance));
      const out = i64.shl(bm, i64.sub(i64.const(64), distance));
      f.set(low, f.select(i64.const(0), out, i64.eqz(distance)));
    });
    f.if(i64.lt_u(i64.sub(distance, i64.const(64)), i64.const(63)), () => {
      const shift = i64.sub(distance, i64.const(64));
      const lost = i64.and(bm, i64.sub(i64.shl(i64.const(1), shift), i64.const(1)));
      f.set(low, i64.or(i64.shr_u(bm, shift), i64.extend_i32_u(i64.ne(lost, i64.const(0)))));
    });
    f.if(
      i32.and(i32.xor(ae, be), i32.const(SIGN)),
      () => {
        // a - b, not negative: the borrow, then the leading zeros away.
        f.set(am, i64.sub(i64.sub(am, high), i64.extend_i32_u(i64.ne(low, i64.const(0)))));
        f.set(low, i64.sub(i64.const(0), low));
        f.if(i64.eqz(i64.or(am, low)), () => {
          f.do(i64.store(at, i64.const(0)));
          f.do(i64.store(at, i64.const(0), 8));
          f.return(i32.const(DONE));
        });
        f.if(i64.eqz(am), () => {
          f.set(am, low);
          f.set(low, i64.const(0));
          f.set(exponent, i32.sub(exponent, i32.const(64)));
        });
        const zeros = f.let(i64.clz(am));
        const carried = i64.shr_u(i64.shr_u(low, i64.const(1)), i64.sub(i64.const(63), zeros));
        f.set(am, i64.or(i64.shl(am, zeros), carried));
        f.set(low, i64.shl(low, zeros));
        f.set(exponent, i32.sub(exponent, i32.wrap_i64(zeros)));
      },
      () => {
        f.set(high, i64.add(am, high));
        f.if(i64.lt_u(high, am), () => {
          const lost = i64.and(low, i64.const(1));
          f.set(low, i64.or(i64.or(i64.shr_u(low, i64.const(1)), lost), i64.shl(high, i64.const(63))));
          f.set(high, i64.or(i64.shr_u(high, i64.const(1)), INTEGER_BIT));
          f.set(exponent, i32.add(exponent, i32.const(1)));
        });
        f.set(am, high);
      },
    );
    return f.call(round, at, am, low, exponent, sign);
  });
}

/** Stores a zero of the sign that a product or quotient has. */
function storeZero(f: FunctionBuilder, at: Local<'i32'>, sign: Local<'i32'>): void {
  f.do(i64.store(at, i64.const(0)));
  f.do(i64.store(at, i64.extend_i32_u(sign), 8));
  f.return(i32.const(DONE));
}

type MulHigh = FuncRef<readonly ['i64', 'i64'], readonly ['i64']>;

function defineProduct(b: ModuleBuilder, round: Round, mulHigh: MulHigh): Binary {
  return b.func('x87_product', PARAMETERS, ['i32'], (f, at, am, ae, bm, be) => {
    failUnlessUsual(f, am, ae, bm, be);
    const sign = f.let(i32.and(i32.xor(ae, be), i32.const(SIGN)));
    f.if(i32.or(i64.eqz(am), i64.eqz(bm)), () => storeZero(f, at, sign));
    const high = f.let(f.call(mulHigh, am, bm));
    const low = f.let(i64.mul(am, bm));
    const exponent = f.let(i32.sub(i32.add(exponentOf(ae), exponentOf(be)), i32.const(BIAS - 1)));
    f.if(i64.ge_s(high, i64.const(0)), () => {
      f.set(high, i64.or(i64.shl(high, i64.const(1)), i64.shr_u(low, i64.const(63))));
      f.set(low, i64.shl(low, i64.const(1)));
      f.set(exponent, i32.sub(exponent, i32.const(1)));
    });
    return f.call(round, at, high, low, exponent, sign);
  });
}

/**
 * One half of a long division (Knuth's algorithm D with digits of 32 bits): the digit of (rest:next) / divisor, whose bit 63 is set.
 * `rest` becomes the remainder.
 */
function divideDigit(f: FunctionBuilder, rest: Local<'i64'>, next: Expr<'i64'>, divisor: Local<'i64'>): Local<'i64'> {
  const d1 = i64.shr_u(divisor, i64.const(32));
  const d0 = i64.and(divisor, i64.const(0xffffffffn));
  const digit = f.let(i64.div_u(rest, d1), 'digit');
  const over = f.let(i64.sub(rest, i64.mul(digit, d1)), 'over');
  const tail = f.value(next);
  // At most two too large.
  for (let i = 0; i < 2; i++) {
    const isSmall = i64.lt_u(over, i64.const(1n << 32n));
    const product = i64.mul(digit, d0);
    const isTooLarge = i32.or(
      i64.ge_u(digit, i64.const(1n << 32n)),
      i64.gt_u(product, i64.or(i64.shl(over, i64.const(32)), tail)),
    );
    f.if(i32.and(isSmall, isTooLarge), () => {
      f.set(digit, i64.sub(digit, i64.const(1)));
      f.set(over, i64.add(over, d1));
    });
  }
  f.set(rest, i64.sub(i64.or(i64.shl(rest, i64.const(32)), tail), i64.mul(digit, divisor)));
  return digit;
}

function defineQuotient(b: ModuleBuilder, round: Round): Binary {
  return b.func('x87_quotient', PARAMETERS, ['i32'], (f, at, am, ae, bm, be) => {
    failUnlessUsual(f, am, ae, bm, be);
    f.if(i64.eqz(bm), () => f.return(FAILED));
    const sign = f.let(i32.and(i32.xor(ae, be), i32.const(SIGN)));
    f.if(i64.eqz(am), () => storeZero(f, at, sign));
    const exponent = f.let(i32.add(i32.sub(exponentOf(ae), exponentOf(be)), i32.const(BIAS - 1)));
    // The dividend is am:0, or half of it, so that the quotient has its bit 63 set and fits.
    const rest = f.let(am);
    const low = f.let(i64.const(0));
    f.if(i64.ge_u(am, bm), () => {
      f.set(rest, i64.shr_u(am, i64.const(1)));
      f.set(low, i64.shl(am, i64.const(63)));
      f.set(exponent, i32.add(exponent, i32.const(1)));
    });
    const first = divideDigit(f, rest, i64.shr_u(low, i64.const(32)), bm);
    const second = divideDigit(f, rest, i64.const(0), bm);
    const quotient = f.let(i64.add(i64.shl(first, i64.const(32)), second));
    // The rest against half the divisor is all that rounding needs: 0, below, equal, above.
    const other = i64.sub(bm, rest);
    const isHalf = f.let(i64.ge_u(rest, other));
    const isMore = i32.or(i64.ne(rest, other), i32.eqz(isHalf));
    const sticky = i64.extend_i32_u(i32.and(isMore, i64.ne(rest, i64.const(0))));
    const fraction = i64.or(i64.shl(i64.extend_i32_u(isHalf), i64.const(63)), sticky);
    return f.call(round, at, quotient, fraction, exponent, sign);
  });
}

function defineCompare(b: ModuleBuilder): X87Values['compare'] {
  return b.func('x87_compare', ['i64', 'i32', 'i64', 'i32'], ['i32'], (f, am, ae, bm, be) => {
    f.if(i32.eqz(i32.and(isUsual(am, ae), isUsual(bm, be))), () => f.return(i32.const(3)));
    f.if(i64.eqz(i64.or(am, bm)), () => f.return(i32.const(2)));
    const isNegative = f.let(i32.shr_u(ae, i32.const(15)));
    f.if(i32.and(i32.xor(ae, be), i32.const(SIGN)), () => f.return(isNegative));
    f.if(i32.and(i32.eq(ae, be), i64.eq(am, bm)), () => f.return(i32.const(2)));
    const isBelow = i32.or(i32.lt_u(ae, be), i32.and(i32.eq(ae, be), i64.lt_u(am, bm)));
    return i32.xor(isBelow, isNegative);
  });
}

const putStatus = (status: Expr<'i32'>): Expr<'void'> => i32.store(i32.const(SCRATCH_STATUS), status);

function defineNarrow(b: ModuleBuilder): X87Values['narrow'] {
  return b.func('x87_narrow', ['i64', 'i32', 'i32'], ['i64'], (f, m, e, precision) => {
    f.do(putStatus(FAILED));
    f.if(i32.eqz(isUsual(m, e)), () => f.return(i64.const(0)));
    const isDouble = f.let(i32.eq(precision, i32.const(53)));
    const sign = i64.shl(
      i64.extend_i32_u(i32.shr_u(e, i32.const(15))),
      f.select(i64.const(63), i64.const(31), isDouble),
    );
    f.if(i64.eqz(m), () => {
      f.do(putStatus(i32.const(DONE)));
      f.return(sign);
    });
    const most = f.let(f.select(i32.const(2047), i32.const(255), isDouble));
    // Exponents of the target format, 1 for the smallest normal number.
    const exponent = f.let(i32.add(i32.sub(exponentOf(e), i32.const(BIAS)), i32.shr_u(most, i32.const(1))));
    f.if(i32.or(i32.le_s(exponent, i32.const(0)), i32.ge_s(exponent, most)), () => f.return(i64.const(0)));
    const drop = f.let(i64.extend_i32_u(i32.sub(i32.const(64), precision)));
    const kept = f.let(i64.shr_u(m, drop));
    const rest = f.let(i64.shl(m, i64.sub(i64.const(64), drop)));
    const isOdd = i32.wrap_i64(i64.and(kept, i64.const(1)));
    const up = f.let(i32.or(i64.gt_u(rest, INTEGER_BIT), i32.and(i64.eq(rest, INTEGER_BIT), isOdd)));
    // The integer bit adds one to an exponent that is one too small; a carry into the exponent is right, too.
    const field = i64.extend_i32_u(i32.sub(precision, i32.const(1)));
    const base = i64.shl(i64.extend_i32_u(i32.sub(exponent, i32.const(1))), field);
    const value = f.let(i64.add(i64.add(base, kept), i64.extend_i32_u(up)));
    f.if(i64.ge_u(i64.shr_u(value, field), i64.extend_i32_u(most)), () => f.return(i64.const(0)));
    f.do(putStatus(statusOf(up, i64.ne(rest, i64.const(0)))));
    return i64.or(value, sign);
  });
}

function defineInteger(b: ModuleBuilder): X87Values['integer'] {
  return b.func('x87_integer', ['i64', 'i32', 'i32', 'i32'], ['i64'], (f, m, e, bits, control) => {
    f.do(putStatus(FAILED));
    f.if(i32.eqz(isUsual(m, e)), () => f.return(i64.const(0)));
    const power = f.let(i32.sub(exponentOf(e), i32.const(BIAS)));
    // Magnitudes of 2^(bits - 1) and above are for TypeScript, the smallest integer among them.
    f.if(i32.ge_s(power, i32.sub(bits, i32.const(1))), () => f.return(i64.const(0)));
    const whole = f.let(i64.const(0));
    // Below a half only that there is something counts.
    const rest = f.let(i64.extend_i32_u(i64.ne(m, i64.const(0))));
    f.if(i32.eq(power, i32.const(-1)), () => f.set(rest, m));
    f.if(i32.ge_s(power, i32.const(0)), () => {
      const shift = f.let(i64.extend_i32_s(i32.sub(i32.const(63), power)));
      f.set(whole, i64.shr_u(m, shift));
      f.set(rest, i64.shl(m, i64.sub(i64.const(64), shift)));
    });
    const isOdd = i32.wrap_i64(i64.and(whole, i64.const(1)));
    const up = f.let(i32.or(i64.gt_u(rest, INTEGER_BIT), i32.and(i64.eq(rest, INTEGER_BIT), isOdd)));
    f.if(control, () => {
      // Down (1) goes away from zero for negative numbers, up (2) for the others, chopping (3) never.
      const away = i32.sub(i32.const(2), i32.shr_u(e, i32.const(15)));
      f.set(up, i32.and(i32.eq(control, away), i64.ne(rest, i64.const(0))));
    });
    f.set(whole, i64.add(whole, i64.extend_i32_u(up)));
    const limit = i64.shl(i64.const(1), i64.extend_i32_u(i32.sub(bits, i32.const(1))));
    f.if(i64.ge_u(whole, limit), () => f.return(i64.const(0)));
    f.do(putStatus(statusOf(up, i64.ne(rest, i64.const(0)))));
    return f.select(i64.sub(i64.const(0), whole), whole, i32.and(e, i32.const(SIGN)));
  });
}

/** Defines the functions, as `x87 NAME`. */
export function defineX87Values(b: ModuleBuilder, helpers: Map<string, FuncRef>): X87Values {
  const round = defineRound(b);
  const mulHigh = helpers.get('mul_high_u') as unknown as MulHigh;
  return {
    sum: defineSum(b, round),
    product: defineProduct(b, round, mulHigh),
    quotient: defineQuotient(b, round),
    compare: defineCompare(b),
    narrow: defineNarrow(b),
    integer: defineInteger(b),
  };
}

/** Shifts and rotates. A masked count of zero changes no flag; OF is exact for a count of one and follows the same formula above it. */
import { type Expr, i32, i64, type Local } from '../../wasm/index.ts';
import { mask, type Operation, type Semantics, signExtend } from './operation.ts';

const bit = (v: Expr<'i64'>, n: Expr<'i64'>): Expr<'i64'> => i64.and(i64.shr_u(v, n), i64.const(1));
const top = (v: Expr<'i64'>, size: number): Expr<'i64'> => bit(v, i64.const(size - 1));

type Shift = (o: Operation, a: Local<'i64'>, count: Local<'i64'>) => Expr<'i64'>;

/** Runs `shift` unless the masked count (5 bits, 6 for 64-bit operands) is zero. `countOperand` says which operand counts. */
const counted =
  (shift: Shift, countOperand = 1): Semantics =>
  (o) => {
    const count = o.let(i64.and(o.read(countOperand), i64.const(o.size === 64 ? 63 : 31)), 'count');
    o.modify(0, (a) => {
      const result = o.let(a, 'result');
      o.f.if(i32.eqz(i64.eqz(count)), () => {
        o.f.set(result, shift(o, a, count));
      });
      return result;
    });
  };

const shl: Shift = (o, a, c) => {
  const r = o.let(i64.shl(a, c), 'r');
  const cf = o.size === 64 ? bit(a, i64.sub(i64.const(64), c)) : bit(r, i64.const(o.size));
  const carry = o.let(cf, 'carry');
  o.flags.afterShift(o.f, r, o.size, carry, i64.xor(top(r, o.size), carry));
  return r;
};
const shr: Shift = (o, a, c) => {
  const r = o.let(i64.shr_u(a, c), 'r');
  o.flags.afterShift(o.f, r, o.size, bit(a, i64.sub(c, i64.const(1))), top(a, o.size));
  return r;
};
const sar: Shift = (o, a, c) => {
  const s = o.let(signExtend(a, o.size), 's');
  const r = o.let(i64.shr_s(s, c), 'r');
  o.flags.afterShift(o.f, r, o.size, i64.and(i64.shr_s(s, i64.sub(c, i64.const(1))), i64.const(1)), i64.const(0));
  return r;
};

/** a rotated left by n (0 <= n < size) within `size` bits. */
function rotateLeft(o: Operation, a: Local<'i64'>, n: Expr<'i64'>): Local<'i64'> {
  if (o.size === 64) return o.let(i64.rotl(a, n), 'r');
  const k = o.let(i64.and(n, i64.const(o.size - 1)), 'k');
  const r = i64.or(i64.shl(a, k), i64.shr_u(a, i64.sub(i64.const(o.size), k)));
  return o.let(i64.and(r, i64.const(mask(o.size))), 'r');
}
const rol: Shift = (o, a, c) => {
  const r = rotateLeft(o, a, c);
  const cf = o.let(i64.and(r, i64.const(1)), 'carry');
  o.flags.setCarryAndOverflow(o.f, cf, i64.xor(top(r, o.size), cf));
  return r;
};
const ror: Shift = (o, a, c) => {
  const r = rotateLeft(o, a, i64.sub(i64.const(o.size), c));
  const cf = o.let(top(r, o.size), 'carry');
  o.flags.setCarryAndOverflow(o.f, cf, i64.xor(cf, bit(r, i64.const(o.size - 2))));
  return r;
};

/**
 * RCL: a rotation of the (size + 1)-bit value CF:a. The count is taken modulo size + 1; a count that becomes zero leaves everything.
 * RCR by n is RCL by size + 1 - n, but its OF is that of the two top result bits.
 */
const rotateThroughCarry =
  (left: boolean): Shift =>
  (o, a, c) => {
    const { size } = o;
    const whole = i64.const(size + 1);
    const n = o.let(i64.rem_u(c, whole), 'n');
    const r = o.let(a, 'r');
    o.f.if(i32.eqz(i64.eqz(n)), () => {
      const k = o.let(left ? n : i64.sub(whole, n), 'k');
      const cf = o.let(o.flags.carry(), 'cf_in');
      // r = a << k | cf << (k-1) | a >> (size+1-k); shifts by 64 are split so that they give 0.
      const high = i64.shr_u(i64.shr_u(a, i64.sub(i64.const(size), k)), i64.const(1));
      const low = i64.shl(i64.shl(a, i64.sub(k, i64.const(1))), i64.const(1));
      const carryIn = i64.shl(cf, i64.sub(k, i64.const(1)));
      o.f.set(r, i64.and(i64.or(i64.or(low, carryIn), high), i64.const(mask(size))));
      const out = o.let(bit(a, i64.sub(i64.const(size), k)), 'cf_out');
      const of = left ? i64.xor(top(r, size), out) : i64.xor(top(r, size), bit(r, i64.const(size - 2)));
      o.flags.setCarryAndOverflow(o.f, out, of);
    });
    return r;
  };

/** SHLD, SHRD: operand 0 shifted, operand 1 moves in, operand 2 counts. */
const double =
  (left: boolean): Semantics =>
  (o) => {
    const source = o.let(o.read(1), 'source');
    counted((_, a, c) => {
      const { size } = o;
      const back = o.let(i64.sub(i64.const(size), c), 'back');
      const r = o.f.local('i64', 'r');
      const cf = o.f.local('i64', 'cf');
      if (size === 16) {
        // Counts above 16 are undefined for 16-bit operands; the double word source:dest repeated is what silicon rotates.
        const pair = left
          ? o.let(i64.or(i64.shl(a, i64.const(16)), source), 'pair')
          : o.let(i64.or(i64.shl(source, i64.const(16)), a), 'pair');
        const both = i64.or(pair, i64.shl(pair, i64.const(32)));
        const turned = o.let(left ? i64.shr_u(both, i64.sub(i64.const(48), c)) : i64.shr_u(both, c), 'turned');
        o.f.set(r, i64.and(turned, i64.const(0xffff)));
        o.f.set(cf, left ? bit(pair, i64.sub(i64.const(32), c)) : bit(pair, i64.sub(c, i64.const(1))));
      } else if (left) {
        o.f.set(r, i64.and(i64.or(i64.shl(a, c), i64.shr_u(source, back)), i64.const(mask(size))));
        o.f.set(cf, bit(a, back));
      } else {
        o.f.set(r, i64.and(i64.or(i64.shr_u(a, c), i64.shl(source, back)), i64.const(mask(size))));
        o.f.set(cf, bit(a, i64.sub(c, i64.const(1))));
      }
      o.flags.afterShift(o.f, r, size, cf, i64.xor(top(r, size), top(a, size)));
      return r;
    }, 2)(o);
  };

/** BMI2 shifts: no flags, operand 2 counts, operand 1 is shifted. */
const plain =
  (op: (o: Operation, a: Local<'i64'>, c: Expr<'i64'>) => Expr<'i64'>): Semantics =>
  (o) => {
    const a = o.let(o.read(1), 'a');
    o.write(0, op(o, a, i64.and(o.read(2), i64.const(o.size - 1))));
  };

export const shifts: Record<string, Semantics> = {
  SHL: counted(shl),
  SHR: counted(shr),
  SAR: counted(sar),
  ROL: counted(rol),
  ROR: counted(ror),
  RCL: counted(rotateThroughCarry(true)),
  RCR: counted(rotateThroughCarry(false)),
  SHLD: double(true),
  SHRD: double(false),
  SHLX: plain((_, a, c) => i64.shl(a, c)),
  SHRX: plain((_, a, c) => i64.shr_u(a, c)),
  SARX: plain((o, a, c) => i64.shr_s(signExtend(a, o.size), c)),
  RORX: plain((o, a, c) => rotateLeft(o, a, i64.and(i64.sub(i64.const(o.size), c), i64.const(o.size - 1)))),
};

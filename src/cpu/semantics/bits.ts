/** Bit tests, scans and BMI. Flags the SDM leaves undefined stay. */
import { type Expr, i32, i64, type Local } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { loadSized, mask, type Operation, type Semantics, signExtend } from './operation.ts';

type Change = (old: Expr<'i64'>, selected: Expr<'i64'>) => Expr<'i64'>;
const CHANGES: Record<string, Change | undefined> = {
  BT: undefined,
  BTS: (v, m) => i64.or(v, m),
  BTR: (v, m) => i64.and(v, i64.xor(m, i64.const(-1))),
  BTC: (v, m) => i64.xor(v, m),
};

/** With a register offset and a memory operand the bit string reaches beyond the operand: the address moves along. */
function bitStringLinear(o: Operation, offset: Local<'i64'>): Local<'i64'> {
  const bytes = o.size / 8;
  const words = i64.shr_s(signExtend(offset, o.size), i64.const(Math.log2(o.size)));
  const at = i64.add(o.offset(), i64.mul(words, i64.const(bytes)));
  return o.let(i64.add(i64.and(at, i64.load(i32.const(0), L.ADDRESS_MASK)), o.fields.segmentBase()), 'linear');
}

function bitTest(change: Change | undefined): Semantics {
  return (o) => {
    const offset = o.let(o.read(1), 'offset');
    const n = o.let(i64.and(offset, i64.const(o.size - 1)), 'n');
    const pick = (v: Local<'i64'>): Expr<'i64'> => {
      o.flags.setCarry(o.f, o.let(i64.and(i64.shr_u(v, n), i64.const(1))));
      return change === undefined ? v : change(v, i64.shl(i64.const(1), n));
    };
    if (!o.isMemory(0)) {
      if (change === undefined) o.f.do(pick(o.let(o.read(0))));
      else o.modify(0, pick);
      return;
    }
    const linear = o.kind(1) === 'i' ? o.linear() : bitStringLinear(o, offset);
    if (change === undefined) o.f.do(pick(o.let(loadSized(o.memory.read(linear, o.size / 8), o.size, false))));
    else o.memory.modify(linear, o.size, pick);
  };
}

/** Sets ZF alone through its own result; the other flags are undefined. */
const zeroFrom = (o: Operation, v: Local<'i64'>): void => o.flags.afterLogic(o.f, v, o.size);

/** BSF, BSR: a zero source leaves the destination (AMD's rule, and what silicon does). */
const scan =
  (find: (o: Operation, v: Local<'i64'>) => Expr<'i64'>): Semantics =>
  (o) => {
    const v = o.let(o.read(1), 'v');
    zeroFrom(o, v);
    o.f.if(i32.eqz(i64.eqz(v)), () => o.write(0, find(o, v)));
  };

/** TZCNT, LZCNT: ZF from the result, CF when the source was zero. */
const count =
  (find: (o: Operation, v: Local<'i64'>) => Expr<'i64'>): Semantics =>
  (o) => {
    const v = o.let(o.read(1), 'v');
    const r = o.let(find(o, v), 'r');
    o.flags.afterShift(o.f, r, o.size, i64.extend_i32_u(i64.eqz(v)), i64.const(0));
    o.write(0, r);
  };

const trailing = (o: Operation, v: Expr<'i64'>): Expr<'i64'> =>
  i64.ctz(o.size === 64 ? v : i64.or(v, i64.const(1n << BigInt(o.size))));
const leading = (o: Operation, v: Expr<'i64'>): Expr<'i64'> => i64.sub(i64.clz(v), i64.const(64 - o.size));

/** BMI1 with a carry rule: r and CF from the source. */
const lowest =
  (op: (v: Local<'i64'>) => Expr<'i64'>, carryIfZero: boolean): Semantics =>
  (o) => {
    const v = o.let(o.read(1), 'v');
    const r = o.let(i64.and(op(v), i64.const(mask(o.size))), 'r');
    const zero = i64.eqz(v);
    o.flags.afterShift(o.f, r, o.size, i64.extend_i32_u(carryIfZero ? zero : i32.eqz(zero)), i64.const(0));
    o.write(0, r);
  };

const andn: Semantics = (o) => {
  const r = o.let(i64.and(i64.and(i64.xor(o.read(1), i64.const(-1)), o.read(2)), i64.const(mask(o.size))), 'r');
  o.flags.afterLogic(o.f, r, o.size);
  o.write(0, r);
};

const bextr: Semantics = (o) => {
  const control = o.let(o.read(2), 'control');
  const start = o.let(i64.and(control, i64.const(0xff)), 'start');
  const length = o.let(i64.and(i64.shr_u(control, i64.const(8)), i64.const(0xff)), 'length');
  const shifted = o.let(
    i64.mul(i64.shr_u(o.read(1), start), i64.extend_i32_u(i64.lt_u(start, i64.const(o.size)))),
    'shifted',
  );
  const kept = i64.and(shifted, i64.sub(i64.shl(i64.const(1), length), i64.const(1)));
  const r = o.let(o.f.select(kept, shifted, i64.lt_u(length, i64.const(o.size))), 'r');
  o.flags.afterLogic(o.f, r, o.size);
  o.write(0, r);
};

const bzhi: Semantics = (o) => {
  const n = o.let(i64.and(o.read(2), i64.const(0xff)), 'n');
  const v = o.let(o.read(1), 'v');
  const inside = o.let(i64.lt_u(n, i64.const(o.size)), 'inside');
  const r = o.let(o.f.select(i64.and(v, i64.sub(i64.shl(i64.const(1), n), i64.const(1))), v, inside), 'r');
  o.flags.afterShift(o.f, r, o.size, i64.extend_i32_u(i32.eqz(inside)), i64.const(0));
  o.write(0, r);
};

/** PDEP and PEXT: one turn for each bit set in the mask. */
const deposit =
  (extract: boolean): Semantics =>
  (o) => {
    const source = o.let(o.read(1), 'source');
    const m = o.let(o.read(2), 'mask');
    const r = o.let(i64.const(0), 'r');
    const position = o.let(i64.const(0), 'position');
    o.f.block((done) => {
      o.f.loop((again) => {
        o.f.brIf(done, i64.eqz(m));
        const at = o.let(i64.ctz(m), 'at');
        const [from, to] = extract ? [at, position] : [position, at];
        o.f.set(r, i64.or(r, i64.shl(i64.and(i64.shr_u(source, from), i64.const(1)), to)));
        o.f.set(m, i64.and(m, i64.sub(m, i64.const(1))));
        o.f.set(position, i64.add(position, i64.const(1)));
        o.f.br(again);
      });
    });
    o.write(0, r);
  };

const popcnt: Semantics = (o) => {
  const v = o.let(o.read(1), 'v');
  const r = o.let(i64.popcnt(v), 'r');
  // ZF from the source, all others clear: SF of a count is 0, but PF must be 0 too, hence the image.
  o.flags.setStatusFlags(o.f, i64.shl(i64.extend_i32_u(i64.eqz(v)), i64.const(6)));
  o.write(0, r);
};

export const bits: Record<string, Semantics> = {
  ...Object.fromEntries(Object.entries(CHANGES).map(([name, change]) => [name, bitTest(change)])),
  BSF: scan((_, v) => i64.ctz(v)),
  BSR: scan((_, v) => i64.sub(i64.const(63), i64.clz(v))),
  TZCNT: count(trailing),
  LZCNT: count(leading),
  POPCNT: popcnt,
  ANDN: andn,
  BLSR: lowest((v) => i64.and(v, i64.sub(v, i64.const(1))), true),
  BLSI: lowest((v) => i64.and(v, i64.sub(i64.const(0), v)), false),
  BLSMSK: lowest((v) => i64.xor(v, i64.sub(v, i64.const(1))), true),
  BEXTR: bextr,
  BZHI: bzhi,
  PDEP: deposit(false),
  PEXT: deposit(true),
};

/** ADD to XADD: integer arithmetic and logic (Intel SDM 2A/2B, by mnemonic). */
import { type Expr, i32, i64, type Local } from '../../wasm/index.ts';
import { CONDITIONS } from '../../isa/conditions.ts';
import * as L from '../layout.ts';
import { mask, type Operation, type Semantics } from './operation.ts';

type Binary = (o: Operation, a: Local<'i64'>, b: Local<'i64'>) => Expr<'i64'>;

const add: Binary = (o, a, b) => {
  const r = o.let(i64.add(a, b), 'r');
  o.flags.afterAdd(o.f, a, b, r, o.size);
  return r;
};
const adc: Binary = (o, a, b) => {
  const r = o.let(i64.add(i64.add(a, b), o.flags.carry()), 'r');
  o.flags.afterAdd(o.f, a, b, r, o.size);
  return r;
};
const sub: Binary = (o, a, b) => {
  const r = o.let(i64.sub(a, b), 'r');
  o.flags.afterSub(o.f, a, b, r, o.size);
  return r;
};
const sbb: Binary = (o, a, b) => {
  const r = o.let(i64.sub(i64.sub(a, b), o.flags.carry()), 'r');
  o.flags.afterSub(o.f, a, b, r, o.size);
  return r;
};
const logic =
  (op: (a: Expr<'i64'>, b: Expr<'i64'>) => Expr<'i64'>): Binary =>
  (o, a, b) => {
    const r = o.let(op(a, b), 'r');
    o.flags.afterLogic(o.f, r, o.size);
    return r;
  };

/** Operand 0 op operand 1 into operand 0. The source is read first: if it is memory, it can fault; it never is both. */
const binary =
  (op: Binary): Semantics =>
  (o) => {
    const b = o.let(o.read(1), 'b');
    o.modify(0, (a) => op(o, a, b));
  };
/** The same without the write. */
const compare =
  (op: Binary): Semantics =>
  (o) => {
    const a = o.let(o.read(0), 'a');
    op(o, a, o.let(o.read(1), 'b'));
  };

const unary =
  (op: (o: Operation, a: Local<'i64'>) => Expr<'i64'>): Semantics =>
  (o) =>
    o.modify(0, (a) => op(o, a));

const step = (op: Binary) =>
  unary((o, a) => {
    let r: Expr<'i64'> = a;
    o.flags.keepingCarry(o.f, () => {
      r = op(o, a, o.let(i64.const(1)));
    });
    return r;
  });

const xadd: Semantics = (o) => {
  const b = o.let(o.read(1), 'b');
  const old = o.f.local('i64', 'sum_in');
  o.modify(0, (a) => {
    o.f.set(old, a);
    const r = o.let(i64.add(a, b), 'r');
    // With both operands the same register the sum wins: the source is written first (SDM: TEMP := SRC + DEST; SRC := DEST; DEST := TEMP).
    if (!o.isMemory(0)) o.write(1, old);
    o.flags.afterAdd(o.f, a, b, r, o.size);
    return r;
  });
  if (o.isMemory(0)) o.write(1, old);
};

/**
 * CMPXCHG: flags as CMP rAX, dest. Memory is written either way (SDM: a write cycle always happens); a register only when
 * equal, so that the upper half of a 32-bit destination survives otherwise.
 */
const cmpxchg: Semantics = (o) => {
  const source = o.let(o.read(1), 'source');
  const accumulator = o.let(o.reg(0), 'accumulator');
  const old = o.f.local('i64', 'dest');
  const equal = o.f.local('i32', 'equal');
  const compare = (dest: Local<'i64'>): void => {
    o.f.set(old, dest);
    o.f.set(equal, i64.eq(dest, accumulator));
    o.flags.afterSub(o.f, accumulator, dest, o.let(i64.sub(accumulator, dest), 'r'), o.size);
  };
  if (o.isMemory(0)) {
    o.modify(0, (dest) => {
      compare(dest);
      return o.f.select(source, dest, equal);
    });
    o.f.if(i32.eqz(equal), () => o.setReg(0, old));
  } else {
    compare(o.let(o.read(0)));
    o.f.if(
      equal,
      () => o.write(0, source),
      () => o.setReg(0, old),
    );
  }
};

/** CMPXCHG8B/16B: one half is `size` bits; only ZF changes. */
const cmpxchgPair =
  (half: number): Semantics =>
  (o) => {
    const host = o.memory.locateModify(o.linear(), half / 4);
    const load = (n: number) => (half === 32 ? i64.load32_u(host, n * 4) : i64.load(host, n * 8));
    const low = o.let(load(0), 'low');
    const high = o.let(load(1), 'high');
    const equal = o.let(i32.and(i64.eq(low, o.reg(0, half)), i64.eq(high, o.reg(2, half))), 'equal');
    const store = (n: number, v: Expr<'i64'>) =>
      o.f.do(half === 32 ? i64.store32(host, v, n * 4) : i64.store(host, v, n * 8));
    store(0, o.f.select(o.reg(3, half), low, equal));
    store(1, o.f.select(o.reg(1, half), high, equal));
    o.memory.commit(host);
    o.f.if(i32.eqz(equal), () => {
      o.setReg(0, low, half);
      o.setReg(2, high, half);
    });
    o.flags.setZero(o.f, i64.extend_i32_u(equal));
  };

const cmpxchg16b: Semantics = (o) => {
  o.f.if(i64.ne(i64.and(o.linear(), i64.const(15)), i64.const(0)), () => o.raise(13, 0));
  cmpxchgPair(64)(o);
};

/** ADCX, ADOX: addition through CF or OF alone. */
const addThrough =
  (flag: 'cf' | 'of'): Semantics =>
  (o) => {
    const a = o.let(o.read(0));
    const b = o.let(o.read(1));
    const x = o.let(o.flags.aux());
    const overflow = i64.and(i64.xor(i64.shr_u(x, i64.const(63)), i64.shr_u(x, i64.const(62))), i64.const(1));
    const r = o.let(i64.add(i64.add(a, b), flag === 'cf' ? i64.shr_u(x, i64.const(63)) : overflow));
    const vector = i64.or(i64.and(a, b), i64.and(i64.or(a, b), i64.xor(r, i64.const(-1))));
    const out = o.let(i64.and(i64.shr_u(vector, i64.const(o.size - 1)), i64.const(1)));
    if (flag === 'cf') o.flags.setCarry(o.f, out);
    else o.flags.setOverflow(o.f, out);
    o.write(0, r);
  };

export const arithmetic: Record<string, Semantics> = {
  ADD: binary(add),
  ADC: binary(adc),
  SUB: binary(sub),
  SBB: binary(sbb),
  AND: binary(logic(i64.and)),
  OR: binary(logic(i64.or)),
  XOR: binary(logic(i64.xor)),
  CMP: compare(sub),
  TEST: compare(logic(i64.and)),
  INC: step(add),
  DEC: step(sub),
  NEG: unary((o, a) => sub(o, o.let(i64.const(0)), a)),
  NOT: unary((o, a) => i64.xor(a, i64.const(mask(o.size)))),
  XADD: xadd,
  CMPXCHG: cmpxchg,
  CMPXCHG8B: cmpxchgPair(32),
  CMPXCHG16B: cmpxchg16b,
  ADCX: addThrough('cf'),
  ADOX: addThrough('of'),
  CLD: (o) =>
    o.f.do(i32.store(i32.const(0), i32.and(i32.load(i32.const(0), L.EFLAGS_REST), i32.const(~0x400)), L.EFLAGS_REST)),
  STD: (o) =>
    o.f.do(i32.store(i32.const(0), i32.or(i32.load(i32.const(0), L.EFLAGS_REST), i32.const(0x400)), L.EFLAGS_REST)),
  CLC: (o) => o.flags.setCarry(o.f, i64.const(0)),
  STC: (o) => o.flags.setCarry(o.f, i64.const(1)),
  CMC: (o) => o.flags.setCarry(o.f, i64.xor(o.let(o.flags.carry()), i64.const(1))),
  ...Object.fromEntries(
    CONDITIONS.flatMap((name, cc): [string, Semantics][] => [
      [`SET${name}`, (o) => o.write(0, i64.extend_i32_u(o.let(o.flags.condition(o.f, cc))))],
      // The source is read whatever the condition; a 32-bit destination is always zero-extended (SDM, CMOVcc).
      [
        `CMOV${name}`,
        (o) => {
          const source = o.let(o.read(1), 'source');
          o.write(0, o.f.select(source, o.read(0), o.let(o.flags.condition(o.f, cc))));
        },
      ],
    ]),
  ),
};

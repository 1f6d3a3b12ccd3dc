/** Near transfers of control. Where execution goes on is the engine tier's business (`Control` in tier.ts). */
import { CONDITIONS } from '../../isa/conditions.ts';
import { type Expr, i32, i64, type Local } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Operation, Semantics } from './operation.ts';

/** Cuts a target to a 16-bit IP where the operand size says so. */
const cut = (o: Operation, target: Expr<'i64'>): Expr<'i64'> =>
  o.size === 16 ? i64.and(target, i64.const(0xffff)) : target;

/** A 64-bit target that is not canonical is a fault of the branch itself, before anything has moved (measured on AMD's). */
function requireCanonical(o: Operation, target: Local<'i64'>): void {
  if (o.size !== 64) return;
  const folded = i64.shr_s(i64.shl(target, i64.const(16)), i64.const(16));
  o.f.if(i64.ne(folded, target), () => o.raise(13, 0));
}

function jump(o: Operation): void {
  if (o.size === 16) o.control.jumpTo(cut(o, o.control.targetRip()));
  else o.control.jumpRelative();
}

const jmp: Semantics = (o) => {
  if (o.operands.length === 0) jump(o);
  else {
    const target = o.let(o.read(0), 'target');
    requireCanonical(o, target);
    o.control.jumpTo(target);
  }
};

const call: Semantics = (o) => {
  if (o.operands.length === 0) {
    o.push(o.control.nextRip(false));
    jump(o);
    return;
  }
  const target = o.let(o.read(0), 'target');
  requireCanonical(o, target);
  o.push(o.control.nextRip(true));
  o.control.jumpTo(target);
};

/** RET [imm16]: the immediate releases stack beyond the return address. */
const ret: Semantics = (o) => {
  const target = o.pop(o.size, true);
  requireCanonical(o, target);
  o.movePointer(o.size / 8);
  if (o.operands.length > 0) {
    const sp = o.stackPointer(i64.add(i64.load(i32.const(L.GPR + 32)), i64.and(o.fields.imm(), i64.const(0xffff))));
    o.setStackPointer(sp);
  }
  o.control.jumpTo(target);
};

function branch(o: Operation, condition: Expr<'i32'>): void {
  o.f.if(
    condition,
    () => jump(o),
    () => o.control.fallThrough(),
  );
}

/** rCX by address size, decremented; writes it back. */
function countDown(o: Operation): Local<'i64'> {
  const n = o.let(i64.sub(o.reg(1, o.addressSize), i64.const(1)), 'count');
  o.setReg(1, n, o.addressSize);
  return o.let(o.reg(1, o.addressSize), 'left');
}
const isNotZero = (v: Expr<'i64'>): Expr<'i32'> => i32.eqz(i64.eqz(v));

export const control: Record<string, Semantics> = {
  JMP: jmp,
  CALL: call,
  RET: ret,
  ...Object.fromEntries(
    CONDITIONS.map((name, cc): [string, Semantics] => [`J${name}`, (o) => branch(o, o.flags.condition(o.f, cc))]),
  ),
  JCXZ: (o) => branch(o, i64.eqz(o.reg(1, o.addressSize))),
  LOOP: (o) => branch(o, isNotZero(countDown(o))),
  LOOPZ: (o) => {
    const n = countDown(o);
    branch(o, i32.and(isNotZero(n), o.let(o.flags.condition(o.f, 4))));
  },
  LOOPNZ: (o) => {
    const n = countDown(o);
    branch(o, i32.and(isNotZero(n), o.let(o.flags.condition(o.f, 5))));
  },
};

/** PUSH to LEAVE. The stack pointer moves last, so that a fault leaves it. */
import { type Expr, i32, i64 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { loadSized, type Operation, type Semantics, signExtend } from './operation.ts';

const rsp = (): Expr<'i64'> => i64.load(i32.const(L.GPR + 32));

/** Immediates are sign-extended to the operand size; PUSH rSP pushes the old value. */
const push: Semantics = (o) => o.push(o.kind(0) === 'i' ? signExtend(o.fields.imm(), 32) : o.read(0));

/** POP to memory computes its address with the stack pointer already moved; POP rSP takes the value. */
const pop: Semantics = (o) => {
  const old = o.let(rsp(), 'old_sp');
  const value = o.pop();
  if (!o.isMemory(0)) {
    o.write(0, value);
    return;
  }
  // The destination may fault: put the pointer back, store, then move for good.
  const linear = o.linear();
  const moved = o.let(rsp(), 'moved');
  o.f.do(i64.store(i32.const(L.GPR + 32), old));
  o.memory.write(linear, value, o.size);
  o.f.do(i64.store(i32.const(L.GPR + 32), moved));
};

/** PUSHA: AX CX DX BX old-SP BP SI DI, all or nothing. */
const pusha: Semantics = (o) => {
  const bytes = o.size / 8;
  const final = o.stackPointer(i64.sub(rsp(), i64.const(8 * bytes)));
  // AX first, as CR2 shows; then the lowest address, so that nothing has moved if it faults.
  for (const n of [0]) {
    const at = o.stackPointer(i64.sub(rsp(), i64.const((n + 1) * bytes)));
    o.memory.write(o.stackLinear(at, o.size, true), o.reg(n), o.size);
  }
  for (let n = 7; n >= 0; n--) {
    const at = o.stackPointer(i64.sub(rsp(), i64.const((n + 1) * bytes)));
    o.memory.write(o.stackLinear(at, o.size, true), o.reg(n), o.size);
  }
  o.setStackPointer(final);
};

const popa: Semantics = (o) => {
  const bytes = o.size / 8;
  const values: Expr<'i64'>[] = [];
  for (let n = 0; n < 8; n++) {
    const at = o.stackPointer(i64.add(rsp(), i64.const(n * bytes)));
    values.push(o.let(loadSized(o.memory.read(o.stackLinear(at, o.size, false), bytes), o.size, false)));
  }
  const final = o.stackPointer(i64.add(rsp(), i64.const(8 * bytes)));
  // In stack order: DI SI BP (SP skipped) BX DX CX AX.
  for (let n = 0; n < 8; n++) if (n !== 3) o.setReg(7 - n, values[n]!);
  o.setStackPointer(final);
};

const leave: Semantics = (o) => {
  const frame = o.stackPointer(i64.load(i32.const(L.GPR + 40)));
  const value = o.let(
    loadSized(o.memory.read(o.stackLinear(frame, o.size, false), o.size / 8), o.size, false),
    'saved_bp',
  );
  o.setStackPointer(o.stackPointer(i64.add(frame, i64.const(o.size / 8))));
  o.setReg(5, value);
};

/** ENTER size, level: operand 1 is the nesting level (mod 32), in the record's disp. */
const enter: Semantics = (o) => {
  const bytes = o.size / 8;
  const level = o.let(i64.and(o.fields.disp(), i64.const(31)), 'level');
  const sp = o.stackPointer(i64.sub(rsp(), i64.const(bytes)));
  o.memory.write(o.stackLinear(sp, o.size, true), o.reg(5), o.size);
  const frame = o.let(sp, 'frame');
  const bp = o.stackPointer(i64.load(i32.const(L.GPR + 40)));
  o.f.if(i32.eqz(i64.eqz(level)), () => {
    const left = o.let(i64.sub(level, i64.const(1)), 'left');
    const advance = (p: typeof sp) => o.f.set(p, o.stackPointer(i64.sub(p, i64.const(bytes))));
    o.f.block((done) => {
      o.f.loop((again) => {
        o.f.brIf(done, i64.eqz(left));
        advance(bp);
        advance(sp);
        const value = o.let(
          loadSized(o.memory.read(o.stackLinear(bp, o.size, false), bytes), o.size, false),
          'display',
        );
        o.memory.write(o.stackLinear(sp, o.size, true), value, o.size);
        o.f.set(left, i64.sub(left, i64.const(1)));
        o.f.br(again);
      });
    });
    advance(sp);
    o.memory.write(o.stackLinear(sp, o.size, true), frame, o.size);
  });
  const final = o.stackPointer(i64.sub(sp, i64.and(o.fields.imm(), i64.const(0xffff))));
  // SDM: the new stack top is checked for a write before the instruction commits.
  o.memory.commit(o.memory.locateModify(o.stackLinear(final, o.size, true), bytes));
  setFrame(o, frame);
  o.setStackPointer(final);
};

function setFrame(o: Operation, frame: Expr<'i64'>): void {
  o.setReg(5, frame);
}

export const stack: Record<string, Semantics> = {
  PUSH: push,
  POP: pop,
  PUSHA: pusha,
  POPA: popa,
  LEAVE: leave,
  ENTER: enter,
};

/**
 * String instructions. A repeated one is a loop over the plain one: every iteration is one tick (DESIGN C1), the first
 * of them paid by the block, and between two iterations the run may end with RIP still on the instruction.
 */
import { type Expr, i32, i64, type Local } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { loadSized, type Operation, type Semantics } from './operation.ts';

const RCX = 1;
const RSI = 6;
const RDI = 7;
const DF = 1 << 10;

/** Linear address of the element at seg:rSI (read) or ES:rDI. */
function element(o: Operation, register: number, write: boolean): Local<'i64'> {
  const offset = o.let(o.reg(register, o.addressSize), 'offset');
  if (o.addressing === 'a64' || o.addressing === 'a32') {
    return register === RSI ? o.let(i64.add(offset, o.fields.segmentBase()), 'linear') : offset;
  }
  // Segment number of the source in the record's disp; the destination is always ES.
  const segment = register === RSI ? i32.wrap_i64(o.fields.disp()) : i32.const(0);
  return o.let(
    o.f.call(o.runtime.segmentLinear, offset, segment, i32.const(o.size / 8), i32.const(write ? 1 : 0), o.fields.pc()),
    'linear',
  );
}

/** Moves an index register by one element, by DF. */
function advance(o: Operation, register: number): void {
  const down = i32.and(i32.load(i32.const(0), L.EFLAGS_REST), i32.const(DF));
  const delta = o.f.select(i64.const(-o.size / 8), i64.const(o.size / 8), down);
  o.setReg(register, i64.add(o.reg(register, o.addressSize), delta), o.addressSize);
}

const readElement = (o: Operation, register: number): Local<'i64'> =>
  o.let(loadSized(o.memory.read(element(o, register, false), o.size / 8), o.size, false), 'element');

const iterations: Record<string, (o: Operation) => void> = {
  MOVS: (o) => {
    const v = readElement(o, RSI);
    o.memory.write(element(o, RDI, true), v, o.size);
    advance(o, RSI);
    advance(o, RDI);
  },
  STOS: (o) => {
    o.memory.write(element(o, RDI, true), o.reg(0), o.size);
    advance(o, RDI);
  },
  LODS: (o) => {
    o.setReg(0, readElement(o, RSI));
    advance(o, RSI);
  },
  SCAS: (o) => {
    const b = readElement(o, RDI);
    const a = o.let(o.reg(0), 'a');
    o.flags.afterSub(o.f, a, b, o.let(i64.sub(a, b)), o.size);
    advance(o, RDI);
  },
  CMPS: (o) => {
    // [rDI] first, but for REPE CMPSB: where both are missing, CR2 says so on AMD's.
    const early = o.size === 8 && o.rep === 'rep' ? readElement(o, RSI) : undefined;
    const b = readElement(o, RDI);
    const a = early ?? readElement(o, RSI);
    o.flags.afterSub(o.f, a, b, o.let(i64.sub(a, b)), o.size);
    advance(o, RSI);
    advance(o, RDI);
  },
};

const budget = (): Expr<'i32'> => i32.load(i32.const(0), L.BUDGET);

/** Code was overwritten: the next iteration fetches the instruction again, as it does when the run is cut here. */
const codeChanged = (): Expr<'i32'> => i32.load(i32.const(0), L.CODE_CHANGED);
function refetch(o: Operation): void {
  o.f.do(i32.store(i32.const(0), i32.const(0), L.CODE_CHANGED));
  o.control.suspend();
}

/**
 * REP MOVS and STOS at full speed: as many elements as count, budget and both pages allow in one go, when the direction is up
 * and both TLB entries hit. Leaves at least the last iteration to the plain way.
 */
function bulk(o: Operation, name: string): void {
  if ((name !== 'MOVS' && name !== 'STOS') || (o.addressing !== 'a64' && o.addressing !== 'a32')) return;
  const ref = o.runtime.helpers.get(`bulk_${name}`);
  if (ref === undefined) return;
  const source = name === 'MOVS' ? i64.add(o.reg(RSI, o.addressSize), o.fields.segmentBase()) : o.reg(0);
  const moved = o.let(
    o.call(
      ref,
      o.reg(RCX, o.addressSize),
      source,
      o.reg(RDI, o.addressSize),
      i32.const(Math.log2(o.size / 8)),
    ) as Expr<'i32'>,
    'moved',
  );
  o.f.if(moved, () => {
    const bytes = o.let(i64.shl(i64.extend_i32_u(moved), i64.const(Math.log2(o.size / 8))), 'bytes');
    if (name === 'MOVS') o.setReg(RSI, i64.add(o.reg(RSI, o.addressSize), bytes), o.addressSize);
    o.setReg(RDI, i64.add(o.reg(RDI, o.addressSize), bytes), o.addressSize);
    o.setReg(RCX, i64.sub(o.reg(RCX, o.addressSize), i64.extend_i32_u(moved)), o.addressSize);
    o.f.do(i32.store(i32.const(0), i32.sub(budget(), moved), L.BUDGET));
  });
}

function repeated(name: string, iterate: (o: Operation) => void): Semantics {
  const compares = name === 'CMPS' || name === 'SCAS';
  return (o) => {
    if (o.rep === '') {
      iterate(o);
      return;
    }
    o.f.block((done) => {
      o.f.brIf(done, i64.eqz(o.reg(RCX, o.addressSize)));
      o.f.loop((again) => {
        bulk(o, name);
        iterate(o);
        const left = o.let(i64.sub(o.reg(RCX, o.addressSize), i64.const(1)), 'left');
        o.setReg(RCX, left, o.addressSize);
        o.f.brIf(done, i64.eqz(left));
        if (compares) o.f.brIf(done, o.flags.condition(o.f, o.rep === 'rep' ? 5 : 4));
        o.f.if(i32.eqz(budget()), () => o.control.suspend());
        if (name === 'MOVS' || name === 'STOS') o.f.if(codeChanged(), () => refetch(o));
        o.f.do(i32.store(i32.const(0), i32.sub(budget(), i32.const(1)), L.BUDGET));
        o.f.br(again);
      });
    });
    o.control.fallThrough();
  };
}

/** XLAT: AL = [seg:rBX + AL]. The record's base is rBX; AL is added here. */
const xlat: Semantics = (o) => {
  const offset = o.let(i64.add(o.reg(3, o.addressSize), o.reg(0, 8)), 'offset');
  const cutOffset =
    o.addressSize === 64 ? offset : o.let(i64.and(offset, i64.const(o.addressSize === 32 ? 0xffffffffn : 0xffffn)));
  const linear =
    o.addressing === 'a64' || o.addressing === 'a32'
      ? o.let(i64.add(cutOffset, o.fields.segmentBase()))
      : o.let(
          o.f.call(
            o.runtime.segmentLinear,
            cutOffset,
            i32.wrap_i64(o.fields.disp()),
            i32.const(1),
            i32.const(0),
            o.fields.pc(),
          ),
        );
  o.setReg(0, loadSized(o.memory.read(linear, 1), 8, false), 8);
};

export const strings: Record<string, Semantics> = {
  ...Object.fromEntries(Object.entries(iterations).map(([name, f]) => [name, repeated(name, f)])),
  XLAT: xlat,
};

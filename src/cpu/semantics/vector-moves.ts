/** Vector moves: whole registers, parts of them, masks of signs. */
import { type Expr, i32, i32x4, i64, i64x2, i8x16, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { loadSized, type Semantics, storeSized } from './operation.ts';
import {
  type Alignment,
  both,
  joinLow,
  legacy,
  type V128,
  type VectorSemantics,
  type Vectors,
  vexOnly,
  zero,
} from './vector-operation.ts';

const move: VectorSemantics = (v) => v.each((h) => v.read(1, h));

/** MOVSS, MOVSD: between registers only the low element moves; a load clears the rest. */
const scalarMove =
  (bits: 32 | 64): VectorSemantics =>
  (v) => {
    if (v.o.isMemory(0) || v.o.isMemory(1)) {
      v.write(0, v.read(1));
      return;
    }
    const low = v.f.let(v.read(v.second), 'low');
    const lanes = Array.from({ length: 16 }, (_, i) => (i < bits / 8 ? 16 + i : i));
    v.write(0, i8x16.shuffle(v.read(v.first), low, lanes));
  };

const HIGH = [8, 9, 10, 11, 12, 13, 14, 15];
const LOW = [0, 1, 2, 3, 4, 5, 6, 7];
const second = (lanes: readonly number[]): number[] => lanes.map((x) => x + 16);

/** MOVLPS, MOVLPD: the low quadword from or to memory. */
const moveLow: VectorSemantics = (v) => {
  if (v.o.isMemory(0)) v.write(0, v.read(1));
  else v.write(0, i8x16.shuffle(v.read(v.first), v.read(v.second), [...second(LOW), ...HIGH]));
};
const moveHigh: VectorSemantics = (v) => {
  if (v.o.isMemory(0)) {
    const x = v.f.let(v.read(1));
    v.write(0, i8x16.shuffle(x, x, [...HIGH, ...HIGH]));
  } else v.write(0, joinLow(v.read(v.first), v.read(v.second)));
};
const highToLow: VectorSemantics = (v) =>
  v.write(0, i8x16.shuffle(v.read(v.first), v.read(v.second), [...second(HIGH), ...HIGH]));
const lowToHigh: VectorSemantics = (v) => v.write(0, joinLow(v.read(v.first), v.read(v.second)));

const duplicate =
  (lanes: readonly number[]): VectorSemantics =>
  (v) =>
    v.each((h) => {
      const x = v.f.let(v.read(1, h));
      return i8x16.shuffle(x, x, lanes);
    });

/** MOVD with W is MOVQ: between a general register or memory and the low element, which is zero-extended. */
const moveD: VectorSemantics = (v) => {
  const { o } = v;
  if (o.kind(0) === 'x' || o.kind(0) === 'q') {
    v.write(0, i64x2.replace_lane(zero(), o.read(1), 0));
    return;
  }
  o.write(0, loadSized(v.base(1), o.width(0), false, v.origin(1)));
  v.done();
};

/** MOVQ, MOVQ2DQ, MOVDQ2Q: 64 bits, zero-extended. */
const moveQ: VectorSemantics = (v) => v.write(0, v.readLow(1, 64));

/** Sign bits of all elements into a general register. */
const signs =
  (bitmask: (x: V128) => Expr<'i32'>, count: number): VectorSemantics =>
  (v) => {
    const low = bitmask(v.read(1));
    const all = v.halves === 1 ? low : i32.or(low, i32.shl(bitmask(v.read(1, 1)), i32.const(count)));
    v.o.write(0, i64.extend_i32_u(v.mmx ? i32.and(all, i32.const(0xff)) : all));
    v.done();
  };

// Single elements: registers lie in memory, so an element is a load or store at a computed address.

function element(v: Vectors, i: number, bits: number): Expr<'i32'> {
  const lanes = (v.o.kind(i) === 'q' ? 64 : 128) / bits;
  const lane = i32.and(v.imm(), i32.const(lanes - 1));
  return i32.add(v.base(i), bits === 8 ? lane : i32.shl(lane, i32.const(Math.log2(bits / 8))));
}

/** PEXTRD and PINSRD take 64 bits with W; the others have a width of their own. */
const extract =
  (bits: number): VectorSemantics =>
  (v) => {
    const width = bits || v.o.width(0);
    v.o.write(0, loadSized(element(v, 1, width), width, false, v.origin(1)));
    v.done();
  };

const insert =
  (bits: number): VectorSemantics =>
  (v) => {
    const { o, f } = v;
    const width = bits || o.width(v.second);
    const value = o.let(o.read(v.second), 'value');
    if (v.vex) v.write(0, v.read(1));
    f.do(storeSized(element(v, 0, width), value, width, v.origin(0)));
    if (!v.mmx) return;
    f.do(i32.store16(v.base(0), i32.const(0xffff), L.X87_REGISTERS + 8));
    v.done();
  };

const LANE_BITS = v128.const([1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0]);
const LANE_NUMBERS = v128.const([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);

/**
 *      7     6 5      4 3      0
 *     ┌───────┬────────┬────────┐
 *     │ from  │ to     │ clear  │   INSERTPS; `from` counts only for a register
 *     └───────┴────────┴────────┘
 */
const insertPs: VectorSemantics = (v) => {
  const { o, f } = v;
  const source = v.second;
  const from = (): Expr<'i32'> => i32.and(i32.shr_u(v.imm(), i32.const(4)), i32.const(12));
  const value = o.isMemory(source) ? i32.load(v.host(source)) : i32.load(i32.add(v.base(source), from()), L.YMM);
  const to = i32x4.splat(i32.and(i32.shr_u(v.imm(), i32.const(4)), i32.const(3)));
  const inserted = f.let(v128.bitselect(i32x4.splat(value), v.read(v.first), i32x4.eq(to, LANE_NUMBERS)));
  const cleared = i32x4.ne(v128.and(i32x4.splat(v.imm()), LANE_BITS), zero());
  v.write(0, v128.andnot(inserted, cleared));
};

function moves(): Record<string, Semantics> {
  const all: Record<string, Semantics> = {};
  const add = (name: string, body: VectorSemantics, alignment?: Alignment): void => {
    Object.assign(all, both(name, body, alignment));
  };
  add('MOVUPS', move, 'never');
  add('MOVAPS', move, 'always');
  add('MOVSS', scalarMove(32));
  add('MOVSD', scalarMove(64));
  add('MOVLPS', moveLow);
  add('MOVHPS', moveHigh);
  add('MOVHLPS', highToLow);
  add('MOVLHPS', lowToHigh);
  add('MOVDDUP', duplicate([...LOW, ...LOW]));
  add('MOVSLDUP', duplicate([0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 8, 9, 10, 11]));
  add('MOVSHDUP', duplicate([4, 5, 6, 7, 4, 5, 6, 7, 12, 13, 14, 15, 12, 13, 14, 15]));
  add('MOVD', moveD);
  add('MOVQ', moveQ);
  add('PMOVMSKB', signs(i8x16.bitmask, 16));
  add('MOVMSKPS', signs(i32x4.bitmask, 4));
  add('MOVMSKPD', signs(i64x2.bitmask, 2));
  for (const [letter, bits] of [
    ['B', 8],
    ['W', 16],
    ['D', 0],
  ] as const) {
    add(`PEXTR${letter}`, extract(bits));
    add(`PINSR${letter}`, insert(bits));
  }
  add('EXTRACTPS', extract(32));
  add('INSERTPS', insertPs);
  return all;
}

/** VZEROUPPER and VZEROALL; outside 64-bit mode registers 8 to 15 stay. */
const zeroRegisters =
  (whole: boolean): VectorSemantics =>
  (v) => {
    const clear = (from: number): void => {
      for (let n = from; n < from + 8; n++) {
        v.f.do(v128.store(i32.const(0), zero(), L.YMM + 32 * n + 16));
        if (whole) v.f.do(v128.store(i32.const(0), zero(), L.YMM + 32 * n));
      }
    };
    clear(0);
    const is64 = i32.eq(i32.and(i32.load(i32.const(0), L.CODE_MODE), i32.const(3)), i32.const(2));
    v.f.if(is64, () => clear(8));
  };

export const vectorMoves: Record<string, Semantics> = {
  ...moves(),
  ...legacy('MOVNTQ', moveQ),
  ...legacy('MOVQ2DQ', moveQ),
  ...legacy('MOVDQ2Q', moveQ),
  ...vexOnly('VZEROUPPER', zeroRegisters(false)),
  ...vexOnly('VZEROALL', zeroRegisters(true)),
};

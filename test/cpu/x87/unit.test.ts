/** What the recorded vectors do not reach: 16-bit and real-mode images, rollback, aliases, accuracy. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { convert, F64, F80, FloatEnv, widenRaw } from '../../../src/cpu/softfloat/index.ts';
import {
  emms,
  enterMmx,
  executeX87,
  PlainX87State,
  readMmx,
  writeMmx,
  x87Lookup,
  X87Unit,
} from '../../../src/cpu/x87/index.ts';

const view = new DataView(new ArrayBuffer(8));
function f80(value: number): bigint {
  view.setFloat64(0, value);
  return widenRaw(F64, F80, view.getBigUint64(0));
}
function double(bits: bigint): number {
  view.setBigUint64(0, convert(new FloatEnv(), F80, F64, bits));
  return view.getFloat64(0);
}

/** A unit whose stack holds `values`, ST(0) first. */
function unitWith(...values: number[]): X87Unit {
  const state = new PlainX87State();
  const unit = new X87Unit(state);
  for (const value of [...values].reverse()) unit.push(f80(value));
  return unit;
}

function step(unit: X87Unit, opcode: number, modrm: number): boolean {
  return executeX87(unit, x87Lookup(opcode, modrm)!, modrm & 7);
}

test('encodings without a meaning are undefined', () => {
  const holes = [
    [0xd9, 0x08],
    [0xd9, 0xe2],
    [0xd9, 0xef],
    [0xda, 0xe8],
    [0xdb, 0x20],
    [0xdb, 0xf8],
    [0xdd, 0x28],
    [0xdf, 0xf8],
  ];
  for (const [opcode, modrm] of holes) expect(x87Lookup(opcode, modrm), `${opcode} ${modrm}`).toBeUndefined();
});

test('undocumented aliases do what the documented encodings do', () => {
  const a = unitWith(1, 2, 3);
  step(a, 0xdf, 0xc9); // FXCH ST(1)
  expect([0, 1, 2].map((i) => double(a.st(i)))).toEqual([2, 1, 3]);
  step(a, 0xdf, 0xd2); // FSTP ST(2)
  expect([0, 1].map((i) => double(a.st(i)))).toEqual([1, 2]);
  step(a, 0xdf, 0xc0); // FFREEP ST(0)
  expect(double(a.st(0))).toBe(2);
  expect(a.isEmpty(7)).toBe(true);
});

describe.each([
  ['16-bit protected', true, true, 94],
  ['32-bit protected', false, true, 108],
  ['16-bit real', true, false, 94],
  ['32-bit real', false, false, 108],
] as const)('FNSAVE and FRSTOR, %s', (_name, narrow, isProtected, length) => {
  test('bring back registers, words and pointers', () => {
    const unit = unitWith(1.5, -2.25, 1e300);
    unit.environment16 = narrow;
    unit.environmentProtected = isProtected;
    Object.assign(unit.state, { fop: 0x5a5, fip: 0x1234n, fdp: 0x4321n, fcs: 0x10, fds: 0x18 });
    const op = x87Lookup(0xdd, 0x30)!;
    expect(narrow ? op.bytes16 : op.bytes).toBe(length);
    const before = { fsw: unit.state.fsw, ftw: unit.state.ftw, st: [0, 1, 2].map((i) => unit.st(i)) };
    expect(step(unit, 0xdd, 0x30)).toBe(true);
    expect([unit.state.fcw, unit.state.fsw, unit.state.ftw, unit.state.fip]).toEqual([0x37f, 0, 0, 0n]);
    step(unit, 0xdd, 0x20);
    expect({ fsw: unit.state.fsw, ftw: unit.state.ftw, st: [0, 1, 2].map((i) => unit.st(i)) }).toEqual(before);
    // Real-mode images hold linear addresses; the 16-bit protected one has no opcode.
    expect(unit.state.fip).toBe(isProtected ? 0x1234n : 0x1334n);
    expect(unit.state.fdp).toBe(isProtected ? 0x4321n : 0x44a1n);
    if (!(narrow && isProtected)) expect(unit.state.fop).toBe(0x5a5);
  });
});

test('rollback undoes a store whose memory faulted', () => {
  const unit = unitWith(1 / 3, 2);
  const before = { ...unit.state, registers: [] };
  expect(step(unit, 0xd9, 0x18)).toBe(true); // FSTP m32
  expect(unit.state.fsw).not.toBe(before.fsw);
  unit.rollback();
  expect({ ...unit.state, registers: [] }).toEqual(before);
});

test('an unmasked exception makes ES, and unmasking later does, too', () => {
  const unit = unitWith(1, 0);
  step(unit, 0xd8, 0xf1); // FDIV ST, ST(1)
  expect(double(unit.st(0))).toBe(Number.POSITIVE_INFINITY);
  expect(unit.pending).toBe(false);
  unit.operand.setUint16(0, 0x37b, true);
  step(unit, 0xd9, 0x28); // FLDCW
  expect(unit.pending).toBe(true);
  step(unit, 0xdb, 0xe2); // FNCLEX
  expect(unit.pending).toBe(false);
});

test('MMX takes the stack over and EMMS gives it back', () => {
  const { state } = unitWith(1, 2);
  enterMmx(state);
  writeMmx(state, 3, 0x1122334455667788n);
  expect([state.fsw & 0x3800, state.ftw]).toEqual([0, 0xff]);
  expect(state.getReg(3) >> 64n).toBe(0xffffn);
  expect(readMmx(state, 3)).toBe(0x1122334455667788n);
  emms(state);
  expect(state.ftw).toBe(0);
});

/** Relative difference, or absolute near zero. */
function close(got: number, want: number): boolean {
  return got === want || Math.abs(got - want) <= Math.abs(want) * 4 * Number.EPSILON;
}

const modest = fc.double({ min: -1000, max: 1000, noNaN: true }).filter((x) => Math.abs(x) > 1e-300);

test('sine, cosine, arctangent and logarithms agree with the host to its accuracy', () => {
  fc.assert(
    fc.property(modest, modest, (x, y) => {
      const sine = unitWith(x);
      step(sine, 0xd9, 0xfb);
      // Far from the origin the 66-bit pi matters near the zeros of the functions.
      if (Math.abs(Math.cos(x)) > 1e-3) expect(close(double(sine.st(0)), Math.cos(x)), `cos ${x}`).toBe(true);
      if (Math.abs(Math.sin(x)) > 1e-3) expect(close(double(sine.st(1)), Math.sin(x)), `sin ${x}`).toBe(true);
      const angle = unitWith(x, y);
      step(angle, 0xd9, 0xf3);
      expect(close(double(angle.st(0)), Math.atan2(y, x)), `atan2 ${y} ${x}`).toBe(true);
      const log = unitWith(Math.abs(x), 1);
      step(log, 0xd9, 0xf1);
      expect(close(double(log.st(0)), Math.log2(Math.abs(x))), `log2 ${x}`).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('2^log2(1+x) - 1 gives x back to 60 bits', () => {
  fc.assert(
    fc.property(fc.double({ min: -0.25, max: 0.25, noNaN: true }), (x) => {
      if (Math.abs(x) < 1e-200) return;
      const unit = unitWith(x, 1);
      step(unit, 0xd9, 0xf9); // FYL2XP1
      step(unit, 0xd9, 0xf0); // F2XM1
      const distance = unit.st(0) - f80(x);
      expect(distance < 16n && distance > -16n, `${x}: ${distance}`).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('large arguments of the trigonometric instructions set C2 and change nothing', () => {
  for (const modrm of [0xf2, 0xfb, 0xfe, 0xff]) {
    const unit = unitWith(2 ** 63);
    step(unit, 0xd9, modrm);
    expect(double(unit.st(0))).toBe(2 ** 63);
    expect(unit.state.fsw & 0x400).toBe(0x400);
  }
});

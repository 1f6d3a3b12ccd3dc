import { afterEach, describe, expect, it, vi } from 'vitest';
import { MXCSR } from '../../../src/cpu/layout.ts';
import { SseUnit } from '../../../src/cpu/softfloat/index.ts';
import { VectorMachine } from '../../conformance/vector-machine.ts';
import { forms, judge, makeVector, random } from './sse-float-vectors.ts';

const ROUNDS = 60;
const PLAIN_64 = 0x3ff80000000000004004000000000000n;
const PLAIN_32 = 0x3fc000004020000040a000003f400000n;

describe('generated SSE floating point', () => {
  const machine = new VectorMachine();
  afterEach(() => vi.restoreAllMocks());

  it('has forms to test', () => {
    expect(forms().length).toBeGreaterThan(50);
  });

  it.each(forms().map((form) => ({ ...form, name: form.row.mnemonic + (form.wide ? ' r64' : '') })))(
    '$name gives what the exact arithmetic gives, in registers and memory, under every MXCSR',
    (form) => {
      const next = random(form.row.id + 1);
      for (let i = 0; i < ROUNDS; i++) {
        // Mostly what generated code likes, PE set or clear; else any rounding, DAZ and FTZ; some unmasked.
        const any = 0x1f80 | (next() & 0xe07f);
        const mxcsr = i % 3 !== 0 ? 0x1f80 | ((i & 2) << 4) : i % 9 === 0 ? any & ~(next() & 0x1f80) : any;
        const v = makeVector(form, { mxcsr, isMemory: (i & 1) === 1 }, next);
        expect(judge(machine, v)).toBeUndefined();
      }
    },
  );

  it.each([
    ['MULSD', 0x3fefffffffffffffn, 0x0010000000000000n],
    ['DIVSD', 0x001fffffffffffffn, 0x4000000000000000n],
    ['MULSS', 0x3f7fffffn, 0x00800000n],
    ['CVTSD2SS', 0n, 0x380fffffe0000000n],
  ])('%s reports underflow for a tiny result that rounds up to the smallest normal number', (name, a, b) => {
    const form = forms().find(({ row }) => row.mnemonic === name)!;
    const v = makeVector(form, { mxcsr: 0x1fa0, isMemory: false, operands: [a, b] }, () => 1);
    expect(judge(machine, v)).toBeUndefined();
    expect(machine.engine.state.get32(MXCSR) & 0x10).toBe(0x10);
  });

  it.each(forms().map((form) => ({ ...form, name: form.row.mnemonic + (form.wide ? ' r64' : '') })))(
    '$name does not need TypeScript for plain numbers',
    (form) => {
      const exact = vi.spyOn(SseUnit.prototype, 'begin');
      const isSingle = /(SS|PS)$|SS2|PS2/.test(form.row.mnemonic);
      const plain = isSingle ? PLAIN_32 : PLAIN_64;
      for (const isMemory of [false, true])
        machine.run(makeVector(form, { mxcsr: 0x1fa0, isMemory, operands: [plain, plain] }, () => 1));
      expect(exact).not.toHaveBeenCalled();
      // And the spy would have seen it: a rounding mode that generated code leaves alone.
      if (!/COMI|CMP|MIN|MAX|CVT|RCP|RSQRT/.test(form.row.mnemonic)) {
        machine.run(makeVector(form, { mxcsr: 0x7fa0, isMemory: false, operands: [plain, plain] }, () => 4));
        expect(exact).toHaveBeenCalled();
      }
    },
  );

  it.each([
    ['ADDSD', 1.5, 2.5],
    ['SUBSD', 1.5, 2 ** -40],
    ['MULSD', 1.5, -1e10],
    ['DIVSD', 7.5, 2.5],
    ['SQRTSD', 0, 2.25],
    ['MULSD', 0, -3],
  ])('%s finds by itself that a result is exact, and lets TypeScript note the first that is not', (name, x, y) => {
    const exact = vi.spyOn(SseUnit.prototype, 'begin');
    const form = forms().find(({ row }) => row.mnemonic === name)!;
    const run = (a: number, b: number): number => {
      machine.run(makeVector(form, { mxcsr: 0x1f80, isMemory: false, operands: [bits(a), bits(b)] }, () => 1));
      return machine.engine.state.get32(MXCSR);
    };
    expect(run(x, y)).toBe(0x1f80);
    expect(exact).not.toHaveBeenCalled();
    expect(run(0.1, 0.7)).toBe(0x1fa0);
    expect(exact).toHaveBeenCalledOnce();
  });
});

const bits = (value: number): bigint => new BigUint64Array(new Float64Array([value]).buffer)[0]!;

import { afterEach, describe, expect, it, vi } from 'vitest';
import { SseUnit } from '../../../src/cpu/softfloat/index.ts';
import { X87Unit } from '../../../src/cpu/x87/index.ts';
import { attemptForms, attemptVector, BothWays, floatState, x87State } from './attempts.ts';

/** More for a long look: REXEN_ROUNDS=3000. */
const ROUNDS = Number(process.env['REXEN_ROUNDS'] ?? 12);

const vectors = attemptForms((row) => row.map !== '1B');

describe('generated floating point on vectors', () => {
  const both = new BothWays();
  afterEach(() => vi.restoreAllMocks());

  it('has forms to test, with VEX and without', () => {
    expect(vectors.length).toBeGreaterThan(400);
    expect(vectors.filter(({ row }) => row.map.startsWith('V')).length).toBeGreaterThan(300);
  });

  it.each(vectors)('$name leaves the same state as the exact form', (form) => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      expect(both.compare(attemptVector(form, floatState, seed * 7919 + form.row.id))).toBeUndefined();
    }
  });

  it.each(vectors.filter(({ row }) => row.map.startsWith('V')))(
    '$name does not need TypeScript for plain numbers',
    (form) => {
      const exact = vi.spyOn(SseUnit.prototype, 'begin');
      const isSingle = /(SS|PS)$|SS2|PS2/.test(form.row.mnemonic);
      const half = /PH2PS/.test(form.row.mnemonic) ? '3c00' : isSingle ? '3fc00000' : '3ff8000000000000';
      const value = half.repeat(64 / half.length);
      const plain: typeof floatState = () => ({
        ymm: Object.fromEntries([0, 1, 2, 3].map((n) => [n, value])),
        mem: [{ addr: '0x20000100', bytes: Buffer.from(value, 'hex').reverse().toString('hex') }],
        mxcsr: '0x1fa0',
      });
      const v = attemptVector(form, plain, 5);
      expect(both.fast.run({ ...v, bytes: `${v.bytes.slice(0, -2)}01` }).join()).not.toContain('raised');
      expect(exact).not.toHaveBeenCalled();
    },
  );
});

const stack = attemptForms((row) => row.map === '1B');

describe('generated x87 instructions', () => {
  const both = new BothWays();
  afterEach(() => vi.restoreAllMocks());

  it('has forms to test', () => {
    expect(stack.length).toBeGreaterThan(100);
  });

  it.each(stack)('$name leaves the same state as the exact form', (form) => {
    for (let seed = 1; seed <= 10 * ROUNDS; seed++) {
      expect(both.compare(attemptVector(form, x87State, seed * 7919 + form.row.id))).toBeUndefined();
    }
  });

  it.each(stack)('$name does not need TypeScript for plain numbers', (form) => {
    const exact = vi.spyOn(X87Unit.prototype, 'begin');
    const mnemonic = form.row.mnemonic;
    const isLoad = /^(FLD|FILD|FLD1|FLDZ)$/.test(mnemonic);
    const size = form.row.operands[0]?.memSize ?? 80;
    const memory =
      mnemonic === 'FLDCW' ? '7f02' : /^FI/.test(mnemonic) ? '07' : size === 32 ? '0000c03f' : '000000000000f83f';
    const v = attemptVector(
      form,
      () => ({
        x87: {
          fcw: '0x37f',
          fsw: '0x1820',
          ftw: isLoad ? '0x7b' : '0xff',
          r: Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7].map((n) => [n, `3fff${(n + 8).toString(16)}aaaaaaaaaaaaaaa`])),
        },
        mem: [{ addr: '0x20000100', bytes: memory.padEnd(20, '0') }],
      }),
      3,
    );
    expect(both.fast.run(v).join()).not.toContain('raised');
    expect(exact).not.toHaveBeenCalled();
  });
});

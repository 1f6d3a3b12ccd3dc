import { afterEach, describe, expect, it, vi } from 'vitest';
import { SseUnit } from '../../../src/cpu/softfloat/index.ts';
import { attemptForms, attemptVector, BothWays, floatState } from './attempts.ts';

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

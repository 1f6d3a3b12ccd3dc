import { describe, expect, it } from 'vitest';
import * as aml from '../../../src/toolstack/builder/aml.ts';
import { dsdtCode } from '../../../src/toolstack/builder/dsdt.ts';

const hex = (code: aml.Aml) => Buffer.from(code).toString('hex');

describe('AML (ACPI 6.2 chapter 20)', () => {
  it('writes names with as many segments as they have', () => {
    expect(hex(aml.object('FLG'))).toBe(Buffer.from('FLG_').toString('hex'));
    expect(hex(aml.object('\\_SB.PRSC'))).toBe(`5c2e${Buffer.from('_SB_PRSC').toString('hex')}`);
    expect(hex(aml.object('\\_SB.PR00.FLG'))).toBe(`5c2f03${Buffer.from('_SB_PR00FLG_').toString('hex')}`);
    expect(hex(aml.object('^PR00.FLG'))).toBe(`5e2e${Buffer.from('PR00FLG_').toString('hex')}`);
    expect(() => aml.object('\\_SB.toolong')).toThrow('not an AML name');
  });
  it('counts lengths with the bytes that hold them', () => {
    const term = [0xa3];
    const long = aml.scope('\\_SB', ...Array.from({ length: 100 }, () => term));
    // 100 terms, 5 bytes of name and 2 of length are 107: 0x4b 0x06.
    expect([long.length, hex(long).slice(0, 6)]).toEqual([108, '104b06']);
    expect(hex(aml.when(aml.byte(1), term))).toBe('a0040a01a3');
  });
  it('writes fields by their widths in bits', () => {
    const name = (text: string) => Buffer.from(text).toString('hex');
    expect(hex(aml.field('MATR', [undefined, 32], ['FLG', 1]))).toBe(`5b810d${name('MATR')}010020${name('FLG_')}01`);
    expect(hex(aml.field('MATR', ['MAT', 64]))).toBe(`5b810c${name('MATR')}01${name('MAT_')}4004`);
  });
});

it('has room for 128 processors before the tables behind it', () => {
  // From the DSDT to the FADT there are 0x6c9b bytes.
  expect(dsdtCode(128, 0xfc007e9c, 0xfc007e79).length + 36).toBeLessThan(0x6c9b);
});

/** The decoder's rules, one case a line: the manual's corner cases that random bytes seldom explain. */
import { describe, expect, it } from 'vitest';
import { Decoder, type DecodeResult, Instruction } from '../../../src/cpu/decoder.ts';

const decoder = new Decoder();

function decode(hex: string, mode: 16 | 32 | 64 = 64): { result: DecodeResult; ins: Instruction } {
  const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  const ins = new Instruction();
  return { result: decoder.decode(bytes, 0, bytes.length, mode, ins), ins };
}

/** Decodes, insists on 'ok', and returns the instruction. */
function ok(hex: string, mode: 16 | 32 | 64 = 64): Instruction {
  const { result, ins } = decode(hex, mode);
  expect(result).toBe('ok');
  return ins;
}

describe('prefixes', () => {
  it('ignores REX when it is not last', () => {
    expect(ok('48 66 01 c8').operandSize).toBe(16);
    expect(ok('66 48 01 c8').operandSize).toBe(64);
  });

  it('lets F2 and F3 win over 66, and the last of them count', () => {
    expect(ok('66 f3 0f 10 c1').row.mnemonic).toBe('MOVSS');
    expect(ok('f3 66 0f 10 c1').row.mnemonic).toBe('MOVSS');
    expect(ok('f3 f2 0f 10 c1').row.mnemonic).toBe('MOVSD');
    expect(ok('66 f3 0f bc c1')).toMatchObject({ operandSize: 16, row: { mnemonic: 'TZCNT' } });
    expect(ok('66 f2 0f 38 f1 c1').operands[1]).toMatchObject({ kind: 'gpr', size: 16 });
  });

  it.each([
    ['f0 01 08', 'ok'],
    ['f0 01 c8', 'ud'],
    ['f0 03 08', 'ud'],
    ['f0 39 08', 'ud'],
    ['f0 90', 'ud'],
    ['f0 0f ba 28 01', 'ok'],
    ['f0 0f ba 20 01', 'ud'],
    ['f0 0f c7 08', 'ok'],
    ['f0 a4', 'ud'],
  ])('LOCK: %s is %s', (hex, result) => {
    expect(decode(hex).result).toBe(result);
  });

  it('reports repeat prefixes only where they repeat', () => {
    expect(ok('f3 a4').rep).toBe(1);
    expect(ok('f2 a6').rep).toBe(2);
    expect(ok('f3 c3').rep).toBe(0);
    expect(ok('f2 0f 10 c1').rep).toBe(0);
  });

  it('ignores ES, CS, SS and DS overrides in 64-bit mode only', () => {
    expect(ok('26 8b 03').memory.segment).toBe(3);
    expect(ok('64 2e 8b 03').memory.segment).toBe(4);
    expect(ok('26 8b 03', 32).memory.segment).toBe(0);
  });

  it('knows 15 bytes and no more', () => {
    expect(decode(`${'66'.repeat(14)}90`).result).toBe('ok');
    expect(decode(`${'66'.repeat(15)}90`).result).toBe('gp');
    expect(decode('66'.repeat(14)).result).toBe('need-more');
  });

  it('asks for more at every cut of a long instruction', () => {
    const hex = '64 67 66 41 81 84 88 11 22 33 44 55 66'.replaceAll(' ', '');
    for (let n = 0; n < hex.length; n += 2) expect(decode(hex.slice(0, n)).result).toBe('need-more');
    expect(ok(hex).length).toBe(13);
  });
});

describe('operand and address size', () => {
  it.each([
    ['55', 64, 64],
    ['66 55', 64, 16],
    ['e8 00 00 00 00', 64, 64],
    ['66 e8 00 00', 64, 16],
    ['66 48 e8 00 00 00 00', 64, 64],
    ['48 0f b2 07', 64, 32],
    ['48 ff 2f', 64, 32],
    ['01 c8', 64, 32],
    ['00 c8', 64, 8],
    ['01 c8', 16, 16],
    ['66 01 c8', 16, 32],
    ['66 01 c8', 32, 16],
    ['0f b6 c1', 64, 32],
    ['a4', 64, 8],
    ['6c', 32, 8],
    ['d7', 64, 8],
    ['0f 20 c0', 64, 32],
  ] as const)('%s in %i-bit mode has operand size %i', (hex, mode, size) => {
    expect(ok(hex, mode).operandSize).toBe(size);
  });

  it('takes 67 in all modes', () => {
    expect(ok('67 8b 07', 16)).toMatchObject({ addressSize: 32, memory: { base: 7 } });
    expect(ok('67 8b 07', 32)).toMatchObject({ addressSize: 16, memory: { base: 3, index: -1 } });
    expect(ok('67 8b 07', 64)).toMatchObject({ addressSize: 32, memory: { base: 7 } });
  });

  it('moves control registers with the native size', () => {
    expect(ok('0f 20 c0', 64).operands[0]).toMatchObject({ kind: 'gpr', size: 64 });
    expect(ok('0f 20 00', 32).operands[0]).toMatchObject({ kind: 'gpr', size: 32, reg: 0 });
  });
});

describe('memory operands', () => {
  it.each([
    ['8b 45 f8', 64, { base: 5, segment: 2, disp: -8, dispHi: -1 }],
    ['8b 04 24', 64, { base: 4, index: -1, segment: 2 }],
    ['41 8b 45 00', 64, { base: 13, segment: 3 }],
    ['42 8b 04 a5 10 00 00 00', 64, { base: -1, index: 12, scale: 2, disp: 16, segment: 3 }],
    ['8b 05 10 00 00 00', 64, { base: -1, ripRelative: true, disp: 16 }],
    ['8b 05 10 00 00 00', 32, { base: -1, ripRelative: false, disp: 16 }],
    ['8b 04 25 00 00 00 80', 64, { base: -1, index: -1, disp: -0x80000000, dispHi: -1 }],
    ['8b 02', 16, { base: 5, index: 6, segment: 2 }],
    ['8b 0e 34 12', 16, { base: -1, disp: 0x1234, segment: 3 }],
    ['48 a1 88 77 66 55 44 33 22 11', 64, { base: -1, disp: 0x55667788, dispHi: 0x11223344 }],
    ['c4 e2 71 90 04 25 00 00 00 00', 64, { base: -1, index: 4, vsibBits: 128 }],
  ] as const)('%s in %i-bit mode', (hex, mode, memory) => {
    const ins = decode(hex, mode).ins;
    expect(ins.memory).toMatchObject(memory);
    expect(ins.hasMem).toBe(true);
  });
});

describe('operands', () => {
  it('tells AH from SPL', () => {
    expect(ok('88 e0').operands[1]).toMatchObject({ kind: 'reg8', reg: 0, high8: true });
    expect(ok('40 88 e0').operands[1]).toMatchObject({ kind: 'reg8', reg: 4, high8: false });
  });

  it('sign-extends what the manual sign-extends', () => {
    expect(ok('48 83 c0 ff')).toMatchObject({ imm: -1, immHi: -1 });
    expect(ok('48 81 c0 00 00 00 80')).toMatchObject({ imm: -0x80000000, immHi: -1 });
    expect(ok('c1 e0 ff')).toMatchObject({ imm: 255, immHi: 0 });
    expect(ok('c2 ff ff')).toMatchObject({ imm: 0xffff, immHi: 0 });
    expect(ok('cd 80').imm).toBe(0x80);
    expect(ok('48 b8 88 77 66 55 44 33 22 91')).toMatchObject({ imm: 0x55667788, immHi: 0x91223344 | 0 });
  });

  it('reads two immediates', () => {
    expect(ok('c8 10 00 02')).toMatchObject({ imm: 16, imm2: 2 });
    expect(ok('ea 78 56 34 12 08 00', 32)).toMatchObject({ imm: 0x12345678, imm2: 8 });
  });

  it('gives the constant 1 as an immediate', () => {
    expect(ok('d1 e0')).toMatchObject({ imm: 1, row: { mnemonic: 'SHL' } });
  });

  it('widens vectors with VEX.L', () => {
    expect(ok('c5 f4 58 c2').operands[0]).toMatchObject({ kind: 'ymm', size: 256 });
    expect(ok('c5 f0 58 c2').operands[0]).toMatchObject({ kind: 'xmm', size: 128 });
    expect(ok('f3 0f 10 00').operands[1]).toMatchObject({ kind: 'mem', size: 32 });
  });
});

describe('choice of row', () => {
  it.each([
    ['90', 64, 'NOP'],
    ['f3 90', 64, 'PAUSE'],
    ['41 90', 64, 'XCHG'],
    ['48 90', 64, 'NOP'],
    ['c5 c8 58 d1', 32, 'VADDPS'],
    ['c5 48 58', 32, 'LDS'],
    ['63 c1', 32, 'ARPL'],
    ['63 c1', 64, 'MOVSXD'],
    ['40', 32, 'INC'],
    ['f3 0f 1e fa', 64, 'ENDBR64'],
    ['0f 1f 40 00', 64, 'NOP'],
    ['0f 01 c1', 64, 'VMCALL'],
    ['48 0f c7 0f', 64, 'CMPXCHG16B'],
    ['0f c7 0f', 64, 'CMPXCHG8B'],
    ['9b', 64, 'FWAIT'],
  ] as const)('%s in %i-bit mode is %s', (hex, mode, mnemonic) => {
    expect(ok(hex, mode).row.mnemonic).toBe(mnemonic);
  });

  it.each([
    ['06', 64],
    ['8e c8', 64],
    ['8e f0', 64],
    ['0f 20 c8', 64],
    ['0f 01 f8', 32],
    ['8d c0', 64],
    ['66 c5 f0 58 c2', 64],
    ['f3 c5 f0 58 c2', 64],
    ['48 c5 f0 58 c2', 64],
    ['f0 c5 f0 58 c2', 64],
    ['c5 f0 28 c2', 64],
    ['62 f1 7c 48 10 00', 64],
    ['0f 0a', 64],
  ] as const)('%s in %i-bit mode is #UD', (hex, mode) => {
    expect(decode(hex, mode).result).toBe('ud');
  });
});

describe('reuse', () => {
  it('leaves nothing of the instruction before', () => {
    const reused = new Instruction();
    const codes = [
      'c4e27190042500000000',
      '67648b44887f',
      'f390',
      '48b88877665544332211',
      'f0480fb10c25',
      'a4',
      '8b02',
    ];
    for (const hex of [...codes, ...codes.toReversed()]) {
      const bytes = Uint8Array.from(Buffer.from(`${hex}0000000000000000`, 'hex'));
      const fresh = new Instruction();
      decoder.decode(bytes, 0, bytes.length, 64, reused);
      decoder.decode(bytes, 0, bytes.length, 64, fresh);
      const view = (ins: Instruction) => ({ ...ins, operands: ins.operands.slice(0, ins.operandCount) });
      expect(view(reused)).toEqual(view(fresh));
      expect(reused.clone()).toEqual(reused);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { disassemble } from '../../src/isa/disassemble.ts';
import { LOOKUP_64, LOOKUP_LEGACY, MNEMONICS, ROWS } from '../../src/isa/instruction-table.ts';
import { buildLookup } from '../../src/isa/lookup.ts';
import { parseOperand, resolveSize } from '../../src/isa/operand-kinds.ts';
import { parseTable } from '../../src/isa/parse.ts';

describe('instruction table', () => {
  it('numbers rows by position', () => {
    ROWS.forEach((row, id) => {
      expect(row.id).toBe(id);
    });
  });

  it('has every row in a lookup', () => {
    const ids = new Set([...LOOKUP_64, ...LOOKUP_LEGACY].flat().flatMap((entry) => (entry ? [...entry.slots] : [])));
    expect(ROWS.filter((row) => !ids.has(row.id)).map((row) => row.selector)).toEqual([]);
  });

  it('spells out conditions', () => {
    for (const name of ['JO', 'JNBE', 'SETNZ', 'CMOVNLE']) expect(MNEMONICS).toContain(name);
    expect(MNEMONICS.some((name) => name.includes('*'))).toBe(false);
  });

  it('names a feature for everything that is not in the base set', () => {
    expect(ROWS.filter((row) => row.map.startsWith('V') && row.feature === '')).toEqual([]);
    expect(ROWS.find((row) => row.mnemonic === 'VPADDB')).toMatchObject({ feature: 'avx', feature256: 'avx2' });
  });

  it.each([
    ['0F.zz.10 X -', 'unknown part'],
    ['1 X -', 'bad selector'],
    ['10 X', 'incomplete'],
    ['10 X - fast', 'unknown attribute'],
    ['10 X Ek', 'unknown width'],
    ['10 X kv', 'unknown letter'],
    ['10 X Vd/Mb', 'expected R, U or N'],
  ])('refuses "%s"', (line, message) => {
    expect(() => parseTable(line)).toThrow(message);
  });

  it('refuses rows that overlap', () => {
    const rows = parseTable('10/1 A Ev\n10/1 B Ev').map((row, id) => ({ id, ...row }));
    expect(() => buildLookup(rows, true)).toThrow('overlap');
  });
});

describe('operand codes', () => {
  it('resolves widths', () => {
    expect(resolveSize(parseOperand('Ev').size, 16, false, true, 128)).toBe(16);
    expect(resolveSize(parseOperand('Iz').size, 64, true, true, 128)).toBe(32);
    expect(resolveSize(parseOperand('Ey').size, 32, true, false, 128)).toBe(32);
    expect(resolveSize(parseOperand('Wh').size, 32, false, true, 256)).toBe(128);
    expect(resolveSize(parseOperand('Mp').size, 64, true, true, 128)).toBe(80);
    expect(parseOperand('Rd/Mb')).toMatchObject({ method: 'E', size: 32, memSize: 8 });
  });
});

describe('disassemble', () => {
  it('writes Intel syntax', () => {
    expect(disassemble(Uint8Array.of(0x48, 0x89, 0xd8), 0n, 64)).toBe('mov rax,rbx');
    expect(disassemble(Uint8Array.of(0xeb, 0xfe), 0xffffffff81000000n, 64)).toBe('jmp short 0xffffffff81000000');
    expect(disassemble(Uint8Array.of(0x89, 0xd8), 0n, 16)).toBe('mov ax,bx');
    expect(disassemble(Uint8Array.of(0x06), 0n, 64)).toBe('(bad)');
  });
});

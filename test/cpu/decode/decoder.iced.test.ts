import { describe, expect, it } from 'vitest';
import { ROWS } from '../../../src/isa/instruction-table.ts';
import { Instruction } from '../../../src/cpu/decode/instruction.ts';
import { Decoder } from '../../../src/cpu/decoder.ts';
import { compareWithIced, fuzz, type Mode } from './compare.ts';
import { encodingsOf } from './encode.ts';

describe('decoder against iced-x86', () => {
  it('agrees on 100,000 random codes in three modes', () => {
    expect(fuzz(20261122, 100_000)).toEqual([]);
  });

  it('reaches every row with bytes made from the table, and iced agrees on them', () => {
    const decoder = new Decoder();
    const out = new Instruction();
    const problems: string[] = [];
    for (const row of ROWS) {
      const mode: Mode = row.invalid64 ? 32 : 64;
      let reached = false;
      for (const bytes of encodingsOf(row)) {
        const found = compareWithIced(bytes, mode);
        if (found) problems.push(`row ${row.id}: ${found}`);
        if (decoder.decode(bytes, 0, bytes.length, mode, out) === 'ok' && out.row === row) reached = true;
      }
      if (!reached) problems.push(`row ${row.id} ${row.selector} ${row.mnemonic} is never reached`);
    }
    expect(problems).toEqual([]);
  });

  it('notices a difference', () => {
    // 3DNow!: iced decodes it, the table leaves it out on purpose.
    expect(compareWithIced(Uint8Array.of(0x0f, 0x0f, 0xc0, 0x9e), 64)).toBeNull();
    const decoder = new Decoder();
    expect(decoder.decode(Uint8Array.of(0x0f, 0x0f, 0xc0, 0x9e), 0, 4, 64, new Instruction())).toBe('ud');
  });
});

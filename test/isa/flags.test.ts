/** Flag effects against iced-x86, for every row; shifts differ by count, so their counts are fixed here. */
import { Decoder as IcedDecoder, DecoderOptions, type Instruction as IcedInstruction, RflagsBits } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import { AF, CF, DF, flagEffects, IF, OF, PF, SF, ZF } from '../../src/isa/flags.ts';
import { ROWS } from '../../src/isa/instruction-table.ts';
import type { FlagEffects, InstructionRow } from '../../src/isa/row.ts';
import { encodingsOf } from '../cpu/decode/encode.ts';

const BITS: readonly (readonly [number, number])[] = [
  [RflagsBits.OF, OF],
  [RflagsBits.SF, SF],
  [RflagsBits.ZF, ZF],
  [RflagsBits.AF, AF],
  [RflagsBits.CF, CF],
  [RflagsBits.PF, PF],
  [RflagsBits.DF, DF],
  [RflagsBits.IF, IF],
];
const COMPARED = BITS.reduce((mask, [, ours]) => mask | ours, 0);

const fromIced = (bits: number) => BITS.reduce((mask, [theirs, ours]) => (bits & theirs ? mask | ours : mask), 0);

/** What the two say differently on purpose, with the reason. */
const EXCEPT: Readonly<Record<string, string>> = {
  ROL: 'iced: OF undefined for counts over 1',
  ROR: 'iced: OF undefined for counts over 1',
  RCL: 'iced: OF undefined for counts over 1',
  RCR: 'iced: OF undefined for counts over 1',
  SHL: 'iced: OF undefined for counts over 1',
  SHR: 'iced: OF undefined for counts over 1',
  SAR: 'iced: OF undefined for counts over 1',
  SHLD: 'iced: OF undefined for counts over 1',
  SHRD: 'iced: OF undefined for counts over 1',
  INT: 'pushes all flags, the gate clears IF',
  INT1: 'pushes all flags, the gate clears IF',
  INT3: 'pushes all flags, the gate clears IF',
  INTO: 'pushes all flags, the gate clears IF',
  CLI: 'IF or VIF by mode',
  STI: 'IF or VIF by mode',
  SYSENTER: 'clears IF and VM only; iced lists nothing modified',
  VMCALL: 'a hypercall here, not a VMX transition',
  MOV: 'to and from CR and DR: undefined by the manual, unchanged on all processors',
  RSM: 'never leaves system management mode here',
};

function icedEffects(iced: IcedInstruction): FlagEffects {
  const [cleared, set] = [fromIced(iced.rflagsCleared), fromIced(iced.rflagsSet)];
  return {
    tested: fromIced(iced.rflagsRead),
    modified: fromIced(iced.rflagsWritten) & ~cleared & ~set,
    undefined: fromIced(iced.rflagsUndefined),
    cleared,
    set,
  };
}

function difference(row: InstructionRow): string | null {
  const decoder = new IcedDecoder(row.invalid64 ? 32 : 64, encodingsOf(row)[0]!, DecoderOptions.AMD);
  const iced = decoder.decode();
  const theirs = icedEffects(iced);
  iced.free();
  decoder.free();
  for (const key of ['tested', 'modified', 'undefined', 'cleared', 'set'] as const) {
    const ours = row.flags[key] & COMPARED;
    if (ours !== theirs[key])
      return `${row.mnemonic} ${key}: 0x${ours.toString(16)}, iced 0x${theirs[key].toString(16)}`;
  }
  return null;
}

describe('flag effects', () => {
  it('agree with iced-x86', () => {
    const rows = ROWS.filter((row) => !(row.mnemonic in EXCEPT));
    expect([...new Set(rows.map(difference).filter((text) => text !== null))]).toEqual([]);
  });

  it('have no stale exception', () => {
    const differing = new Set(ROWS.filter((row) => difference(row) !== null).map((row) => row.mnemonic));
    expect(Object.keys(EXCEPT).filter((name) => !differing.has(name))).toEqual([]);
  });

  it('never put one flag into two results', () => {
    for (const { mnemonic, flags } of ROWS) {
      const parts = [flags.modified, flags.undefined, flags.cleared, flags.set];
      const sum = parts.reduce((total, mask) => total + mask, 0);
      expect(sum, mnemonic).toBe(parts.reduce((all, mask) => all | mask, 0));
    }
  });

  it('hold the manual for shifts, whose effect depends on the count', () => {
    expect(flagEffects('SHL', -1)).toEqual({
      tested: 0,
      modified: OF | SF | ZF | PF | CF,
      undefined: AF,
      cleared: 0,
      set: 0,
    });
    expect(flagEffects('RCL', -1)).toEqual({ tested: CF, modified: OF | CF, undefined: 0, cleared: 0, set: 0 });
    expect(flagEffects('JNBE', 7).tested).toBe(CF | ZF);
  });
});

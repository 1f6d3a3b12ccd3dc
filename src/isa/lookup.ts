/**
 * From opcode to row: for each opcode a dense array over exactly the bits that select there.
 *
 *   slot =  L | W | pp pp | mod=3 | reg reg reg | rm rm rm      the parts that an opcode does not need are left out
 */
import type { InstructionRow, MandatoryPrefix, OpcodeMap } from './row.ts';

export const OPCODE_MAPS: readonly OpcodeMap[] = ['1B', '0F', '0F38', '0F3A', 'V0F', 'V0F38', 'V0F3A'];
const PREFIX_NUMBER: Readonly<Record<MandatoryPrefix, number>> = { any: -1, np: 0, '66': 1, f3: 2, f2: 3 };

/** What the decoder asks for one opcode. `slots` holds row ids, or -1 for #UD. */
export interface OpcodeEntry {
  readonly slots: Int16Array;
  readonly needsModrm: boolean;
  readonly usesPrefix: boolean;
  readonly usesModrm: boolean;
  readonly usesW: boolean;
  readonly usesL: boolean;
}

export type LookupRow = InstructionRow & { readonly wIgnoredOutside64: boolean };

/** Index into `OpcodeEntry.slots`; `pp` is 0 none, 1 66, 2 F3, 3 F2. */
export function slotIndex(entry: OpcodeEntry, pp: number, modrm: number, w: number, l: number): number {
  let index = 0;
  if (entry.usesL) index = l;
  if (entry.usesW) index = (index << 1) | w;
  if (entry.usesPrefix) index = (index << 2) | pp;
  if (entry.usesModrm) index = (index << 7) | (modrm >= 0xc0 ? 64 : 0) | (modrm & 63);
  return index;
}

function matches(row: LookupRow, pp: number, modrm: number, w: number, l: number, is64: boolean): boolean {
  const prefix = PREFIX_NUMBER[row.prefix];
  if (prefix >= 0 && prefix !== pp) return false;
  if (row.l >= 0 && row.l !== l) return false;
  if (row.w >= 0 && row.w !== w && !(row.wIgnoredOutside64 && !is64)) return false;
  if (row.exactModrm >= 0) return row.exactModrm === modrm;
  if (row.digit >= 0 && row.digit !== ((modrm >> 3) & 7)) return false;
  if (row.form === 'mem') return modrm < 0xc0;
  if (row.form === 'reg') return modrm >= 0xc0;
  return true;
}

/** Of two rows that both match, the one that asks for more wins. */
function specificity(row: LookupRow): number {
  const modrm = row.exactModrm >= 0 ? 4 : (row.digit >= 0 ? 2 : 0) + (row.form === 'any' ? 0 : 1);
  return modrm * 8 + (row.prefix === 'any' ? 0 : 4) + (row.w >= 0 ? 2 : 0) + (row.l >= 0 ? 1 : 0);
}

function choose(rows: readonly LookupRow[], pp: number, modrm: number, w: number, l: number, is64: boolean): number {
  let best: LookupRow | undefined;
  for (const row of rows) {
    if (!matches(row, pp, modrm, w, l, is64)) continue;
    if (best && specificity(best) === specificity(row)) {
      throw new Error(
        `instruction table: ${best.selector} ${best.mnemonic} and ${row.selector} ${row.mnemonic} overlap`,
      );
    }
    if (!best || specificity(row) > specificity(best)) best = row;
  }
  return best ? best.id : -1;
}

function buildEntry(rows: readonly LookupRow[], is64: boolean): OpcodeEntry {
  const needsModrm = rows.some((row) => row.hasModrm);
  const shape = {
    needsModrm,
    usesPrefix: rows.some((row) => row.prefix !== 'any'),
    usesModrm: rows.some((row) => row.digit >= 0 || row.exactModrm >= 0 || row.form !== 'any'),
    usesW: rows.some((row) => row.w >= 0),
    usesL: rows.some((row) => row.l >= 0),
  };
  const modrms = shape.usesModrm ? Array.from({ length: 128 }, (_, i) => (i >= 64 ? 0xc0 : 0) | (i & 63)) : [0];
  const size = modrms.length << ((shape.usesPrefix ? 2 : 0) + (shape.usesW ? 1 : 0) + (shape.usesL ? 1 : 0));
  const entry: OpcodeEntry = { ...shape, slots: new Int16Array(size).fill(-1) };
  for (let l = 0; l <= (shape.usesL ? 1 : 0); l++) {
    for (let w = 0; w <= (shape.usesW ? 1 : 0); w++) {
      for (let pp = 0; pp <= (shape.usesPrefix ? 3 : 0); pp++) {
        for (const modrm of modrms)
          entry.slots[slotIndex(entry, pp, modrm, w, l)] = choose(rows, pp, modrm, w, l, is64);
      }
    }
  }
  return entry;
}

/** One array of 256 entries per opcode map; undefined where every encoding is #UD. */
export type Lookup = readonly (readonly (OpcodeEntry | undefined)[])[];

export function buildLookup(rows: readonly LookupRow[], is64: boolean): Lookup {
  return OPCODE_MAPS.map((map) => {
    const inMap = rows.filter((row) => row.map === map && !(is64 ? row.invalid64 : row.only64));
    return Array.from({ length: 256 }, (_, opcode) => {
      const here = inMap.filter((row) => row.opcode === opcode);
      return here.length > 0 ? buildEntry(here, is64) : undefined;
    });
  });
}

/** The instruction table: all rows, and the two lookups (64-bit mode, and the rest). */
import { buildLookup, type LookupRow } from './lookup.ts';
import { parseTable } from './parse.ts';
import type { InstructionRow } from './row.ts';
import { AVX } from './tables/avx.ts';
import { ONE_BYTE } from './tables/one-byte.ts';
import { SIMD } from './tables/simd.ts';
import { THREE_BYTE, TWO_BYTE } from './tables/two-byte.ts';
import { X87 } from './tables/x87.ts';

const TABLES: readonly string[] = [ONE_BYTE, TWO_BYTE, THREE_BYTE, X87, SIMD, AVX];

const LOOKUP_ROWS: readonly LookupRow[] = TABLES.flatMap(parseTable).map((row, id) => ({ id, ...row }));

/** Every row, by id. */
export const ROWS: readonly InstructionRow[] = LOOKUP_ROWS;

/** All mnemonics in the table, each once, in table order. */
export const MNEMONICS: readonly string[] = [...new Set(ROWS.map((row) => row.mnemonic))];

export const LOOKUP_64 = buildLookup(LOOKUP_ROWS, true);
export const LOOKUP_LEGACY = buildLookup(LOOKUP_ROWS, false);

/** 90 with REX.B is XCHG r8, rAX, on AMD also behind F3 (measured): the decoder takes this row by itself. */
export const XCHG_R8_ROW: InstructionRow = ROWS.find((row) => row.opcode === 0x91 && row.map === '1B')!;

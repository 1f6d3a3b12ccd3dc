/**
 * The binary form of one event: 16 words of 32 bits, the same size for every kind, so that hot code appends one with
 * plain stores. All words little-endian.
 *
 *     word   31            16 15             0
 *      0     │ domain        │ kind          │
 *      1     │ pcpu          │ vcpu          │   0xffff: none
 *      2     │ tick, low 32 bits             │
 *      3     │ tick, high 21 bits            │
 *      4…15  │ fields, in the table's order  │   without bytes: up to 12 words
 *      4…13  │ fields; a length for every    │   with bytes: up to 5 words. The last field of variable length
 *            │ variable field but the last   │   takes what the others leave of word 15.
 *      14    │ offset of the bytes, counted from the session's first (mod 2^32)
 *      15    │ number of bytes               │
 *
 * Words not in use are zero. The sequence number is not stored: records are consecutive. Because offsets count from
 * the start of the session, records do not depend on how the log was cut into batches, and their bytes are the
 * canonical form that digests are computed over.
 */
import { KINDS, type FieldType, type KindName, type KindSpec } from './kinds.ts';

export const RECORD_WORDS = 16;
export const RECORD_BYTES = RECORD_WORDS * 4;
/** First word of the fields. */
export const FIELD_WORD = 4;
export const BLOB_OFFSET_WORD = 14;
export const BLOB_LENGTH_WORD = 15;
/** What EventLog.appendBytes takes. */
const MAX_WORDS_BESIDE_BYTES = 5;
/** `vcpu` and `pcpu` of a record that has none. */
export const NONE_16 = 0xffff;
/** Longest run of bytes in one event. */
export const MAX_EVENT_BYTES = 1 << 20;

const TWO_32 = 0x1_0000_0000;

export interface FieldLayout {
  readonly name: string;
  readonly type: FieldType;
  /** Word in the record: of the value, or of the length. The last variable field has none (-1). */
  readonly word: number;
  readonly variable: boolean;
}

export interface KindLayout {
  readonly name: KindName;
  readonly number: number;
  readonly input: boolean;
  readonly fields: readonly FieldLayout[];
  /** Words of the record in use, bytes' words included: 4..16. */
  readonly hasBytes: boolean;
  /** Number of field words in use from FIELD_WORD on. */
  readonly fieldWords: number;
}

export function isVariable(type: FieldType): boolean {
  return type === 'bytes' || type === 'chars' || type === 'text';
}

function wordsOf(type: FieldType): number {
  if (type === 'u53' || type === 'u64' || type === 'i64') return 2;
  return type === 'u64x5' ? 10 : 1;
}

function layoutOf(name: KindName): KindLayout {
  const spec: KindSpec = KINDS[name];
  const entries = Object.entries(spec.fields);
  const lastVariable = entries.findLastIndex(([, type]) => isVariable(type));
  let word = FIELD_WORD;
  const fields = entries.map(([field, type], i): FieldLayout => {
    const implied = i === lastVariable;
    const layout = { name: field, type, word: implied ? -1 : word, variable: isVariable(type) };
    if (!implied) word += wordsOf(type);
    return layout;
  });
  const hasBytes = lastVariable >= 0;
  if (word - FIELD_WORD > (hasBytes ? MAX_WORDS_BESIDE_BYTES : RECORD_WORDS - FIELD_WORD))
    throw new Error(`event kind ${name} has too many fields`);
  if (spec.number < 1 || spec.number > 255) throw new Error(`event kind ${name}: number out of range`);
  return {
    name,
    number: spec.number,
    input: spec.door === 'input',
    fields,
    hasBytes,
    fieldWords: word - FIELD_WORD,
  };
}

/** Layouts by kind name. */
export const LAYOUTS: ReadonlyMap<string, KindLayout> = new Map(
  (Object.keys(KINDS) as KindName[]).map((name) => [name, layoutOf(name)]),
);

/** Layouts by kind number; holes are unknown kinds. */
export const LAYOUT_BY_NUMBER: readonly (KindLayout | undefined)[] = (() => {
  const table: (KindLayout | undefined)[] = new Array(256).fill(undefined);
  for (const layout of LAYOUTS.values()) {
    if (table[layout.number])
      throw new Error(`event kinds ${layout.name} and ${table[layout.number]!.name} share a number`);
    table[layout.number] = layout;
  }
  return table;
})();

/** Low word of an integer below 2^53 or of a bigint. */
export function low32(value: number | bigint): number {
  return typeof value === 'bigint' ? Number(BigInt.asUintN(32, value)) : value >>> 0;
}

/** High word of an integer below 2^53 or of a bigint (two's complement when negative). */
export function high32(value: number | bigint): number {
  return typeof value === 'bigint' ? Number(BigInt.asUintN(32, value >> 32n)) : Math.floor(value / TWO_32) >>> 0;
}

export function toU53(low: number, high: number): number {
  return high * TWO_32 + low;
}

export function toU64(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

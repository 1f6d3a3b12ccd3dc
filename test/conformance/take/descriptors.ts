/**
 * The descriptor tables that vectors outside flat 64-bit code refer to: Linux's GDT as user mode sees it, and a local
 * table that the taker installs (modify_ldt makes DPL 3 code and data segments, always accessed, conforming ones only
 * not present).
 *
 *     63      56 55 54 53 52 51    48 47 46 45 44 43  40 39             32
 *     | base hi |G |D |L |A | limit hi|P | DPL |S | type | base 23..16   |       31..16 base 15..0, 15..0 limit 15..0
 */
import type { Bits } from './encode.ts';

const CODE = 0x10000000;
const DATA = 0x20000000;

export interface Descriptor {
  readonly base: number;
  /** As in the descriptor, 20 bits. */
  readonly limit: number;
  /** Data: 0, expand-down: 1, code: 2, conforming code: 3 (struct user_desc). */
  readonly contents: number;
  readonly big: boolean;
  readonly pages: boolean;
  /** Data that cannot be written, code that cannot be read. */
  readonly restricted: boolean;
  readonly present: boolean;
}

const descriptor = (base: number, limit: number, contents: number, flags = ''): Descriptor => ({
  base,
  limit,
  contents,
  big: flags.includes('b'),
  pages: flags.includes('g'),
  restricted: flags.includes('r'),
  present: !flags.includes('n'),
});

/** b: 32-bit, g: limit in pages, r: read-only or execute-only, n: not present. */
export const LOCAL: readonly Descriptor[] = [
  descriptor(CODE, 0xfff, 2),
  descriptor(DATA, 0xfff, 0),
  descriptor(DATA, 0x7ff, 1),
  descriptor(DATA, 0xfff, 0, 'b'),
  descriptor(DATA, 0xfff, 0, 'r'),
  descriptor(DATA, 0x3ff, 0),
  descriptor(CODE, 0xfff, 2, 'b'),
  descriptor(CODE, 0xfff, 2, 'r'),
  descriptor(CODE, 0xfff, 3, 'n'),
  descriptor(0, 0xfffff, 0, 'bg'),
  descriptor(DATA, 0xfff, 0, 'n'),
  descriptor(DATA, 0x3ff, 1, 'b'),
  descriptor(DATA - 0x100, 0x10ff, 0),
  descriptor(CODE, 0x7ff, 2),
  descriptor(CODE, 0xfff, 2, 'n'),
  descriptor(0, 0xfffff, 2, 'bgr'),
  descriptor(DATA, 0, 1, 'bg'),
  descriptor(DATA - 0x800, 0x1fff, 1, 'r'),
];

export const selectorOf = (index: number): number => (index << 3) | 7;

/** Selectors of the local table by use. */
export const CODE_16 = [0, 0, 0, 7, 13].map(selectorOf);
export const CODE_32 = [6, 6, 15].map(selectorOf);
export const DATA_ANY = [1, 1, 1, 2, 3, 4, 5, 9, 11, 12, 16].map(selectorOf);
export const STACKS = [1, 1, 1, 2, 3, 11, 12].map(selectorOf);

/** Linux's GDT: null, 32-bit kernel code, kernel code and data, then user 32-bit code, data, 64-bit code. */
export const GLOBAL: readonly bigint[] = [
  0n,
  0x00cf9b000000ffffn,
  0x00af9b000000ffffn,
  0x00cf93000000ffffn,
  0x00cffb000000ffffn,
  0x00cff3000000ffffn,
  0x00affb000000ffffn,
  ...new Array<bigint>(8).fill(0n),
  // Where Linux keeps the processor's number.
  0x0040f50000000000n,
];

/** Selectors to load or look at: good ones, and every way to be wrong. */
export const SELECTORS = [
  0,
  1,
  2,
  3,
  0x08,
  0x10,
  0x18,
  0x1b,
  0x20,
  0x23,
  0x28,
  0x2b,
  0x29,
  0x30,
  0x33,
  0xfff8,
  0xffff,
  ...LOCAL.map((_, i) => selectorOf(i)),
  selectorOf(1) & ~3,
  selectorOf(6) & ~1,
  (LOCAL.length << 3) | 7,
  0x2007,
];

/** The descriptor as the processor reads it. */
export function rawDescriptor(d: Descriptor): bigint {
  const type = 1 | (d.restricted ? 0 : 2) | (d.contents << 2);
  const access = BigInt(0x70 | (d.present ? 0x80 : 0) | type);
  const flags = BigInt((d.big ? 4 : 0) | (d.pages ? 8 : 0));
  const [base, limit] = [BigInt(d.base), BigInt(d.limit)];
  return (
    (limit & 0xffffn) |
    ((base & 0xffffffn) << 16n) |
    (access << 40n) |
    ((limit >> 16n) << 48n) |
    (flags << 52n) |
    ((base >> 24n) << 56n)
  );
}

/** `struct user_desc` of modify_ldt for entry `index`. */
export function userDescriptor(d: Descriptor, index: number): Uint8Array {
  const flags =
    (d.big ? 1 : 0) | (d.contents << 1) | (d.restricted ? 8 : 0) | (d.pages ? 16 : 0) | (d.present ? 0 : 32);
  return new Uint8Array(Uint32Array.of(index, d.base, d.limit, flags).buffer);
}

/** Base of what `selector` names, in linear addresses; 0 for flat segments. */
export const baseOf = (selector: number): number => (selector & 4 ? (LOCAL[selector >> 3]?.base ?? 0) : 0);

/** The mode of code in `selector`. */
export const modeOf = (selector: number): Bits =>
  selector & 4 ? (LOCAL[selector >> 3]!.big ? 32 : 16) : selector === 0x33 ? 64 : 32;

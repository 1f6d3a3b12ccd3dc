/**
 * As much of AML as a PVH guest's DSDT needs (ACPI specification 6.2, chapter 20). Each function gives the bytes of one
 * term; a package-like term starts with its own length:
 *
 *      7   6 5       4 3         0
 *     ┌─────┬─────────┬───────────┐   n = 0: length in bits 5..0
 *     │  n  │ 0       │ length lo │   n > 0: low 4 bits here, then n bytes, lowest first
 *     └─────┴─────────┴───────────┘   the length counts these bytes too
 */
export type Aml = readonly number[];

export const scope = (path: string, ...terms: Aml[]): Aml => [0x10, ...pack([...name(path), ...terms.flat()])];

export const processor = (seg: string, id: number, pblk: number, pblkBytes: number, ...terms: Aml[]): Aml => [
  ...[0x5b, 0x83],
  ...pack([...name(seg), id, ...u32(pblk), pblkBytes, ...terms.flat()]),
];

export const named = (seg: string, value: Aml): Aml => [0x08, ...name(seg), ...value];

/** Not serialized. */
export const method = (seg: string, args: number, ...terms: Aml[]): Aml => [
  0x14,
  ...pack([...name(seg), args, ...terms.flat()]),
];

export const REGION = { MEMORY: 0, IO: 1 } as const;
export const region = (seg: string, space: number, at: number, bytes: number): Aml => [
  ...[0x5b, 0x80, ...name(seg), space],
  ...dword(at),
  ...byte(bytes),
];

/** Fields of a region in order, accessed by bytes; one without a name is left out. Widths are bits. */
export const field = (seg: string, ...fields: (readonly [seg: string | undefined, bits: number])[]): Aml => [
  ...[0x5b, 0x81],
  ...pack([...name(seg), 0x01, ...fields.flatMap(([each, bits]) => [...(each ? name(each) : [0x00]), ...width(bits)])]),
];

export const local = (n: number): Aml => [0x60 + n];
/** An object, or a method that is called without arguments. */
export const object = (path: string): Aml => name(path);

export const returns = (value: Aml): Aml => [0xa4, ...value];
export const when = (condition: Aml, ...terms: Aml[]): Aml => [0xa0, ...pack([...condition, ...terms.flat()])];
/** Behind `when`. */
export const otherwise = (...terms: Aml[]): Aml => [0xa1, ...pack(terms.flat())];
export const equal = (a: Aml, b: Aml): Aml => [0x93, ...a, ...b];
export const differs = (a: Aml, b: Aml): Aml => [0x92, ...equal(a, b)];
export const store = (value: Aml, to: Aml): Aml => [0x70, ...value, ...to];
export const add = (a: Aml, b: Aml, to: Aml): Aml => [0x72, ...a, ...b, ...to];
export const subtract = (a: Aml, b: Aml, to: Aml): Aml => [0x74, ...a, ...b, ...to];
export const and = (a: Aml, b: Aml, to: Aml): Aml => [0x7b, ...a, ...b, ...to];
export const shiftRight = (value: Aml, by: Aml, to: Aml): Aml => [0x7a, ...value, ...by, ...to];
export const toBuffer = (value: Aml): Aml => [0x96, ...value, 0x00];
/** Element `index` of a buffer. */
export const element = (buffer: Aml, index: number): Aml => [0x83, 0x88, ...buffer, ...byte(index), 0x00];
export const notify = (path: string, value: number): Aml => [0x86, ...name(path), ...byte(value)];
export const sleep = (milliseconds: number): Aml => [0x5b, 0x22, ...byte(milliseconds)];

export const byte = (value: number): Aml => (value === 0 ? [0x00] : [0x0a, value]);
const dword = (value: number): Aml => [0x0c, ...u32(value)];

export const string = (value: string): Aml => [0x0d, ...ascii(value), 0];

/** `\_SB.PR00.FLG` from the root, `^PR00.FLG` from the scope above; a lone segment is looked for upwards. */
function name(path: string): number[] {
  const from = /^[\\^]?/.exec(path)![0];
  const segs = path.slice(from.length).split('.');
  if (!segs.every((seg) => /^[A-Z_][A-Z0-9_]{0,3}$/.test(seg))) throw new RangeError(`not an AML name: ${path}`);
  const [DUAL_NAME, MULTI_NAME] = [0x2e, 0x2f];
  const count = segs.length === 1 ? [] : segs.length === 2 ? [DUAL_NAME] : [MULTI_NAME, segs.length];
  return [...ascii(from), ...count, ...segs.flatMap((seg) => ascii(seg.padEnd(4, '_')))];
}

function pack(body: readonly number[]): number[] {
  for (let more = 0; more <= 3; more++) {
    const length = body.length + 1 + more;
    if (length < packLimit(more)) return [...packLength(length, more), ...body];
  }
  throw new RangeError('AML package is too long');
}

/** A field's width is written as a length is, which counts nothing but itself. */
function width(bits: number): number[] {
  return packLength(bits, [0, 1, 2, 3].find((more) => bits < packLimit(more))!);
}

function packLimit(more: number): number {
  return more === 0 ? 0x40 : 2 ** (4 + 8 * more);
}

function packLength(length: number, more: number): number[] {
  if (more === 0) return [length];
  return [(more << 6) | (length & 15), ...Array.from({ length: more }, (_, i) => (length >> (4 + 8 * i)) & 255)];
}

function ascii(text: string): number[] {
  return Array.from(text, (c) => c.charCodeAt(0));
}

function u32(value: number): number[] {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
}

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

/** A method without arguments, not serialized. */
export const method = (seg: string, ...terms: Aml[]): Aml => [0x14, ...pack([...name(seg), 0, ...terms.flat()])];

export const returns = (value: Aml): Aml => [0xa4, ...value];

export const byte = (value: number): Aml => (value === 0 ? [0x00] : [0x0a, value]);

export const string = (value: string): Aml => [0x0d, ...ascii(value), 0];

function name(path: string): number[] {
  const root = path.startsWith('\\');
  const seg = root ? path.slice(1) : path;
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(seg)) throw new RangeError(`not an AML name: ${path}`);
  return [...(root ? [0x5c] : []), ...ascii(seg.padEnd(4, '_'))];
}

function pack(body: number[]): number[] {
  if (body.length + 1 < 0x40) return [body.length + 1, ...body];
  for (let more = 1; more <= 3; more++) {
    const length = body.length + 1 + more;
    if (length < 2 ** (4 + 8 * more))
      return [
        (more << 6) | (length & 15),
        ...Array.from({ length: more }, (_, i) => (length >> (4 + 8 * i)) & 255),
        ...body,
      ];
  }
  throw new RangeError('AML package is too long');
}

function ascii(text: string): number[] {
  return Array.from(text, (c) => c.charCodeAt(0));
}

function u32(value: number): number[] {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
}

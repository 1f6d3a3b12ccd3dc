/** Numbers in packets: hexadecimal, no sign, no prefix. */

/** A packet that says something impossible: an error to gdb, nothing to us. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** @throws Malformed */
export function number(hex: string): number {
  if (!/^[0-9a-fA-F]{1,8}$/.test(hex)) throw new Malformed();
  return Number.parseInt(hex, 16);
}

/** @throws Malformed */
export function big(hex: string): bigint {
  if (!/^[0-9a-fA-F]{1,16}$/.test(hex)) throw new Malformed();
  return BigInt(`0x${hex}`);
}

/** One byte a character. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

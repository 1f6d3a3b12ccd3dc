/** Builds byte sequences that should decode to a given row: the table read backwards, for coverage. */
import type { InstructionRow } from '../../../src/isa/row.ts';

const PREFIX_BYTE: Readonly<Record<string, number>> = { '66': 0x66, f3: 0xf3, f2: 0xf2 };
const ESCAPES: Readonly<Record<string, readonly number[]>> = {
  '1B': [],
  '0F': [0x0f],
  '0F38': [0x0f, 0x38],
  '0F3A': [0x0f, 0x3a],
};
const VEX_MAP: Readonly<Record<string, number>> = { V0F: 1, V0F38: 2, V0F3A: 3 };
const VEX_PP: Readonly<Record<string, number>> = { any: 0, np: 0, '66': 1, f3: 2, f2: 3 };

function modrms(row: InstructionRow): number[] {
  if (!row.hasModrm) return [];
  if (row.exactModrm >= 0) return [row.exactModrm];
  const reg = row.digit >= 0 ? row.digit : 2;
  // Register 3; memory at rBX, at disp32/RIP, at SIB + disp8.
  const memory = [(reg << 3) | 3, (reg << 3) | 5, 0x40 | (reg << 3) | 4];
  // Vector indices want a SIB; 0x35 below has index 6, which is neither the register 2 nor the mask 1.
  if (row.usesVsib) return [0x40 | (reg << 3) | 4];
  return [...(row.form === 'mem' ? [] : [0xc3 | (reg << 3)]), ...(row.form === 'reg' || row.ignoresMod ? [] : memory)];
}

function head(row: InstructionRow, w: number, l: number): number[] {
  const map = VEX_MAP[row.map];
  if (map === undefined) {
    const prefix = PREFIX_BYTE[row.prefix];
    return [...(prefix ? [prefix] : []), ...(w ? [0x48] : []), ...ESCAPES[row.map]!, row.opcode];
  }
  const vvvv = row.usesVvvv ? 1 : 0;
  return [0xc4, 0xe0 | map, (w << 7) | ((~vvvv & 15) << 3) | (l << 2) | VEX_PP[row.prefix]!, row.opcode];
}

/** Encodings of `row` for 64-bit mode, or 32-bit mode when the row exists only there. */
export function encodingsOf(row: InstructionRow): Uint8Array[] {
  const vex = VEX_MAP[row.map] !== undefined;
  const ws = row.w >= 0 ? [row.w] : row.invalid64 ? [0] : [0, 1];
  const ls = row.l >= 0 ? [row.l] : vex ? [0, 1] : [0];
  const tails = row.hasModrm ? modrms(row).map((modrm) => [modrm]) : [[]];
  const encodings: Uint8Array[] = [];
  for (const w of ws) {
    for (const l of ls) {
      for (const tail of tails) {
        const bytes = [...head(row, w, l), ...tail, 0x35, 0x12, 0x34, 0x56, 0x78, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e];
        encodings.push(Uint8Array.from(bytes));
      }
    }
  }
  return encodings;
}

/** Bytes of an instruction for a row of the instruction table: prefixes, registers, addressing and immediates by chance. */
import type { InstructionRow, OperandSpec } from '../../../src/isa/row.ts';
import { resolveSize } from '../../../src/isa/operand-kinds.ts';
import { integer, type Random } from './random.ts';

export type Bits = 16 | 32 | 64;

const ESCAPES: Readonly<Record<string, readonly number[]>> = {
  '1B': [],
  '0F': [0x0f],
  '0F38': [0x0f, 0x38],
  '0F3A': [0x0f, 0x3a],
};
const VEX_MAP: Readonly<Record<string, number>> = { V0F: 1, V0F38: 2, V0F3A: 3 };
const VEX_PP: Readonly<Record<string, number>> = { any: 0, np: 0, '66': 1, f3: 2, f2: 3 };
const SEGMENTS = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65] as const;
const MEMORY_METHODS = 'EMQW';

/** Where absolute addresses (disp32 alone, RIP-relative, memory offsets) may point. */
export interface Places {
  readonly rip: number;
  /** An address of the data page, or one that faults; in the code's own terms (offsets in 16-bit segments). */
  readonly absolute: () => number;
}

interface Shape {
  readonly vex: boolean;
  readonly w: number;
  readonly l: number;
  readonly has66: boolean;
  readonly has67: boolean;
  readonly memory: boolean;
  readonly operandSize: number;
  readonly addressSize: Bits;
}

const takesMemory = (row: InstructionRow): boolean =>
  row.form !== 'reg' &&
  row.exactModrm < 0 &&
  !row.ignoresMod &&
  row.operands.some((o) => MEMORY_METHODS.includes(o.method));

function shapeOf(row: InstructionRow, mode: Bits, r: Random): Shape {
  const vex = VEX_MAP[row.map] !== undefined;
  const sized = row.operands.some((o) => o.size > 0x8000 || o.memSize > 0x8000) || row.default64 || row.force64;
  const mayTake66 = !vex && (row.prefix === 'any' || row.prefix === 'f2' || row.prefix === 'f3');
  const has66 = mayTake66 && r.chance(row.prefix === 'any' ? (sized || row.operands.length === 0 ? 28 : 4) : 6);
  const w = row.w >= 0 ? row.w : mode !== 64 && !vex ? 0 : r.chance(vex ? 40 : sized ? 40 : 6) ? 1 : 0;
  const l = row.l >= 0 ? (r.chance(1) ? 1 - row.l : row.l) : r.below(2);
  const memory = takesMemory(row) && (row.form === 'mem' || r.chance(55));
  const has67 = r.chance(memory || row.operands.some((o) => 'XYO'.includes(o.method)) ? 7 : 2);
  const addressSize: Bits = mode === 64 ? (has67 ? 32 : 64) : (mode === 32) === has67 ? 16 : 32;
  let operandSize: number;
  if (row.byteSized) operandSize = 8;
  else if (mode === 64) operandSize = row.force64 || w ? 64 : has66 ? 16 : row.default64 ? 64 : 32;
  else operandSize = has66 === (mode === 32) ? 16 : 32;
  return { vex, w, l, has66, has67, memory, operandSize, addressSize };
}

function prefixes(row: InstructionRow, shape: Shape, mode: Bits, r: Random): number[] {
  const list: number[] = [];
  if (shape.has66 || (row.prefix === '66' && !shape.vex)) list.push(0x66);
  if (shape.has67) list.push(0x67);
  if (!shape.vex && (row.prefix === 'f2' || row.prefix === 'f3')) list.push(row.prefix === 'f2' ? 0xf2 : 0xf3);
  if (row.rep !== 'none' && r.chance(60)) list.push(r.chance(row.rep === 'repz' ? 50 : 8) ? 0xf2 : 0xf3);
  else if (!shape.vex && row.prefix === 'any' && r.chance(1.5)) list.push(r.pick([0xf2, 0xf3]));
  if (r.chance(shape.memory ? 8 : 2)) list.push(r.pick(SEGMENTS));
  if (row.lockable && shape.memory ? r.chance(25) : r.chance(0.7)) list.push(0xf0);
  if (r.chance(1)) list.push(r.pick([...SEGMENTS, 0x66, 0x67]));
  if (shape.vex && r.chance(1)) list.push(r.pick([0x66, 0xf2, 0xf3, 0xf0, 0x48]));
  // Any order.
  for (let i = list.length - 1; i > 0; i--) {
    const k = r.below(i + 1);
    [list[i], list[k]] = [list[k]!, list[i]!];
  }
  // A REX before another prefix counts for nothing.
  if (mode === 64 && !shape.vex && list.length > 0 && r.chance(2))
    list.splice(r.below(list.length), 0, 0x40 | r.below(16));
  return list;
}

function little(v: bigint, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Number((v >> BigInt(8 * i)) & 0xffn));
}

function immediate(row: InstructionRow, spec: OperandSpec, shape: Shape, mode: Bits, r: Random): number[] {
  const size = resolveSize(spec.size, shape.operandSize, shape.w === 1, mode === 64, 128);
  // Counts and selectors of shuffles are bytes of any value; relative branches land on the page, mostly.
  if (spec.method === 'I') return little(size === 8 && r.chance(60) ? r.bits(8) : integer(r, size), size / 8);
  if (spec.method === 'L') return [r.below(256)];
  if (spec.method === 'J') {
    const far = row.opcode !== 0xe8 || r.chance(30);
    return little(size === 8 || !far ? integer(r, 8) : integer(r, size), size / 8);
  }
  throw new Error(`${spec.text} is no immediate`);
}

/** ModRM, SIB and displacement. `after`: bytes that follow, for RIP-relative addresses. */
function addressing(
  row: InstructionRow,
  shape: Shape,
  mode: Bits,
  r: Random,
  places: Places,
  at: number,
  after: number,
): number[] {
  const reg = row.digit >= 0 ? row.digit : r.below(8);
  if (row.exactModrm >= 0) return [row.exactModrm];
  const byte = (mod: number, rm: number): number => (mod << 6) | (reg << 3) | rm;
  if (!shape.memory) return [byte(row.ignoresMod ? r.below(4) : 3, r.below(8))];
  const mod = r.pick([0, 0, 1, 1, 2]);
  if (shape.addressSize === 16 && !row.usesVsib) {
    const rm = r.below(8);
    if (mod === 0 && rm === 6) return [byte(0, 6), ...little(BigInt(places.absolute()), 2)];
    return [byte(mod, rm), ...(mod === 0 ? [] : little(integer(r, 8 * mod), mod))];
  }
  const rm = row.usesVsib ? 4 : r.below(8);
  const sib = rm === 4 ? [r.below(256)] : [];
  const bare = mod === 0 && (rm === 5 || (rm === 4 && (sib[0]! & 7) === 5));
  if (!bare)
    return [
      byte(mod, rm),
      ...sib,
      ...(mod === 1 ? little(integer(r, 8), 1) : mod === 2 ? little(smallDisplacement(r), 4) : []),
    ];
  const target = places.absolute() - (mode === 64 && rm === 5 ? places.rip + at + 1 + 4 + after : 0);
  return [byte(mod, rm), ...sib, ...little(BigInt(target), 4)];
}

const smallDisplacement = (r: Random): bigint => (r.chance(70) ? BigInt.asIntN(12, r.bits(12)) : integer(r, 32));

/** @returns the bytes, or undefined where the row has no encoding in `mode` */
export function encode(row: InstructionRow, mode: Bits, r: Random, places: Places): Uint8Array {
  const shape = shapeOf(row, mode, r);
  const bytes = prefixes(row, shape, mode, r);
  const tail: number[] = [];
  for (const spec of row.operands) {
    if ('IJL'.includes(spec.method)) tail.push(...immediate(row, spec, shape, mode, r));
    else if (spec.method === 'A')
      tail.push(...little(integer(r, 16), shape.operandSize / 8), ...little(BigInt(r.below(0x60)), 2));
    else if (spec.method === 'O') {
      const far = mode === 64 && shape.addressSize === 64 && r.chance(3) ? 1n << 47n : 0n;
      tail.push(...little(BigInt(places.absolute()) + far, shape.addressSize / 8));
    }
  }
  if (shape.vex) bytes.push(...vexHead(row, shape, mode, r));
  else {
    if (mode === 64 && (shape.w === 1 || r.chance(45))) bytes.push(0x40 | (shape.w << 3) | r.below(8));
    bytes.push(...ESCAPES[row.map]!, row.opcode);
  }
  if (row.hasModrm) bytes.push(...addressing(row, shape, mode, r, places, bytes.length, tail.length));
  return Uint8Array.from([...bytes, ...tail]);
}

function vexHead(row: InstructionRow, shape: Shape, mode: Bits, r: Random): number[] {
  const vvvv = row.usesVvvv || r.chance(1) ? r.below(mode === 64 ? 16 : r.chance(3) ? 16 : 8) : 0;
  const tail = ((~vvvv & 15) << 3) | (shape.l << 2) | VEX_PP[row.prefix]!;
  const high = mode === 64 ? r.below(8) << 5 : 0xe0 & (r.chance(80) ? 0xff : 0xdf);
  const map = VEX_MAP[row.map]!;
  // Outside 64-bit mode the byte after C5 has both top bits set, or it is LDS.
  if (map === 1 && shape.w === 0 && r.chance(50)) return [0xc5, (mode === 64 ? high & 0x80 : 0xc0) | tail, row.opcode];
  return [0xc4, high | map, (shape.w << 7) | tail, row.opcode];
}

/**
 * Operand codes of the instruction table, in Intel's notation (SDM Vol. 2, appendix A.2), parsed once at load.
 *
 *   E v         R d / M b            letter = where the operand is, tail = how wide it is;
 *   | |         register / memory    `/` gives the register and the memory form separately
 */
import type { OperandKind, OperandMethod, OperandSpec } from './row.ts';

/** Width codes above 0x8000 depend on prefixes; below they are bits. */
export const SIZE_V = 0x8001; // 16, 32 or 64 by operand size
export const SIZE_Z = 0x8002; // 16 or 32 by operand size
export const SIZE_Y = 0x8003; // 32, or 64 with W in 64-bit mode
export const SIZE_N = 0x8004; // native: 64 in 64-bit mode, else 32
export const SIZE_X = 0x8005; // vector: 128 or 256 by VEX.L
export const SIZE_H = 0x8006; // half a vector
export const SIZE_F = 0x8007; // a quarter of a vector
export const SIZE_E = 0x8008; // an eighth of a vector
export const SIZE_P = 0x8009; // far pointer: 16 bits more than operand size
export const SIZE_S = 0x800a; // pseudo-descriptor: 48 bits, 80 in 64-bit mode
export const SIZE_A = 0x800b; // BOUND's pair: twice the operand size

const SIZES: Readonly<Record<string, number>> = {
  '': 0,
  b: 8,
  bs: 8,
  w: 16,
  d: 32,
  q: 64,
  t: 80,
  dq: 128,
  qq: 256,
  ss: 32,
  sd: 64,
  env: 224, // x87 environment, 28 bytes (14 with 16-bit operands)
  save: 864, // x87 state, 108 bytes (94 with 16-bit operands)
  fx: 4096, // FXSAVE area
  xs: 4096, // XSAVE area, at least
  line: 512, // cache line
  v: SIZE_V,
  z: SIZE_Z,
  y: SIZE_Y,
  n: SIZE_N,
  x: SIZE_X,
  h: SIZE_H,
  f: SIZE_F,
  e: SIZE_E,
  p: SIZE_P,
  s: SIZE_S,
  a: SIZE_A,
};

const FIXED: Readonly<Record<string, readonly [OperandKind, number, number]>> = {
  AL: ['reg8', 0, 8],
  CL: ['reg8', 1, 8],
  AX: ['gpr', 0, 16],
  DX: ['gpr', 2, 16],
  rAX: ['gpr', 0, SIZE_V],
  eAX: ['gpr', 0, SIZE_Z],
  '1': ['imm', 1, 8],
  ES: ['sreg', 0, 16],
  CS: ['sreg', 1, 16],
  SS: ['sreg', 2, 16],
  DS: ['sreg', 3, 16],
  FS: ['sreg', 4, 16],
  GS: ['sreg', 5, 16],
  ST: ['st', 0, 80],
  XMM0: ['xmm', 0, 128],
};

const METHODS = 'ABCDEGHIJLMNOPQRSTUVWXYZ';

function sizeOf(tail: string, text: string): number {
  const size = SIZES[tail];
  if (size === undefined) throw new Error(`operand ${text}: unknown width "${tail}"`);
  return size;
}

/** Parses one operand code. Throws on an unknown one, so a typing error in a table stops the program at load. */
export function parseOperand(text: string): OperandSpec {
  const fixed = FIXED[text];
  if (fixed) {
    const [fixedKind, fixedReg, size] = fixed;
    return { text, method: 'fixed', size, memSize: size, signed: false, fixedKind, fixedReg, vsib: false };
  }
  const plain = { text, signed: false, fixedKind: 'none' as OperandKind, fixedReg: 0, vsib: false };
  const slash = text.indexOf('/');
  if (slash > 0) {
    // `Rd/Mb` is E with two widths; `Ux/Mq` is W; `Nq/Md` is Q.
    const method = ({ R: 'E', U: 'W', N: 'Q' } as Record<string, OperandMethod>)[text[0]!];
    if (!method || text[slash + 1] !== 'M') throw new Error(`operand ${text}: expected R, U or N before /M`);
    return { ...plain, method, size: sizeOf(text.slice(1, slash), text), memSize: sizeOf(text.slice(slash + 2), text) };
  }
  const method = text[0] as OperandMethod;
  if (!METHODS.includes(method)) throw new Error(`operand ${text}: unknown letter`);
  let tail = text.slice(1);
  const vsib = tail.startsWith('vm');
  // `Mvmx`: memory with a vector of indices, width of the index vector after `vm`.
  if (vsib) tail = tail.slice(2);
  const size = sizeOf(tail, text);
  return { ...plain, method, size, memSize: size, signed: tail === 'bs', vsib };
}

/** Size of a width code in bits. `operandSize` is 16, 32 or 64; `vectorBits` 128 or 256. */
export function resolveSize(code: number, operandSize: number, w: boolean, is64: boolean, vectorBits: number): number {
  if (code < 0x8000) return code;
  switch (code) {
    case SIZE_V:
      return operandSize;
    case SIZE_Z:
      return operandSize === 16 ? 16 : 32;
    case SIZE_Y:
      return w && is64 ? 64 : 32;
    case SIZE_N:
      return is64 ? 64 : 32;
    case SIZE_X:
      return vectorBits;
    case SIZE_H:
      return vectorBits >> 1;
    case SIZE_F:
      return vectorBits >> 2;
    case SIZE_E:
      return vectorBits >> 3;
    case SIZE_P:
      return operandSize + 16;
    case SIZE_S:
      return is64 ? 80 : 48;
    case SIZE_A:
      return operandSize * 2;
    default:
      throw new Error(`unknown width code 0x${code.toString(16)}`);
  }
}

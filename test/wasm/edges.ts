import type { ValType } from '../../src/wasm/index.ts';
import { fromFloat, join, ones } from './reference.ts';

/** Bit patterns at the edges of sign, width and overflow of an n-bit integer. */
export function integerEdges(n: number): bigint[] {
  const top = 1n << BigInt(n - 1);
  const values = [0n, 1n, 2n, ones(n), ones(n) - 1n, top, top - 1n, top + 1n, BigInt(n - 1), BigInt(n), BigInt(n + 1)];
  for (const width of [8, 16, 32].filter((narrow) => narrow < n)) {
    values.push(1n << BigInt(width - 1), ones(width - 1), ones(width), ones(n) ^ ones(width - 1));
  }
  values.push(BigInt.asUintN(n, 0x0123456789abcdefn), BigInt.asUintN(n, 0xa5a5a5a5a5a5a5a5n));
  return [...new Set(values.map((value) => BigInt.asUintN(n, value)))];
}

/** Bit patterns at the edges of rounding, range, sign and class of a float. */
export function floatEdges(n: number): bigint[] {
  const numbers = [
    0,
    0.5,
    0.9,
    1,
    1.5,
    2.5,
    3.4999999,
    4.7,
    0.1,
    2 ** 24 + 1,
    2 ** 52 + 0.5,
    1e300,
    1e-300,
    3.4e38,
    1e-45,
  ];
  for (const power of [31, 32, 63, 64]) {
    const exact = 2 ** power;
    numbers.push(exact, exact - 1, exact + 1, exact * (1 - 2 ** -24), exact * (1 - 2 ** -53), exact + 0.9, exact - 0.1);
  }
  numbers.push(Number.POSITIVE_INFINITY, 16777217.5, 1.0000000596046448, 5e-324);
  const bits = numbers.flatMap((value) => [fromFloat(value, n), fromFloat(-value, n)]);
  // A quiet and a signalling NaN with a payload, of either sign.
  bits.push(...(n === 64 ? [0x7ff8000000000000n, 0xfff4000000000123n] : [0x7fc00000n, 0xffa00123n]));
  return [...new Set(bits)];
}

/** Vectors whose lanes of width n, position by position, meet every pair of `edges`. */
function packPairs(edges: readonly bigint[], n: number): [bigint, bigint][] {
  const pairs = edges.flatMap((a) => edges.map((b) => [a, b] as const));
  const perVector = 128 / n;
  const packed: [bigint, bigint][] = [];
  for (let i = 0; i < pairs.length; i += perVector) {
    const chunk = Array.from({ length: perVector }, (_, k) => pairs[(i + k) % pairs.length]);
    packed.push([
      join(
        chunk.map(([a]) => a),
        n,
      ),
      join(
        chunk.map(([, b]) => b),
        n,
      ),
    ]);
  }
  return packed;
}

const few = (edges: bigint[], most: number): bigint[] => {
  const step = Math.max(1, Math.floor(edges.length / most));
  return edges.filter((_, i) => i % step === 0);
};

/** Pairs of vectors for operations of one namespace: lanes of its own width and of half of it, integers and floats. */
export function vectorPairs(namespace: string): [bigint, bigint][] {
  const whole: [bigint, bigint][] = [
    [0n, 0n],
    [0n, ones(128)],
    [ones(128), 1n << 127n],
    [1n << 64n, 1n],
  ];
  const indices = join(
    Array.from({ length: 16 }, (_, i) => BigInt([0, 15, 16, 17, 31, 32, 127, 128, 255, 7][i % 10])),
    8,
  );
  whole.push([
    join(
      Array.from({ length: 16 }, (_, i) => BigInt(i + 0x80)),
      8,
    ),
    indices,
  ]);
  const integers = (n: number) => packPairs(integerEdges(n), n);
  const floats = (n: number) => packPairs(floatEdges(n), n);
  switch (namespace) {
    case 'i8x16':
      return [...whole, ...integers(8), ...integers(16)];
    case 'i16x8':
      return [...whole, ...integers(16), ...integers(8), ...packPairs(few(integerEdges(32), 16), 32)];
    case 'i32x4':
      return [
        ...whole,
        ...packPairs(integerEdges(32), 32),
        ...integers(16),
        ...floats(32),
        ...packPairs(floatEdges(64), 64),
      ];
    case 'i64x2':
      return [...whole, ...packPairs(integerEdges(64), 64), ...packPairs(integerEdges(32), 32)];
    case 'f32x4':
      return [...whole, ...floats(32), ...packPairs(floatEdges(64), 64), ...packPairs(integerEdges(32), 32)];
    case 'f64x2':
      return [...whole, ...floats(64), ...packPairs(floatEdges(32), 32), ...packPairs(integerEdges(32), 32)];
    default:
      return [...whole, ...packPairs(integerEdges(64), 64)];
  }
}

/** Edge values of a scalar type. */
export function scalarEdges(type: ValType): bigint[] {
  if (type === 'i32' || type === 'i64') return integerEdges(type === 'i32' ? 32 : 64);
  if (type === 'v128') throw new Error('vectors come in pairs: vectorPairs');
  return floatEdges(type === 'f32' ? 32 : 64);
}

/** All lists of operands to try for an instruction. */
export function operandCases(namespace: string, operands: readonly ValType[]): bigint[][] {
  if (operands[0] === 'v128') {
    const pairs = vectorPairs(namespace);
    if (operands[1] === undefined || operands[1] === 'v128') {
      return pairs.map(([a, b], i) => [a, b, pairs[(i * 7 + 3) % pairs.length][i % 2]].slice(0, operands.length));
    }
    const scalars = scalarEdges(operands[1]);
    return pairs.flatMap(([a], i) =>
      [scalars[i % scalars.length], scalars[(i * 5 + 1) % scalars.length]].map((s) => [a, s]),
    );
  }
  const first = scalarEdges(operands[0]);
  return operands.length === 1
    ? first.map((a) => [a])
    : first.flatMap((a) => scalarEdges(operands[1]).map((b) => [a, b]));
}

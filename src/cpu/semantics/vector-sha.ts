/** SHA extensions (Intel SDM Vol. 2, FIPS 180-4). Dword 3 of a register is the first word of its group. */
import { type Expr, type FunctionBuilder, i32, i32x4, i8x16, type Local, v128 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import { binary } from './vector-arithmetic.ts';
import { legacy, shared, type V128, type VectorSemantics, zero } from './vector-operation.ts';

type Word = Expr<'i32'>;

const rotateLeft = (x: Word, n: number): Word => i32.rotl(x, i32.const(n));
const xor3 = (a: Word, b: Word, c: Word): Word => i32.xor(i32.xor(a, b), c);
const rotations = (x: Word, a: number, b: number, c: number): Word =>
  xor3(rotateLeft(x, 32 - a), rotateLeft(x, 32 - b), rotateLeft(x, 32 - c));
const choose = (x: Word, y: Word, z: Word): Word => i32.xor(i32.and(i32.xor(y, z), x), z);
const majority = (x: Word, y: Word, z: Word): Word => i32.or(i32.and(x, y), i32.and(z, i32.or(x, y)));
const sum = (...terms: Word[]): Word => terms.reduce((a, b) => i32.add(a, b));

const lane = (f: FunctionBuilder, x: V128, n: number): Local<'i32'> => f.let(i32x4.extract_lane(x, n));
/** A register of words, dword 0 first. */
const vectorOf = (words: readonly Word[]): V128 =>
  words.slice(1).reduce((x: V128, word, n) => i32x4.replace_lane(x, word, n + 1), i32x4.splat(words[0]!));

const DWORD_3 = v128.const(0n, 0xffffffff00000000n);

/** Four rounds; the immediate chooses function and constant. */
const sha1Rounds = shared('SHA1RNDS4', ['v128', 'v128', 'i32'], 'v128', (f, state, words, imm) => {
  const [d, c, b, a] = [0, 1, 2, 3].map((n) => lane(f, state, n)) as Local<'i32'>[];
  const e = f.let(i32.const(0));
  const constants = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];
  const which = f.let(i32.and(imm, i32.const(3)));
  const mixed = f.local('i32', 'mixed');
  for (let round = 0; round < 4; round++) {
    f.switch(
      which,
      constants.map((k, n) => () => {
        const value = n === 0 ? choose(b!, c!, d!) : n === 2 ? majority(b!, c!, d!) : xor3(b!, c!, d!);
        f.set(mixed, i32.add(value, i32.const(k)));
      }),
      () => f.unreachable(),
    );
    const next = f.let(sum(mixed, rotateLeft(a!, 5), i32x4.extract_lane(words, 3 - round), e));
    f.set(e, d!);
    f.set(d!, c!);
    f.set(c!, rotateLeft(b!, 30));
    f.set(b!, a!);
    f.set(a!, next);
  }
  return vectorOf([d!, c!, b!, a!]);
});
const sha1rnds4: VectorSemantics = (v) => v.write(0, sha1Rounds(v, v.read(0), v.read(1), v.imm()));

const sha1NextE = shared('SHA1NEXTE', ['v128', 'v128'], 'v128', (_, a, b) => {
  const rotated = v128.or(i32x4.shl(a, i32.const(30)), i32x4.shr_u(a, i32.const(2)));
  return i32x4.add(b, v128.and(rotated, DWORD_3));
});

/** Each word with the one two places on; the last two come from b. */
const sha1Message1 = shared('SHA1MSG1', ['v128', 'v128'], 'v128', (_, a, b) =>
  v128.xor(a, i8x16.shuffle(a, b, [24, 25, 26, 27, 28, 29, 30, 31, 0, 1, 2, 3, 4, 5, 6, 7])),
);
const sha1Message2 = shared('SHA1MSG2', ['v128', 'v128'], 'v128', (f, a, b) => {
  const word = (n: number, other: Word): Local<'i32'> => f.let(rotateLeft(i32.xor(i32x4.extract_lane(a, n), other), 1));
  const w16 = word(3, i32x4.extract_lane(b, 2));
  const w17 = word(2, i32x4.extract_lane(b, 1));
  const w18 = word(1, i32x4.extract_lane(b, 0));
  return vectorOf([word(0, w16), w18, w17, w16]);
});

/** Two rounds: A B E F in b, C D G H in a, the words with their constants in XMM0. */
const sha256Rounds = shared('SHA256RNDS2', ['v128', 'v128', 'v128'], 'v128', (f, cdgh, abef, words) => {
  const [fWord, e, b, a] = [0, 1, 2, 3].map((n) => lane(f, abef, n)) as Local<'i32'>[];
  const [h, g, d, c] = [0, 1, 2, 3].map((n) => lane(f, cdgh, n)) as Local<'i32'>[];
  for (let round = 0; round < 2; round++) {
    const first = f.let(sum(choose(e!, fWord!, g!), rotations(e!, 6, 11, 25), i32x4.extract_lane(words, round), h!));
    const second = f.let(i32.add(majority(a!, b!, c!), rotations(a!, 2, 13, 22)));
    f.set(h!, g!);
    f.set(g!, fWord!);
    f.set(fWord!, e!);
    f.set(e!, i32.add(d!, first));
    f.set(d!, c!);
    f.set(c!, b!);
    f.set(b!, a!);
    f.set(a!, i32.add(first, second));
  }
  return vectorOf([fWord!, e!, b!, a!]);
});
const sha256rnds2: VectorSemantics = (v) =>
  v.write(0, sha256Rounds(v, v.read(0), v.read(1), v128.load(i32.const(0), L.YMM)));

const rotate = (x: V128, n: number): V128 => v128.or(i32x4.shr_u(x, i32.const(n)), i32x4.shl(x, i32.const(32 - n)));
const sigma = (f: FunctionBuilder, value: V128, a: number, b: number, c: number): V128 => {
  const x = f.let(value);
  return v128.xor(v128.xor(rotate(x, a), rotate(x, b)), i32x4.shr_u(x, i32.const(c)));
};

const sha256Message1 = shared('SHA256MSG1', ['v128', 'v128'], 'v128', (f, a, b) => {
  const next = i8x16.shuffle(a, b, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  return i32x4.add(a, sigma(f, next, 7, 18, 3));
});
/** The upper two words build on the lower two, made first. */
const sha256Message2 = shared('SHA256MSG2', ['v128', 'v128'], 'v128', (f, a, b) => {
  const high = i8x16.shuffle(b, zero(), [8, 9, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16, 16, 16, 16, 16]);
  const low = f.let(i32x4.add(a, sigma(f, high, 17, 19, 10)));
  const raised = i8x16.shuffle(low, zero(), [16, 16, 16, 16, 16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7]);
  return i32x4.add(low, sigma(f, raised, 17, 19, 10));
});

/** Processors do not check the alignment of these, although the manual's exception class says so. */
export const vectorSha: Record<string, Semantics> = {
  ...legacy('SHA1RNDS4', sha1rnds4, 'never'),
  ...legacy('SHA1NEXTE', binary(sha1NextE), 'never'),
  ...legacy('SHA1MSG1', binary(sha1Message1), 'never'),
  ...legacy('SHA1MSG2', binary(sha1Message2), 'never'),
  ...legacy('SHA256RNDS2', sha256rnds2, 'never'),
  ...legacy('SHA256MSG1', binary(sha256Message1), 'never'),
  ...legacy('SHA256MSG2', binary(sha256Message2), 'never'),
};

/** All vector instructions but floating-point arithmetic. */
import type { Semantics } from './operation.ts';
import { vectorArithmetic } from './vector-arithmetic.ts';
import { vectorGalois } from './vector-galois.ts';
import { vectorMoves } from './vector-moves.ts';
import { vectorPairs } from './vector-pairs.ts';
import { vectorPermutes } from './vector-permutes.ts';
import { vectorSha } from './vector-sha.ts';
import { vectorShifts } from './vector-shifts.ts';
import { vectorShuffles } from './vector-shuffles.ts';
import { vectorTests } from './vector-tests.ts';

export const vector: Record<string, Semantics> = {
  ...vectorMoves,
  ...vectorArithmetic,
  ...vectorPairs,
  ...vectorShifts,
  ...vectorShuffles,
  ...vectorPermutes,
  ...vectorGalois,
  ...vectorSha,
  ...vectorTests,
};

/** The meaning of every mnemonic that generated code executes. One family a file; system and x87 instructions are TypeScript. */
import { arithmetic } from './arithmetic.ts';
import { bits } from './bits.ts';
import { control } from './control.ts';
import { moves } from './moves.ts';
import { mxcsr } from './mxcsr.ts';
import { muldiv } from './muldiv.ts';
import type { Semantics } from './operation.ts';
import { shifts } from './shifts.ts';
import { sseFloat } from './sse-float.ts';
import { sseFloatCompare } from './sse-float-compare.ts';
import { sseFloatConvert } from './sse-float-convert.ts';
import { sseFloatFma } from './sse-float-fma.ts';
import { sseFloatLanes } from './sse-float-lanes.ts';
import { stack } from './stack.ts';
import { strings } from './strings.ts';
import { vector } from './vector.ts';
import { vectorStrings } from './vector-strings.ts';
import { x87Common } from './x87.ts';

const attempts: Record<string, Semantics> = {
  ...sseFloat,
  ...sseFloatCompare,
  ...sseFloatConvert,
  ...sseFloatLanes,
  ...sseFloatFma,
  ...vectorStrings,
  ...mxcsr,
  ...x87Common,
};

/** Mnemonics whose generated form may hand the instruction to TypeScript (`Control.attempt`). */
export const attempted: ReadonlySet<string> = new Set(Object.keys(attempts));

export const semantics: Record<string, Semantics | undefined> = {
  ...arithmetic,
  ...shifts,
  ...muldiv,
  ...moves,
  ...bits,
  ...stack,
  ...strings,
  ...control,
  ...vector,
  ...attempts,
};

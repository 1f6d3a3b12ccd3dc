import type { Expr, Local } from './expr.ts';
import type { ResultType, ValType } from './opcodes.ts';

export type Types = readonly ValType[];
/** What a call yields as an expression: nothing, or its only result. For several results see `callInto`. */
export type ResultOf<R extends Types> = R extends readonly []
  ? 'void'
  : R extends readonly [infer T extends ValType]
    ? T
    : number extends R['length']
      ? ResultType
      : never;
export type Args<P extends Types> = { [K in keyof P]: Expr<P[K]> };
export type Params<P extends Types> = { [K in keyof P]: Local<P[K]> };

/** A function of the module, imported or its own. */
export interface FuncRef<P extends Types = Types, R extends Types = Types> {
  readonly index: number;
  readonly name: string;
  readonly params: P;
  readonly results: R;
}

/** A table of functions, imported or the module's own. */
export interface TableRef {
  readonly index: number;
  readonly name: string;
}

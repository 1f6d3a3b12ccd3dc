/**
 * What an engine tier supplies to the semantics functions: where operands are, how a block is left, and functions to call.
 * The interpreter reads operands from records; a compiler would give constants.
 */
import type { Expr, FuncRef, Label } from '../../wasm/index.ts';

/** Where a semantics function's operands come from. All addresses are of linear memory. */
export interface Fields {
  /** The record, for whoever must find the instruction again after a fault. */
  pc(): Expr<'i32'>;
  /** Slot address of the first, second, third, fourth register operand. */
  register(which: 'a' | 'b' | 'c' | 'd'): Expr<'i32'>;
  base(): Expr<'i64'>;
  index(): Expr<'i64'>;
  scale(): Expr<'i64'>;
  segmentBase(): Expr<'i64'>;
  /** Linear address of the memory operand from all of these, where the tier has a function for it. */
  linear(): Expr<'i64'> | undefined;
  disp(): Expr<'i64'>;
  /** Immediate, sign-extended from 32 bits. */
  imm(): Expr<'i64'>;
  /** 64-bit immediate. */
  imm64(): Expr<'i64'>;
  /** Instructions from here to the end of the block, this one included. */
  left(): Expr<'i32'>;
}

/** Ways out of a block. Each ends the code path: nothing may follow it. */
export interface Control {
  /** On behind the instruction. */
  fallThrough(): void;
  /** To the instruction's relative target. */
  jumpRelative(): void;
  /** To RIP = `target` (cut to the operand size already). */
  jumpTo(target: Expr<'i64'>): void;
  /** Leave the run with RIP still on this instruction (a REP whose budget ran out). */
  suspend(): void;
  /** RIP of the next instruction; `indirect` for instructions that have register or memory operands. */
  nextRip(indirect: boolean): Expr<'i64'>;
  /**
   * Emits `fast`, a form of the instruction that may find itself unable: a branch to `giveUp` with nothing changed hands the
   * instruction to TypeScript. The end of `fast` is the end of the instruction.
   */
  attempt(fast: (giveUp: Label) => void): void;
  /** RIP of the relative target, not cut. */
  targetRip(): Expr<'i64'>;
}

/** Functions that generated code may call. Those that can fault take the record, to be found again. */
export interface Runtime {
  /** (linear, bytes, pc) -> address in linear memory; gathers split and device reads in scratch. */
  readonly locateRead: FuncRef<readonly ['i64', 'i32', 'i32'], readonly ['i32']>;
  /** (linear, bytes, pc) -> address; a result of SCRATCH means the old bytes are there, and `commit` must follow the store. */
  readonly locateModify: FuncRef<readonly ['i64', 'i32', 'i32'], readonly ['i32']>;
  /** (linear, bytes, pc): as above, but the old bytes are not read. */
  readonly locateWrite: FuncRef<readonly ['i64', 'i32', 'i32'], readonly ['i32']>;
  /** (pc): carries scratch to its destination. */
  readonly commit: FuncRef<readonly ['i32'], readonly []>;
  /** (vector, error, pc): raises; does not return. */
  readonly raise: FuncRef<readonly ['i32', 'i32', 'i32'], readonly []>;
  /** (offset, segment, bytes, write, pc) -> linear address, with all checks of the segment. */
  readonly segmentLinear: FuncRef<readonly ['i64', 'i32', 'i32', 'i32', 'i32'], readonly ['i64']>;
  /** The same three as locate…, TLB lookup included: for code that is not hot enough to have it inline. */
  readonly read: FuncRef<readonly ['i64', 'i32', 'i32'], readonly ['i32']>;
  readonly modify: FuncRef<readonly ['i64', 'i32', 'i32'], readonly ['i32']>;
  readonly write: FuncRef<readonly ['i64', 'i32', 'i32'], readonly ['i32']>;
  /** Helpers made by semantics families, by name. */
  readonly helpers: Map<string, FuncRef>;
}

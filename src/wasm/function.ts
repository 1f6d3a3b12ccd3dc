import { ByteSink } from './bytes.ts';
import { Const, isTrivial } from './const.ts';
import { Call, Choice, EmitError, type Expr, expectType, type GlobalRef, type Local, Tee } from './expr.ts';
import { LocalPool } from './locals.ts';
import type { ResultType, ValType } from './opcodes.ts';
import type { Args, FuncRef, Params, ResultOf, TableRef, Types } from './refs.ts';

/** A branch target: the end of a block, or the start of a loop. Valid only inside it. */
export class Label {
  /** How many labels enclose this one. */
  readonly level: number;
  readonly owner: FunctionBuilder;
  open = true;

  constructor(level: number, owner: FunctionBuilder) {
    this.level = level;
    this.owner = owner;
  }
}

const BLOCK = 0x02;
const LOOP = 0x03;
const IF = 0x04;
const ELSE = 0x05;
const END = 0x0b;
const NO_RESULT = 0x40;

/** Builds the body of one function, statement by statement, straight into the byte buffer. */
export class FunctionBuilder {
  readonly ref: FuncRef;
  /** Parameters and locals. */
  readonly locals: LocalPool;
  readonly #out: ByteSink;
  readonly #typeIndex: (params: Types, results: Types) => number;
  #level = 0;

  constructor(
    ref: FuncRef,
    out: ByteSink,
    typeIndex: (params: Types, results: Types) => number,
    paramNames: readonly string[],
  ) {
    this.ref = ref;
    this.#out = out;
    this.#typeIndex = typeIndex;
    this.locals = new LocalPool(this, ref.params, paramNames);
  }

  /** Parameter `index`; give its type where the context does not say it. */
  param<T extends ValType>(index: number, type?: T): Local<T> {
    const local = this.locals.params[index];
    if (local === undefined) throw new EmitError(`there is no parameter ${index}`);
    if (type !== undefined) expectType(`parameter ${index}`, local, type);
    return local as unknown as Local<T>;
  }

  // Locals

  /** A local variable. Its value is unspecified until set: the slot may have served another local before. */
  local<T extends ValType>(type: T, name = ''): Local<T> {
    return this.locals.take(type, name);
  }

  /** Runs `body`; locals it declared are dead afterwards and their slots are used again. */
  scope<V>(body: () => V): V {
    return this.locals.scope(body);
  }

  /** A new local that holds the value of `expr`, computed here and once. */
  let<T extends ValType>(expr: Expr<T>, name = ''): Local<T> {
    this.#expectValue('let', expr);
    const local = this.local(expr.type, name);
    this.set(local, expr);
    return local;
  }

  /** The value of `expr`, computed here and once: as `let`, but a constant stays one and may fold further. */
  value<T extends ValType>(expr: Expr<T>, name = ''): Expr<T> {
    return expr instanceof Const ? expr : this.let(expr, name);
  }

  set<T extends ValType>(local: Local<T>, value: Expr<NoInfer<T>>): void {
    expectType(`set of ${local.describe()}`, value, local.type);
    local.check(this);
    this.#emit(value);
    this.#out.u8(0x21);
    this.#out.u32(local.index);
  }

  /** Assigns when the expression is taken, and yields the value. */
  tee<T extends ValType>(local: Local<T>, value: Expr<NoInfer<T>>): Expr<T> {
    local.check(this);
    return new Tee(local, value);
  }

  getGlobal<T extends ValType>(global: GlobalRef<T>): Expr<T> {
    return global;
  }

  setGlobal<T extends ValType>(global: GlobalRef<T>, value: Expr<NoInfer<T>>): void {
    if (!global.mutable) throw new EmitError(`${global.describe()} is not mutable`);
    expectType(`set of ${global.describe()}`, value, global.type);
    this.#emit(value);
    this.#out.u8(0x24);
    this.#out.u32(global.index);
  }

  // Statements

  /** Computes `expr` now, for its effect; a value is dropped. */
  do(expr: Expr): void {
    this.#emit(expr);
    if (expr.type !== 'void') this.#out.u8(0x1a);
  }

  /** A block: a branch to its label goes to its end. */
  block(body: (end: Label) => void): void {
    const label = this.#open(BLOCK);
    body(label);
    this.#close(label);
  }

  /** A loop: a branch to its label goes to its start; without one it ends after a single turn. */
  loop(body: (start: Label) => void): void {
    const label = this.#open(LOOP);
    body(label);
    this.#close(label);
  }

  /** A constant condition leaves only the branch taken. A branch to the label goes to the end of the whole `if`. */
  if(cond: Expr<'i32'>, then: (end: Label) => void, otherwise?: (end: Label) => void): void {
    expectType('if', cond, 'i32');
    if (cond instanceof Const) {
      const taken = cond.value === 0 ? otherwise : then;
      if (taken !== undefined) this.block(taken);
      return;
    }
    this.#emit(cond);
    const label = this.#open(IF);
    then(label);
    if (otherwise !== undefined) {
      this.#out.u8(ELSE);
      otherwise(label);
    }
    this.#close(label);
  }

  /** `cond ? a : b`, computing only the side chosen. */
  ifExpr<T extends ValType>(type: T, cond: Expr<'i32'>, a: Expr<NoInfer<T>>, b: Expr<NoInfer<T>>): Expr<T> {
    expectType('ifExpr', a, type);
    expectType('ifExpr', b, type);
    if (!(cond instanceof Const)) return new Choice(true, cond, a as Expr<T>, b as Expr<T>);
    const [taken, dead] = cond.value === 0 ? [b, a] : [a, b];
    // Written to nowhere, so that its locals are checked and its effects count as taken.
    dead.emit(new ByteSink(), this);
    return taken as Expr<T>;
  }

  /** `cond ? a : b`, computing both sides: a, b, then cond. */
  select<T extends ValType>(a: Expr<T>, b: Expr<NoInfer<T>>, cond: Expr<'i32'>): Expr<T> {
    if (cond instanceof Const && isTrivial(cond.value === 0 ? a : b)) return cond.value === 0 ? (b as Expr<T>) : a;
    return new Choice(false, cond, a, b as Expr<T>);
  }

  /**
   * Runs arm `index`, or `otherwise` when there is none of that number; ends after it (no fall-through). Each arm is a
   * scope for locals. The way to dispatch over thousands of arms: blocks are opened one by one, not by recursion.
   *
   *     block end                                   ← the label every arm gets
   *       block default
   *         block arm n-1 … block arm 0
   *           br_table 0 … n-1, default             ← innermost
   *         end   (arm 0's code, br end)  …
   *       end     (arm n-1's code, br end)
   *     end       (default's code)
   */
  switch(index: Expr<'i32'>, arms: readonly ((end: Label) => void)[], otherwise: (end: Label) => void): void {
    const end = this.#open(BLOCK);
    const fallback = this.#open(BLOCK);
    const labels = arms.map(() => this.#open(BLOCK)).reverse();
    this.brTable(index, labels, fallback);
    arms.forEach((arm, number) => {
      this.#close(labels[number]);
      this.scope(() => arm(end));
      this.br(end);
    });
    this.#close(fallback);
    this.scope(() => otherwise(end));
    this.#close(end);
  }

  br(label: Label): void {
    const depth = this.#depth(label);
    this.#out.u8(0x0c);
    this.#out.u32(depth);
  }

  /** Branches if `cond` is not zero; a constant condition branches always or never. */
  brIf(label: Label, cond: Expr<'i32'>): void {
    expectType('brIf', cond, 'i32');
    const depth = this.#depth(label);
    if (cond instanceof Const) {
      if (cond.value !== 0) this.br(label);
      return;
    }
    this.#emit(cond);
    this.#out.u8(0x0d);
    this.#out.u32(depth);
  }

  /** Branches to `labels[index]`, or to `otherwise` if the (unsigned) index is beyond them. */
  brTable(index: Expr<'i32'>, labels: readonly Label[], otherwise: Label): void {
    expectType('brTable', index, 'i32');
    this.#emit(index);
    this.#out.u8(0x0e);
    this.#out.u32(labels.length);
    for (const label of labels) this.#out.u32(this.#depth(label));
    this.#out.u32(this.#depth(otherwise));
  }

  return(...values: Expr[]): void {
    this.#checkTypes('return', values, this.ref.results);
    for (const value of values) this.#emit(value);
    this.#out.u8(0x0f);
  }

  unreachable(): void {
    this.#out.u8(0x00);
  }

  // Calls

  /** A call of a function with at most one result. As every expression it happens where it is taken. */
  call<P extends Types, R extends Types>(callee: FuncRef<P, R>, ...args: Args<P>): Expr<ResultOf<R>> {
    if (callee.results.length > 1) throw new EmitError(`call of ${callee.name}: several results need callInto`);
    return this.#call(callee, args as unknown as readonly Expr[]) as Expr as Expr<ResultOf<R>>;
  }

  /** Calls now and assigns all results to `targets`. */
  callInto<P extends Types, R extends Types>(targets: Params<R>, callee: FuncRef<P, R>, ...args: Args<P>): void {
    const locals = targets as unknown as readonly Local[];
    this.#checkTypes(`results of ${callee.name}`, locals, callee.results);
    this.#emit(this.#call(callee, args as unknown as readonly Expr[]));
    for (const local of [...locals].reverse()) {
      local.check(this);
      this.#out.u8(0x21);
      this.#out.u32(local.index);
    }
  }

  /** A call of the function in slot `slot` of `table`; traps at run time if that is missing or of another type. */
  callIndirect<const P extends Types, const R extends Types>(
    table: TableRef,
    params: P,
    results: R,
    slot: Expr<'i32'>,
    ...args: Args<P>
  ): Expr<ResultOf<R>> {
    if (results.length > 1) throw new EmitError('callIndirect: more than one result');
    const values = args as unknown as readonly Expr[];
    this.#checkTypes('callIndirect', values, params);
    expectType('callIndirect slot', slot, 'i32');
    const code = [0x11, this.#typeIndex(params, results), table.index];
    return new Call(results[0] ?? 'void', `table ${table.name}`, values, code, slot) as Expr as Expr<ResultOf<R>>;
  }

  #call(callee: FuncRef, args: readonly Expr[]): Call {
    this.#checkTypes(`call of ${callee.name}`, args, callee.params);
    return new Call(callee.results[0] ?? 'void', callee.name, args, [0x10, callee.index]);
  }

  #checkTypes(where: string, values: readonly Expr[], types: Types): void {
    if (values.length !== types.length) {
      throw new EmitError(`${where}: wants ${types.length} values, got ${values.length}`);
    }
    values.forEach((value, index) => {
      expectType(`${where}, value ${index}`, value, types[index]);
    });
  }

  #expectValue(where: string, expr: Expr): void {
    if ((expr.type as ResultType) === 'void') throw new EmitError(`${where}: ${expr.describe()} has no value`);
  }

  // Code

  #emit(expr: Expr): void {
    expr.emit(this.#out, this);
  }

  #open(opcode: number): Label {
    this.#out.u8(opcode);
    this.#out.u8(NO_RESULT);
    return new Label(this.#level++, this);
  }

  #close(label: Label): void {
    this.#out.u8(END);
    label.open = false;
    this.#level--;
  }

  #depth(label: Label): number {
    if (label.owner !== this) throw new EmitError('branch to a label of another function');
    if (!label.open) throw new EmitError('branch to a label that is out of scope');
    return this.#level - 1 - label.level;
  }

  /**
   * Ends the body; `result` is the value that falls out of it. Without one, a function with results must have returned
   * already: reaching its end traps.
   */
  finish(result: Expr | undefined): void {
    if (result !== undefined) {
      this.#checkTypes('result', result.type === 'void' ? [] : [result], this.ref.results);
      this.#emit(result);
    } else if (this.ref.results.length > 0) this.unreachable();
    this.#out.u8(END);
  }
}

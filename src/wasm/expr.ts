import type { ByteSink } from './bytes.ts';
import type { OpcodeRow, ResultType, ValType } from './opcodes.ts';

/** A mistake in the use of the emitter. The builder adds the name of the function that was being defined. */
export class EmitError extends Error {
  override name = 'EmitError';
}

/** Binary code of a value type. */
export const TYPE_CODE: Readonly<Record<ValType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/**
 * A typed expression: an immutable tree whose code is written when a statement takes it (FunctionBuilder.do, set, if, …).
 * **An expression used twice is computed twice**: use FunctionBuilder.let for a value that is needed again.
 * Code runs where the expression is *taken*, not where it was built.
 */
export abstract class Expr<T extends ResultType = ResultType> {
  readonly type: T;
  /** For expressions with a side effect: how often their code was written. */
  uses = 0;

  constructor(type: T) {
    this.type = type;
  }

  /** What the node is, for error messages. */
  abstract describe(): string;

  /** Writes the node's code; `owner` is the function builder whose locals it may name. */
  abstract emit(out: ByteSink, owner: object): void;
}

// Effects built while a function is being defined, so that one that was never taken (a forgotten `f.do`) is reported.
const effects: Expr[] = [];
let openBodies = 0;

/** Every expression with a side effect reports its construction here. */
export function noteEffect(expr: Expr): void {
  if (openBodies > 0) effects.push(expr);
}

/** Starts watching for effects that are built and never taken; give the result to `lostEffect`. */
export function watchEffects(): number {
  openBodies++;
  return effects.length;
}

/** Ends the watch. Returns an effect whose use count is not fine: none, or more than one if `once`. */
export function lostEffect(mark: number, once: boolean): Expr | undefined {
  openBodies--;
  const lost = effects.slice(mark).find((expr) => expr.uses === 0 || (once && expr.uses > 1));
  effects.length = mark;
  return lost;
}

/** An instruction of the opcode table, with up to three operands. */
export class Op<T extends ResultType = ResultType> extends Expr<T> {
  readonly row: OpcodeRow;
  readonly a: Expr | undefined;
  readonly b: Expr | undefined;
  readonly c: Expr | undefined;
  readonly offset: number;
  /** A lane index, or the sixteen of a shuffle. */
  readonly lane: number | readonly number[];

  constructor(row: OpcodeRow, a?: Expr, b?: Expr, c?: Expr, offset = 0, lane: number | readonly number[] = 0) {
    super(row.result as T);
    this.row = row;
    this.a = a;
    this.b = b;
    this.c = c;
    this.offset = offset;
    this.lane = lane;
    if (hasEffect(row)) noteEffect(this);
  }

  override describe(): string {
    return this.row.name;
  }

  override emit(out: ByteSink, owner: object): void {
    this.uses++;
    this.a?.emit(out, owner);
    this.b?.emit(out, owner);
    this.c?.emit(out, owner);
    const { code, immediate, size } = this.row;
    if (code > 0xff) {
      out.u8(code >> 8);
      out.u32(code & 0xff);
    } else out.u8(code);
    switch (immediate) {
      case '':
        return;
      case 'mem':
      case 'memlane':
        out.u8(size);
        out.u32(this.offset);
        if (immediate === 'memlane') out.u8(this.lane as number);
        return;
      case 'lane':
        out.u8(this.lane as number);
        return;
      case 'shuffle':
        out.bytes(this.lane as readonly number[]);
        return;
      case 'zeros':
        out.u8(0);
        out.u8(0);
        return;
      case 'zero':
        out.u8(0);
    }
  }
}

function hasEffect(row: OpcodeRow): boolean {
  return row.result === 'void' || row.code === 0x40;
}

/** A local variable or parameter of one function: as an expression, its value where it is taken. */
export class Local<T extends ValType = ValType> extends Expr<T> {
  readonly index: number;
  readonly owner: object;
  readonly label: string;
  /** False once the scope that declared it has ended: its slot may belong to another local by then. */
  live = true;

  constructor(type: T, index: number, owner: object, label: string) {
    super(type);
    this.index = index;
    this.owner = owner;
    this.label = label;
  }

  override describe(): string {
    return `local ${this.label || this.index}`;
  }

  /** Throws unless code of `owner` may name this local now. */
  check(owner: object): void {
    if (this.owner !== owner) throw new EmitError(`${this.describe()} belongs to another function`);
    if (!this.live) throw new EmitError(`${this.describe()} is used after its scope has ended`);
  }

  override emit(out: ByteSink, owner: object): void {
    this.check(owner);
    out.u8(0x20);
    out.u32(this.index);
  }
}

/** Assigns a local and yields the value. */
export class Tee<T extends ValType> extends Expr<T> {
  readonly local: Local<T>;
  readonly value: Expr<T>;

  constructor(local: Local<T>, value: Expr<T>) {
    super(local.type);
    expectType('tee', value, local.type);
    this.local = local;
    this.value = value;
    noteEffect(this);
  }

  override describe(): string {
    return `tee of ${this.local.describe()}`;
  }

  override emit(out: ByteSink, owner: object): void {
    this.uses++;
    this.value.emit(out, owner);
    this.local.check(owner);
    out.u8(0x22);
    out.u32(this.local.index);
  }
}

/** A global of the module under construction: as an expression, its value where it is taken. */
export class GlobalRef<T extends ValType = ValType> extends Expr<T> {
  readonly index: number;
  readonly mutable: boolean;
  readonly label: string;

  constructor(type: T, index: number, mutable: boolean, label: string) {
    super(type);
    this.index = index;
    this.mutable = mutable;
    this.label = label;
  }

  override describe(): string {
    return `global ${this.label || this.index}`;
  }

  override emit(out: ByteSink): void {
    out.u8(0x23);
    out.u32(this.index);
  }
}

/** `cond ? a : b` where only the chosen side is computed (`if` with a result), or both are (`select`). */
export class Choice<T extends ValType> extends Expr<T> {
  readonly lazy: boolean;
  readonly cond: Expr<'i32'>;
  readonly a: Expr<T>;
  readonly b: Expr<T>;

  constructor(lazy: boolean, cond: Expr<'i32'>, a: Expr<T>, b: Expr<T>) {
    super(a.type);
    expectType(lazy ? 'ifExpr' : 'select', cond, 'i32');
    expectType(lazy ? 'ifExpr' : 'select', b, a.type);
    this.lazy = lazy;
    this.cond = cond;
    this.a = a;
    this.b = b;
  }

  override describe(): string {
    return this.lazy ? 'ifExpr' : 'select';
  }

  override emit(out: ByteSink, owner: object): void {
    if (this.lazy) {
      this.cond.emit(out, owner);
      out.u8(0x04);
      out.u8(TYPE_CODE[this.type]);
      this.a.emit(out, owner);
      out.u8(0x05);
      this.b.emit(out, owner);
      out.u8(0x0b);
      return;
    }
    this.a.emit(out, owner);
    this.b.emit(out, owner);
    this.cond.emit(out, owner);
    out.u8(0x1b);
  }
}

/** A direct call, or an indirect one (`slot` is then the index in the table). */
export class Call<T extends ResultType = ResultType> extends Expr<T> {
  readonly callee: string;
  readonly args: readonly Expr[];
  readonly code: readonly number[];
  readonly slot: Expr<'i32'> | undefined;

  /** `code` is the opcode with its index operands: [0x10, function] or [0x11, type, table]. */
  constructor(type: T, callee: string, args: readonly Expr[], code: readonly number[], slot?: Expr<'i32'>) {
    super(type);
    this.callee = callee;
    this.args = args;
    this.code = code;
    this.slot = slot;
    noteEffect(this);
  }

  override describe(): string {
    return `call of ${this.callee}`;
  }

  override emit(out: ByteSink, owner: object): void {
    this.uses++;
    for (const arg of this.args) arg.emit(out, owner);
    this.slot?.emit(out, owner);
    out.u8(this.code[0]);
    for (let i = 1; i < this.code.length; i++) out.u32(this.code[i]);
  }
}

/** Throws unless `expr` has type `type`. */
export function expectType(where: string, expr: Expr, type: ResultType): void {
  if (expr?.type !== type) throw new EmitError(`${where}: wants ${type}, got ${expr?.type ?? typeof expr}`);
}

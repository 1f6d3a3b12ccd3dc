import { ByteSink } from './bytes.ts';
import { Const } from './const.ts';
import { EmitError, type Expr, expectType, GlobalRef, lostEffect, TYPE_CODE, watchEffects } from './expr.ts';
import { FunctionBuilder } from './function.ts';
import type { ValType } from './opcodes.ts';
import type { FuncRef, Params, ResultOf, TableRef, Types } from './refs.ts';

export interface ExportOptions {
  readonly exportAs?: string;
}

export interface FuncOptions extends ExportOptions {
  readonly paramNames?: readonly string[];
}

// biome-ignore lint/suspicious/noConfusingVoidType: a body without a return statement is of type void
type BodyResult<R extends Types> = Expr<ResultOf<R>> | undefined | void;

/** A function's body. Its parameters come as arguments; an expression it gives back is the function's result. */
export type Body<P extends Types, R extends Types> = (f: FunctionBuilder, ...params: Params<P>) => BodyResult<R>;

/** The code of one function: its declarations of locals, and where in a buffer its instructions lie. */
interface Code {
  readonly declarations: Uint8Array;
  readonly sink: ByteSink;
  readonly start: number;
  readonly end: number;
}

interface Func extends FuncRef {
  readonly typeIndex: number;
  readonly paramNames: readonly string[];
  localNames: ReadonlyMap<number, string>;
  code: Code | undefined;
}

const FUNC = 0;
const TABLE = 1;
const MEMORY = 2;
const GLOBAL = 3;
const FUNCREF = 0x70;

type Entry = (out: ByteSink) => void;

function limits(out: ByteSink, initial: number, max: number | undefined, shared = false): void {
  if (shared && max === undefined) throw new EmitError('a shared memory needs a maximum');
  out.u8((max === undefined ? 0 : 1) | (shared ? 2 : 0));
  out.u32(initial);
  if (max !== undefined) out.u32(max);
}

function section(out: ByteSink, id: number, write: Entry): void {
  out.u8(id);
  const size = out.reserveU32();
  write(out);
  out.patchSize(size);
}

function vectorSection(out: ByteSink, id: number, entries: readonly Entry[]): void {
  if (entries.length === 0) return;
  section(out, id, () => {
    out.u32(entries.length);
    for (const entry of entries) entry(out);
  });
}

/**
 * Builds one WebAssembly module. Imports come first (they have the lowest indices); functions may then be declared and
 * defined in any order, and one may be defined while another is.
 */
export class ModuleBuilder {
  readonly #strictUse: boolean;
  readonly #sink = new ByteSink(1 << 16);
  #sinkBusy = false;
  readonly #typeIndices = new Map<string, number>();
  readonly #types: Entry[] = [];
  readonly #imports: Entry[] = [];
  readonly #importedFuncs: FuncRef[] = [];
  readonly #funcs: Func[] = [];
  readonly #tables: Entry[] = [];
  readonly #memories: Entry[] = [];
  readonly #globals: Entry[] = [];
  readonly #globalRefs: GlobalRef[] = [];
  readonly #exports: Entry[] = [];
  readonly #elements: Entry[] = [];
  #tableCount = 0;
  readonly #typeIndex = (params: Types, results: Types): number => this.#internType(params, results);

  /**
   * An effect (store, call, tee) that is built while a function is defined and never taken is always an error.
   * With `strictUse` one taken twice is, too.
   */
  constructor({ strictUse = false }: { strictUse?: boolean } = {}) {
    this.#strictUse = strictUse;
  }

  #internType(params: Types, results: Types): number {
    const key = `${params}>${results}`;
    let index = this.#typeIndices.get(key);
    if (index === undefined) {
      index = this.#types.length;
      this.#typeIndices.set(key, index);
      this.#types.push((out) => {
        out.u8(0x60);
        for (const types of [params, results]) {
          out.u32(types.length);
          for (const type of types) out.u8(TYPE_CODE[type]);
        }
      });
    }
    return index;
  }

  #import(kind: number, module: string, name: string, write: Entry): void {
    this.#imports.push((out) => {
      out.name(module);
      out.name(name);
      out.u8(kind);
      write(out);
    });
  }

  #export(kind: number, index: number, options: ExportOptions): void {
    const { exportAs } = options;
    if (exportAs === undefined) return;
    this.#exports.push((out) => {
      out.name(exportAs);
      out.u8(kind);
      out.u32(index);
    });
  }

  importFunction<const P extends Types, const R extends Types>(
    module: string,
    name: string,
    params: P,
    results: R,
  ): FuncRef<P, R> {
    if (this.#funcs.length > 0) throw new EmitError(`importFunction ${name}: comes after the first declare`);
    const ref = { index: this.#importedFuncs.length, name, params, results };
    const typeIndex = this.#internType(params, results);
    this.#importedFuncs.push(ref);
    this.#import(FUNC, module, name, (out) => out.u32(typeIndex));
    return ref;
  }

  /** Sizes are in pages of 64 KiB. There is one memory, imported or own. */
  importMemory(module: string, name: string, initialPages: number, maxPages?: number, shared = false): void {
    this.#import(MEMORY, module, name, (out) => limits(out, initialPages, maxPages, shared));
  }

  /** A memory of the module's own, in pages of 64 KiB. */
  memory(initialPages: number, maxPages?: number, options: ExportOptions = {}): void {
    this.#memories.push((out) => limits(out, initialPages, maxPages));
    this.#export(MEMORY, 0, options);
  }

  importGlobal<T extends ValType>(module: string, name: string, type: T, mutable = false): GlobalRef<T> {
    if (this.#globals.length > 0) throw new EmitError(`importGlobal ${name}: comes after the first global`);
    this.#import(GLOBAL, module, name, (out) => {
      out.u8(TYPE_CODE[type]);
      out.u8(mutable ? 1 : 0);
    });
    return this.#newGlobal(type, mutable, name);
  }

  global<T extends ValType>(
    type: T,
    mutable: boolean,
    init: Expr<NoInfer<T>>,
    options: ExportOptions & { readonly name?: string } = {},
  ): GlobalRef<T> {
    const ref = this.#newGlobal(type, mutable, options.name ?? options.exportAs ?? '');
    expectType(`init of ${ref.describe()}`, init, type);
    if (!(init instanceof Const)) throw new EmitError(`init of ${ref.describe()}: not a constant`);
    this.#globals.push((out) => {
      out.u8(TYPE_CODE[type]);
      out.u8(mutable ? 1 : 0);
      init.emit(out);
      out.u8(0x0b);
    });
    this.#export(GLOBAL, ref.index, options);
    return ref;
  }

  #newGlobal<T extends ValType>(type: T, mutable: boolean, name: string): GlobalRef<T> {
    const ref = new GlobalRef(type, this.#globalRefs.length, mutable, name);
    this.#globalRefs.push(ref as GlobalRef);
    return ref;
  }

  // Tables

  /** Sizes are in slots. */
  importTable(module: string, name: string, initial: number, max?: number): TableRef {
    if (this.#tables.length > 0) throw new EmitError(`importTable ${name}: comes after the first table`);
    this.#import(TABLE, module, name, (out) => {
      out.u8(FUNCREF);
      limits(out, initial, max);
    });
    return { index: this.#tableCount++, name };
  }

  /** A table of the module's own, of exactly these functions, from slot 0. */
  table(funcs: readonly FuncRef[], options: ExportOptions & { readonly name?: string } = {}): TableRef {
    const index = this.#tableCount++;
    const table = { index, name: options.name ?? options.exportAs ?? `${index}` };
    this.#tables.push((out) => {
      out.u8(FUNCREF);
      limits(out, funcs.length, undefined);
    });
    this.#export(TABLE, index, options);
    this.elements(table, 0, funcs);
    return table;
  }

  /** Puts functions into a table, from slot `offset` on, when the module is instantiated. */
  elements(table: TableRef, offset: number, funcs: readonly FuncRef[]): void {
    this.#elements.push((out) => {
      out.u8(2); // active, with a table index
      out.u32(table.index);
      new Const('i32', offset).emit(out);
      out.u8(0x0b);
      out.u8(0); // functions by index
      out.u32(funcs.length);
      for (const func of funcs) out.u32(func.index);
    });
  }

  // Functions

  /** Declares a function that `define` gives a body, earlier or later than its callers. */
  declare<const P extends Types, const R extends Types>(
    name: string,
    params: P,
    results: R,
    options: FuncOptions = {},
  ): FuncRef<P, R> {
    const func = {
      index: this.#importedFuncs.length + this.#funcs.length,
      name,
      params,
      results,
      typeIndex: this.#internType(params, results),
      paramNames: options.paramNames ?? [],
      localNames: new Map<number, string>(),
      code: undefined,
    };
    this.#funcs.push(func);
    this.#export(FUNC, func.index, options);
    return func;
  }

  define<P extends Types, R extends Types>(ref: FuncRef<P, R>, body: Body<P, R>): void {
    const func = this.#funcs[ref.index - this.#importedFuncs.length];
    if (func === undefined || (func as unknown) !== ref) throw new EmitError(`define ${ref.name}: not declared here`);
    if (func.code !== undefined) throw new EmitError(`define ${ref.name}: has a body already`);
    // The body of a function defined inside another one must not land in the middle of that one's code.
    const nested = this.#sinkBusy;
    const sink = nested ? new ByteSink() : this.#sink;
    const start = sink.length;
    const mark = watchEffects();
    let lost: Expr | undefined;
    this.#sinkBusy = true;
    try {
      const f = new FunctionBuilder(func, sink, this.#typeIndex, func.paramNames);
      f.finish(body(f, ...(f.locals.params as unknown as Params<P>)) as Expr | undefined);
      func.localNames = f.locals.names;
      func.code = { declarations: f.locals.declarations(), sink, start, end: sink.length };
    } catch (error) {
      if (error instanceof EmitError && !error.message.startsWith('in function ')) {
        error.message = `in function ${ref.name}: ${error.message}`;
      }
      throw error;
    } finally {
      this.#sinkBusy = nested;
      lost = lostEffect(mark, this.#strictUse);
    }
    if (lost === undefined) return;
    const fault = lost.uses === 0 ? 'was built but never taken (a do() is missing)' : `was taken ${lost.uses} times`;
    throw new EmitError(`in function ${ref.name}: ${lost.describe()} ${fault}`);
  }

  /** Declares and defines. */
  func<const P extends Types, const R extends Types>(
    name: string,
    params: P,
    results: R,
    body: Body<P, R>,
    options: FuncOptions = {},
  ): FuncRef<P, R> {
    const ref = this.declare(name, params, results, options);
    this.define(ref, body);
    return ref;
  }

  // The module

  /** The binary module. Throws if a declared function has no body. */
  finish(): Uint8Array<ArrayBuffer> {
    const missing = this.#funcs.filter((func) => func.code === undefined).map((func) => func.name);
    if (missing.length > 0) throw new EmitError(`declared but never defined: ${missing.join(', ')}`);
    const out = new ByteSink(this.#sink.length + 64 * this.#funcs.length + 1024);
    out.bytes([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    vectorSection(out, 1, this.#types);
    vectorSection(out, 2, this.#imports);
    const signatures = this.#funcs.map(
      ({ typeIndex }) =>
        () =>
          out.u32(typeIndex),
    );
    vectorSection(out, 3, signatures);
    vectorSection(out, 4, this.#tables);
    vectorSection(out, 5, this.#memories);
    vectorSection(out, 6, this.#globals);
    vectorSection(out, 7, this.#exports);
    vectorSection(out, 9, this.#elements);
    const bodies = this.#funcs.map((func) => () => writeBody(out, func.code as Code));
    vectorSection(out, 10, bodies);
    section(out, 0, () => this.#writeNames(out));
    return out.view();
  }

  /** The custom section `name`: functions (1), locals (2) and globals (7), each as a map from index to name. */
  #writeNames(out: ByteSink): void {
    out.name('name');
    const funcs: readonly FuncRef[] = [...this.#importedFuncs, ...this.#funcs];
    section(out, 1, () => writeNameMap(out, new Map(funcs.map(({ index, name }) => [index, name]))));
    const withLocals = this.#funcs.filter(({ localNames }) => localNames.size > 0);
    section(out, 2, () => {
      out.u32(withLocals.length);
      for (const { index, localNames } of withLocals) {
        out.u32(index);
        writeNameMap(out, localNames);
      }
    });
    const named = this.#globalRefs.filter(({ label }) => label !== '');
    section(out, 7, () => writeNameMap(out, new Map(named.map(({ index, label }) => [index, label]))));
  }
}

function writeBody(out: ByteSink, code: Code): void {
  out.u32(code.declarations.length + code.end - code.start);
  out.bytes(code.declarations);
  out.bytes(code.sink.view(code.start, code.end));
}

/** A name map's indices must ascend. */
function writeNameMap(out: ByteSink, names: ReadonlyMap<number, string>): void {
  out.u32(names.size);
  for (const [index, name] of [...names].sort(([a], [b]) => a - b)) {
    out.u32(index);
    out.name(name);
  }
}

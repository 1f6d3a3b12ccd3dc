/**
 * The WebAssembly JavaScript interface (W3C, core subset), as far as rexen uses it. Node's own types leave it out, and
 * the DOM's would bring in hundreds of names that do not exist here.
 */
declare namespace WebAssembly {
  type ImportValue = CallableFunction | Global | Memory | Module | Table | number | bigint;
  type Imports = Record<string, Record<string, ImportValue>>;
  // biome-ignore lint/suspicious/noExplicitAny: an export is whatever the module says
  type Exports = Record<string, any>;
  type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128' | 'externref' | 'anyfunc';

  class Module {
    constructor(bytes: BufferSource);
    static customSections(module: Module, name: string): ArrayBuffer[];
    static exports(module: Module): { name: string; kind: string }[];
    static imports(module: Module): { module: string; name: string; kind: string }[];
  }
  class Instance {
    constructor(module: Module, imports?: Imports);
    readonly exports: Exports;
  }
  class Memory {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  class Table {
    constructor(descriptor: { element: 'anyfunc' | 'externref'; initial: number; maximum?: number });
    readonly length: number;
    // biome-ignore lint/suspicious/noExplicitAny: a table holds functions of any type
    get(index: number): any;
    // biome-ignore lint/suspicious/noExplicitAny: see get
    set(index: number, value?: any): void;
    grow(delta: number): number;
  }
  class Global<T = number | bigint> {
    constructor(descriptor: { value: ValueType; mutable?: boolean }, value?: T);
    value: T;
  }
  class CompileError extends Error {}
  class LinkError extends Error {}
  class RuntimeError extends Error {}

  type BufferSource = ArrayBufferView | ArrayBuffer;
  function validate(bytes: BufferSource): boolean;
  function compile(bytes: BufferSource): Promise<Module>;
  function instantiate(module: Module, imports?: Imports): Promise<Instance>;
}

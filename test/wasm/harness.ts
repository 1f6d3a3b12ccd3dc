import {
  f32,
  f32x4,
  f64,
  f64x2,
  i8x16,
  i16x8,
  i32,
  i32x4,
  i64,
  i64x2,
  memory,
  ModuleBuilder,
  v128,
} from '../../src/wasm/index.ts';
import type { Expr, ResultType, ValType } from '../../src/wasm/index.ts';
import type { OpcodeRow } from '../../src/wasm/opcodes.ts';

const NAMESPACES = { i32, i64, f32, f64, memory, v128, i8x16, i16x8, i32x4, i64x2, f32x4, f64x2 };
const LOADS = { i32, i64, f32, f64, v128 };

export const BITS: Readonly<Record<ValType, number>> = { i32: 32, i64: 64, f32: 32, f64: 64, v128: 128 };

/** The constructor of any row, for callers that get names from the table. */
export function construct(row: OpcodeRow, ...args: unknown[]): Expr {
  const namespace = NAMESPACES[row.namespace] as unknown as Record<string, (...args: unknown[]) => Expr>;
  return namespace[row.method](...args);
}

export function load(type: ValType, address: number): Expr<ValType> {
  return LOADS[type].load(i32.const(address));
}

export function store(address: number, value: Expr<ResultType>): Expr<'void'> {
  const namespace = LOADS[value.type as ValType] as { store: (a: Expr<'i32'>, v: Expr) => Expr<'void'> };
  return namespace.store(i32.const(address), value);
}

/** Instantiates after checking that the module is valid. */
export function instantiate(bytes: Uint8Array<ArrayBuffer>, imports: WebAssembly.Imports = {}): WebAssembly.Exports {
  if (!WebAssembly.validate(bytes)) new WebAssembly.Module(bytes); // throws, and says why
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports;
}

export type Fn = (...args: unknown[]) => unknown;

/** A module with one page of memory, `memory`, and whatever `build` adds. */
export function withMemory(build: (b: ModuleBuilder) => void): { exports: Record<string, Fn>; bytes: Uint8Array } {
  const b = new ModuleBuilder();
  b.memory(1, 4, { exportAs: 'memory' });
  build(b);
  const exports = instantiate(b.finish());
  return {
    exports: exports as Record<string, Fn>,
    bytes: new Uint8Array((exports.memory as WebAssembly.Memory).buffer),
  };
}

export function writeBits(bytes: Uint8Array, at: number, value: bigint, bits: number): void {
  for (let i = 0; i < bits / 8; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

export function readBits(bytes: Uint8Array, at: number, bits: number): bigint {
  let value = 0n;
  for (let i = bits / 8 - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i]);
  return value;
}

/** Calls `run`; 'trap' if the code trapped. */
export function trapped(run: () => void): boolean {
  try {
    run();
    return false;
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return true;
    throw error;
  }
}

/**
 * A WebAssembly emitter: typed expressions, structured statements, labels instead of branch depths.
 *
 *     import { i32, ModuleBuilder } from './index.ts';
 *
 *     const b = new ModuleBuilder();
 *     b.func('sumTo', ['i32'], ['i32'], (f, n) => {
 *       const sum = f.let(i32.const(0), 'sum');
 *       f.block((done) => {
 *         f.loop((again) => {
 *           f.brIf(done, i32.eqz(n));
 *           f.set(sum, i32.add(sum, n));
 *           f.set(n, i32.sub(n, i32.const(1)));
 *           f.br(again);
 *         });
 *       });
 *       return sum;
 *     }, { exportAs: 'sumTo', paramNames: ['n'] });
 *     const { exports } = new WebAssembly.Instance(new WebAssembly.Module(b.finish()));
 *     exports.sumTo(10); // 55
 *
 * - Expressions (`i32.add(a, b)`) are trees; a statement (`f.set`, `f.do`, `f.if`, …) writes their code. One that is
 *   used twice is computed twice: keep values in locals with `f.let`. A store or call that no statement takes is an error.
 * - Operands come first, then immediates: `i32.load(addr, offset)`, `v128.load8_lane(addr, vector, lane, offset)`.
 * - Constants fold (`i32.add(x, i32.const(0))` is `x`), `f.if` on a constant emits one side only, and `f.value` keeps a
 *   constant a constant: code written once is short when its inputs are known.
 * - Mistakes are compile errors where types are static, and an EmitError with the function's name otherwise.
 */
export { Const } from './const.ts';
export { EmitError, type Expr, type GlobalRef, type Local } from './expr.ts';
export type { FunctionBuilder, Label } from './function.ts';
export { ModuleBuilder } from './module.ts';
export type { ResultType, ValType } from './opcodes.ts';
export type { FuncRef, TableRef } from './refs.ts';
export { f32, f32x4, f64, f64x2, i8x16, i16x8, i32, i32x4, i64, i64x2, memory, v128, zeroOf } from './ops.ts';

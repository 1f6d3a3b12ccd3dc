/** Vector instructions whose result is RFLAGS. */
import { type Expr, i32, i64, v128 } from '../../wasm/index.ts';
import type { Semantics } from './operation.ts';
import { both, type V128, type VectorSemantics, vexOnly } from './vector-operation.ts';

const ZF = 6;

/** ZF: no bit of `counted` in a AND b; CF: none in b without a. The other status flags are cleared. */
const test =
  (counted?: bigint): VectorSemantics =>
  (v) => {
    const { f, o } = v;
    const kept = (x: V128): V128 => (counted === undefined ? x : v128.and(x, v128.const(counted, counted)));
    let common: Expr<'i32'> = i32.const(0);
    let only: Expr<'i32'> = i32.const(0);
    for (let h = 0; h < v.halves; h++) {
      const a = f.let(v.read(0, h), 'a');
      const b = f.let(v.read(1, h), 'b');
      common = i32.or(common, v128.any_true(kept(v128.and(a, b))));
      only = i32.or(only, v128.any_true(kept(v128.andnot(b, a))));
    }
    const zf = i64.shl(i64.extend_i32_u(i32.eqz(common)), i64.const(ZF));
    o.flags.setStatusFlags(f, i64.or(zf, i64.extend_i32_u(i32.eqz(only))));
  };

export const vectorTests: Record<string, Semantics> = {
  ...both('PTEST', test()),
  ...vexOnly('VTESTPS', test(0x8000000080000000n)),
  ...vexOnly('VTESTPD', test(0x8000000000000000n)),
};

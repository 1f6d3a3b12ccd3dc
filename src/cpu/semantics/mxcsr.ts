/** LDMXCSR, STMXCSR and their VEX forms in generated code; values with reserved bits are left to TypeScript. */
import { i32, i64 } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Semantics } from './operation.ts';
import { Vectors } from './vector-operation.ts';

const RESERVED = 0xffff0000;

const load =
  (vex: boolean): Semantics =>
  (o) => {
    new Vectors(o, vex);
    o.control.attempt((giveUp) => {
      const value = o.let(i32.wrap_i64(o.read(0)));
      o.f.brIf(giveUp, i32.and(value, i32.const(RESERVED)));
      o.f.do(i32.store(i32.const(0), value, L.MXCSR));
    });
  };

const store =
  (vex: boolean): Semantics =>
  (o) => {
    new Vectors(o, vex);
    o.control.attempt(() => o.write(0, i64.load32_u(i32.const(0), L.MXCSR)));
  };

export const mxcsr: Record<string, Semantics> = {
  LDMXCSR: load(false),
  STMXCSR: store(false),
  VLDMXCSR: load(true),
  VSTMXCSR: store(true),
};

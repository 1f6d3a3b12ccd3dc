/**
 * Vector instructions in generated code: operands as halves of 128 bits, the checks before them, and functions that
 * several handlers share.
 *
 *      255                 128 127                   0
 *     ┌───────────────────────┬───────────────────────┐
 *     │ half 1                │ half 0 (XMM)          │   legacy encodings keep half 1, VEX encodings clear or write it
 *     └───────────────────────┴───────────────────────┘
 */
import {
  type Expr,
  type FuncRef,
  type FunctionBuilder,
  i32,
  i64,
  i8x16,
  type Local,
  type ModuleBuilder,
  v128,
} from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { CR0 } from '../state.ts';
import type { Operation, Semantics } from './operation.ts';
import type { Runtime } from './tier.ts';

export type V128 = Expr<'v128'>;
type ValueType = 'i32' | 'i64' | 'v128';

/** Which byte of L.VECTOR_GATE guards an instruction. */
export const Gate = { SSE: 0, AVX: 1, MMX: 2 } as const;

/**
 * `default`: 128-bit memory operands of legacy encodings must be aligned, others need not be (Intel SDM Vol. 1, 14.9).
 * `always` and `never` are the exceptions among the moves.
 */
export type Alignment = 'default' | 'always' | 'never';

/** EMMS aside, MMX instructions set TOP to 0 and mark all registers valid (Intel SDM Vol. 1, 9.5). */
const FSW_TOP = 0x3800;
const FSW_ES = 0x80;
const MMX_EXPONENT = 0xffff;
const MF = 16;

export const zero = (): V128 => v128.const(0n, 0n);

/** The low quadwords of `a` and `b` in one register: what turns a 128-bit pairwise operation into the 64-bit one. */
export const joinLow = (a: V128, b: V128): V128 =>
  i8x16.shuffle(a, b, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);

/** One vector instruction in the making. Constructing it emits the checks that come before everything else. */
export class Vectors {
  readonly o: Operation;
  readonly f: FunctionBuilder;
  /** VEX encoding: the result's upper bits are cleared, and most instructions take a first source of their own. */
  readonly vex: boolean;
  /** Some operand is an MMX register. */
  readonly mmx: boolean;
  /** Halves of the widest operand. */
  readonly halves: 1 | 2;
  readonly #alignment: Alignment;
  readonly #registers: number;
  #host: Local<'i32'> | undefined;

  constructor(o: Operation, vex: boolean, alignment: Alignment = 'default') {
    this.o = o;
    this.f = o.f;
    this.vex = vex;
    this.#alignment = alignment;
    this.mmx = o.operands.some((x) => x.kind === 'q');
    this.halves = o.operands.some((x) => x.size === 256) ? 2 : 1;
    this.#registers = o.operands.filter((x) => x.kind !== 'm' && x.kind !== 'i').length;
    if (!this.mmx || o.operands.some((x) => x.kind === 'x')) this.#checkGate(vex ? Gate.AVX : Gate.SSE);
    if (this.mmx) this.f.do(o.call(o.runtime.helpers.get('vector mmx_begin')!, o.fields.pc()));
  }

  #checkGate(gate: number): void {
    const { o, f } = this;
    f.if(i32.load8_u(i32.const(0), L.VECTOR_GATE + gate), () =>
      f.do(o.call(o.runtime.helpers.get('vector unavailable')!, i32.const(gate), o.fields.pc())),
    );
  }

  /** Number of the first source: the destination itself in legacy encodings. */
  get first(): 0 | 1 {
    return this.vex ? 1 : 0;
  }
  get second(): 1 | 2 {
    return this.vex ? 2 : 1;
  }

  /** The immediate byte as an i32. With three register operands it lies where the displacement does otherwise. */
  imm(): Expr<'i32'> {
    const { fields } = this.o;
    return i32.and(i32.wrap_i64(this.#registers > 2 ? fields.disp() : fields.imm()), i32.const(0xff));
  }

  /** Base address of vector register operand `i`; add `origin(i)`. */
  base(i: number): Expr<'i32'> {
    return i32.shl(this.o.slot(i), i32.const(this.o.kind(i) === 'q' ? 1 : 2));
  }
  origin(i: number): number {
    return this.o.kind(i) === 'q' ? L.X87_REGISTERS : L.YMM;
  }

  /** Where the memory operand lies for reading, located once. */
  host(i: number): Local<'i32'> {
    if (this.#host !== undefined) return this.#host;
    const { o } = this;
    const bytes = o.width(i) / 8;
    if (bytes === 16 && !o.inline && this.#isAligned(16)) {
      const read = o.call(o.runtime.helpers.get('vector read_aligned')!, o.linear(), o.fields.pc());
      this.#host = o.let(read as Expr<'i32'>, 'host');
    } else {
      this.#checkAlignment(bytes);
      this.#host = o.memory.read(o.linear(), bytes);
    }
    return this.#host;
  }

  #isAligned(bytes: number): boolean {
    return bytes >= 16 && (this.#alignment === 'always' || (this.#alignment === 'default' && !this.vex));
  }

  #checkAlignment(bytes: number): void {
    const { o, f } = this;
    if (!this.#isAligned(bytes)) return;
    f.if(i32.and(i32.wrap_i64(o.linear()), i32.const(bytes - 1)), () =>
      f.do(o.call(o.runtime.helpers.get('vector misaligned')!, o.fields.pc())),
    );
  }

  /** Half `half` of operand `i`; operands narrower than 128 bits are zero-extended. */
  read(i: number, half = 0): V128 {
    const { kind, size } = this.o.operands[i]!;
    if (kind === 'x') return v128.load(this.base(i), L.YMM + 16 * half);
    if (kind === 'q') return v128.load64_zero(this.base(i), L.X87_REGISTERS);
    return loadLow(this.host(i), Math.min(size, 128), 16 * half);
  }

  /** `bits` (16, 32, 64) of operand `i` from byte `offset` on, zero-extended. */
  readLow(i: number, bits: number, offset = 0): V128 {
    const isMemory = this.o.isMemory(i);
    return loadLow(isMemory ? this.host(i) : this.base(i), bits, offset + (isMemory ? 0 : this.origin(i)));
  }

  /** Writes operand `i`, which ends the instruction. Without `high`, VEX encodings clear bits 255:128. */
  write(i: number, low: V128, high?: V128): void {
    const { f, o } = this;
    const { kind, size } = o.operands[i]!;
    if (kind === 'm') {
      this.#writeMemory(size, low, high);
    } else if (kind === 'q') {
      f.do(v128.store64_lane(this.base(i), low, 0, L.X87_REGISTERS));
      f.do(i32.store16(this.base(i), i32.const(MMX_EXPONENT), L.X87_REGISTERS + 8));
    } else {
      const at = f.let(this.base(i), 'at');
      f.do(v128.store(at, low, L.YMM));
      if (this.vex) f.do(v128.store(at, high ?? zero(), L.YMM + 16));
    }
    this.done();
  }

  #writeMemory(size: number, low: V128, high: V128 | undefined): void {
    const { f, o } = this;
    this.#checkAlignment(size / 8);
    const host = o.memory.locateWrite(o.linear(), size / 8);
    if (size === 32) f.do(v128.store32_lane(host, low, 0));
    else if (size === 64) f.do(v128.store64_lane(host, low, 0));
    else f.do(v128.store(host, low));
    if (high !== undefined && size === 256) f.do(v128.store(host, high, 16));
    o.memory.commit(host);
  }

  /** The state that every MMX instruction leaves; `write` does this. */
  done(): void {
    if (this.mmx) this.f.do(this.o.call(this.o.runtime.helpers.get('vector mmx_end')!));
  }

  /** Computes every half, then writes operand 0: sources may be the destination. */
  each(compute: (half: number) => V128): void {
    if (this.halves === 1) {
      this.write(0, compute(0));
      return;
    }
    const low = this.f.let(compute(0), 'low');
    const high = this.f.let(compute(1), 'high');
    this.write(0, low, high);
  }
}

/** `bits` from `at + offset` in linear memory, zero-extended to a vector. */
function loadLow(at: Expr<'i32'>, bits: number, offset: number): V128 {
  switch (bits) {
    case 128:
      return v128.load(at, offset);
    case 64:
      return v128.load64_zero(at, offset);
    case 32:
      return v128.load32_zero(at, offset);
    case 16:
      return v128.load16_lane(at, zero(), 0, offset);
    case 8:
      return v128.load8_lane(at, zero(), 0, offset);
    default:
      throw new Error(`no vector of ${bits} bits`);
  }
}

export type VectorSemantics = (v: Vectors) => void;

const meaning =
  (body: VectorSemantics, vex: boolean, alignment?: Alignment): Semantics =>
  (o) =>
    body(new Vectors(o, vex, alignment));

/** A legacy instruction. */
export const legacy = (name: string, body: VectorSemantics, alignment?: Alignment): Record<string, Semantics> => ({
  [name]: meaning(body, false, alignment),
});
/** An instruction that exists only with VEX. */
export const vexOnly = (name: string, body: VectorSemantics, alignment?: Alignment): Record<string, Semantics> => ({
  [name]: meaning(body, true, alignment),
});
/** A legacy instruction and its VEX form, with V before the name. */
export const both = (name: string, body: VectorSemantics, alignment?: Alignment): Record<string, Semantics> => ({
  ...legacy(name, body, alignment),
  ...vexOnly(`V${name}`, body, alignment),
});

// Shared functions

type Params<P extends readonly ValueType[]> = { [K in keyof P]: Local<P[K]> };
type Args<P extends readonly ValueType[]> = { [K in keyof P]: Expr<P[K]> };
interface Definition {
  readonly name: string;
  readonly params: readonly ValueType[];
  readonly result: ValueType;
  readonly body: (f: FunctionBuilder, ...params: Local[]) => Expr;
}
const definitions: Definition[] = [];

/** A function that handlers call instead of repeating its code. The modules of the families define theirs as they load. */
export function shared<const P extends readonly ValueType[], R extends ValueType>(
  name: string,
  params: P,
  result: R,
  body: (f: FunctionBuilder, ...params: Params<P>) => Expr<R>,
): (v: Vectors, ...args: Args<P>) => Expr<R> {
  definitions.push({ name, params, result, body: body as unknown as Definition['body'] });
  return (v, ...args) =>
    v.o.call(v.o.runtime.helpers.get(`vector ${name}`)!, ...(args as unknown as Expr[])) as Expr as Expr<R>;
}

/** Makes the functions that vector instructions call. */
export function defineVectorHelpers(b: ModuleBuilder, runtime: Runtime): void {
  const { helpers } = runtime;
  const put = (ref: unknown & { readonly name: string }): void => {
    helpers.set(ref.name, ref as unknown as FuncRef);
  };
  put(
    b.func('vector unavailable', ['i32', 'i32'], [], (f, gate, pc) => {
      f.do(f.call(runtime.raise, i32.load8_u(gate, L.VECTOR_GATE), i32.const(-1), pc));
    }),
  );
  put(
    b.func('vector read_aligned', ['i64', 'i32'], ['i32'], (f, linear, pc) => {
      f.if(i32.and(i32.wrap_i64(linear), i32.const(15)), () =>
        f.do(f.call(runtime.raise, i32.const(13), i32.const(0), pc)),
      );
      return f.call(runtime.read, linear, i32.const(16), pc);
    }),
  );
  put(
    b.func('vector misaligned', ['i32'], [], (f, pc) => {
      f.do(f.call(runtime.raise, i32.const(13), i32.const(0), pc));
    }),
  );
  put(
    b.func('vector mmx_begin', ['i32'], [], (f, pc) => {
      const gate = f.let(i32.load8_u(i32.const(0), L.VECTOR_GATE + Gate.MMX));
      f.if(gate, () => f.do(f.call(runtime.raise, gate, i32.const(-1), pc)));
      const reports = i32.and(i32.load(i32.const(0), L.CR0), i32.const(CR0.NE));
      f.if(i32.and(i32.load16_u(i32.const(0), L.X87_FSW), i32.const(FSW_ES)), () =>
        f.if(reports, () => f.do(f.call(runtime.raise, i32.const(MF), i32.const(-1), pc))),
      );
    }),
  );
  put(
    b.func('vector mmx_end', [], [], (f) => {
      const fsw = i32.load16_u(i32.const(0), L.X87_FSW);
      f.do(i32.store16(i32.const(0), i32.and(fsw, i32.const(~FSW_TOP)), L.X87_FSW));
      f.do(i64.store8(i32.const(0), i64.const(0xff), L.X87_FTW));
    }),
  );
  for (const { name, params, result, body } of definitions) {
    put(b.func(`vector ${name}`, params, [result], (f, ...args) => body(f, ...(args as unknown as Local[])) as never));
  }
}

/** Leaving a block in the interpreter: links between blocks, and the lookup for where no link is. */
import { ITLB_ENTRIES, ITLB_TABLE } from '../../memory/tlb.ts';
import {
  type Expr,
  type FuncRef,
  type FunctionBuilder,
  i32,
  i64,
  type Label,
  type Local,
  type ModuleBuilder,
} from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Control } from '../semantics/tier.ts';
import * as R from './records.ts';
import type { Imports } from './runtime.ts';

const at0 = i32.const(0);
const load32 = (offset: number): Expr<'i32'> => i32.load(at0, offset);
const load64 = (offset: number): Expr<'i64'> => i64.load(at0, offset);

export type Lookup = FuncRef<readonly ['i32'], readonly ['i32']>;

/** `Control` on records: updates BLOCK_RIP and hands the next block to `go`. */
export class RecordControl implements Control {
  readonly #f: FunctionBuilder;
  readonly #pc: Local<'i32'>;
  readonly #lookup: Lookup;
  readonly #imports: Imports;
  readonly #go: (t: Expr<'i32'>) => void;

  constructor(f: FunctionBuilder, pc: Local<'i32'>, lookup: Lookup, imports: Imports, go: (t: Expr<'i32'>) => void) {
    this.#f = f;
    this.#pc = pc;
    this.#lookup = lookup;
    this.#imports = imports;
    this.#go = go;
  }

  fallThrough(): void {
    this.#linked(this.nextRip(false), R.T_FALL_NEXT, R.LINK_FALL);
  }
  jumpRelative(): void {
    this.#linked(this.targetRip(), R.T_TAKEN, R.LINK_TAKEN);
  }
  jumpTo(target: Expr<'i64'>): void {
    this.#f.do(i64.store(at0, target, L.SLOT_BLOCK_RIP));
    this.#go(this.#f.call(this.#lookup, i32.const(0)));
  }
  suspend(): void {
    this.#f.do(this.#f.call(this.#imports.suspend, this.#pc));
    this.#go(i32.const(0));
  }
  /** The record behind this one is the call-out; success steps over it. */
  attempt(fast: (giveUp: Label) => void): void {
    const f = this.#f;
    f.block((giveUp) => {
      fast(giveUp);
      f.set(this.#pc, i32.add(this.#pc, i32.const(R.RECORD_BYTES)));
    });
  }
  nextRip(indirect: boolean): Expr<'i64'> {
    return i64.add(
      load64(L.SLOT_BLOCK_RIP),
      indirect ? i64.load32_u(this.#pc, R.R_IMM) : i64.load16_u(this.#pc, R.T_FALL),
    );
  }
  targetRip(): Expr<'i64'> {
    return i64.add(load64(L.SLOT_BLOCK_RIP), i64.load32_s(this.#pc, R.T_DELTA));
  }

  /** Goes to `rip`, by the link at `offset` of the record if it is set; sets it where the flags allow. */
  #linked(rip: Expr<'i64'>, offset: number, flag: number): void {
    const f = this.#f;
    f.do(i64.store(at0, rip, L.SLOT_BLOCK_RIP));
    const next = f.let(i32.load(this.#pc, offset), 'next');
    f.if(i32.eqz(next), () => {
      const link = f.select(
        i32.add(this.#pc, i32.const(offset)),
        i32.const(0),
        i32.and(i32.load8_u(this.#pc, R.T_FLAGS), i32.const(flag)),
      );
      f.set(next, f.call(this.#lookup, link));
    });
    this.#go(next);
  }
}

/**
 * (link) -> first record of the block at BLOCK_RIP, or 0 to leave the run. The fast half: an ITLB hit whose code page has the
 * block. `link` is where to note the result, or 0.
 */
export function defineLookup(b: ModuleBuilder, imports: Imports): Lookup {
  return b.func('lookup', ['i32'], ['i32'], (f, link) => {
    const rip = f.let(i64.and(load64(L.SLOT_BLOCK_RIP), load64(L.RIP_MASK)), 'rip');
    f.do(i64.store(at0, rip, L.SLOT_BLOCK_RIP));
    const linear = f.let(i64.and(i64.add(rip, load64(L.CODE_BASE)), load64(L.RIP_MASK)), 'linear');
    const entry = f.let(
      i32.add(
        load32(L.ITLB_CURRENT),
        i32.and(i32.wrap_i64(i64.shr_u(linear, i64.const(8))), i32.const((ITLB_ENTRIES - 1) << 4)),
      ),
      'entry',
    );
    const within = f.let(i64.xor(linear, i64.load(entry)), 'within');
    f.if(i64.lt_u(within, i64.const(4096)), () => {
      const t = f.let(i32.load(i32.add(i32.load(entry, ITLB_TABLE), i32.shl(i32.wrap_i64(within), i32.const(2)))), 't');
      f.if(t, () => {
        f.if(link, () => f.do(i32.store(link, t)));
        f.return(t);
      });
    });
    return f.call(imports.resolve, link);
  });
}

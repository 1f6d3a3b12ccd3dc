import { TLB_ENTRIES, TLB_HOST, TLB_WRITE_TAG } from '../../memory/tlb.ts';
import { type Expr, type FuncRef, type FunctionBuilder, i32, i64, type Local } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { loadSized, storeSized } from './sized.ts';
import type { Fields, Runtime } from './tier.ts';

const INDEX_MASK = (TLB_ENTRIES - 1) << 5;

/**
 * The fast path: one TLB lookup in line. Gives the host address, or calls `miss`.
 * See tlb.ts for the entry and why a single comparison also rejects accesses that leave the page.
 */
export function emitTlbLookup(
  f: FunctionBuilder,
  linear: Local<'i64'>,
  bytes: Expr<'i32'>,
  limit: Expr<'i64'>,
  pc: Expr<'i32'>,
  tag: number,
  miss: FuncRef<readonly ['i64', 'i32', 'i32'], readonly ['i32']>,
): Local<'i32'> {
  const entry = f.let(
    i32.add(
      i32.load(i32.const(0), L.TLB_CURRENT),
      i32.and(i32.wrap_i64(i64.shr_u(linear, i64.const(7))), i32.const(INDEX_MASK)),
    ),
    'entry',
  );
  const within = f.let(i64.xor(linear, i64.load(entry, tag)), 'within');
  const host = f.local('i32', 'host');
  f.if(
    i64.gt_u(within, limit),
    () => f.set(host, f.call(miss, linear, bytes, pc)),
    () => f.set(host, i32.add(i32.load(entry, TLB_HOST), i32.wrap_i64(within))),
  );
  return host;
}

/** Memory accesses of one instruction, in line or by call. */
export class MemoryAccess {
  readonly #f: FunctionBuilder;
  readonly #fields: Fields;
  readonly #runtime: Runtime;
  readonly #inline: boolean;

  constructor(f: FunctionBuilder, fields: Fields, runtime: Runtime, inline: boolean) {
    this.#f = f;
    this.#fields = fields;
    this.#runtime = runtime;
    this.#inline = inline;
  }

  /** Address in linear memory from which `bytes` may be read. */
  read(linear: Local<'i64'>, bytes: number): Local<'i32'> {
    return this.#locate(linear, bytes, 0, this.#runtime.locateRead, this.#runtime.read);
  }

  /** Stores the low `size` bits of `value`. */
  write(linear: Local<'i64'>, value: Expr<'i64'>, size: number): void {
    const v = this.#f.value(value, 'stored');
    const host = this.#locate(linear, size / 8, TLB_WRITE_TAG, this.#runtime.locateWrite, this.#runtime.write);
    this.#f.do(storeSized(host, v, size));
    this.commit(host);
  }

  /** Reads, computes and writes back `size` bits. */
  modify(linear: Local<'i64'>, size: number, compute: (old: Local<'i64'>) => Expr<'i64'>): void {
    const host = this.locateModify(linear, size / 8);
    const old = this.#f.let(loadSized(host, size, false), 'old');
    const value = this.#f.value(compute(old), 'new');
    this.#f.do(storeSized(host, value, size));
    this.commit(host);
  }

  /** Address for a read-modify-write of `bytes`, old content in place. `commit` must follow the store. */
  locateModify(linear: Local<'i64'>, bytes: number): Local<'i32'> {
    return this.#locate(linear, bytes, TLB_WRITE_TAG, this.#runtime.locateModify, this.#runtime.modify);
  }

  /** Address for a write of `bytes`. `commit` must follow the store. */
  locateWrite(linear: Local<'i64'>, bytes: number): Local<'i32'> {
    return this.#locate(linear, bytes, TLB_WRITE_TAG, this.#runtime.locateWrite, this.#runtime.write);
  }

  commit(host: Local<'i32'>): void {
    this.#f.if(i32.eq(host, i32.const(L.SCRATCH)), () =>
      this.#f.do(this.#f.call(this.#runtime.commit, this.#fields.pc())),
    );
  }

  #locate(
    linear: Local<'i64'>,
    bytes: number,
    tag: number,
    miss: Runtime['read'],
    full: Runtime['read'],
  ): Local<'i32'> {
    if (!this.#inline) return this.#f.let(this.#f.call(full, linear, i32.const(bytes), this.#fields.pc()), 'host');
    return emitTlbLookup(this.#f, linear, i32.const(bytes), i64.const(4096 - bytes), this.#fields.pc(), tag, miss);
  }
}

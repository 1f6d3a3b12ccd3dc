import { ByteSink } from './bytes.ts';
import { Local, TYPE_CODE } from './expr.ts';
import type { ValType } from './opcodes.ts';
import type { Types } from './refs.ts';

/** The parameters and local variables of one function. Slots of locals whose scope has ended are used again. */
export class LocalPool {
  readonly params: readonly Local[];
  /** Names by index, for the name section; a slot used by several locals has the first one's. */
  readonly names = new Map<number, string>();
  readonly #owner: object;
  readonly #types: ValType[] = [];
  readonly #free: Record<ValType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  #scoped: Local[] | undefined;

  constructor(owner: object, params: Types, paramNames: readonly string[]) {
    this.#owner = owner;
    this.params = params.map((type, index) => this.#named(type, index, paramNames[index] ?? ''));
  }

  #named<T extends ValType>(type: T, index: number, name: string): Local<T> {
    if (name !== '' && !this.names.has(index)) this.names.set(index, name);
    return new Local(type, index, this.#owner, name);
  }

  take<T extends ValType>(type: T, name: string): Local<T> {
    let index = this.#free[type].pop();
    if (index === undefined) {
      index = this.params.length + this.#types.length;
      this.#types.push(type);
    }
    const local = this.#named(type, index, name);
    this.#scoped?.push(local);
    return local;
  }

  scope<V>(body: () => V): V {
    const outer = this.#scoped;
    const mine: Local[] = [];
    this.#scoped = mine;
    try {
      return body();
    } finally {
      this.#scoped = outer;
      for (const local of mine.reverse()) {
        local.live = false;
        this.#free[local.type].push(local.index);
      }
    }
  }

  /** The body's declarations of locals, in runs of one type. */
  declarations(): Uint8Array {
    const runs: { type: ValType; count: number }[] = [];
    for (const type of this.#types) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    const out = new ByteSink(32);
    out.u32(runs.length);
    for (const { type, count } of runs) {
      out.u32(count);
      out.u8(TYPE_CODE[type]);
    }
    return out.view();
  }
}

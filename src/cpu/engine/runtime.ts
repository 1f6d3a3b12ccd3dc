/** Functions beside the dispatch loop: slow halves of memory accesses, bulk moves, the hash for digests. */
import { TLB_ENTRIES, TLB_HOST, TLB_WRITE_TAG } from '../../memory/tlb.ts';
import {
  type Expr,
  type FuncRef,
  type FunctionBuilder,
  i32,
  i64,
  type Local,
  memory,
  type ModuleBuilder,
} from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { emitTlbLookup } from '../semantics/memory.ts';
import { defineMulDivHelpers } from '../semantics/muldiv.ts';
import type { Runtime } from '../semantics/tier.ts';
import { defineX87Helpers } from '../semantics/x87-stack.ts';
import { defineVectorHelpers } from '../semantics/vector-operation.ts';

/** The functions of the engine that generated code calls. */
export const IMPORTS = {
  miss: [['i32', 'i32'], ['i32']],
  commit: [[], []],
  raise: [['i32', 'i32'], []],
  segment: [['i32', 'i32', 'i32'], []],
  resolve: [['i32'], ['i32']],
  short: [['i32'], ['i32']],
  callout: [['i32'], ['i32']],
  stale: [['i32'], ['i32']],
  crossing: [['i32'], ['i32']],
  suspend: [['i32'], []],
} as const;

/** What `miss` is asked for. */
export const Miss = { READ: 0, MODIFY: 1, WRITE: 2 } as const;

/** What `callout` answers. */
export const After = {
  /** Leave the run. */
  LEAVE: 0,
  /** On behind the record, in the same block. */
  NEXT: 1,
  /** On at BLOCK_RIP. */
  LOOK_UP: 2,
} as const;

export type Imports = { [K in keyof typeof IMPORTS]: FuncRef<(typeof IMPORTS)[K][0], (typeof IMPORTS)[K][1]> };

const at0 = i32.const(0);
const load32 = (offset: number): Expr<'i32'> => i32.load(at0, offset);
const load64 = (offset: number): Expr<'i64'> => i64.load(at0, offset);

export function defineRuntime(b: ModuleBuilder, imports: Imports): Runtime {
  const locate = (name: string, kind: number) =>
    b.func(name, ['i64', 'i32', 'i32'], ['i32'], (f, linear, bytes, pc) => {
      f.do(i64.store(at0, linear, L.ARG_LINEAR));
      f.do(i32.store(at0, pc, L.FAULT_PC));
      return f.call(imports.miss, bytes, i32.const(kind));
    });
  const locateRead = locate('locate_read', Miss.READ);
  const locateModify = locate('locate_modify', Miss.MODIFY);
  const locateWrite = locate('locate_write', Miss.WRITE);
  const full = (name: string, tag: number, miss: typeof locateRead) =>
    b.func(name, ['i64', 'i32', 'i32'], ['i32'], (f, linear, bytes, pc) =>
      emitTlbLookup(f, linear, bytes, i64.extend_i32_u(i32.sub(i32.const(4096), bytes)), pc, tag, miss),
    );
  const helpers = new Map<string, FuncRef>();
  const runtime: Runtime = {
    locateRead,
    locateModify,
    locateWrite,
    read: full('read', 0, locateRead),
    modify: full('modify', TLB_WRITE_TAG, locateModify),
    write: full('write', TLB_WRITE_TAG, locateWrite),
    commit: b.func('commit_split', ['i32'], [], (f, pc) => {
      f.do(i32.store(at0, pc, L.FAULT_PC));
      f.do(f.call(imports.commit));
    }),
    raise: b.func('raise_fault', ['i32', 'i32', 'i32'], [], (f, vector, error, pc) => {
      f.do(i32.store(at0, pc, L.FAULT_PC));
      f.do(f.call(imports.raise, vector, error));
    }),
    segmentLinear: b.func(
      'segment_linear',
      ['i64', 'i32', 'i32', 'i32', 'i32'],
      ['i64'],
      (f, offset, segment, bytes, write, pc) => {
        f.do(i64.store(at0, offset, L.ARG_LINEAR));
        f.do(i32.store(at0, pc, L.FAULT_PC));
        f.do(f.call(imports.segment, segment, bytes, write));
        return load64(L.ARG_LINEAR);
      },
    ),
    helpers,
  };
  defineMulDivHelpers(b, helpers);
  defineX87Helpers(b, helpers);
  defineVectorHelpers(b, runtime);
  helpers.set('bulk_MOVS', defineBulk(b, true) as unknown as FuncRef);
  helpers.set('bulk_STOS', defineBulk(b, false) as unknown as FuncRef);
  return runtime;
}

/**
 * (count, source linear or value, destination linear, log2 of the element size) -> elements moved at once, possibly 0.
 * Bounded by the budget, by both pages, by count - 1, and refused when the direction is down, a TLB entry misses or the
 * ranges overlap such that a forward copy would read what it wrote.
 */
function defineBulk(
  b: ModuleBuilder,
  copies: boolean,
): FuncRef<readonly ['i64', 'i64', 'i64', 'i32'], readonly ['i32']> {
  return b.func(
    copies ? 'bulk_movs' : 'bulk_stos',
    ['i64', 'i64', 'i64', 'i32'],
    ['i32'],
    (f, count, source, dest, log2) => {
      const none = () => f.return(i32.const(0));
      f.if(i32.and(load32(L.EFLAGS_REST), i32.const(1 << 10)), none);
      f.if(i64.lt_u(count, i64.const(8)), none);
      const entryOf = (linear: Expr<'i64'>) =>
        i32.add(
          load32(L.TLB_CURRENT),
          i32.and(i32.wrap_i64(i64.shr_u(linear, i64.const(7))), i32.const((TLB_ENTRIES - 1) << 5)),
        );
      const to = f.let(entryOf(dest), 'to');
      const within = f.let(i64.xor(dest, i64.load(to, TLB_WRITE_TAG)), 'within');
      f.if(i64.ge_u(within, i64.const(4096)), none);
      const at = f.let(i32.wrap_i64(within), 'at');
      const room = f.let(i32.shr_u(i32.sub(i32.const(4096), at), log2), 'room');
      const host = f.let(i32.add(i32.load(to, TLB_HOST), at), 'host');
      const shrink = (limit: Expr<'i32'>): void => {
        const l = f.let(limit);
        f.if(i32.lt_u(l, room), () => f.set(room, l));
      };
      const from = f.local('i32', 'from');
      if (copies) {
        const entry = f.let(entryOf(source), 'entry');
        const inside = f.let(i64.xor(source, i64.load(entry)), 'inside');
        f.if(i64.ge_u(inside, i64.const(4096)), none);
        f.set(from, i32.add(i32.load(entry, TLB_HOST), i32.wrap_i64(inside)));
        shrink(i32.shr_u(i32.sub(i32.const(4096), i32.wrap_i64(inside)), log2));
      }
      shrink(load32(L.BUDGET));
      const last = f.let(i64.sub(count, i64.const(1)));
      shrink(f.select(i32.wrap_i64(last), i32.const(4096), i64.lt_u(last, i64.const(4096))));
      f.if(i32.lt_u(room, i32.const(4)), none);
      const bytes = f.let(i32.shl(room, log2), 'bytes');
      if (copies) {
        f.if(i32.lt_u(i32.sub(host, from), bytes), none);
        f.do(memory.copy(host, from, bytes));
      } else emitFill(f, host, bytes, source, log2);
      return room;
    },
  );
}

/** Stores the element in `value` over `bytes` at `host`, eight bytes at a time once it is spread. */
function emitFill(
  f: FunctionBuilder,
  host: Local<'i32'>,
  bytes: Local<'i32'>,
  value: Local<'i64'>,
  log2: Local<'i32'>,
): void {
  f.if(i32.eqz(log2), () => {
    f.do(memory.fill(host, i32.wrap_i64(value), bytes));
    return;
  });
  f.if(log2, () => {
    const end = f.let(i32.add(host, bytes), 'end');
    const size = f.let(i32.shl(i32.const(1), log2), 'size');
    f.loop((again) => {
      f.if(
        i32.eq(log2, i32.const(3)),
        () => f.do(i64.store(host, value)),
        () => {
          f.if(
            i32.eq(log2, i32.const(2)),
            () => f.do(i64.store32(host, value)),
            () => f.do(i64.store16(host, value)),
          );
        },
      );
      f.set(host, i32.add(host, size));
      f.brIf(again, i32.lt_u(host, end));
    });
  });
}

/** hash(address, bytes, seed) -> 64 bits; `bytes` a multiple of 32. Four independent lanes of multiply and rotate. */
export function defineHash(b: ModuleBuilder): void {
  b.func(
    'hash',
    ['i32', 'i32', 'i64'],
    ['i64'],
    (f, at, bytes, seed) => {
      const prime = i64.const(0x9e3779b185ebca87n);
      const lanes = [0, 1, 2, 3].map((n) =>
        f.let(i64.add(seed, i64.const((BigInt(n) * 0xc2b2ae3d27d4eb4fn) & 0x7fffffffffffffffn)), `lane${n}`),
      );
      const end = f.let(i32.add(at, bytes), 'end');
      f.loop((again) => {
        lanes.forEach((lane, n) => {
          f.set(lane, i64.mul(i64.rotl(i64.xor(lane, i64.load(at, n * 8)), i64.const(31)), prime));
        });
        f.set(at, i32.add(at, i32.const(32)));
        f.brIf(again, i32.lt_u(at, end));
      });
      let h: Expr<'i64'> = i64.rotl(lanes[0]!, i64.const(1));
      [7, 12, 18].forEach((turn, n) => {
        h = i64.add(i64.mul(h, prime), i64.rotl(lanes[n + 1]!, i64.const(turn)));
      });
      const x = f.let(h);
      const y = f.let(i64.mul(i64.xor(x, i64.shr_u(x, i64.const(33))), prime));
      return i64.xor(y, i64.shr_u(y, i64.const(29)));
    },
    { exportAs: 'hash' },
  );
}

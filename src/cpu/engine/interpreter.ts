/**
 * The interpreter: one WebAssembly module, generated from the semantics functions, with a loop over decoded records.
 *
 *     run(t)
 *     loop $enter                      t: first record of the next block
 *       budget -= t.left               a whole block is paid for at its entry
 *       loop $next
 *         br_table pc.op               hot handlers, in line: about 300
 *           …  pc += 16; br $next      ordinary ones
 *           …  t = …;    br $enter     ends of blocks
 *         default:                     all other handlers, called through a table:
 *           r = table[op](pc)          r is the next record, or END | t for the next block
 */
import { emitTlbLookup } from '../semantics/memory.ts';
import type { Runtime } from '../semantics/memory.ts';
import { ITLB_ENTRIES, ITLB_TABLE, TLB_WRITE_TAG, TLB_ENTRIES, TLB_HOST } from '../../memory/tlb.ts';
import { type Expr, type FuncRef, type FunctionBuilder, i32, i64, type Label, type Local, memory, ModuleBuilder } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import type { Control } from '../semantics/control.ts';
import { RecordFields } from '../semantics/fields.ts';
import { semantics } from '../semantics/index.ts';
import { defineMulDivHelpers } from '../semantics/muldiv.ts';
import { Operation } from '../semantics/operation.ts';
import { allSpecs, type HandlerSpec, isHot } from './handlers.ts';
import * as R from './records.ts';

/** Records that are not instructions, and those that TypeScript executes. Numbered before all handlers. */
export const SpecialOp = {
  /** End of a block without a transfer: go on behind it. */
  END: 0,
  /** TypeScript executes the instruction (imm: number of the call-out). */
  CALLOUT: 1,
  /** The block was overwritten while it ran: find it again. */
  STALE: 2,
  /** Prepares SLOT_EA for the record behind it: a = address size, b = segment, imm = size | write << 8. */
  ADDRESS: 3,
  /** The same without a segment, for LEA: a = address size. */
  ADDRESS_LEA: 4,
  /** Guards a block whose instruction crosses into the next page (imm: number of the guard). */
  CROSSING: 5,
  /** Flat address with 32-bit truncation and segment base (67 prefix in 64-bit mode). */
  ADDRESS_FLAT32: 6,
  /** SLOT_EA = the 64-bit offset in disp:imm, plus segment base (MOV rAX, moffs64). */
  ADDRESS_OFFSET: 7,
} as const;
const FIRST_HANDLER = 8;

/** Set in a cold handler's result: the rest is the first record of the next block. */
const BLOCK_END = 1;

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

export interface InterpreterModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Handler numbers by key. */
  readonly handlers: ReadonlyMap<string, { readonly op: number; readonly spec: HandlerSpec }>;
  readonly hotCount: number;
}

type Imports = { [K in keyof typeof IMPORTS]: FuncRef<(typeof IMPORTS)[K][0], (typeof IMPORTS)[K][1]> };

const at0 = i32.const(0);
const load32 = (offset: number): Expr<'i32'> => i32.load(at0, offset);
const load64 = (offset: number): Expr<'i64'> => i64.load(at0, offset);

/** Builds the module. `memoryPages` is the size of the imported memory in 64 KiB pages. */
export function buildInterpreter(memoryPages: number): InterpreterModule {
  const b = new ModuleBuilder();
  b.importMemory('env', 'memory', memoryPages, memoryPages);
  const imports = Object.fromEntries(
    Object.entries(IMPORTS).map(([name, [params, results]]) => [name, b.importFunction('env', name, params, results)]),
  ) as unknown as Imports;
  const runtime = defineRuntime(b, imports);
  const lookup = defineLookup(b, imports);
  const specs = allSpecs();
  const hot = specs.filter(isHot);
  const cold = specs.filter((s) => !isHot(s));
  const handlers = new Map([...hot, ...cold].map((spec, i) => [spec.key, { op: FIRST_HANDLER + i, spec }]));
  const table = defineColdTable(b, cold, runtime, lookup, imports);
  defineRun(b, hot, imports, runtime, lookup, table);
  defineHash(b);
  return { bytes: b.finish(), handlers, hotCount: hot.length };
}

/** Cold handlers: (pc) -> next record, or BLOCK_END | next block. */
function defineColdTable(b: ModuleBuilder, cold: readonly HandlerSpec[], runtime: Runtime, lookup: Lookup, imports: Imports) {
  const functions = cold.map((spec) =>
    b.func(
      spec.key,
      ['i32'],
      ['i32'],
      (f, pc) => {
        const leave = (t: Expr<'i32'>): void => f.return(i32.or(t, i32.const(BLOCK_END)));
        const control = new RecordControl(f, pc, lookup, imports, leave);
        emitMeaning(f, pc, spec, runtime, control, false);
        if (!spec.terminator) return i32.add(pc, i32.const(R.RECORD_BYTES));
        f.unreachable();
        return undefined;
      },
      { paramNames: ['pc'] },
    ),
  );
  return b.table(functions as readonly FuncRef[], { name: 'cold' });
}

function emitMeaning(f: FunctionBuilder, pc: Local<'i32'>, spec: HandlerSpec, runtime: Runtime, control: Control, inline: boolean): void {
  const meaning = semantics[spec.mnemonic];
  if (meaning === undefined) throw new Error(`${spec.mnemonic} has no semantics`);
  meaning(new Operation({ ...spec, f, fields: new RecordFields(pc), runtime, inline, control }));
}

type Lookup = FuncRef<readonly ['i32'], readonly ['i32']>;

/** `Control` on records: updates BLOCK_RIP and hands the next block to `go`. */
class RecordControl implements Control {
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
  nextRip(indirect: boolean): Expr<'i64'> {
    return i64.add(load64(L.SLOT_BLOCK_RIP), indirect ? i64.load32_u(this.#pc, R.R_IMM) : i64.load16_u(this.#pc, R.T_FALL));
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
      const link = f.select(i32.add(this.#pc, i32.const(offset)), i32.const(0), i32.and(i32.load8_u(this.#pc, R.T_FLAGS), i32.const(flag)));
      f.set(next, f.call(this.#lookup, link));
    });
    this.#go(next);
  }
}

/**
 * (link) -> first record of the block at BLOCK_RIP, or 0 to leave the run. The fast half: an ITLB hit whose code page has the
 * block. `link` is where to note the result, or 0.
 */
function defineLookup(b: ModuleBuilder, imports: Imports): Lookup {
  return b.func('lookup', ['i32'], ['i32'], (f, link) => {
    const rip = f.let(i64.and(load64(L.SLOT_BLOCK_RIP), load64(L.RIP_MASK)), 'rip');
    f.do(i64.store(at0, rip, L.SLOT_BLOCK_RIP));
    const linear = f.let(i64.and(i64.add(rip, load64(L.CODE_BASE)), load64(L.RIP_MASK)), 'linear');
    const entry = f.let(
      i32.add(load32(L.ITLB_CURRENT), i32.and(i32.wrap_i64(i64.shr_u(linear, i64.const(8))), i32.const((ITLB_ENTRIES - 1) << 4))),
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

function defineRun(b: ModuleBuilder, hot: readonly HandlerSpec[], imports: Imports, runtime: Runtime, lookup: Lookup, table: { index: number; name: string }): void {
  b.func(
    'run',
    ['i32'],
    [],
    (f, t) => {
      const pc = f.local('i32', 'pc');
      f.block((leave) => {
        f.loop((enter) => {
          f.brIf(leave, i32.eqz(t));
          emitEnter(f, t, pc, imports, leave);
          f.loop((next) => {
            const goBlock = (e: Expr<'i32'>): void => {
              f.set(t, e);
              f.br(enter);
            };
            const advance = (): void => {
              f.set(pc, i32.add(pc, i32.const(R.RECORD_BYTES)));
              f.br(next);
            };
            const special = specialHandlers(f, pc, imports, lookup, goBlock, advance);
            const inline = hot.map((spec) => (_: Label) => {
              emitMeaning(f, pc, spec, runtime, new RecordControl(f, pc, lookup, imports, goBlock), true);
              if (!spec.terminator) advance();
            });
            f.switch(i32.load16_u(pc, R.R_OP), [...special, ...inline], () => {
              const slot = i32.sub(i32.load16_u(pc, R.R_OP), i32.const(FIRST_HANDLER + hot.length));
              const r = f.let(f.callIndirect(table, ['i32'], ['i32'], slot, pc), 'r');
              f.if(i32.and(r, i32.const(BLOCK_END)), () => goBlock(i32.xor(r, i32.const(BLOCK_END))));
              f.set(pc, r);
              f.br(next);
            });
            f.unreachable();
          });
        });
      });
    },
    { exportAs: 'run', paramNames: ['t'] },
  );
}

/** Pays for the block at `t`; if the budget does not reach, TypeScript makes a shorter one. */
function emitEnter(f: FunctionBuilder, t: Local<'i32'>, pc: Local<'i32'>, imports: Imports, leave: Label): void {
  const rest = f.let(i32.sub(load32(L.BUDGET), i32.load8_u(t, R.R_LEFT)), 'rest');
  f.if(
    i32.lt_s(rest, i32.const(0)),
    () => {
      f.set(t, f.call(imports.short, t));
      f.brIf(leave, i32.eqz(t));
    },
    () => f.do(i32.store(at0, rest, L.BUDGET)),
  );
  f.set(pc, t);
}

function specialHandlers(
  f: FunctionBuilder,
  pc: Local<'i32'>,
  imports: Imports,
  lookup: Lookup,
  goBlock: (t: Expr<'i32'>) => void,
  advance: () => void,
): ((end: Label) => void)[] {
  const control = new RecordControl(f, pc, lookup, imports, goBlock);
  const offset = (): Expr<'i64'> => {
    const fields = new RecordFields(pc);
    return i64.and(i64.add(i64.add(fields.base(), i64.shl(fields.index(), fields.scale())), fields.disp()), addressMask(f, pc));
  };
  const arms: ((end: Label) => void)[] = [];
  arms[SpecialOp.END] = () => control.fallThrough();
  arms[SpecialOp.CALLOUT] = () => {
    // 1: go on behind the record; 0: leave; else the next block.
    const r = f.let(f.call(imports.callout, pc), 'r');
    f.if(i32.ne(r, i32.const(1)), () => goBlock(r));
    advance();
  };
  arms[SpecialOp.STALE] = () => goBlock(f.call(imports.stale, pc));
  arms[SpecialOp.ADDRESS] = () => {
    f.do(i64.store(at0, offset(), L.ARG_LINEAR));
    f.do(i32.store(at0, pc, L.FAULT_PC));
    const what = f.let(i32.load(pc, R.R_IMM), 'what');
    f.do(f.call(imports.segment, i32.load8_u(pc, R.R_B), i32.and(what, i32.const(0xffff)), i32.shr_u(what, i32.const(16))));
    f.do(i64.store(at0, load64(L.ARG_LINEAR), L.SLOT_EA));
    advance();
  };
  arms[SpecialOp.ADDRESS_LEA] = () => {
    f.do(i64.store(at0, offset(), L.SLOT_EA));
    advance();
  };
  arms[SpecialOp.CROSSING] = () => {
    const r = f.let(f.call(imports.crossing, pc), 'r');
    f.if(i32.ne(r, i32.const(1)), () => goBlock(r));
    advance();
  };
  arms[SpecialOp.ADDRESS_FLAT32] = () => {
    f.do(i64.store(at0, i64.add(offset(), new RecordFields(pc).segmentBase()), L.SLOT_EA));
    advance();
  };
  arms[SpecialOp.ADDRESS_OFFSET] = () => {
    const fields = new RecordFields(pc);
    f.do(i64.store(at0, i64.add(fields.imm64(), fields.segmentBase()), L.SLOT_EA));
    advance();
  };
  return arms;
}

/** Address mask by the record's `a`: 16, 32 or 64. */
function addressMask(f: FunctionBuilder, pc: Local<'i32'>): Expr<'i64'> {
  const size = f.let(i32.load8_u(pc, R.R_A), 'size');
  const narrow = f.select(i64.const(0xffff), i64.const(0xffffffffn), i32.eq(size, i32.const(16)));
  return f.select(i64.const(-1), narrow, i32.eq(size, i32.const(64)));
}

function defineRuntime(b: ModuleBuilder, imports: Imports): Runtime {
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
    segmentLinear: b.func('segment_linear', ['i64', 'i32', 'i32', 'i32', 'i32'], ['i64'], (f, offset, segment, bytes, write, pc) => {
      f.do(i64.store(at0, offset, L.ARG_LINEAR));
      f.do(i32.store(at0, pc, L.FAULT_PC));
      f.do(f.call(imports.segment, segment, bytes, write));
      return load64(L.ARG_LINEAR);
    }),
    helpers,
  };
  defineMulDivHelpers(b, helpers);
  helpers.set('bulk_MOVS', defineBulk(b, true) as unknown as FuncRef);
  helpers.set('bulk_STOS', defineBulk(b, false) as unknown as FuncRef);
  return runtime;
}

/**
 * (count, source linear or value, destination linear, log2 of the element size) -> elements moved at once, possibly 0.
 * Bounded by the budget, by both pages, by count - 1, and refused when the direction is down, a TLB entry misses or the
 * ranges overlap such that a forward copy would read what it wrote.
 */
function defineBulk(b: ModuleBuilder, copies: boolean): FuncRef<readonly ['i64', 'i64', 'i64', 'i32'], readonly ['i32']> {
  return b.func(copies ? 'bulk_movs' : 'bulk_stos', ['i64', 'i64', 'i64', 'i32'], ['i32'], (f, count, source, dest, log2) => {
    const none = () => f.return(i32.const(0));
    f.if(i32.and(load32(L.EFLAGS_REST), i32.const(1 << 10)), none);
    f.if(i64.lt_u(count, i64.const(8)), none);
    const entryOf = (linear: Expr<'i64'>) =>
      i32.add(load32(L.TLB_CURRENT), i32.and(i32.wrap_i64(i64.shr_u(linear, i64.const(7))), i32.const((TLB_ENTRIES - 1) << 5)));
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
  });
}

/** Stores the element in `value` over `bytes` at `host`, eight bytes at a time once it is spread. */
function emitFill(f: FunctionBuilder, host: Local<'i32'>, bytes: Local<'i32'>, value: Local<'i64'>, log2: Local<'i32'>): void {
  f.if(i32.eqz(log2), () => {
    f.do(memory.fill(host, i32.wrap_i64(value), bytes));
    return;
  });
  f.if(log2, () => {
    const end = f.let(i32.add(host, bytes), 'end');
    const size = f.let(i32.shl(i32.const(1), log2), 'size');
    f.loop((again) => {
      f.if(i32.eq(log2, i32.const(3)), () => f.do(i64.store(host, value)), () => {
        f.if(i32.eq(log2, i32.const(2)), () => f.do(i64.store32(host, value)), () => f.do(i64.store16(host, value)));
      });
      f.set(host, i32.add(host, size));
      f.brIf(again, i32.lt_u(host, end));
    });
  });
}

/** hash(address, bytes, seed) -> 64 bits; `bytes` a multiple of 32. Four independent lanes of multiply and rotate. */
function defineHash(b: ModuleBuilder): void {
  b.func(
    'hash',
    ['i32', 'i32', 'i64'],
    ['i64'],
    (f, at, bytes, seed) => {
      const prime = i64.const(0x9e3779b185ebca87n);
      const lanes = [0, 1, 2, 3].map((n) => f.let(i64.add(seed, i64.const(BigInt(n) * 0xc2b2ae3d27d4eb4fn & 0x7fffffffffffffffn)), `lane${n}`));
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

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
import {
  type Expr,
  type FuncRef,
  type FunctionBuilder,
  i32,
  i64,
  type Label,
  type Local,
  ModuleBuilder,
} from '../../wasm/index.ts';
import * as L from '../layout.ts';
import { semantics } from '../semantics/index.ts';
import { Operation } from '../semantics/operation.ts';
import type { Control, Runtime } from '../semantics/tier.ts';
import { allSpecs, type HandlerSpec, hotSpecs, isHot } from './handlers.ts';
import { defineLookup, type Lookup, RecordControl } from './record-control.ts';
import { defineRecordLinear, RecordFields, simpleLinear } from './record-fields.ts';
import * as R from './records.ts';
import { After, defineHash, defineRuntime, IMPORTS, type Imports } from './runtime.ts';

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

export interface InterpreterModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Handler numbers by key. */
  readonly handlers: ReadonlyMap<string, { readonly op: number; readonly spec: HandlerSpec }>;
  readonly hotCount: number;
}

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
  const linearOf = defineRecordLinear(b);
  const lookup = defineLookup(b, imports);
  const specs = allSpecs();
  const hot = hotSpecs(specs);
  const cold = specs.filter((s) => !isHot(s));
  const handlers = new Map([...hot, ...cold].map((spec, i) => [spec.key, { op: FIRST_HANDLER + i, spec }]));
  const table = defineColdTable(b, cold, runtime, lookup, imports, linearOf);
  defineRun(b, hot, imports, runtime, lookup, table);
  defineHash(b);
  return { bytes: b.finish(), handlers, hotCount: hot.length };
}

/** Cold handlers: (pc) -> next record, or BLOCK_END | next block. */
function defineColdTable(
  b: ModuleBuilder,
  cold: readonly HandlerSpec[],
  runtime: Runtime,
  lookup: Lookup,
  imports: Imports,
  linearOf: ReturnType<typeof defineRecordLinear>,
) {
  const functions = cold.map((spec) =>
    b.func(
      spec.key,
      ['i32'],
      ['i32'],
      (f, pc) => {
        const leave = (t: Expr<'i32'>): void => f.return(i32.or(t, i32.const(BLOCK_END)));
        const control = new RecordControl(f, pc, lookup, imports, leave);
        const fields = new RecordFields(pc, () => f.call(linearOf, pc));
        emitMeaning(f, fields, spec, runtime, control, false);
        if (!spec.terminator) return i32.add(pc, i32.const(R.RECORD_BYTES));
        f.unreachable();
        return undefined;
      },
      { paramNames: ['pc'] },
    ),
  );
  return b.table(functions as readonly FuncRef[], { name: 'cold' });
}

function emitMeaning(
  f: FunctionBuilder,
  fields: RecordFields,
  spec: HandlerSpec,
  runtime: Runtime,
  control: Control,
  inline: boolean,
): void {
  const meaning = semantics[spec.mnemonic];
  if (meaning === undefined) throw new Error(`${spec.mnemonic} has no semantics`);
  meaning(new Operation({ ...spec, f, fields, runtime, inline, control }));
}

function defineRun(
  b: ModuleBuilder,
  hot: readonly HandlerSpec[],
  imports: Imports,
  runtime: Runtime,
  lookup: Lookup,
  table: { index: number; name: string },
): void {
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
              const fields = new RecordFields(pc, spec.simpleAddress ? simpleLinear(pc) : undefined);
              emitMeaning(f, fields, spec, runtime, new RecordControl(f, pc, lookup, imports, goBlock), true);
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
    return i64.and(
      i64.add(i64.add(fields.base(), i64.shl(fields.index(), fields.scale())), fields.disp()),
      addressMask(f, pc),
    );
  };
  const arms: ((end: Label) => void)[] = [];
  arms[SpecialOp.END] = () => control.fallThrough();
  arms[SpecialOp.CALLOUT] = () => {
    const r = f.let(f.call(imports.callout, pc), 'r');
    f.if(i32.eq(r, i32.const(After.LOOK_UP)), () => goBlock(f.call(lookup, i32.const(0))));
    f.if(i32.eqz(r), () => goBlock(r));
    advance();
  };
  arms[SpecialOp.STALE] = () => goBlock(f.call(imports.stale, pc));
  arms[SpecialOp.ADDRESS] = () => {
    f.do(i64.store(at0, offset(), L.ARG_LINEAR));
    f.do(i32.store(at0, pc, L.FAULT_PC));
    const what = f.let(i32.load(pc, R.R_IMM), 'what');
    f.do(
      f.call(imports.segment, i32.load8_u(pc, R.R_B), i32.and(what, i32.const(0xffff)), i32.shr_u(what, i32.const(16))),
    );
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

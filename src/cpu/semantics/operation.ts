import { type Expr, type FuncRef, type FunctionBuilder, i32, i64, type Local } from '../../wasm/index.ts';
import * as L from '../layout.ts';
import * as flags from './flags.ts';
import { MemoryAccess } from './memory.ts';
import { loadSized, mask, storeSized } from './sized.ts';
import type { Control, Fields, Runtime } from './tier.ts';

export { loadSized, mask, signExtend, storeSized } from './sized.ts';

/** Where an operand is: register slot, memory, immediate; and how wide, in bits. */
export interface OperandForm {
  /** r general, x vector, q MMX, s x87 stack, m memory, i immediate. */
  readonly kind: 'r' | 'm' | 'i' | 'x' | 'q' | 'n' | 's';
  readonly size: number;
}

/** How the stack pointer is used: flat 64 bit, flat 32 bit, or through SS with all checks. */
export type StackMode = 's64' | 's32' | 'sx';
/** How implicit addresses are formed: flat with 64 or 32 bits, or 32 or 16 bits through segments with all checks. */
export type Addressing = 'a64' | 'a32' | 'x32' | 'x16';

/** The order in which register operands take the fields of a record. */
const REGISTER_FIELDS = ['a', 'b', 'c', 'd'] as const;

/**
 * One instruction's meaning in the making. A semantics function gets one of these and writes code with it; it does not
 * know whether the operands come from a decoded record (interpreter) or are constants (compiler).
 *
 * Values are i64, zero-extended from the operand's width. Operands count from 0 in Intel's order.
 */
export class Operation {
  readonly f: FunctionBuilder;
  readonly fields: Fields;
  readonly operands: readonly OperandForm[];
  /** Width of operand 0 in bits; of the operand-size attribute where there is none. */
  readonly size: number;
  readonly stackMode: StackMode;
  readonly addressing: Addressing;
  /** Repeat prefix in effect: '', 'rep' (F3) or 'repnz' (F2). */
  readonly rep: '' | 'rep' | 'repnz';
  readonly control: Control;
  readonly memory: MemoryAccess;
  /** Code for the dispatch loop, or so hot otherwise that calls are avoided. */
  readonly inline: boolean;
  readonly runtime: Runtime;
  readonly flags = flags;

  constructor(o: {
    f: FunctionBuilder;
    fields: Fields;
    operands: readonly OperandForm[];
    size: number;
    stackMode: StackMode;
    addressing: Addressing;
    rep: '' | 'rep' | 'repnz';
    control: Control;
    runtime: Runtime;
    inline: boolean;
  }) {
    this.f = o.f;
    this.fields = o.fields;
    this.operands = o.operands;
    this.size = o.size;
    this.stackMode = o.stackMode;
    this.addressing = o.addressing;
    this.rep = o.rep;
    this.control = o.control;
    this.runtime = o.runtime;
    this.inline = o.inline;
    this.memory = new MemoryAccess(o.f, o.fields, o.runtime, o.inline);
  }

  let<T extends 'i32' | 'i64' | 'f32' | 'f64' | 'v128'>(e: Expr<T>, name?: string): Local<T> {
    return this.f.let(e, name);
  }

  get addressSize(): 64 | 32 | 16 {
    return this.addressing === 'a64' ? 64 : this.addressing === 'x16' ? 16 : 32;
  }

  kind(i: number): OperandForm['kind'] {
    return this.operands[i]!.kind;
  }
  width(i: number): number {
    return this.operands[i]!.size;
  }
  isMemory(i: number): boolean {
    return this.operands[i]!.kind === 'm';
  }

  /** Address in linear memory of the slot of register operand `i`. */
  slot(i: number): Expr<'i32'> {
    let n = 0;
    for (let k = 0; k < i; k++) if ('rxqn'.includes(this.operands[k]!.kind)) n++;
    return this.fields.register(REGISTER_FIELDS[n]!);
  }

  /** Operand `i`, zero-extended. Immediates are sign-extended to 32 bits, then cut to the operation's width. */
  read(i: number): Expr<'i64'> {
    const { kind, size } = this.operands[i]!;
    if (kind === 'r') return loadSized(this.slot(i), size, false);
    if (kind === 'i') return size === 64 ? this.fields.imm() : i64.and(this.fields.imm(), i64.const(mask(this.size)));
    return loadSized(this.memory.read(this.linear(), size / 8), size, false);
  }

  /** Operand `i`, sign-extended from its width. */
  readSigned(i: number): Expr<'i64'> {
    const { kind, size } = this.operands[i]!;
    if (kind === 'r') return loadSized(this.slot(i), size, true);
    if (kind === 'i') return this.fields.imm();
    return loadSized(this.memory.read(this.linear(), size / 8), size, true);
  }

  /** Writes operand `i`: bits above its width are ignored; a 32-bit register write clears the upper half. */
  write(i: number, value: Expr<'i64'>): void {
    const { kind, size } = this.operands[i]!;
    if (kind === 'r') this.f.do(storeRegister(this.slot(i), value, size));
    else this.memory.write(this.linear(), value, size);
  }

  /**
   * Reads operand `i`, lets `compute` derive the new value from the old (set flags there), and writes it back. For memory
   * the write is checked before anything else happens, so a fault leaves no trace.
   */
  modify(i: number, compute: (old: Local<'i64'>) => Expr<'i64'>): void {
    const { kind, size } = this.operands[i]!;
    if (kind === 'r') {
      const old = this.let(this.read(i));
      this.f.do(storeRegister(this.slot(i), compute(old), size));
      return;
    }
    this.memory.modify(this.linear(), size, compute);
  }

  #linear: Local<'i64'> | undefined;
  /** Linear address of the memory operand, computed once. */
  linear(): Local<'i64'> {
    this.#linear ??= this.let(
      this.fields.linear() ??
        i64.add(i64.and(this.offset(), i64.load(i32.const(0), L.ADDRESS_MASK)), this.fields.segmentBase()),
      'linear',
    );
    return this.#linear;
  }

  /** base + index * scale + disp, not yet cut to the address size. */
  offset(): Expr<'i64'> {
    return i64.add(i64.add(this.fields.base(), i64.shl(this.fields.index(), this.fields.scale())), this.fields.disp());
  }

  // Registers that an instruction names implicitly, by Intel's number.

  reg(n: number, size = this.size): Expr<'i64'> {
    return loadSized(i32.const(L.GPR + 8 * n), size, false);
  }
  regSigned(n: number, size = this.size): Expr<'i64'> {
    return loadSized(i32.const(L.GPR + 8 * n), size, true);
  }
  setReg(n: number, value: Expr<'i64'>, size = this.size): void {
    this.f.do(storeRegister(i32.const(L.GPR + 8 * n), value, size));
  }

  /** Calls a function of the runtime for its effect. */
  call(ref: FuncRef, ...args: Expr[]): Expr {
    return (this.f.call as (r: FuncRef, ...a: Expr[]) => Expr).call(this.f, ref, ...args);
  }

  /** Raises exception `vector` here (error code -1: none). Does not return. */
  raise(vector: number, error = -1): void {
    this.f.do(this.f.call(this.runtime.raise, i32.const(vector), i32.const(error), this.fields.pc()));
    this.f.unreachable();
  }

  // Stack

  /** Pushes `value`; the stack pointer moves only after the store succeeded. */
  push(value: Expr<'i64'>, size = this.size): void {
    const v = this.f.value(value, 'pushed');
    const top = this.stackPointer(i64.sub(i64.load(i32.const(L.GPR + 32)), i64.const(size / 8)));
    this.memory.write(this.stackLinear(top, size, true), v, size);
    this.setStackPointer(top);
  }

  /** Reads the value on top, and moves the stack pointer at once unless `keep`. */
  pop(size = this.size, keep = false): Local<'i64'> {
    const sp = this.stackPointer(i64.load(i32.const(L.GPR + 32)));
    const value = this.let(
      loadSized(this.memory.read(this.stackLinear(sp, size, false), size / 8), size, false),
      'popped',
    );
    if (!keep) this.movePointer(size / 8);
    return value;
  }

  movePointer(bytes: number): void {
    this.setStackPointer(this.stackPointer(i64.add(i64.load(i32.const(L.GPR + 32)), i64.const(bytes))));
  }

  /** `raw` cut to the stack's address size. */
  stackPointer(raw: Expr<'i64'>): Local<'i64'> {
    if (this.stackMode === 's64') return this.let(raw, 'sp');
    const m = this.stackMode === 's32' ? i64.const(0xffffffffn) : i64.load(i32.const(0), L.STACK_MASK);
    return this.let(i64.and(raw, m), 'sp');
  }

  /** Linear address of `size` bits at stack offset `sp`. */
  stackLinear(sp: Local<'i64'>, size: number, write: boolean): Local<'i64'> {
    if (this.stackMode !== 'sx') return sp;
    return this.let(
      this.f.call(
        this.runtime.segmentLinear,
        sp,
        i32.const(2),
        i32.const(size / 8),
        i32.const(write ? 1 : 0),
        this.fields.pc(),
      ),
    );
  }

  setStackPointer(sp: Expr<'i64'>): void {
    const at = i32.const(L.GPR + 32);
    if (this.stackMode !== 'sx') {
      this.f.do(i64.store(at, sp));
      return;
    }
    const m = this.let(i64.load(i32.const(0), L.STACK_MASK));
    const old = i64.load(at);
    this.f.do(i64.store(at, i64.or(i64.and(sp, m), i64.and(old, i64.xor(m, i64.const(-1))))));
  }
}

function storeRegister(at: Expr<'i32'>, value: Expr<'i64'>, size: number): Expr<'void'> {
  if (size === 32) return i64.store(at, i64.and(value, i64.const(0xffffffffn)));
  return storeSized(at, value, size);
}

/** The meaning of one mnemonic. */
export type Semantics = (o: Operation) => void;

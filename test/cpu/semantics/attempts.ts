/**
 * Instructions that have a generated form and an exact one in TypeScript, executed by both from the same state: two machines, one of
 * which decodes as if there were no generated forms.
 */
import type { WasmEngine } from '../../../src/cpu/engine/wasm-engine.ts';
import * as L from '../../../src/cpu/layout.ts';
import { attempted } from '../../../src/cpu/semantics/index.ts';
import { ROWS } from '../../../src/isa/instruction-table.ts';
import type { InstructionRow } from '../../../src/isa/row.ts';
import { type Vector, VectorMachine } from '../../conformance/vector-machine.ts';
import { encodingsOf } from '../decode/encode.ts';
import { float, random } from './sse-float-vectors.ts';

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
const DATA = 0x20000100;
const MEMORY_BYTES = 64;

export interface AttemptForm {
  readonly name: string;
  readonly row: InstructionRow;
  /** From the opcode's first prefix to ModRM; an immediate byte may follow. */
  readonly head: Uint8Array;
  readonly isMemory: boolean;
}

/** ModRM bytes of encodingsOf that suit here: registers, and memory at [rbx]. */
const isSuitable = (row: InstructionRow, modrm: number): boolean =>
  row.exactModrm >= 0 || modrm >= 0xc0 || (modrm & 0xc7) === 3;

/** All encodings of the rows that `wanted` names and that have a generated form. */
export function attemptForms(wanted: (row: InstructionRow) => boolean): AttemptForm[] {
  return ROWS.filter((row) => attempted.has(row.mnemonic) && wanted(row)).flatMap((row) =>
    encodingsOf(row).flatMap((bytes) => {
      // Ten bytes of displacement and immediates follow ModRM.
      const head = bytes.subarray(0, bytes.length - 10);
      const modrm = head.at(-1)!;
      if (!isSuitable(row, modrm)) return [];
      const isMemory = modrm < 0xc0;
      return [{ name: `${row.mnemonic} ${Buffer.from(head).toString('hex')}`, row, head, isMemory }];
    }),
  );
}

const hex = (v: bigint, digits: number): string => v.toString(16).padStart(digits, '0');

const lanes = (next: () => number, width: number, bits: number): bigint => {
  let v = 0n;
  for (let at = 0; at < bits; at += width) v |= float(next, width) << BigInt(at);
  return v;
};

/** Words for conversions from integers: small, large, negative. */
const integers = (next: () => number): bigint => {
  let v = 0n;
  for (let at = 0; at < 256; at += 32)
    v |= BigInt((next() & 1 ? next() : next() >>> (next() & 31)) >>> 0) << BigInt(at);
  return v;
};

const view = new DataView(new ArrayBuffer(8));

/** Two numbers and about what their product cancels, in any order: what fused operations find hardest. */
function cancelling(next: () => number, width: 32 | 64): bigint[] {
  const number = (): number => {
    if (width === 32) view.setUint32(0, 0x3f000000 + (next() & 0x01ffffff));
    else view.setBigUint64(0, (BigInt(0x3fe00000 + (next() & 0x001fffff)) << 32n) | BigInt(next()));
    return width === 32 ? view.getFloat32(0) : view.getFloat64(0);
  };
  const bits = (value: number, off: number): bigint => {
    if (width === 32) view.setFloat32(0, value);
    else view.setFloat64(0, value);
    return (width === 32 ? BigInt(view.getUint32(0)) : view.getBigUint64(0)) + BigInt(off);
  };
  const sign = next() & 1 ? 1 : -1;
  const shuffled = (values: bigint[]): bigint[] => values.sort(() => (next() & 1) - 0.5);
  if (next() & 1) {
    // (1 + d) * (1 - d) is a little less than 1: here than half a unit of the addend, which decides how the sum is rounded.
    const [d, ulp] = width === 32 ? [2 ** -23, 2 ** -23] : [2 ** -28, 2 ** -52];
    const half = (next() & 1 ? 1 : -1) * (ulp / 2);
    return shuffled([bits((1 + d) * half, 0), bits(1 - d, 0), bits(sign * (1 + (next() & 63) * ulp), 0)]);
  }
  const [x, y] = [number(), number()];
  return shuffled([bits(x, 0), bits(y, 0), bits(sign * x * y, (next() % 5) - 2)]);
}

/** Registers 0 to 3 (2 is the destination, 3 or memory the last source) with lanes that nearly cancel. */
function cancellingRegisters(next: () => number, width: 32 | 64): string[] {
  const registers = [0n, 0n, 0n, 0n];
  for (let at = 0; at < 256; at += width) {
    const values = cancelling(next, width);
    registers.forEach((_, n) => {
      if (n > 0) registers[n]! |= values[n - 1]! << BigInt(at);
    });
  }
  return registers.map((v) => hex(v, 64));
}

export type StateMaker = (next: () => number, width: 32 | 64) => Pick<Vector['in'], 'ymm' | 'x87' | 'mem' | 'mxcsr'>;

/** Vector registers and memory full of floats near the edges; MXCSR mostly as generated code likes it. */
export const floatState: StateMaker = (next, width) => {
  const value = (): bigint => (next() % 5 === 0 ? integers(next) : lanes(next, width, 256));
  const plain = value();
  const any = 0x1f80 | (next() & 0xe07f);
  const kind = next() % 6;
  const flush = next() % 4 === 0 ? 0x8040 & (next() << 6) : 0;
  const mxcsr = kind < 3 ? 0x1fa0 | flush : kind < 4 ? 0x1f80 | flush : kind < 5 ? any : any & ~(next() & 0x1f80);
  // Equal operands, and products that an addend nearly cancels, are worth a share.
  const register = (): string => hex(next() % 6 === 0 ? plain : value(), 64);
  const registers =
    next() % 4 === 0 ? cancellingRegisters(next, width) : [register(), register(), register(), register()];
  return {
    ymm: Object.fromEntries(registers.map((value, n) => [n, value])),
    mem: [{ addr: `0x${DATA.toString(16)}`, bytes: Buffer.from(registers[3]!, 'hex').reverse().toString('hex') }],
    mxcsr: `0x${mxcsr.toString(16)}`,
  };
};

/** An 80-bit value: plain, near the ends of the range or of other formats, zero, and what is none of these. */
function extended(next: () => number): bigint {
  const sign = BigInt(next() & 1) << 79n;
  const word = (BigInt(next()) << 32n) | BigInt(next());
  // Few bits make exact results and ties; many make neither.
  const fraction = [word, word & 0xffff000000000000n, word & 0xfffffffffffff800n, (word & ~0x7ffn) | 0x400n, 0n][
    next() % 5
  ]!;
  const significand = (1n << 63n) | BigInt.asUintN(63, fraction);
  const exponents = [16383, 16382, 16383 + (next() % 70), 16383 - (next() % 130), 1, 2, 0x7ffe, 0x7ffd];
  exponents.push(16383 + 1023, 16383 + 127, 16383 - 1022, 16383 - 126, 0x2000 + (next() & 0x3fff));
  const kind = next() % 24;
  if (kind === 0) return sign;
  if (kind === 1) return sign | (0x7fffn << 64n) | (1n << 63n) | (next() & 1 ? fraction >> 1n : 0n);
  if (kind === 2) return sign | BigInt.asUintN(63, word);
  if (kind === 3) return sign | (BigInt(exponents[next() % exponents.length]!) << 64n) | BigInt.asUintN(63, word);
  const exponent = exponents[next() % (kind < 14 ? 4 : exponents.length)]!;
  return sign | (BigInt(exponent) << 64n) | significand;
}

/** Registers, mostly full; the control word mostly with all masks, and 53 or 64 bits. */
export const x87State: StateMaker = (next) => {
  const controls = [0x37f, 0x27f, 0x37f, 0x27f, 0x7f, 0xf7f, 0x37f & ~(1 << (next() % 6)), next() & 0x1f7f];
  const flags = next() % 3 === 0 ? next() & 0x47bf : 0;
  const same = extended(next);
  const register = (): string => hex(next() % 6 === 0 ? same : extended(next), 20);
  const data = [
    extended(next),
    float(next, 64) | (BigInt(next()) << 64n),
    float(next, 32) | (BigInt(next()) << 32n),
    BigInt(next() >>> (next() & 31)) | (BigInt(next()) << 32n),
    BigInt.asUintN(64, -BigInt(next() >>> (next() & 31))),
  ][next() % 5]!;
  return {
    x87: {
      fcw: `0x${(controls[next() % controls.length]! | 0x40).toString(16)}`,
      fsw: `0x${(flags | ((next() & 7) << 11)).toString(16)}`,
      ftw: `0x${(next() % 5 === 0 ? next() & 255 : 0x7f ^ (next() & 0x80)).toString(16)}`,
      r: Object.fromEntries(Array.from({ length: 8 }, (_, n) => [n, register()])),
    },
    mem: [{ addr: `0x${DATA.toString(16)}`, bytes: Buffer.from(hex(data, 32), 'hex').reverse().toString('hex') }],
  };
};

/** A vector of `form` with an open outcome. */
export function attemptVector(form: AttemptForm, state: StateMaker, seed: number): Vector {
  const next = random(seed);
  const width = /(SS|PS)$|SS2|PS2/.test(form.row.mnemonic) ? 32 : 64;
  const regs: Record<string, string> = Object.fromEntries(
    NAMES.map((n) => [n, `0x${hex((BigInt(next()) << 32n) | BigInt(next() >>> (next() & 31)), 16)}`]),
  );
  Object.assign(regs, { rbx: `0x${DATA.toString(16)}`, rflags: `0x${((next() & 0x8d5) | 2).toString(16)}` });
  return {
    id: `${form.name} seed ${seed}`,
    family: 'made',
    form: form.row.mnemonic,
    bytes: Buffer.from([...form.head, next() & 255]).toString('hex'),
    rip: '0x10000000',
    in: { regs, ...state(next, width) },
    out: { rip: '0x0' },
    exception: null,
    undefinedFlags: '0x0',
  };
}

/** What a guest could see of the state, and how the instruction ended. */
function outcome(machine: VectorMachine, v: Vector): Record<string, string> {
  const lines = machine.run(v);
  const e = machine.engine;
  const s = e.state;
  const at = (start: number, bytes: number): string => Buffer.from(s.u8.subarray(start, start + bytes)).toString('hex');
  const memory = new Uint8Array(MEMORY_BYTES);
  e.processor.mem.readBytes(BigInt(DATA - 16), memory);
  return {
    raised: /^raised vector \d+/.exec(lines[0] ?? '')?.[0] ?? 'nothing',
    rip: s.rip.toString(16),
    registers: at(L.GPR, 128),
    eflags: s.eflags.toString(16),
    x87: at(L.X87_REGISTERS, 128),
    x87Words: at(L.X87_FCW, L.MXCSR - L.X87_FCW),
    mxcsr: s.get32(L.MXCSR).toString(16),
    vectors: at(L.YMM, 512),
    memory: Buffer.from(memory).toString('hex'),
    retired: String((e as WasmEngine).now()),
  };
}

/** Runs vectors on both machines. */
export class BothWays {
  readonly fast = new VectorMachine();
  readonly exact = new VectorMachine();

  /** @returns how the two differ, or undefined */
  compare(v: Vector): string | undefined {
    const fast = outcome(this.fast, v);
    const exact = withoutAttempts(() => outcome(this.exact, v));
    const differing = Object.keys(fast).filter((key) => fast[key] !== exact[key]);
    if (differing.length === 0) return undefined;
    const parts = differing.map((key) => `  ${key}\n    generated ${fast[key]}\n    exact     ${exact[key]}`);
    return `${v.id}, ${v.bytes}\n${parts.join('\n')}`;
  }
}

/** Code decoded meanwhile has no generated forms that may give up. */
function withoutAttempts<T>(run: () => T): T {
  const set = attempted as Set<string>;
  const all = [...set];
  set.clear();
  try {
    return run();
  } finally {
    for (const name of all) set.add(name);
  }
}

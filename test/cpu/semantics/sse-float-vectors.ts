/** Single-instruction vectors of SSE floating point with operands near every edge, made rather than recorded. */
import { attempted } from '../../../src/cpu/semantics/index.ts';
import { ROWS } from '../../../src/isa/instruction-table.ts';
import type { InstructionRow } from '../../../src/isa/row.ts';
import type { Vector, VectorMachine } from '../../conformance/vector-machine.ts';
import { runSseVector } from '../softfloat/sse-runner.ts';
import type { Vector as SoftVector } from '../softfloat/vectors.ts';

const DATA = 0x20000100;
const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

/** Deterministic random u32s (xorshift). */
export function random(seed: number): () => number {
  let x = seed * 2654435761 + 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

/** Every legacy row of floating point with a generated form, and with W where it takes a general register. */
export function forms(): { row: InstructionRow; wide: boolean }[] {
  return ROWS.filter(
    (row) => attempted.has(row.mnemonic) && row.map.startsWith('0F') && !/^PCMP|MXCSR/.test(row.mnemonic),
  ).flatMap((row) =>
    /2SI|SI2/.test(row.mnemonic) ? [false, true].map((wide) => ({ row, wide })) : [{ row, wide: false }],
  );
}

function encode(row: InstructionRow, wide: boolean, isMemory: boolean, imm: number): string {
  const prefix = row.prefix === 'np' ? [] : [Number.parseInt(row.prefix, 16)];
  const opcodeMap = row.map === '0F3A' ? [0x0f, 0x3a] : [0x0f];
  const modrm = isMemory ? 0x03 : 0xc1;
  const tail = row.operands.length > 2 ? [imm] : [];
  return Buffer.from([...prefix, ...(wide ? [0x48] : []), ...opcodeMap, row.opcode, modrm, ...tail]).toString('hex');
}

const EDGES_32 = [
  0, 1, 0x7fffff, 0x800000, 0x800001, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7f800001, 0x3f800000, 0x4b000001,
];
const EDGES_64 = [
  0n,
  1n,
  0xfffffffffffffn,
  0x10000000000000n,
  0x10000000000001n,
  0x7fefffffffffffffn,
  0x7ff0000000000000n,
].concat([0x7ff8000000000000n, 0x7ff0000000000001n, 0x3ff0000000000000n, 0x41e0000000000000n, 0x43e0000000000000n]);

/** Biased to edges, to exponents whose sums and products reach the ends of the range, and to plain numbers. */
export function float(next: () => number, width: number): bigint {
  const sign = BigInt(next() & 1) << BigInt(width - 1);
  const kind = next() % 4;
  const word = (BigInt(next()) << 32n) | BigInt(next());
  if (width === 32) {
    if (kind === 0) return sign | BigInt(EDGES_32[next() % EDGES_32.length]!);
    const exponent = BigInt(kind === 1 ? next() & 255 : kind === 2 ? 60 + (next() % 8) : 120 + (next() % 40));
    return sign | (exponent << 23n) | (word & (next() & 1 ? 0x7fffffn : 0x7f0000n));
  }
  if (kind === 0) return sign | EDGES_64[next() % EDGES_64.length]!;
  const exponent = BigInt(kind === 1 ? next() & 2047 : kind === 2 ? 508 + (next() % 8) : 1020 + (next() % 70));
  return sign | (exponent << 52n) | (word & (next() & 1 ? 0xfffffffffffffn : 0xffff000000000n));
}

function vectorOf(next: () => number, width: number): bigint {
  let v = 0n;
  for (let i = 0; i < 128; i += width) v |= float(next, width) << BigInt(i);
  return v;
}

const hex = (v: bigint, digits = 32): string => v.toString(16).padStart(digits, '0');
const littleEndian = (v: bigint): string => Buffer.from(hex(v), 'hex').reverse().toString('hex');

export interface Choice {
  readonly mxcsr: number;
  readonly isMemory: boolean;
  /** Operands; else of random kind. */
  readonly operands?: readonly [bigint, bigint];
}

/** One vector, its outcome still open. */
export function makeVector(
  { row, wide }: { row: InstructionRow; wide: boolean },
  choice: Choice,
  next: () => number,
): Vector {
  const width = /(SS|PS)$|SS2|PS2/.test(row.mnemonic) ? 32 : 64;
  const [a, b] = choice.operands ?? [vectorOf(next, width), vectorOf(next, width)];
  const isInteger = row.mnemonic.startsWith('CVTDQ') || row.mnemonic.startsWith('CVTSI');
  const source =
    isInteger && choice.operands === undefined ? (BigInt(next()) << 32n) | BigInt(next() >>> (next() & 31)) : b;
  const regs: Record<string, string> = Object.fromEntries(NAMES.map((n) => [n, '0x20000800']));
  Object.assign(regs, {
    rbx: `0x${DATA.toString(16)}`,
    rcx: `0x${hex(BigInt.asUintN(64, source), 16)}`,
    rflags: '0x8d7',
  });
  const suffix = /2SI|SI2/.test(row.mnemonic) ? (wide ? '_64' : '_32') : '';
  return {
    id: 'made',
    family: 'made',
    form: row.mnemonic.toLowerCase() + suffix,
    bytes: encode(row, wide, choice.isMemory, next() & 15),
    rip: '0x10000000',
    in: {
      regs,
      xmm: { 0: hex(a), 1: hex(source) },
      mxcsr: `0x${choice.mxcsr.toString(16)}`,
      mem: [{ addr: `0x${DATA.toString(16)}`, bytes: littleEndian(source) }],
    },
    out: { rip: '0x0' },
    exception: null,
    undefinedFlags: '0x0',
  };
}

/** Runs a vector on the engine and judges the state by the exact arithmetic. @returns what differs, or undefined */
export function judge(machine: VectorMachine, v: Vector): string | undefined {
  const lines = machine.run(v);
  const raised = /^raised vector (\d+)/.exec(lines[0] ?? '');
  const s = machine.engine.state;
  const xmm = (n: number): string => hex((s.u64[0xa1 + 4 * n]! << 64n) | s.u64[0xa0 + 4 * n]!);
  const after: SoftVector = {
    ...(v as unknown as SoftVector),
    out: {
      rip: '0x0',
      regs: {
        ...Object.fromEntries(NAMES.map((n, i) => [n, `0x${s.reg(i).toString(16)}`])),
        rflags: `0x${s.eflags.toString(16)}`,
      },
      xmm: { 0: xmm(0), 1: xmm(1) },
      mxcsr: `0x${s.get32(0x4bc).toString(16)}`,
    },
    exception: raised === null ? null : { vector: Number(raised[1]), error: '0', cr2: null },
  };
  if (raised !== null && raised[1] !== '19') return `${v.form}: ${lines[0]}`;
  const problem = runSseVector(after);
  return problem && `${problem} (xmm0 ${v.in.xmm![0]}, xmm1 ${v.in.xmm![1]}, mxcsr ${v.in.mxcsr})`;
}

/** From a case and what the taker saw to a line of a vector file. */
import type { Instruction } from '../../../src/cpu/decode/instruction.ts';
import type { Vector, VectorState } from '../vector-machine.ts';
import {
  type MachineState,
  type Patch,
  type TakerCase,
  type TakerResult,
  TRAP_ENDLESS,
  TRAP_SYSTEM_CALL,
} from './case.ts';
import { modeOf } from './descriptors.ts';
import { DATA, flat } from './places.ts';
import { REGISTERS } from '../registers.ts';
import { openResults } from './undefined.ts';

const [BREAKPOINT, OVERFLOW, PAGE_FAULT, DEBUG] = [3, 4, 14, 1] as const;
const RF = 0x10000;
const SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const;
const hex = (v: bigint | number): string => `0x${v.toString(16)}`;
const digits = (v: bigint, n: number): string => v.toString(16).padStart(n, '0');

/** Why a result is no vector. */
export type Unusable = 'system call' | 'endless' | 'odd end';

const memory = (patches: readonly Patch[]): VectorState['mem'] =>
  patches.map(({ offset, bytes }) => ({ addr: hex(DATA + offset), bytes: Buffer.from(bytes).toString('hex') }));

/** Later patches win: one list of ranges that do not overlap. */
function merged(patches: readonly Patch[]): Patch[] {
  const page = new Uint8Array(4096);
  const known = new Uint8Array(4096);
  for (const { offset, bytes } of patches) {
    page.set(bytes, offset);
    known.fill(1, offset, offset + bytes.length);
  }
  const out: Patch[] = [];
  for (let at = 0; at < 4096; at++) {
    if (!known[at]) continue;
    let end = at;
    while (end < 4096 && known[end]) end++;
    out.push({ offset: at, bytes: page.slice(at, end) });
    at = end;
  }
  return out;
}

function x87State(s: MachineState): NonNullable<VectorState['x87']> {
  const r: Record<string, string> = {};
  for (const [n, v] of s.st.entries()) if (v !== 0n) r[n] = digits(v, 20);
  return { fcw: hex(s.fcw), fsw: hex(s.fsw), ftw: hex(s.ftw), r };
}

function input(c: TakerCase, wide: boolean): VectorState {
  const s = c.state;
  const mode = modeOf(s.cs);
  const state: VectorState = { regs: {} };
  for (const [n, name] of REGISTERS.entries()) if (n < 8 || mode === 64) state.regs![name] = hex(s.gpr[n]!);
  state.regs!['rflags'] = hex(s.rflags);
  const vectors: Record<string, string> = {};
  for (const [n, v] of s.ymm.entries()) if (v !== 0n) vectors[n] = digits(v, wide ? 64 : 32);
  if (Object.keys(vectors).length > 0) state[wide ? 'ymm' : 'xmm'] = vectors;
  if (s.mxcsr !== 0x1f80) state.mxcsr = hex(s.mxcsr);
  if (s.fcw !== 0x37f || s.fsw !== 0 || s.ftw !== 0 || s.st.some((v) => v !== 0n)) state.x87 = x87State(s);
  const usual = flat(mode);
  const segments: Record<string, string> = {};
  for (const name of SEGMENTS) if (s[name] !== usual[name]) segments[name] = hex(s[name]);
  if (Object.keys(segments).length > 0) state.segments = segments;
  if (s.fsBase !== 0n || s.gsBase !== 0n) state.bases = { fs: hex(s.fsBase), gs: hex(s.gsBase) };
  const patches = merged(c.patches);
  if (patches.length > 0) state.mem = memory(patches)!;
  return state;
}

function output(c: TakerCase, result: TakerResult, wide: boolean): Vector['out'] {
  const [before, after] = [c.state, result.state];
  const mode = modeOf(before.cs);
  const out: Vector['out'] = { rip: hex(after.rip) };
  const regs: Record<string, string> = {};
  for (const [n, name] of REGISTERS.entries()) {
    if (n >= 8 && mode !== 64) continue;
    // Above ESP stands what Linux needs on a 16-bit stack.
    const value = mode === 64 ? after.gpr[n]! : after.gpr[n]! & 0xffffffffn;
    if (value !== before.gpr[n]) regs[name] = hex(value);
  }
  const flags = after.rflags & ~RF;
  if (flags !== before.rflags) regs['rflags'] = hex(flags);
  if (Object.keys(regs).length > 0) out.regs = regs;
  const vectors: Record<string, string> = {};
  for (const [n, v] of after.ymm.entries()) if (v !== before.ymm[n]) vectors[n] = digits(v, wide ? 64 : 32);
  if (Object.keys(vectors).length > 0) out[wide ? 'ymm' : 'xmm'] = vectors;
  if (after.mxcsr !== before.mxcsr) out.mxcsr = hex(after.mxcsr);
  const x87: NonNullable<VectorState['x87']> = {};
  for (const name of ['fcw', 'fsw', 'ftw'] as const) if (after[name] !== before[name]) x87[name] = hex(after[name]);
  for (const [n, v] of after.st.entries()) if (v !== before.st[n]) (x87.r ??= {})[n] = digits(v, 20);
  if (Object.keys(x87).length > 0) out.x87 = x87;
  const segments: Record<string, string> = {};
  for (const name of SEGMENTS) if (after[name] !== before[name]) segments[name] = hex(after[name]);
  if (Object.keys(segments).length > 0) out.segments = segments;
  // Outside 64-bit code a base follows its selector and cannot be seen.
  if (mode === 64 && (after.fsBase !== before.fsBase || after.gsBase !== before.gsBase))
    out.bases = { fs: hex(after.fsBase), gs: hex(after.gsBase) };
  if (result.patches.length > 0) out.mem = memory(result.patches)!;
  return out;
}

function exceptionOf(c: TakerCase, result: TakerResult, mnemonic: string): Vector['exception'] | Unusable {
  const { trap, error, address, state } = result;
  if (trap === TRAP_SYSTEM_CALL) return 'system call';
  if (trap === TRAP_ENDLESS) return 'endless';
  if ((trap === BREAKPOINT || trap === OVERFLOW) && mnemonic.startsWith('INT'))
    return { vector: trap, error: null, cr2: null };
  if (trap === DEBUG && c.step) return null;
  if (state.rip !== c.state.rip) return trap === DEBUG || trap === BREAKPOINT ? 'odd end' : null;
  // Linux says "present" of all addresses in its own half.
  const code = trap === PAGE_FAULT && address >> 63n !== 0n ? error & ~1n : error;
  const cr2 = trap === PAGE_FAULT ? hex(address) : null;
  return { vector: trap, error: hex(code), cr2 };
}

/** What makes a vector besides case and result. */
export interface Naming {
  readonly id: string;
  readonly family: string;
  readonly form: string;
  readonly mnemonic: string;
  /** Undefined where the bytes are no instruction. */
  readonly insn: Instruction | undefined;
  /** Linear address of the memory operand. */
  readonly operandAt: bigint;
}

export function vectorOf(c: TakerCase, result: TakerResult, naming: Naming): Vector | Unusable {
  const exception = exceptionOf(c, result, naming.mnemonic);
  if (typeof exception === 'string') return exception;
  const { insn, operandAt } = naming;
  const wide = c.state.ymm.some((v) => v >> 128n !== 0n) || result.state.ymm.some((v) => v >> 128n !== 0n);
  const mode = modeOf(c.state.cs);
  const open =
    insn === undefined
      ? { undefinedFlags: '0x0' }
      : openResults(insn, c.state, result.state.fsw, exception !== null, scanned(c, insn, operandAt), operandAt);
  return {
    id: naming.id,
    family: naming.family,
    form: naming.form,
    ...(mode === 64 ? {} : { mode }),
    bytes: Buffer.from(c.code).toString('hex'),
    rip: hex(c.state.rip),
    in: input(c, wide),
    out: output(c, result, wide),
    exception,
    ...open,
  };
}

/** BSF's and BSR's source; other instructions' does not matter. */
function scanned(c: TakerCase, insn: Instruction, at: bigint): bigint {
  if (!/^BS[FR]$/.test(insn.row.mnemonic)) return 1n;
  const { kind, reg, size } = insn.operands[1]!;
  if (kind === 'gpr') return BigInt.asUintN(size, c.state.gpr[reg]!);
  const page = new Uint8Array(4096);
  for (const { offset, bytes } of c.patches) page.set(bytes, offset);
  let v = 0n;
  for (let i = 0; i < size / 8; i++) v |= BigInt(page[Number(at) - DATA + i] ?? 0) << BigInt(8 * i);
  return v;
}

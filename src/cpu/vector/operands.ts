/** What vector instructions in TypeScript share: registers and memory operands as bytes, implied addresses. */
import type { ProcessorContext } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import * as L from '../layout.ts';
import type { CpuState } from '../state.ts';

const buffer = new Uint8Array(16);

/** Vector register `n`'s low `bytes`, as a view of the state. */
export const register = (s: CpuState, n: number, bytes: number): Uint8Array =>
  s.u8.subarray(L.YMM + 32 * n, L.YMM + 32 * n + bytes);

/** Writes vector register `n`; with VEX what lies above becomes zero. */
export function setRegister(s: CpuState, n: number, value: Uint8Array, vex: boolean): void {
  const whole = register(s, n, 32);
  whole.set(value);
  if (vex) whole.fill(0, value.length);
}

/** The 16 bytes of the memory operand, at any alignment. Good until the next call. */
export function sourceBytes(cpu: ProcessorContext, insn: Instruction): Uint8Array {
  cpu.mem.readBytes(cpu.effectiveLinear(insn, 16, false), buffer);
  return buffer;
}

/** `offset` cut to the instruction's address size. */
export const cutAddress = (insn: Instruction, offset: bigint): bigint => BigInt.asUintN(insn.addressSize, offset);

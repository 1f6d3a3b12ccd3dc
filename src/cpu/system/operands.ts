import { Flow, type FlowResult, type ProcessorContext } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { Exit, type ExitResult } from '../exits.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { type CpuState, FLAG, REG } from '../state.ts';

/** Reads `bytes` (2, 4 or 8) of linear memory with the program's own rights, zero-extended. */
export function readMemory(cpu: ProcessorContext, linear: bigint, bytes: number): bigint {
  const { mem } = cpu;
  if (bytes === 8) return mem.read64(linear);
  if (bytes === 4) return BigInt(mem.read32(linear) >>> 0);
  return BigInt(bytes === 2 ? mem.read16(linear) : mem.read8(linear));
}

export function writeMemory(cpu: ProcessorContext, linear: bigint, bytes: number, value: bigint): void {
  const { mem } = cpu;
  if (bytes === 8) mem.write64(linear, BigInt.asUintN(64, value));
  else if (bytes === 4) mem.write32(linear, Number(BigInt.asUintN(32, value)));
  else if (bytes === 2) mem.write16(linear, Number(BigInt.asUintN(16, value)));
  else mem.write8(linear, Number(BigInt.asUintN(8, value)));
}

/** Low `bytes` of register `n`, zero-extended. */
export const readRegister = (s: CpuState, n: number, bytes: number): bigint => BigInt.asUintN(bytes * 8, s.reg(n));

/** Writes a register as instructions do: 32 bits clear the upper half, 16 keep the rest. */
export function writeRegister(s: CpuState, n: number, bytes: number, value: bigint): void {
  if (bytes === 8) s.setReg(n, BigInt.asUintN(64, value));
  else if (bytes === 4) s.setReg(n, BigInt.asUintN(32, value));
  else if (bytes === 2) s.u16[n * 4] = Number(BigInt.asUintN(16, value));
  else s.u8[n * 8] = Number(BigInt.asUintN(8, value));
}

/** The 16-bit operand E or R/M: a register's low half or a word of memory. */
export function readRm16(cpu: ProcessorContext, insn: Instruction): number {
  if (!insn.hasMem) return cpu.s.u16[insn.rm * 4]!;
  return cpu.mem.read16(cpu.effectiveLinear(insn, 2, false));
}

/** Stores a selector or machine status word: the whole register at operand size, 16 bits to memory. */
export function writeRm16(cpu: ProcessorContext, insn: Instruction, value: bigint): void {
  if (insn.hasMem) cpu.mem.write16(cpu.effectiveLinear(insn, 2, true), Number(value & 0xffffn));
  else writeRegister(cpu.s, insn.rm, insn.operandSize / 8, value);
}

/** The immediate as an unsigned 64-bit value. */
export const immediate = (insn: Instruction): bigint => (BigInt(insn.immHi >>> 0) << 32n) | BigInt(insn.imm >>> 0);

/** #GP(0) unless CPL is 0. Real mode runs at CPL 0, virtual-8086 mode at 3. */
export function requireCpl0(cpu: ProcessorContext): void {
  if (cpu.s.cpl !== 0) raise(VECTOR.GP, 0);
}

/** EDX:EAX, the operand of WRMSR and XSETBV. */
export const edxEax = (s: CpuState): bigint => (BigInt(s.reg32(REG.RDX)) << 32n) | BigInt(s.reg32(REG.RAX));
export function setEdxEax(s: CpuState, value: bigint): void {
  s.setReg(REG.RAX, value & 0xffffffffn);
  s.setReg(REG.RDX, (value >> 32n) & 0xffffffffn);
}

/** What an exit's answer means for the instruction that asked. */
export function afterExit(result: ExitResult): FlowResult {
  if (result === Exit.RETRY) return Flow.RETRY;
  return result === Exit.YIELD ? Flow.LEAVE : Flow.NEXT;
}

/**
 * Result of an instruction that may have opened the interrupt window: leave the run if IF was clear at `before`, is set
 * now and something waits.
 */
export function afterFlags(cpu: ProcessorContext, before: number, branch: boolean): FlowResult {
  const opened = (before & FLAG.IF) === 0 && (cpu.s.get32(L.EFLAGS_REST) & FLAG.IF) !== 0;
  if (opened && cpu.exits.interruptWindow()) return branch ? Flow.LEAVE_BRANCH : Flow.LEAVE;
  return branch ? Flow.BRANCH : Flow.NEXT;
}

/** Holds interrupts off until the next instruction has retired (STI, MOV SS, POP SS). */
export function setInterruptShadow(cpu: ProcessorContext): void {
  cpu.s.set32(L.INTERRUPT_SHADOW, 1);
  cpu.s.f64[L.SHADOW_TICK >> 3] = cpu.now() + 1;
}

import { Flow, type FlowResult, type ProcessorContext, type SystemInstruction } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { Exit, type ExitResult } from '../exits.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { FLAG, REG, SEG } from '../state.ts';
import { hasIoBreakpoints, ioBreakpoint, pendDebug } from './debug.ts';
import { ioplOf, isProtected, isVm86, linear } from './descriptors.ts';
import { afterExit, readMemory, readRegister, writeMemory, writeRegister } from './operands.ts';

/** #GP(0) unless CPL <= IOPL or the TSS bitmap clears every bit of the ports (Intel SDM 1, 19.5). */
export function requirePort(cpu: ProcessorContext, port: number, size: number): void {
  const { s, mem } = cpu;
  if (!isProtected(s) || (s.cpl <= ioplOf(s) && !isVm86(s))) return;
  const limit = s.limit(SEG.TR);
  if (!(s.attributes(SEG.TR) & 8) || limit < 0x67) raise(VECTOR.GP, 0);
  const at = mem.read16(linear(s, s.base(SEG.TR) + 0x66n), true) + (port >> 3);
  // Two bytes are always read, so the map must reach one byte further.
  if (at + 1 > limit) raise(VECTOR.GP, 0);
  const bits = mem.read16(linear(s, s.base(SEG.TR) + BigInt(at)), true);
  if ((bits >> (port & 7)) & ((1 << size) - 1)) raise(VECTOR.GP, 0);
}

/** The port: immediate byte or DX. */
const portOf = (cpu: ProcessorContext, insn: Instruction, operand: number): number =>
  insn.operands[operand]!.kind === 'imm' ? insn.imm & 0xff : cpu.s.u16[REG.RDX * 4]!;
/** 1, 2 or 4: there are no 64-bit ports. */
const portSize = (insn: Instruction): number => Math.min(insn.operandSize, 32) / 8;

function noteIo(cpu: ProcessorContext, port: number, size: number): void {
  if (hasIoBreakpoints(cpu.s)) pendDebug(cpu.s, ioBreakpoint(cpu.s, port, size));
}

const input: SystemInstruction = (cpu, insn) => {
  const size = portSize(insn);
  const port = portOf(cpu, insn, 1);
  requirePort(cpu, port, size);
  writeRegister(cpu.s, REG.RAX, size, BigInt(cpu.exits.portRead(port, size) >>> 0));
  noteIo(cpu, port, size);
  return Flow.NEXT;
};

const output: SystemInstruction = (cpu, insn) => {
  const size = portSize(insn);
  const port = portOf(cpu, insn, 0);
  requirePort(cpu, port, size);
  const result = cpu.exits.portWrite(port, size, Number(readRegister(cpu.s, REG.RAX, size)));
  if (result !== Exit.RETRY) noteIo(cpu, port, size);
  return afterExit(result);
};

/**
 * One iteration of INS or OUTS. With REP the instruction stays current (Flow.BRANCH with RIP unchanged) while the count
 * lasts, so that each iteration is one tick.
 */
const stringIo =
  (one: (cpu: ProcessorContext, insn: Instruction, size: number) => ExitResult): SystemInstruction =>
  (cpu, insn) => {
    const { s } = cpu;
    const bytes = insn.addressSize / 8;
    const repeats = insn.rep !== 0;
    const count = repeats ? readRegister(s, REG.RCX, bytes) : 1n;
    if (count === 0n) {
      // The right to the port is checked all the same (measured on AMD's).
      requirePort(cpu, s.u16[REG.RDX * 4]!, portSize(insn));
      return Flow.NEXT;
    }
    const result = one(cpu, insn, portSize(insn));
    if (result === Exit.RETRY) return Flow.RETRY;
    if (repeats) writeRegister(s, REG.RCX, bytes, count - 1n);
    if (!repeats || count === 1n) return afterExit(result);
    return result === Exit.YIELD ? Flow.LEAVE_BRANCH : (Flow.BRANCH as FlowResult);
  };

/** Moves an index register by one element in the direction of DF. */
function step(cpu: ProcessorContext, register: number, addressBytes: number, size: number): void {
  const { s } = cpu;
  const delta = s.get32(L.EFLAGS_REST) & FLAG.DF ? -size : size;
  writeRegister(s, register, addressBytes, readRegister(s, register, addressBytes) + BigInt(delta));
}

function insOnce(cpu: ProcessorContext, insn: Instruction, size: number): ExitResult {
  const { s } = cpu;
  const bytes = insn.addressSize / 8;
  const port = s.u16[REG.RDX * 4]!;
  requirePort(cpu, port, size);
  const at = cpu.segmentLinear(SEG.ES, readRegister(s, REG.RDI, bytes), size, true);
  cpu.mem.probeWrite(at, size);
  writeMemory(cpu, at, size, BigInt(cpu.exits.portRead(port, size) >>> 0));
  step(cpu, REG.RDI, bytes, size);
  noteIo(cpu, port, size);
  return Exit.CONTINUE;
}

function outsOnce(cpu: ProcessorContext, insn: Instruction, size: number): ExitResult {
  const { s } = cpu;
  const bytes = insn.addressSize / 8;
  const port = s.u16[REG.RDX * 4]!;
  requirePort(cpu, port, size);
  const at = cpu.segmentLinear(insn.memory.segment, readRegister(s, REG.RSI, bytes), size, false);
  const result = cpu.exits.portWrite(port, size, Number(readMemory(cpu, at, size)));
  if (result === Exit.RETRY) return result;
  step(cpu, REG.RSI, bytes, size);
  noteIo(cpu, port, size);
  return result;
}

export const ioInstructions: Record<string, SystemInstruction> = {
  IN: input,
  OUT: output,
  INS: stringIo(insOnce),
  OUTS: stringIo(outsOnce),
};

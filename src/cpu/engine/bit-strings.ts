/**
 * BT, BTS, BTR and BTC of memory with the bit's number in a register, where the segment is not flat or the address narrower
 * than the code's: the number moves the offset (Intel SDM 1, 3.1.1.9), so the segment's limit and the wrap of offsets apply
 * to where it leads.
 */
import { Flow, type ProcessorContext, type SystemInstruction } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { FLAG, SEG } from '../state.ts';
import { readMemory, writeMemory } from '../system/operands.ts';
import { FLAT_DATA, FLAT_STACK, MODE_BITS } from './code-mode.ts';

const CHANGES: Readonly<Record<string, ((old: bigint, bit: bigint) => bigint) | undefined>> = {
  BT: undefined,
  BTS: (old, bit) => old | bit,
  BTR: (old, bit) => old & ~bit,
  BTC: (old, bit) => old ^ bit,
};

/** Must TypeScript execute `insn` in code of mode `mode`? */
export function isSegmentedBitString(insn: Instruction, mode: number): boolean {
  if (!insn.hasMem || !(insn.row.mnemonic in CHANGES) || insn.operands[1]?.kind !== 'gpr') return false;
  if ((mode & MODE_BITS) === 2) return insn.addressSize === 32;
  const { segment } = insn.memory;
  const flat = segment === SEG.SS ? (mode & FLAT_STACK) !== 0 : segment !== SEG.CS && (mode & FLAT_DATA) !== 0;
  return !flat || segment >= SEG.FS || insn.addressSize === 16;
}

export const segmentedBitString: SystemInstruction = (cpu: ProcessorContext, insn: Instruction) => {
  const { s } = cpu;
  const change = CHANGES[insn.row.mnemonic];
  const bits = insn.operandSize;
  const bytes = bits / 8;
  const number = BigInt.asIntN(bits, s.reg(insn.operands[1]!.reg));
  const moved = cpu.effectiveOffset(insn) + (number >> BigInt(Math.log2(bits))) * BigInt(bytes);
  const offset = BigInt.asUintN(insn.addressSize, moved);
  const linear = cpu.segmentLinear(insn.memory.segment, offset, bytes, change !== undefined);
  if (change !== undefined) cpu.mem.probeWrite(linear, bytes);
  const old = readMemory(cpu, linear, bytes);
  const bit = 1n << (number & BigInt(bits - 1));
  if (change !== undefined) writeMemory(cpu, linear, bytes, BigInt.asUintN(bits, change(old, bit)));
  const flags = s.eflags;
  s.eflags = (old & bit) !== 0n ? flags | FLAG.CF : flags & ~FLAG.CF;
  return Flow.NEXT;
};

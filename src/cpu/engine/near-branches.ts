/**
 * Near branches that records do not do: relative ones of nearly 2 GiB in 64-bit code, whose displacement counted from the start
 * of the block leaves 32 bits, and those in segments whose limit their target may exceed (#GP at the branch, measured on AMD's).
 */
import type { ProcessorContext, SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { raise, VECTOR } from '../fault.ts';
import { type CpuState, FLAG, REG, SEG } from '../state.ts';
import { StackView } from '../system/stack.ts';

const M16 = 0xffffn;
const M32 = 0xffffffffn;

/** Whether condition `code` (0 to 15, Intel SDM Vol. 1, appendix B) holds. */
function holds(flags: number, code: number): boolean {
  const bit = (mask: number): boolean => (flags & mask) !== 0;
  const less = bit(FLAG.SF) !== bit(FLAG.OF);
  const pairs = [
    bit(FLAG.OF),
    bit(FLAG.CF),
    bit(FLAG.ZF),
    bit(FLAG.CF | FLAG.ZF),
    bit(FLAG.SF),
    bit(FLAG.PF),
    less,
    less || bit(FLAG.ZF),
  ];
  return pairs[code >> 1]! !== ((code & 1) === 1);
}

/** rCX by address size, minus `by`. */
function counter(s: CpuState, insn: Instruction, by: bigint): bigint {
  return BigInt.asUintN(insn.addressSize, s.reg(REG.RCX) - by);
}

function setCounter(s: CpuState, insn: Instruction, value: bigint): void {
  const kept = insn.addressSize === 16 ? s.reg(REG.RCX) & ~M16 : 0n;
  s.setReg(REG.RCX, kept | value);
}

/** Whether the branch is taken. LOOP's count goes down only when the branch is known to succeed. */
function isTaken(s: CpuState, insn: Instruction): boolean {
  const { mnemonic, blockEnd } = insn.row;
  if (blockEnd !== 'cond') return true;
  if (mnemonic === 'JCXZ') return counter(s, insn, 0n) === 0n;
  if (!mnemonic.startsWith('LOOP')) return holds(s.eflags, insn.opcode & 15);
  const isZero = (s.eflags & FLAG.ZF) !== 0;
  const goesOn = mnemonic === 'LOOP' || (mnemonic === 'LOOPZ') === isZero;
  return counter(s, insn, 1n) !== 0n && goesOn;
}

function targetOf(cpu: ProcessorContext, insn: Instruction): bigint {
  const { s } = cpu;
  const bits = insn.operandSize;
  const operand = insn.operands[0]!;
  if (operand.kind === 'rel') return BigInt.asUintN(bits, cpu.nextRip() + BigInt(insn.imm));
  if (operand.kind === 'gpr') return BigInt.asUintN(bits, s.reg(operand.reg));
  const at = cpu.effectiveLinear(insn, bits / 8, false);
  return bits === 16 ? BigInt(cpu.mem.read16(at)) : BigInt(cpu.mem.read32(at) >>> 0);
}

function requireReachable(s: CpuState, target: bigint): void {
  const fits = s.is64
    ? target === BigInt.asUintN(64, BigInt.asIntN(48, target))
    : target <= BigInt(s.limit(SEG.CS) >>> 0);
  if (!fits) raise(VECTOR.GP, 0);
}

const branch: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const loops = insn.row.mnemonic.startsWith('LOOP');
  if (!isTaken(s, insn)) {
    if (loops) setCounter(s, insn, counter(s, insn, 1n));
    return Flow.NEXT;
  }
  const target = targetOf(cpu, insn);
  const isCall = insn.row.blockEnd === 'call';
  const stack = StackView.current(cpu);
  // What is wrong with the stack goes before what is wrong with the target.
  if (isCall) stack.reserve(1, insn.operandSize / 8);
  requireReachable(s, target);
  if (isCall) {
    stack.push(cpu.nextRip(), insn.operandSize / 8);
    stack.commitPointer();
  }
  if (loops) setCounter(s, insn, counter(s, insn, 1n));
  s.rip = target;
  return Flow.BRANCH;
};

const nearReturn: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const stack = StackView.current(cpu);
  const target = stack.pop(insn.operandSize / 8);
  requireReachable(s, target);
  if (insn.operandCount > 0) stack.skip(insn.imm & 0xffff);
  stack.commitPointer();
  s.rip = target;
  return Flow.BRANCH;
};

const NEAR = /^(J[A-Z]+|CALL|LOOP\w*)$/;
/** Displacements up to here are no distance, wherever in its page the branch stands. */
const NO_DISTANCE = 0x7fff0000;

/** The function for `insn`, or undefined where a record does it. @param limit of CS, where code is not flat */
export function nearBranchFor(insn: Instruction, limit: number | undefined): SystemInstruction | undefined {
  const { mnemonic } = insn.row;
  if (insn.mode === 64) {
    const distant = insn.operandCount === 1 && insn.operands[0]!.kind === 'rel' && insn.imm > NO_DISTANCE;
    return distant && insn.operandSize === 64 ? branch : undefined;
  }
  if (limit === undefined || limit >= Number(insn.operandSize === 16 ? M16 : M32)) return undefined;
  if (mnemonic === 'RET') return nearReturn;
  return NEAR.test(mnemonic) && mnemonic !== 'JMPF' ? branch : undefined;
}

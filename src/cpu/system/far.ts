import { Flow, type ProcessorContext, type SystemInstruction } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { raise, VECTOR } from '../fault.ts';
import { SEG } from '../state.ts';
import { callGate, jumpGate } from './call-gate.ts';
import {
  checkDirectCode,
  checkTarget,
  commitCode,
  commitOuter,
  fetchReturnCode,
  fetchReturnStack,
  is64Target,
  markBoth,
  popSelector,
} from './code-target.ts';
import {
  commitParagraph,
  type Descriptor,
  dplOf,
  fetchDescriptor,
  isCode,
  isNull,
  isParagraphMode,
  isPresent,
  markAccessed,
  selectorError,
  SYSTEM,
  typeOf,
} from './descriptors.ts';
import { deliverInNewTask } from './exceptions.ts';
import { immediate, readMemory } from './operands.ts';
import { StackView } from './stack.ts';
import { switchTask } from './task-switch.ts';

interface FarPointer {
  selector: number;
  offset: bigint;
}

/** The target of a far JMP or CALL: in the instruction, or offset then selector in memory. */
function farOperand(cpu: ProcessorContext, insn: Instruction): FarPointer {
  const size = insn.operandSize / 8;
  if (!insn.hasMem) return { selector: insn.imm2 & 0xffff, offset: BigInt.asUintN(insn.operandSize, immediate(insn)) };
  const at = cpu.effectiveLinear(insn, size + 2, false);
  return { offset: readMemory(cpu, at, size), selector: Number(readMemory(cpu, at + BigInt(size), 2)) };
}

export const farJump: SystemInstruction = (cpu, insn) => deliverInNewTask(cpu, () => jump(cpu, insn));

function jump(cpu: ProcessorContext, insn: Instruction): void {
  const { s } = cpu;
  const target = farOperand(cpu, insn);
  if (isParagraphMode(s)) {
    if (target.offset > BigInt(s.limit(SEG.CS))) raise(VECTOR.GP, 0);
    commitParagraph(s, SEG.CS, target.selector);
    s.rip = target.offset;
  } else {
    if (isNull(target.selector)) raise(VECTOR.GP, 0);
    const d = fetchDescriptor(cpu, target.selector);
    if (isCode(d)) {
      checkDirectCode(cpu, d);
      checkTarget(cpu, d, target.offset);
      markAccessed(cpu, d);
      commitCode(cpu, d, target.offset);
    } else if (isCallGate(cpu, d)) jumpGate(cpu, d);
    else toTask(cpu, d, 'jump');
  }
  cpu.modeChanged();
}

export const farCall: SystemInstruction = (cpu, insn) => deliverInNewTask(cpu, () => call(cpu, insn));

function call(cpu: ProcessorContext, insn: Instruction): void {
  const { s } = cpu;
  // REX.W widens what is pushed, though not the pointer (measured on AMD's).
  const size = insn.rexW ? 8 : insn.operandSize / 8;
  const target = farOperand(cpu, insn);
  if (isParagraphMode(s)) {
    const stack = StackView.current(cpu);
    stack.reserve(2, size);
    if (target.offset > BigInt(s.limit(SEG.CS))) raise(VECTOR.GP, 0);
    pushReturn(cpu, stack, size);
    stack.commitPointer();
    commitParagraph(s, SEG.CS, target.selector);
    s.rip = target.offset;
  } else {
    if (isNull(target.selector)) raise(VECTOR.GP, 0);
    const d = fetchDescriptor(cpu, target.selector);
    if (isCode(d)) {
      checkDirectCode(cpu, d);
      const stack = StackView.current(cpu);
      stack.reserve(2, size);
      // A target beyond the limit is found after the pushes, which stay in memory (measured on AMD's).
      pushReturn(cpu, stack, size);
      checkTarget(cpu, d, target.offset);
      stack.commitPointer();
      markAccessed(cpu, d);
      commitCode(cpu, d, target.offset);
    } else if (isCallGate(cpu, d)) callGate(cpu, d);
    else toTask(cpu, d, 'call');
  }
  cpu.modeChanged();
}

function pushReturn(cpu: ProcessorContext, stack: StackView, size: number): void {
  stack.push(BigInt(cpu.s.selector(SEG.CS)), size);
  stack.push(cpu.nextRip(), size);
}

function isCallGate(cpu: ProcessorContext, d: Descriptor): boolean {
  const type = typeOf(d);
  return type === SYSTEM.CALL32 || (type === SYSTEM.CALL16 && !cpu.s.longMode);
}

/** Far transfer through a task gate or straight to a TSS; neither exists in long mode. */
function toTask(cpu: ProcessorContext, d: Descriptor, reason: 'jump' | 'call'): void {
  const { s } = cpu;
  const error = selectorError(d.selector);
  const type = typeOf(d);
  const isTss = type === SYSTEM.TSS16 || type === SYSTEM.TSS32;
  if (s.longMode || (!isTss && type !== SYSTEM.TASK_GATE)) raise(VECTOR.GP, error);
  if (dplOf(d) < s.cpl || dplOf(d) < (d.selector & 3)) raise(VECTOR.GP, error);
  if (!isPresent(d)) raise(VECTOR.NP, error);
  const tss = isTss ? d : taskOfGate(cpu, d.low >>> 16);
  switchTask(cpu, tss, { reason, ext: 0, flags: s.eflags, returnRip: cpu.nextRip() });
  if (s.rip > BigInt(s.limit(SEG.CS))) raise(VECTOR.GP, 0);
}

function taskOfGate(cpu: ProcessorContext, selector: number): Descriptor {
  const error = selectorError(selector);
  if (selector & 4) raise(VECTOR.GP, error);
  const tss = fetchDescriptor(cpu, selector);
  if (typeOf(tss) !== SYSTEM.TSS16 && typeOf(tss) !== SYSTEM.TSS32) raise(VECTOR.GP, error);
  if (!isPresent(tss)) raise(VECTOR.NP, error);
  return tss;
}

/** RETF and RETF imm16 (Intel SDM 2, RET). */
export const farReturn: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const size = insn.operandSize / 8;
  const release = insn.operandCount > 0 ? insn.imm & 0xffff : 0;
  const stack = StackView.current(cpu);
  stack.touch(size, size);
  const rip = stack.pop(size);
  const selector = popSelector(stack, size);
  if (isParagraphMode(s)) {
    if (rip > BigInt(s.limit(SEG.CS))) raise(VECTOR.GP, 0);
    stack.skip(release);
    stack.commitPointer();
    commitParagraph(s, SEG.CS, selector);
    s.rip = rip;
  } else {
    // To another ring, be it an impossible one, the outer stack is looked at first (measured on AMD's).
    if ((selector & 3) !== s.cpl) stack.touch(release + size, size);
    const code = fetchReturnCode(cpu, selector);
    if ((selector & 3) === s.cpl) {
      checkTarget(cpu, code, rip);
      markAccessed(cpu, code);
      stack.skip(release);
      stack.commitPointer();
      commitCode(cpu, code, rip);
    } else returnOuter(cpu, stack, size, code, rip, release);
  }
  cpu.modeChanged();
  return Flow.BRANCH;
};

function returnOuter(
  cpu: ProcessorContext,
  stack: StackView,
  size: number,
  code: Descriptor,
  rip: bigint,
  release: number,
): void {
  stack.skip(release);
  const pointer = stack.pop(size);
  const ssSelector = popSelector(stack, size);
  const ss = fetchReturnStack(cpu, ssSelector, code.selector & 3, is64Target(cpu, code));
  checkTarget(cpu, code, rip);
  markBoth(cpu, code, ss);
  commitOuter(cpu, code, rip, ss, ssSelector, pointer + BigInt(release));
}

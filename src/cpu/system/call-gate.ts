import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import { REG, SEG } from '../state.ts';
import { commitCode, checkTarget } from './code-target.ts';
import {
  commitNull,
  commitSegment,
  type Descriptor,
  dplOf,
  fetchDescriptor,
  findUpper,
  isBig,
  isCanonical,
  isCode,
  isConforming,
  isLong,
  isNull,
  isPresent,
  markAccessed,
  selectorError,
  setCpl,
} from './descriptors.ts';
import { readTssStack } from './interrupt-long.ts';
import { innerStack } from './interrupt-protected.ts';
import { StackView } from './stack.ts';

interface GateTarget {
  code: Descriptor;
  offset: bigint;
  /** Bytes of one pushed item: 2, 4, or 8 in long mode. */
  size: number;
  /** Parameters to copy to an inner stack. */
  parameters: number;
}

/** Checks a call gate and the code segment behind it (Intel SDM 3A 5.8.3, 5.8.4). `calls`: inner privilege is allowed. */
function throughGate(cpu: ProcessorContext, gate: Descriptor, calls: boolean): GateTarget {
  const { s } = cpu;
  const error = selectorError(gate.selector);
  if (dplOf(gate) < s.cpl || dplOf(gate) < (gate.selector & 3)) raise(VECTOR.GP, error);
  if (!isPresent(gate)) raise(VECTOR.NP, error);
  const upper = s.longMode ? (findUpper(cpu, gate) ?? raise(VECTOR.GP, error)) : undefined;
  if (upper && upper[1] & 0x1f00) raise(VECTOR.GP, error);
  const selector = gate.low >>> 16;
  if (isNull(selector)) raise(VECTOR.GP, 0);
  const code = fetchDescriptor(cpu, selector);
  const codeError = selectorError(selector);
  const dpl = dplOf(code);
  if (!isCode(code) || dpl > s.cpl) raise(VECTOR.GP, codeError);
  if (!calls && !isConforming(code) && dpl !== s.cpl) raise(VECTOR.GP, codeError);
  if (upper && (!isLong(code) || isBig(code))) raise(VECTOR.GP, codeError);
  if (!isPresent(code)) raise(VECTOR.NP, codeError);
  const is32 = (gate.high & 0x800) !== 0;
  const low = BigInt((is32 ? (gate.high & 0xffff0000) | (gate.low & 0xffff) : gate.low & 0xffff) >>> 0);
  return {
    code,
    offset: upper ? (BigInt(upper[0] >>> 0) << 32n) | low : low,
    size: upper ? 8 : is32 ? 4 : 2,
    parameters: upper ? 0 : gate.high & 31,
  };
}

export function jumpGate(cpu: ProcessorContext, gate: Descriptor): void {
  const { code, offset } = throughGate(cpu, gate, false);
  checkTarget(cpu, code, offset);
  markAccessed(cpu, code);
  commitCode(cpu, code, offset);
}

export function callGate(cpu: ProcessorContext, gate: Descriptor): void {
  const { s } = cpu;
  const target = throughGate(cpu, gate, true);
  const { code, offset, size } = target;
  if (!isConforming(code) && dplOf(code) < s.cpl) {
    if (size === 8) callInnerLong(cpu, target);
    else callInner(cpu, target);
    return;
  }
  const stack = size === 8 ? StackView.long(cpu, s.reg(REG.RSP), 0, s.cpl) : StackView.current(cpu);
  stack.reserve(2, size);
  checkTarget(cpu, code, offset);
  markAccessed(cpu, code);
  stack.push(BigInt(s.selector(SEG.CS)), size);
  stack.push(cpu.nextRip(), size);
  commitCode(cpu, code, offset);
  stack.commitPointer();
}

/** More privilege through a 16- or 32-bit gate: new stack from the TSS, parameters copied. */
function callInner(cpu: ProcessorContext, target: GateTarget): void {
  const { s } = cpu;
  const { code, offset, size, parameters } = target;
  const newCpl = dplOf(code);
  const { ss, pointer } = innerStack(cpu, newCpl, 0);
  const stack = StackView.of(cpu, ss, pointer, selectorError(ss.selector), newCpl);
  stack.reserve(4 + parameters, size);
  checkTarget(cpu, code, offset);
  const old = StackView.current(cpu);
  const copied = Array.from({ length: parameters }, (_, i) => old.peek(i, size));
  markAccessed(cpu, ss);
  markAccessed(cpu, code);
  stack.push(BigInt(s.selector(SEG.SS)), size);
  stack.push(s.reg(REG.RSP), size);
  for (let i = parameters - 1; i >= 0; i--) stack.push(copied[i]!, size);
  stack.push(BigInt(s.selector(SEG.CS)), size);
  stack.push(cpu.nextRip(), size);
  commitSegment(s, SEG.SS, ss);
  setCpl(s, newCpl);
  commitCode(cpu, code, offset);
  stack.commitPointer();
}

function callInnerLong(cpu: ProcessorContext, target: GateTarget): void {
  const { s } = cpu;
  const { code, offset } = target;
  const newCpl = dplOf(code);
  const pointer = readTssStack(cpu, 4 + newCpl * 8, 0);
  if (!isCanonical(pointer)) raise(VECTOR.SS, 0);
  const stack = StackView.long(cpu, pointer, 0, newCpl);
  stack.reserve(4, 8);
  checkTarget(cpu, code, offset);
  markAccessed(cpu, code);
  stack.push(BigInt(s.selector(SEG.SS)), 8);
  stack.push(s.reg(REG.RSP), 8);
  stack.push(BigInt(s.selector(SEG.CS)), 8);
  stack.push(cpu.nextRip(), 8);
  commitNull(s, SEG.SS, newCpl);
  setCpl(s, newCpl);
  commitCode(cpu, code, offset);
  stack.commitPointer();
}

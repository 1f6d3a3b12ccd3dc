import { Flow, type ProcessorContext, type SystemInstruction } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { ATTR, SEG } from '../state.ts';
import { suppressSingleStep } from './debug.ts';
import {
  commitNull,
  commitParagraph,
  commitSegment,
  dplOf,
  fetchDescriptor,
  isNull,
  isParagraphMode,
  isPresent,
  isReadable,
  isRestricted,
  isWritableData,
  markAccessed,
  selectorError,
} from './descriptors.ts';
import { readMemory, readRm16, setInterruptShadow, writeRegister, writeRm16 } from './operands.ts';
import { StackView } from './stack.ts';

/** Loads ES, SS, DS, FS or GS in any mode, with the checks of Intel SDM 2, MOV and LDS. */
export function loadSegment(cpu: ProcessorContext, seg: number, selector: number): void {
  const { s } = cpu;
  if (isParagraphMode(s)) commitParagraph(s, seg, selector);
  else if (seg === SEG.SS) loadStackSegment(cpu, selector);
  else loadDataSegment(cpu, seg, selector);
  cpu.modeChanged();
}

function loadDataSegment(cpu: ProcessorContext, seg: number, selector: number): void {
  const { s } = cpu;
  if (isNull(selector)) {
    commitNull(s, seg, selector);
    return;
  }
  const d = fetchDescriptor(cpu, selector);
  const error = selectorError(selector);
  if (!isReadable(d)) raise(VECTOR.GP, error);
  if (isRestricted(d) && ((selector & 3) > dplOf(d) || s.cpl > dplOf(d))) raise(VECTOR.GP, error);
  if (!isPresent(d)) raise(VECTOR.NP, error);
  markAccessed(cpu, d);
  commitSegment(s, seg, d);
}

function loadStackSegment(cpu: ProcessorContext, selector: number): void {
  const { s } = cpu;
  const rpl = selector & 3;
  if (isNull(selector)) {
    // A null SS is allowed only in 64-bit mode below privilege 3, with RPL = CPL.
    if (!s.is64 || s.cpl === 3 || rpl !== s.cpl) raise(VECTOR.GP, 0);
    commitNull(s, SEG.SS, selector);
    return;
  }
  const d = fetchDescriptor(cpu, selector);
  const error = selectorError(selector);
  if (rpl !== s.cpl || !isWritableData(d) || dplOf(d) !== s.cpl) raise(VECTOR.GP, error);
  if (!isPresent(d)) raise(VECTOR.SS, error);
  markAccessed(cpu, d);
  commitSegment(s, SEG.SS, d);
}

/** MOV Sreg, r/m16 and MOV r/m, Sreg. */
function movSegment(cpu: ProcessorContext, insn: Instruction): number {
  const { s } = cpu;
  const seg = insn.reg & 7;
  if (insn.operands[0]!.kind !== 'sreg') {
    writeRm16(cpu, insn, BigInt(s.selector(seg)));
    return Flow.NEXT;
  }
  if (seg === SEG.CS || seg > SEG.GS) raise(VECTOR.UD);
  loadSegment(cpu, seg, readRm16(cpu, insn));
  if (seg === SEG.SS) shadowStackLoad(cpu);
  return Flow.NEXT;
}

/** MOV SS and POP SS hold interrupts and debug traps off for one instruction, so that ESP can follow. */
function shadowStackLoad(cpu: ProcessorContext): void {
  setInterruptShadow(cpu);
  suppressSingleStep(cpu.s, cpu.s.get32(L.EFLAGS_REST));
}

const pushSegment: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const stack = StackView.current(cpu);
  const selector = BigInt(s.selector(insn.operands[0]!.reg));
  // With a 32-bit operand recent processors write only the low word (Intel SDM 2, PUSH).
  if (insn.operandSize === 32) {
    stack.skip(-2);
    stack.push(selector, 2);
  } else stack.push(selector, insn.operandSize / 8);
  stack.commitPointer();
  return Flow.NEXT;
};

const popSegment: SystemInstruction = (cpu, insn) => {
  const seg = insn.operands[0]!.reg;
  const stack = StackView.current(cpu);
  const selector = Number(stack.pop(insn.operandSize / 8) & 0xffffn);
  loadSegment(cpu, seg, selector);
  stack.commitPointer();
  if (seg === SEG.SS) shadowStackLoad(cpu);
  return Flow.NEXT;
};

/** LDS LES LSS LFS LGS: offset first in memory, then the selector. */
const loadFarPointer =
  (seg: number): SystemInstruction =>
  (cpu, insn) => {
    const size = insn.operandSize / 8;
    const at = cpu.effectiveLinear(insn, size + 2, false);
    const offset = readMemory(cpu, at, size);
    const selector = Number(readMemory(cpu, at + BigInt(size), 2));
    loadSegment(cpu, seg, selector);
    writeRegister(cpu.s, insn.reg, size, offset);
    return Flow.NEXT;
  };

export const segmentInstructions = {
  MOV_SREG: movSegment as SystemInstruction,
  PUSH_SREG: pushSegment,
  POP_SREG: popSegment,
  LES: loadFarPointer(SEG.ES),
  LDS: loadFarPointer(SEG.DS),
  LSS: loadFarPointer(SEG.SS),
  LFS: loadFarPointer(SEG.FS),
  LGS: loadFarPointer(SEG.GS),
} satisfies Record<string, SystemInstruction>;

/** Drops what an outer-privilege return may not keep: data segments more privileged than the new CPL (Intel SDM 2, RET). */
export function dropPrivilegedSegments(cpu: ProcessorContext): void {
  const { s } = cpu;
  const cpl = s.get32(L.CPL);
  for (const seg of [SEG.ES, SEG.DS, SEG.FS, SEG.GS]) {
    const attributes = s.attributes(seg);
    // Null registers keep their base: a 64-bit program's FS and GS bases outlive IRET. Their RPL does not (measured).
    if (attributes & ATTR.NULL) {
      s.u16[(L.SEGMENT + seg * L.SEG_STRIDE) >> 1] = 0;
      continue;
    }
    const conforming = (attributes & 0x1c) === 0x1c;
    if (!conforming && ((attributes >>> 5) & 3) < cpl) commitNull(s, seg, 0);
  }
}

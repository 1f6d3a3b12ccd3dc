import { Flow, type FlowResult, type ProcessorContext, type SystemInstruction } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR4, FLAG, REG, SEG } from '../state.ts';
import {
  checkTarget,
  commitOuter,
  fetchReturnCode,
  fetchReturnStack,
  is64Target,
  markBoth,
  popSelector,
} from './code-target.ts';
import {
  commitParagraph,
  commitSegment,
  type Descriptor,
  fetchDescriptor,
  isCanonical,
  ioplOf,
  isPresent,
  isProtected,
  isVm86,
  linear,
  selectorError,
  setCpl,
  SYSTEM,
  typeOf,
} from './descriptors.ts';
import { deliverInNewTask } from './exceptions.ts';
import { afterFlags } from './operands.ts';
import { StackView } from './stack.ts';
import { switchTask } from './task-switch.ts';

const ALWAYS = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT;
const WIDE = FLAG.RF | FLAG.AC | FLAG.ID;

/** IRET, IRETD and IRETQ (Intel SDM 2, IRET). NMIs are open again even if it faults (3A 6.7.1). */
export const iret: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const before = s.get32(L.EFLAGS_REST);
  const size = insn.operandSize / 8;
  const wasBlocked = s.get32(L.NMI_BLOCKED) !== 0;
  s.set32(L.NMI_BLOCKED, 0);
  if (!isProtected(s)) returnReal(cpu, size);
  else if (isVm86(s)) returnWithinVm86(cpu, size);
  else if (s.longMode) returnLong(cpu, size);
  else if (before & FLAG.NT) return deliverInNewTask(cpu, () => returnFromTask(cpu));
  else returnProtected(cpu, size);
  cpu.modeChanged();
  // An NMI that waited for this IRET comes now.
  if (wasBlocked && cpu.exits.interruptWindow()) return Flow.LEAVE_BRANCH;
  return afterFlags(cpu, before, true) as FlowResult;
};

/** Flags of a return: which bits may change at CPL `cpl` (of the returning code). */
function returnedFlags(cpu: ProcessorContext, popped: number, size: number, cpl: number): number {
  const { s } = cpu;
  let mask = ALWAYS;
  if (size >= 4) mask |= WIDE;
  if (cpl <= ioplOf(s)) mask |= FLAG.IF;
  if (cpl === 0) mask |= size >= 4 ? FLAG.IOPL | FLAG.VIF | FLAG.VIP : FLAG.IOPL;
  return (s.eflags & ~mask) | (popped & mask);
}

function returnReal(cpu: ProcessorContext, size: number): void {
  const { s } = cpu;
  const stack = StackView.current(cpu);
  stack.touch(2 * size, size);
  const rip = stack.pop(size);
  const selector = popSelector(stack, size);
  const flags = Number(stack.pop(size) & 0xffffffffn);
  if (rip > BigInt(s.limit(SEG.CS))) raise(VECTOR.GP, 0);
  stack.commitPointer();
  commitParagraph(s, SEG.CS, selector);
  s.rip = rip;
  const mask = ALWAYS | FLAG.IF | FLAG.IOPL | (size === 4 ? WIDE : 0);
  s.eflags = (s.eflags & ~mask) | (flags & mask);
}

function returnWithinVm86(cpu: ProcessorContext, size: number): void {
  const { s } = cpu;
  const virtual = ioplOf(s) < 3;
  if (virtual && (size !== 2 || !(s.cr4 & CR4.VME))) raise(VECTOR.GP, 0);
  const stack = StackView.current(cpu);
  stack.touch(2 * size, size);
  const rip = stack.pop(size);
  const selector = popSelector(stack, size);
  const flags = Number(stack.pop(size) & 0xffffffffn);
  // Virtual-mode extensions (Intel SDM 3B 21.3): IF stands for VIF; TF or a pending VIP with IF is refused.
  if (virtual && (flags & FLAG.TF || (flags & FLAG.IF && s.eflags & FLAG.VIP))) raise(VECTOR.GP, 0);
  if (rip > BigInt(s.limit(SEG.CS))) raise(VECTOR.GP, 0);
  stack.commitPointer();
  commitParagraph(s, SEG.CS, selector);
  s.rip = rip;
  if (virtual) {
    const vif = flags & FLAG.IF ? FLAG.VIF : 0;
    s.eflags = (s.eflags & ~(ALWAYS | FLAG.VIF)) | (flags & ALWAYS) | vif;
    return;
  }
  const mask = ALWAYS | FLAG.IF | (size === 4 ? WIDE : 0);
  s.eflags = (s.eflags & ~mask) | (flags & mask);
}

function returnProtected(cpu: ProcessorContext, size: number): void {
  const { s } = cpu;
  const stack = StackView.current(cpu);
  stack.touch(2 * size, size);
  const rip = stack.pop(size);
  const selector = popSelector(stack, size);
  const flags = Number(stack.pop(size) & 0xffffffffn);
  if (size === 4 && flags & FLAG.VM && s.cpl === 0) returnToVm86(cpu, stack, rip, selector, flags);
  else returnTo(cpu, stack, size, rip, selector, flags);
}

/** The five quadwords of IRETQ, lowest address first: RIP, CS, RFLAGS, RSP, SS. */
const frame = new BigUint64Array(5);
const frameBytes = new Uint8Array(frame.buffer);
const frameWords = new Uint16Array(frame.buffer);

function returnLong(cpu: ProcessorContext, size: number): void {
  const { s } = cpu;
  if (s.get32(L.EFLAGS_REST) & FLAG.NT) raise(VECTOR.GP, 0);
  const at = s.get32(REG.RSP * 8);
  if (size === 8 && s.is64 && (at & 0xfff) <= 0x1000 - frameBytes.length && isCanonical(s.reg(REG.RSP))) {
    cpu.mem.readBytes(s.reg(REG.RSP), frameBytes);
    const selector = frameWords[4]!;
    const code = fetchReturnCode(cpu, selector);
    loadOuter(cpu, code, 8, frame[0]!, Number(frame[2]! & 0xffffffffn), frame[3]!, frameWords[16]!);
    return;
  }
  const stack = StackView.current(cpu);
  stack.touch(2 * size, size);
  const rip = stack.pop(size);
  const selector = popSelector(stack, size);
  const flags = Number(stack.pop(size) & 0xffffffffn);
  returnTo(cpu, stack, size, rip, selector, flags);
}

/** Common end: same or outer privilege; 64-bit code always pops SS:RSP. */
function returnTo(
  cpu: ProcessorContext,
  stack: StackView,
  size: number,
  rip: bigint,
  selector: number,
  flags: number,
): void {
  const { s } = cpu;
  const code = fetchReturnCode(cpu, selector);
  const cpl = selector & 3;
  const oldCpl = s.cpl;
  const popsStack = cpl > oldCpl || s.is64;
  if (!popsStack) {
    checkTarget(cpu, code, rip);
    markBoth(cpu, code, undefined);
    const kept = returnedFlags(cpu, flags, size, oldCpl);
    stack.commitPointer();
    commitSegment(s, SEG.CS, code);
    s.rip = rip;
    s.eflags = kept;
    return;
  }
  const pointer = stack.pop(size);
  loadOuter(cpu, code, size, rip, flags, pointer, popSelector(stack, size));
}

/** Loads what a frame with a stack pointer in it holds. */
/** The target is judged before the stack, as measured on AMD's. */
function loadOuter(
  cpu: ProcessorContext,
  code: Descriptor,
  size: number,
  rip: bigint,
  flags: number,
  pointer: bigint,
  ssSelector: number,
): void {
  checkTarget(cpu, code, rip);
  const ss = fetchReturnStack(cpu, ssSelector, code.selector & 3, is64Target(cpu, code));
  markBoth(cpu, code, ss);
  cpu.s.eflags = returnedFlags(cpu, flags, size, cpu.s.cpl);
  commitOuter(cpu, code, rip, ss, ssSelector, pointer);
}

/** Intel SDM 3B 20.2.5: the frame holds ES DS FS GS above SS. All of EFLAGS is loaded. */
function returnToVm86(cpu: ProcessorContext, stack: StackView, rip: bigint, selector: number, flags: number): void {
  const { s } = cpu;
  const pointer = stack.pop(4);
  const selectors = [SEG.SS, SEG.ES, SEG.DS, SEG.FS, SEG.GS].map((seg): [number, number] => [
    seg,
    popSelector(stack, 4),
  ]);
  if (rip > 0xffffn) raise(VECTOR.GP, 0);
  s.eflags = flags;
  setCpl(s, 3);
  commitParagraph(s, SEG.CS, selector);
  for (const [seg, value] of selectors) commitParagraph(s, seg, value);
  s.setReg(4, pointer & 0xffffffffn);
  s.rip = rip;
}

/** NT set: back to the task in the link field of the current TSS. */
function returnFromTask(cpu: ProcessorContext): void {
  const { s, mem } = cpu;
  const link = mem.read16(linear(s, s.base(SEG.TR)), true);
  const error = selectorError(link);
  if (link & 4) raise(VECTOR.TS, error);
  const tss = fetchDescriptor(cpu, link, 0, VECTOR.TS);
  const type = typeOf(tss);
  if (type !== SYSTEM.TSS16_BUSY && type !== SYSTEM.TSS32_BUSY) raise(VECTOR.TS, error);
  if (!isPresent(tss)) raise(VECTOR.NP, error);
  switchTask(cpu, tss, { reason: 'iret', ext: 0, flags: s.eflags, returnRip: cpu.nextRip() });
  if (s.rip > BigInt(s.limit(SEG.CS))) raise(VECTOR.GP, 0);
}

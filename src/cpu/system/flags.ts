import { Flow, type ProcessorContext, type SystemInstruction } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR4, FLAG } from '../state.ts';
import { ioplOf, isVm86 } from './descriptors.ts';
import { afterFlags, setInterruptShadow } from './operands.ts';
import { StackView } from './stack.ts';

/**
 * Which flag CLI and STI work on: IF with enough privilege, VIF under the virtual-interrupt extensions
 * (CR4.VME in VM86, CR4.PVI at CPL 3), else #GP(0). Intel SDM 2, CLI and STI.
 */
function interruptFlag(cpu: ProcessorContext): number {
  const { s } = cpu;
  if (s.cpl <= ioplOf(s)) return FLAG.IF;
  if (s.cpl === 3 && s.cr4 & (isVm86(s) ? CR4.VME : CR4.PVI)) return FLAG.VIF;
  return raise(VECTOR.GP, 0);
}

const cli: SystemInstruction = (cpu) => {
  const flag = interruptFlag(cpu);
  cpu.s.set32(L.EFLAGS_REST, cpu.s.get32(L.EFLAGS_REST) & ~flag);
  return Flow.NEXT;
};

const sti: SystemInstruction = (cpu) => {
  const { s } = cpu;
  const flag = interruptFlag(cpu);
  const before = s.get32(L.EFLAGS_REST);
  if (flag === FLAG.VIF && before & FLAG.VIP) raise(VECTOR.GP, 0);
  s.set32(L.EFLAGS_REST, before | flag);
  if (flag === FLAG.IF && !(before & FLAG.IF)) setInterruptShadow(cpu);
  return afterFlags(cpu, before, false);
};

/** True if VM86 code below IOPL 3 pushes and pops VIF in the place of IF; #GP(0) where that is not on offer. */
function usesVirtualIf(cpu: ProcessorContext, bytes: number): boolean {
  const { s } = cpu;
  if (!isVm86(s) || ioplOf(s) === 3) return false;
  return bytes === 2 && s.cr4 & CR4.VME ? true : raise(VECTOR.GP, 0);
}

const pushf: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const bytes = insn.operandSize / 8;
  const virtual = usesVirtualIf(cpu, bytes);
  let image = s.eflags & ~(FLAG.VM | FLAG.RF);
  if (virtual) image = (image & ~FLAG.IF) | FLAG.IOPL | (image & FLAG.VIF ? FLAG.IF : 0);
  const stack = StackView.current(cpu);
  stack.push(BigInt(image), bytes);
  stack.commitPointer();
  return Flow.NEXT;
};

const ARITHMETIC = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT;

const popf: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const bytes = insn.operandSize / 8;
  const virtual = usesVirtualIf(cpu, bytes);
  const stack = StackView.current(cpu);
  const popped = Number(stack.pop(bytes) & 0xffffffffn);
  const before = s.eflags;
  let mask = ARITHMETIC;
  let value = popped;
  if (virtual) {
    if (popped & FLAG.TF || (popped & FLAG.IF && before & FLAG.VIP)) raise(VECTOR.GP, 0);
    mask |= FLAG.VIF;
    value = (popped & ~FLAG.VIF) | (popped & FLAG.IF ? FLAG.VIF : 0);
  } else {
    if (bytes > 2) mask |= FLAG.AC | FLAG.ID;
    if (s.cpl <= ioplOf(s)) mask |= FLAG.IF;
    if (s.cpl === 0) mask |= FLAG.IOPL;
  }
  stack.commitPointer();
  const next = (before & ~mask) | (value & mask);
  s.eflags = bytes > 2 ? next & ~FLAG.RF : next;
  if ((next ^ before) & (FLAG.AC | FLAG.TF)) cpu.modeChanged();
  return afterFlags(cpu, before, false);
};

export const flagInstructions: Record<string, SystemInstruction> = { CLI: cli, STI: sti, PUSHF: pushf, POPF: popf };

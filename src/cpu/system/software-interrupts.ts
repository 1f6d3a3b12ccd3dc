import { Flow, type FlowResult, type ProcessorContext, type SystemInstruction } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR4, FLAG, SEG } from '../state.ts';
import { suppressSingleStep } from './debug.ts';
import { commitParagraph, ioplOf, isVm86, linear } from './descriptors.ts';
import { deliver, deliverInNewTask, deliverOnce } from './exceptions.ts';
import { StackView } from './stack.ts';

function lengthOf(cpu: ProcessorContext): number {
  return Number(BigInt.asIntN(32, cpu.nextRip() - cpu.s.rip));
}

function interrupt(cpu: ProcessorContext, vector: number): FlowResult {
  // What its delivery raises is a fault of this instruction: software interrupts are benign (Intel SDM 3A table 6-4).
  const before = cpu.s.get32(L.EFLAGS_REST);
  const event = { vector, error: -1, kind: 'software-int' as const, cr2: 0n, instructionLength: lengthOf(cpu) };
  const flow = deliverInNewTask(cpu, () => deliverOnce(cpu, event));
  suppressSingleStep(cpu.s, before);
  return flow;
}

export const intN: SystemInstruction = (cpu, insn) => {
  const vector = insn.imm & 0xff;
  const { s } = cpu;
  if (isVm86(s)) {
    if (s.cr4 & CR4.VME && redirects(cpu, vector)) {
      deliverVirtual(cpu, vector);
      return Flow.BRANCH;
    }
    if (ioplOf(s) < 3) raise(VECTOR.GP, 0);
  }
  return interrupt(cpu, vector);
};

export const int3: SystemInstruction = (cpu) => interrupt(cpu, VECTOR.BP);
export const into: SystemInstruction = (cpu) => (cpu.s.eflags & FLAG.OF ? interrupt(cpu, VECTOR.OF) : Flow.NEXT);

/** INT1 (ICEBP): a trap-class #DB without the gate privilege check. */
export const int1: SystemInstruction = (cpu) => {
  const before = cpu.s.get32(L.EFLAGS_REST);
  const event = { vector: VECTOR.DB, error: -1, kind: 'trap' as const, cr2: 0n, instructionLength: lengthOf(cpu) };
  const flow = deliver(cpu, event);
  suppressSingleStep(cpu.s, before);
  return flow;
};

/** Interrupt redirection bitmap below the I/O map of a 32-bit TSS: a clear bit keeps the interrupt in VM86 (SDM 3B 20.3.3). */
function redirects(cpu: ProcessorContext, vector: number): boolean {
  const { s, mem } = cpu;
  if (!(s.attributes(SEG.TR) & 8) || s.limit(SEG.TR) < 0x67) raise(VECTOR.GP, 0);
  const map = mem.read16(linear(s, s.base(SEG.TR) + 0x66n), true);
  const at = map - 32 + (vector >> 3);
  if (at < 0 || at > s.limit(SEG.TR)) raise(VECTOR.GP, 0);
  return ((mem.read8(linear(s, s.base(SEG.TR) + BigInt(at)), true) >> (vector & 7)) & 1) === 0;
}

/** An 8086-style interrupt inside VM86 (methods 5 and 6): through the IVT at linear 0; IF is VIF while IOPL < 3. */
function deliverVirtual(cpu: ProcessorContext, vector: number): void {
  const { s, mem } = cpu;
  const offset = mem.read16(BigInt(vector * 4));
  const selector = mem.read16(BigInt(vector * 4 + 2));
  const virtual = ioplOf(s) < 3;
  let image = s.eflags;
  if (virtual) image = (image & ~FLAG.IF) | FLAG.IOPL | (image & FLAG.VIF ? FLAG.IF : 0);
  const stack = StackView.current(cpu);
  stack.reserve(3, 2);
  stack.push(BigInt(image & 0xffff), 2);
  stack.push(BigInt(s.selector(SEG.CS)), 2);
  stack.push(cpu.nextRip(), 2);
  stack.commitPointer();
  commitParagraph(s, SEG.CS, selector);
  s.rip = BigInt(offset);
  suppressSingleStep(s, image);
  s.set32(L.EFLAGS_REST, s.get32(L.EFLAGS_REST) & ~(FLAG.TF | FLAG.NT | (virtual ? FLAG.VIF : FLAG.IF)));
  cpu.modeChanged();
}

/** BOUND: #BR unless lower <= index <= upper, all signed (Intel SDM 2). */
export const bound: SystemInstruction = (cpu, insn) => {
  const size = insn.operandSize / 8;
  const at = cpu.effectiveLinear(insn, size * 2, false);
  const { mem, s } = cpu;
  const signed = (v: number): number => (size === 2 ? (v << 16) >> 16 : v | 0);
  const read = (a: bigint): number => signed(size === 2 ? mem.read16(a) : mem.read32(a));
  const lower = read(at);
  const upper = read(linear(s, at + BigInt(size)));
  const index = signed(size === 2 ? s.u16[insn.reg * 4]! : s.reg32(insn.reg));
  if (index < lower || index > upper) raise(VECTOR.BR);
  return Flow.NEXT;
};

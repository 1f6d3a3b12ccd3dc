import type { FlowResult, ProcessorContext, SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { EFER, FLAG, REG, SEG } from '../state.ts';
import { suppressSingleStep } from './debug.ts';
import { isCanonical, isProtected, MASK32, setCpl } from './descriptors.ts';
import { afterFlags, requireCpl0 } from './operands.ts';

/** Attribute words of the flat segments that fast system calls load without reading a descriptor. */
const CODE = 0xc09b;
const CODE_LONG = 0xa09b;
const DATA = 0xc093;
const DPL3 = 0x60;

function loadFlat(cpu: ProcessorContext, selector: number, code: number, stackSelector: number, cpl: number): void {
  const { s } = cpu;
  const dpl = cpl === 3 ? DPL3 : 0;
  s.setSegment(SEG.CS, selector, 0n, 0xffffffff, code | dpl);
  s.setSegment(SEG.SS, stackSelector & 0xffff, 0n, 0xffffffff, DATA | dpl);
  setCpl(s, cpl);
}

const starSelector = (cpu: ProcessorContext, shift: bigint): number =>
  Number((cpu.s.get64(L.MSR_STAR) >> shift) & 0xffffn);

/** SYSCALL: LSTAR from 64-bit code, CSTAR from compatibility mode, STAR[31:0] in legacy mode (AMD APM 3). */
export const syscall: SystemInstruction = (cpu) => {
  const { s } = cpu;
  if (!(s.efer & EFER.SCE) || !isProtected(s)) raise(VECTOR.UD);
  const from64 = s.is64;
  const flags = s.eflags & ~FLAG.RF;
  const selector = starSelector(cpu, 32n) & 0xfffc;
  s.setReg(REG.RCX, cpu.nextRip());
  if (s.longMode) {
    s.setReg(REG.R11, BigInt(flags));
    s.rip = s.get64(from64 ? L.MSR_LSTAR : L.MSR_CSTAR);
    loadFlat(cpu, selector, CODE_LONG, selector + 8, 0);
    s.eflags = flags & ~Number(s.get64(L.MSR_SFMASK) & MASK32);
    if (!(s.get32(L.EFLAGS_REST) & FLAG.TF)) suppressSingleStep(s, flags);
  } else {
    s.rip = s.get64(L.MSR_STAR) & MASK32;
    loadFlat(cpu, selector, CODE, selector + 8, 0);
    s.eflags = flags & ~(FLAG.IF | FLAG.VM);
  }
  cpu.modeChanged();
  return Flow.BRANCH;
};

/** SYSRET to 64-bit code with a 64-bit operand, else to 32-bit code. A non-canonical RCX is #GP(0) as on Intel. */
export const sysret: SystemInstruction = (cpu, insn): FlowResult => {
  const { s } = cpu;
  if (!(s.efer & EFER.SCE)) raise(VECTOR.UD);
  if (!isProtected(s)) raise(VECTOR.GP, 0);
  requireCpl0(cpu);
  const before = s.get32(L.EFLAGS_REST);
  const from64 = s.is64;
  const wide = from64 && insn.operandSize === 64;
  const target = s.reg(REG.RCX);
  if (wide && !isCanonical(target)) raise(VECTOR.GP, 0);
  const base = starSelector(cpu, 48n);
  s.rip = wide ? target : target & MASK32;
  loadFlat(cpu, ((wide ? base + 16 : base) | 3) & 0xffff, wide ? CODE_LONG : CODE, (base + 8) | 3, 3);
  s.eflags = from64 ? Number(s.reg(REG.R11) & 0x3c7fd7n) | 2 : s.eflags | FLAG.IF;
  cpu.modeChanged();
  return afterFlags(cpu, before, true);
};

/** AMD's have SYSENTER and SYSEXIT in legacy mode only: #UD in long mode (AMD64 APM 2, 6.1.2; measured). */
export const sysenter: SystemInstruction = (cpu) => {
  const { s } = cpu;
  if (s.longMode) raise(VECTOR.UD);
  const selector = Number(s.get64(L.MSR_SYSENTER_CS) & 0xfffcn);
  if (!isProtected(s) || selector === 0) raise(VECTOR.GP, 0);
  s.eflags = s.eflags & ~(FLAG.VM | FLAG.IF | FLAG.RF);
  s.setReg(REG.RSP, BigInt.asUintN(32, s.get64(L.MSR_SYSENTER_ESP)));
  s.rip = BigInt.asUintN(32, s.get64(L.MSR_SYSENTER_EIP));
  loadFlat(cpu, selector, CODE, selector + 8, 0);
  cpu.modeChanged();
  return Flow.BRANCH;
};

export const sysexit: SystemInstruction = (cpu) => {
  const { s } = cpu;
  const base = Number(s.get64(L.MSR_SYSENTER_CS) & 0xffffn);
  if (s.longMode && s.cpl === 0) raise(VECTOR.UD);
  if (!isProtected(s) || (base & 0xfffc) === 0) raise(VECTOR.GP, 0);
  requireCpl0(cpu);
  s.setReg(REG.RSP, BigInt.asUintN(32, s.reg(REG.RCX)));
  s.rip = BigInt.asUintN(32, s.reg(REG.RDX));
  loadFlat(cpu, ((base + 16) | 3) & 0xffff, CODE, (base + 24) | 3, 3);
  cpu.modeChanged();
  return Flow.BRANCH;
};

import { Flow, type FlowResult, type ProcessorContext, type SystemInstruction } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR4, REG, SEG } from '../state.ts';
import { componentsInUse } from '../x87/index.ts';
import { DR6_BD, DR7_GD, noteDebug, readDr6, writeDr6, writeDr7 } from './debug.ts';
import { isCanonical } from './descriptors.ts';
import { edxEax, requireCpl0, setEdxEax, writeRegister } from './operands.ts';
import { TLB_FLUSH, writeCr0, writeCr3, writeCr4 } from './paging-control.ts';

const CONTROL_AT: Readonly<Record<number, number>> = { 0: L.CR0, 2: L.CR2, 3: L.CR3, 4: L.CR4, 8: L.CR8 };

/** MOV to and from CR0, CR2, CR3, CR4, CR8; operands are always of the native width. */
export const movControl: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const n = insn.reg;
  const bytes = insn.mode === 64 ? 8 : 4;
  if (CONTROL_AT[n] === undefined || (n === 8 && bytes !== 8)) raise(VECTOR.UD);
  requireCpl0(cpu);
  if (insn.operands[0]!.kind !== 'creg') {
    writeRegister(s, insn.rm, bytes, s.get64(CONTROL_AT[n]!));
    return Flow.NEXT;
  }
  const value = BigInt.asUintN(bytes * 8, s.reg(insn.rm));
  if (n === 0) writeCr0(cpu, value);
  else if (n === 2) s.set64(L.CR2, value);
  else if (n === 3) writeCr3(cpu, value);
  else if (n === 4) writeCr4(cpu, value);
  else return writeCr8(cpu, value);
  return Flow.NEXT;
};

/** Task priority. Lowering it can let a waiting interrupt through. */
function writeCr8(cpu: ProcessorContext, value: bigint): FlowResult {
  if (value > 15n) raise(VECTOR.GP, 0);
  const lowered = value < cpu.s.get64(L.CR8);
  cpu.s.set64(L.CR8, value);
  return lowered && cpu.exits.interruptWindow() ? Flow.LEAVE : Flow.NEXT;
}

/** MOV to and from DR0..DR7 (Intel SDM 3B 18.2). Order of checks: DR4/5 with CR4.DE, privilege, then DR7.GD. */
export const movDebug: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  let n = insn.reg;
  const bytes = insn.mode === 64 ? 8 : 4;
  if (n > 7 || ((n === 4 || n === 5) && s.cr4 & CR4.DE)) raise(VECTOR.UD);
  requireCpl0(cpu);
  if (n === 4 || n === 5) n += 2;
  if (s.get64(L.DR + 56) & BigInt(DR7_GD)) {
    noteDebug(s, DR6_BD);
    raise(VECTOR.DB);
  }
  if (insn.operands[0]!.kind !== 'dreg') {
    writeRegister(s, insn.rm, bytes, n === 6 ? readDr6(s) : s.get64(L.DR + n * 8));
    return Flow.NEXT;
  }
  const value = BigInt.asUintN(bytes * 8, s.reg(insn.rm));
  if (n >= 6 && value >> 32n) raise(VECTOR.GP, 0);
  if (n === 6) writeDr6(s, value);
  else if (n === 7) writeDr7(cpu, value);
  else s.set64(L.DR + n * 8, value);
  if (n !== 6) cpu.modeChanged();
  return Flow.NEXT;
};

/** Features XCR0 may name, so that a masked processor refuses them: what is offered, else what CPUID leaf 0xD says. */
export function xcr0Supported(cpu: ProcessorContext): bigint {
  if (cpu.exits.offered !== undefined) return cpu.exits.offered.xcr0;
  const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  cpu.exits.cpuid(0xd, 0, out);
  return (BigInt(out.edx >>> 0) << 32n) | BigInt(out.eax >>> 0);
}

const xsetbv: SystemInstruction = (cpu) => {
  const { s } = cpu;
  if (!(s.cr4 & CR4.OSXSAVE)) raise(VECTOR.UD);
  requireCpl0(cpu);
  const value = edxEax(s);
  const avxWithoutSse = (value & 6n) === 4n;
  if (s.reg32(1) !== 0 || !(value & 1n) || avxWithoutSse || value & ~xcr0Supported(cpu)) raise(VECTOR.GP, 0);
  s.set64(L.XCR0, value);
  cpu.modeChanged();
  return Flow.NEXT;
};

const rdBase =
  (seg: number): SystemInstruction =>
  (cpu, insn) => {
    requireFsGsBase(cpu, insn);
    writeRegister(cpu.s, insn.rm, insn.operandSize === 64 ? 8 : 4, cpu.s.base(seg));
    return Flow.NEXT;
  };

const wrBase =
  (seg: number): SystemInstruction =>
  (cpu, insn) => {
    requireFsGsBase(cpu, insn);
    const value = BigInt.asUintN(insn.operandSize === 64 ? 64 : 32, cpu.s.reg(insn.rm));
    if (!isCanonical(value)) raise(VECTOR.GP, 0);
    cpu.s.set64(L.SLOT_SEG_BASE + seg * 8, value);
    return Flow.NEXT;
  };

function requireFsGsBase(cpu: ProcessorContext, insn: Instruction): void {
  if (insn.mode !== 64 || !(cpu.s.cr4 & CR4.FSGSBASE)) raise(VECTOR.UD);
}

const swapgs: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  if (insn.mode !== 64) raise(VECTOR.UD);
  requireCpl0(cpu);
  const at = L.SLOT_SEG_BASE + SEG.GS * 8;
  const base = s.get64(at);
  s.set64(at, s.get64(L.MSR_KERNEL_GS_BASE));
  s.set64(L.MSR_KERNEL_GS_BASE, base);
  return Flow.NEXT;
};

/** INVLPG: no access and no segment check; a non-canonical address is ignored (Intel SDM 2). */
const invlpg: SystemInstruction = (cpu, insn) => {
  requireCpl0(cpu);
  const { s } = cpu;
  const { segment } = insn.memory;
  let linear = cpu.effectiveOffset(insn);
  if (!s.is64 || segment >= SEG.FS) linear += s.base(segment);
  linear = BigInt.asUintN(s.is64 ? 64 : 32, linear);
  if (!isCanonical(linear)) return Flow.NEXT;
  cpu.flushPage(linear);
  cpu.exits.tlbFlush(TLB_FLUSH.INVLPG, linear);
  return Flow.NEXT;
};

/** INVPCID: type in a register, PCID and linear address in memory. */
const invpcid: SystemInstruction = (cpu, insn) => {
  requireCpl0(cpu);
  const { s, mem } = cpu;
  const at = cpu.effectiveLinear(insn, 16, false);
  const pcid = mem.read64(at);
  const linear = mem.read64(at + 8n);
  const type = BigInt.asUintN(insn.mode === 64 ? 64 : 32, s.reg(insn.reg));
  if (type > 3n) raise(VECTOR.GP, 0);
  if (type < 2n && (pcid > 0xfffn || (pcid !== 0n && !(s.cr4 & CR4.PCIDE)))) raise(VECTOR.GP, 0);
  if (type === 0n && !isCanonical(linear)) raise(VECTOR.GP, 0);
  if (type === 0n) cpu.flushPage(linear);
  else cpu.flushTlb(type === 2n);
  const kind = type === 0n ? TLB_FLUSH.INVLPG : type === 2n ? TLB_FLUSH.GLOBAL : TLB_FLUSH.CR3;
  cpu.exits.tlbFlush(kind, type === 0n ? linear : s.cr3);
  return Flow.NEXT;
};

const xgetbv: SystemInstruction = (cpu) => {
  const { s } = cpu;
  if (!(s.cr4 & CR4.OSXSAVE)) raise(VECTOR.UD);
  const index = s.reg32(REG.RCX);
  if (index > 1) raise(VECTOR.GP, 0);
  // ECX = 1: those of XCR0's components that are in use (Intel SDM 2, XGETBV).
  setEdxEax(s, index === 0 ? s.get64(L.XCR0) : s.get64(L.XCR0) & BigInt(componentsInUse(s)));
  return Flow.NEXT;
};

export const controlInstructions: Record<string, SystemInstruction> = {
  MOV_CR: movControl,
  MOV_DR: movDebug,
  XSETBV: xsetbv,
  XGETBV: xgetbv,
  RDFSBASE: rdBase(SEG.FS),
  RDGSBASE: rdBase(SEG.GS),
  WRFSBASE: wrBase(SEG.FS),
  WRGSBASE: wrBase(SEG.GS),
  SWAPGS: swapgs,
  INVLPG: invlpg,
  INVPCID: invpcid,
};

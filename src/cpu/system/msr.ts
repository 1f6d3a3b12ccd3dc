import { Flow, type ProcessorContext, type SystemInstruction } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR4, type CpuState, REG, SEG } from '../state.ts';
import { isCanonical } from './descriptors.ts';
import { afterExit, edxEax, requireCpl0, setEdxEax, writeRegister } from './operands.ts';
import { PHYSICAL_BITS, writeEfer } from './paging-control.ts';

export const MSR = {
  TSC: 0x10,
  APIC_BASE: 0x1b,
  TSC_ADJUST: 0x3b,
  MTRR_CAP: 0xfe,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MISC_ENABLE: 0x1a0,
  MTRR_PHYS_BASE0: 0x200,
  PAT: 0x277,
  MTRR_DEF_TYPE: 0x2ff,
  EFER: 0xc0000080,
  STAR: 0xc0000081,
  LSTAR: 0xc0000082,
  CSTAR: 0xc0000083,
  SFMASK: 0xc0000084,
  FS_BASE: 0xc0000100,
  GS_BASE: 0xc0000101,
  KERNEL_GS_BASE: 0xc0000102,
  TSC_AUX: 0xc0000103,
} as const;

/** Eight variable ranges, fixed ranges, write-combining. */
const MTRR_CAP_VALUE = 0x508n;
const MTRR_VARIABLE_COUNT = 16;
/** Fixed-range MTRRs in the order of the state. */
const MTRR_FIXED = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];

const gp0 = (): never => raise(VECTOR.GP, 0);

/** Memory types that PAT entries may hold (Intel SDM 3A 12.12.2): UC WC - - WT WP WB UC-. */
const isPatType = (type: number): boolean => type < 8 && type !== 2 && type !== 3;
const isMtrrType = (type: number): boolean => type < 7 && type !== 2 && type !== 3;

function eachByte(value: bigint, test: (byte: number) => boolean): boolean {
  for (let i = 0n; i < 64n; i += 8n) if (!test(Number((value >> i) & 0xffn))) return false;
  return true;
}

const PHYSICAL_MASK = (1n << PHYSICAL_BITS) - 1n;

/** What a plain u64 field may be set to. */
interface KeptMsr {
  at: number;
  valid?: (value: bigint) => boolean;
  /** Bits that can be written; the others stay. */
  writable?: bigint;
}

const KEPT = new Map<number, KeptMsr>([
  [MSR.SYSENTER_CS, { at: L.MSR_SYSENTER_CS, writable: 0xffffffffn }],
  [MSR.SYSENTER_ESP, { at: L.MSR_SYSENTER_ESP, valid: isCanonical }],
  [MSR.SYSENTER_EIP, { at: L.MSR_SYSENTER_EIP, valid: isCanonical }],
  [MSR.STAR, { at: L.MSR_STAR }],
  [MSR.LSTAR, { at: L.MSR_LSTAR, valid: isCanonical }],
  [MSR.CSTAR, { at: L.MSR_CSTAR, valid: isCanonical }],
  [MSR.SFMASK, { at: L.MSR_SFMASK, valid: (v) => v >> 32n === 0n }],
  [MSR.FS_BASE, { at: L.SLOT_SEG_BASE + SEG.FS * 8, valid: isCanonical }],
  [MSR.GS_BASE, { at: L.SLOT_SEG_BASE + SEG.GS * 8, valid: isCanonical }],
  [MSR.KERNEL_GS_BASE, { at: L.MSR_KERNEL_GS_BASE, valid: isCanonical }],
  [MSR.TSC_AUX, { at: L.MSR_TSC_AUX, valid: (v) => v >> 32n === 0n }],
  [MSR.PAT, { at: L.MSR_PAT, valid: (v) => eachByte(v, isPatType) }],
  [MSR.MTRR_DEF_TYPE, { at: L.MSR_MTRR_DEF_TYPE, valid: (v) => (v & ~0xcffn) === 0n && isMtrrType(Number(v & 0xffn)) }],
]);
for (let i = 0; i < MTRR_FIXED.length; i++) {
  KEPT.set(MTRR_FIXED[i]!, { at: L.MSR_MTRR_FIXED + i * 8, valid: (v) => eachByte(v, isMtrrType) });
}
for (let i = 0; i < MTRR_VARIABLE_COUNT; i++) {
  const isMask = (i & 1) === 1;
  const valid = (v: bigint): boolean =>
    isMask
      ? (v & ~(PHYSICAL_MASK & ~0x7ffn)) === 0n
      : (v & ~(PHYSICAL_MASK & ~0xf00n)) === 0n && isMtrrType(Number(v & 0xffn));
  KEPT.set(MSR.MTRR_PHYS_BASE0 + i, { at: L.MSR_MTRR_VARIABLE + i * 8, valid });
}

/** The guest's time stamp counter at the instruction being executed. */
export const timeStamp = (cpu: ProcessorContext): bigint =>
  BigInt.asUintN(64, BigInt(cpu.now()) + cpu.s.i64[L.TSC_OFFSET >> 3]!);

/** Sets the counter; IA32_TSC_ADJUST moves by as much (Intel SDM 3B 18.17.3). */
function writeTsc(cpu: ProcessorContext, value: bigint): void {
  moveTsc(cpu.s, BigInt.asIntN(64, value - timeStamp(cpu)));
}
function moveTsc(s: CpuState, delta: bigint): void {
  s.i64[L.TSC_OFFSET >> 3] = BigInt.asIntN(64, s.i64[L.TSC_OFFSET >> 3]! + delta);
  s.set64(L.MSR_TSC_ADJUST, BigInt.asUintN(64, s.get64(L.MSR_TSC_ADJUST) + delta));
}

/** #GP(0) for MSRs of features that are not offered. */
function requireOffered(cpu: ProcessorContext, index: number): void {
  const { offered } = cpu.exits;
  if (offered === undefined) return;
  if (index === MSR.TSC_AUX && !offered.tscAux) gp0();
  if (
    !offered.mtrr &&
    (index === MSR.MTRR_CAP || (index >= MSR.MTRR_PHYS_BASE0 && index <= MSR.MTRR_DEF_TYPE && index !== MSR.PAT))
  )
    gp0();
}

/** Value of an MSR; #GP(0) if there is none. */
export function readMsr(cpu: ProcessorContext, index: number): bigint {
  const { s } = cpu;
  requireOffered(cpu, index);
  const kept = KEPT.get(index);
  if (kept) return s.get64(kept.at);
  switch (index) {
    case MSR.TSC:
      return timeStamp(cpu);
    case MSR.TSC_ADJUST:
      return s.get64(L.MSR_TSC_ADJUST);
    case MSR.EFER:
      return s.get64(L.EFER);
    case MSR.MTRR_CAP:
      return MTRR_CAP_VALUE;
    case MSR.APIC_BASE:
      return s.get64(L.MSR_APIC_BASE);
    case MSR.MISC_ENABLE:
      return s.get64(L.MSR_MISC_ENABLE);
    default:
      return cpu.exits.readMsr(index) ?? gp0();
  }
}

const rdmsr: SystemInstruction = (cpu) => {
  requireCpl0(cpu);
  setEdxEax(cpu.s, readMsr(cpu, cpu.s.reg32(REG.RCX)));
  return Flow.NEXT;
};

const wrmsr: SystemInstruction = (cpu) => {
  requireCpl0(cpu);
  const { s } = cpu;
  const index = s.reg32(REG.RCX);
  const value = edxEax(s);
  requireOffered(cpu, index);
  const kept = KEPT.get(index);
  if (kept) {
    if (kept.valid && !kept.valid(value)) gp0();
    s.set64(kept.at, kept.writable === undefined ? value : value & kept.writable);
    return Flow.NEXT;
  }
  if (index === MSR.TSC) writeTsc(cpu, value);
  else if (index === MSR.TSC_ADJUST) moveTsc(s, BigInt.asIntN(64, value - s.get64(L.MSR_TSC_ADJUST)));
  else if (index === MSR.EFER) writeEfer(cpu, value);
  else if (index === MSR.MTRR_CAP) gp0();
  else if (index === MSR.MISC_ENABLE) s.set64(L.MSR_MISC_ENABLE, value);
  else if (index === MSR.APIC_BASE) return writeApicBase(cpu, value);
  else return afterExit(cpu.exits.writeMsr(index, value) ?? gp0());
  return Flow.NEXT;
};

/** The interrupt controller must agree, so the write is an exit; the value is kept here. */
function writeApicBase(cpu: ProcessorContext, value: bigint): 0 | 1 | 2 | 3 | 4 {
  if (value & ~(PHYSICAL_MASK & ~0x2ffn)) gp0();
  // x2APIC mode needs the global enable (Intel SDM 3A 11.12.5).
  if ((value & 0xc00n) === 0x400n) gp0();
  if ((value & 0x400n) !== 0n && cpu.exits.offered?.x2apic === false) gp0();
  const old = cpu.s.get64(L.MSR_APIC_BASE);
  if (value === old) return Flow.NEXT;
  const result = afterExit(cpu.exits.writeMsr(MSR.APIC_BASE, value) ?? gp0());
  if (result !== Flow.RETRY) cpu.s.set64(L.MSR_APIC_BASE, value);
  return result;
}

function requireTsc(cpu: ProcessorContext): void {
  if (cpu.s.cr4 & CR4.TSD && cpu.s.cpl > 0) gp0();
}

const rdtsc: SystemInstruction = (cpu) => {
  requireTsc(cpu);
  setEdxEax(cpu.s, timeStamp(cpu));
  return Flow.NEXT;
};

const rdtscp: SystemInstruction = (cpu) => {
  requireTsc(cpu);
  setEdxEax(cpu.s, timeStamp(cpu));
  cpu.s.setReg32(REG.RCX, cpu.s.get32(L.MSR_TSC_AUX));
  return Flow.NEXT;
};

const rdpid: SystemInstruction = (cpu, insn) => {
  writeRegister(cpu.s, insn.rm, insn.mode === 64 ? 8 : 4, cpu.s.get64(L.MSR_TSC_AUX));
  return Flow.NEXT;
};

/** Four counters that never count: none is ever programmed, for the event select MSRs are not kept here. */
const rdpmc: SystemInstruction = (cpu) => {
  const { s } = cpu;
  if (!(s.cr4 & CR4.PCE) && s.cpl > 0) gp0();
  if (s.reg32(REG.RCX) > 3) gp0();
  setEdxEax(s, 0n);
  return Flow.NEXT;
};

export const msrInstructions: Record<string, SystemInstruction> = {
  RDMSR: rdmsr,
  WRMSR: wrmsr,
  RDTSC: rdtsc,
  RDTSCP: rdtscp,
  RDPID: rdpid,
  RDPMC: rdpmc,
};

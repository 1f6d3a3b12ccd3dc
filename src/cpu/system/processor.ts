import { Flow, type FlowResult, type ProcessorContext, type SystemInstruction } from '../context.ts';
import type { CpuidResult } from '../exits.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR4, FLAG, REG } from '../state.ts';
import { afterExit, readRegister, requireCpl0 } from './operands.ts';

/** HLT: ACTIVITY becomes 1; delivering an interrupt makes it 0 again. */
const hlt: SystemInstruction = (cpu) => {
  requireCpl0(cpu);
  cpu.s.set32(L.ACTIVITY, 1);
  const result = afterExit(cpu.exits.halt());
  if (result !== Flow.RETRY) return Flow.LEAVE;
  cpu.s.set32(L.ACTIVITY, 0);
  return result;
};

const pause: SystemInstruction = (cpu) => afterExit(cpu.exits.pause());

function requireMonitor(cpu: ProcessorContext): void {
  if (cpu.s.cpl > 0 || cpu.exits.offered?.monitor === false) raise(VECTOR.UD);
}

/** MONITOR checks its address as a byte load does; MWAIT is a hint. Both are #UD above CPL 0 (Intel SDM 2). */
const monitor: SystemInstruction = (cpu, insn) => {
  requireMonitor(cpu);
  if (cpu.s.reg32(REG.RCX) !== 0) raise(VECTOR.GP, 0);
  const offset = readRegister(cpu.s, REG.RAX, insn.addressSize / 8);
  cpu.mem.read8(cpu.segmentLinear(insn.memory.segment, offset, 1, false));
  return Flow.NEXT;
};
const mwait: SystemInstruction = (cpu) => {
  requireMonitor(cpu);
  if (cpu.s.reg32(REG.RCX) > 1) raise(VECTOR.GP, 0);
  return afterExit(cpu.exits.pause());
};

const CPUID_OSXSAVE = 1 << 27;
const CPUID_APIC = 1 << 9;

/** CPUID: leaves come from the exit; the bits that mirror processor state are filled in here (Intel SDM 2, CPUID). */
const cpuid: SystemInstruction = (cpu) => {
  const { s } = cpu;
  const out: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const leaf = s.reg32(REG.RAX);
  const subleaf = s.reg32(REG.RCX);
  cpu.exits.cpuid(leaf, subleaf, out);
  if (leaf === 1) {
    out.ecx = s.cr4 & CR4.OSXSAVE ? out.ecx | CPUID_OSXSAVE : out.ecx & ~CPUID_OSXSAVE;
    if (!(s.get64(L.MSR_APIC_BASE) & 0x800n)) out.edx &= ~CPUID_APIC;
  }
  if (leaf === 0xd && subleaf < 2 && out.ebx !== 0) out.ebx = s.get64(L.XCR0) & 4n ? 832 : 576;
  s.setReg32(REG.RAX, out.eax >>> 0);
  s.setReg32(REG.RBX, out.ebx >>> 0);
  s.setReg32(REG.RCX, out.ecx >>> 0);
  s.setReg32(REG.RDX, out.edx >>> 0);
  return Flow.NEXT;
};

/** CLAC and STAC: #UD above CPL 0. */
const setAc =
  (on: boolean): SystemInstruction =>
  (cpu) => {
    if (cpu.s.cpl > 0) raise(VECTOR.UD);
    const rest = cpu.s.get32(L.EFLAGS_REST);
    cpu.s.set32(L.EFLAGS_REST, on ? rest | FLAG.AC : rest & ~FLAG.AC);
    cpu.modeChanged();
    return Flow.NEXT;
  };

const hypercall = (cpu: ProcessorContext): FlowResult => afterExit(cpu.exits.hypercall());

/** Caches are not modelled: only the privilege check remains. */
const cacheControl: SystemInstruction = (cpu) => {
  requireCpl0(cpu);
  return Flow.NEXT;
};

const undefinedOpcode: SystemInstruction = () => raise(VECTOR.UD);

export const processorInstructions: Record<string, SystemInstruction> = {
  HLT: hlt,
  PAUSE: pause,
  MONITOR: monitor,
  MWAIT: mwait,
  CPUID: cpuid,
  CLAC: setAc(false),
  STAC: setAc(true),
  VMCALL: hypercall,
  VMMCALL: hypercall,
  WBINVD: cacheControl,
  INVD: cacheControl,
  UD0: undefinedOpcode,
  UD1: undefinedOpcode,
  UD2: undefinedOpcode,
  RSM: undefinedOpcode,
};

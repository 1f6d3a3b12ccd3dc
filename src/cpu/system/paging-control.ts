import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { ATTR, CR0, CR4, EFER, SEG } from '../state.ts';

/** Physical address width, CPUID 0x80000008 EAX[7:0]. */
export const PHYSICAL_BITS = 40n;
/** First argument of `exits.tlbFlush`. */
export const TLB_FLUSH = { CR3: 0, INVLPG: 1, GLOBAL: 2 } as const;

/**
 * Seam of legacy PAE paging: processors load the four PDPTEs when CR3 (or CR0, CR4 under PAE) is written and raise
 * #GP(0) for reserved bits. A memory side that reads them at every walk has no need of it.
 */
export interface PdpteLoader {
  loadPdptes?(cr3: bigint): void;
}

const CR4_SUPPORTED = BigInt(
  CR4.VME |
    CR4.PVI |
    CR4.TSD |
    CR4.DE |
    CR4.PSE |
    CR4.PAE |
    CR4.MCE |
    CR4.PGE |
    CR4.PCE |
    CR4.OSFXSR |
    CR4.OSXMMEXCPT |
    CR4.UMIP |
    CR4.FSGSBASE |
    CR4.PCIDE |
    CR4.OSXSAVE |
    CR4.SMEP |
    CR4.SMAP,
);
const CR0_WRITABLE = 0xe005003fn;
const CR3_RESERVED = ~((1n << PHYSICAL_BITS) - 1n) & 0xffffffffffffffffn;
const NO_FLUSH = 1n << 63n;

const gp0 = (): never => raise(VECTOR.GP, 0);

function loadPdptes(cpu: ProcessorContext, cr0: number, cr4: number, cr3: bigint): void {
  if (cr0 & CR0.PG && cr4 & CR4.PAE && !cpu.s.longMode) (cpu as PdpteLoader).loadPdptes?.(cr3);
}

function flushAll(cpu: ProcessorContext): void {
  cpu.flushTlb(true);
  cpu.exits.tlbFlush(TLB_FLUSH.GLOBAL, 0n);
}

/** MOV to CR0 (Intel SDM 3A 2.5 and MOV CR in volume 2). */
export function writeCr0(cpu: ProcessorContext, value: bigint): void {
  const { s } = cpu;
  if (value >> 32n) gp0();
  const next = Number((value & CR0_WRITABLE) | BigInt(CR0.ET));
  const old = s.cr0;
  if (next & CR0.PG && !(next & CR0.PE)) gp0();
  if (next & CR0.NW && !(next & CR0.CD)) gp0();
  const enables = (next & CR0.PG) !== 0 && (old & CR0.PG) === 0;
  const disables = (next & CR0.PG) === 0 && (old & CR0.PG) !== 0;
  if (disables && (s.is64 || s.cr4 & CR4.PCIDE)) gp0();
  if (enables && s.efer & EFER.LME) enterLongMode(cpu);
  else if (disables && s.longMode) s.set64(L.EFER, s.get64(L.EFER) & ~BigInt(EFER.LMA));
  if ((next ^ old) & (CR0.PG | CR0.CD | CR0.NW)) loadPdptes(cpu, next, s.cr4, s.cr3);
  s.set64(L.CR0, BigInt(next >>> 0));
  if ((next ^ old) & (CR0.PG | CR0.WP | CR0.PE)) flushAll(cpu);
  cpu.modeChanged();
}

/** Intel SDM 3A 10.8.5: setting PG with EFER.LME activates IA-32e mode. */
function enterLongMode(cpu: ProcessorContext): void {
  const { s } = cpu;
  if (!(s.cr4 & CR4.PAE)) gp0();
  if (s.attributes(SEG.CS) & ATTR.L) gp0();
  const tr = s.attributes(SEG.TR);
  if (!(tr & ATTR.NULL) && tr & 3 && !(tr & 8)) gp0();
  s.set64(L.EFER, s.get64(L.EFER) | BigInt(EFER.LMA));
}

/** MOV to CR3, also for a task switch. Non-global translations are dropped; without PCID tags bit 63 saves nothing. */
export function writeCr3(cpu: ProcessorContext, value: bigint): void {
  const { s } = cpu;
  let cr3 = value;
  if (s.cr4 & CR4.PCIDE) cr3 &= ~NO_FLUSH;
  if (s.longMode ? cr3 & CR3_RESERVED : cr3 >> 32n) gp0();
  loadPdptes(cpu, s.cr0, s.cr4, cr3);
  s.set64(L.CR3, cr3);
  cpu.flushTlb(false);
  cpu.exits.tlbFlush(TLB_FLUSH.CR3, cr3);
}

export function writeCr4(cpu: ProcessorContext, value: bigint): void {
  const { s } = cpu;
  if (value & ~(CR4_SUPPORTED & (cpu.exits.offered?.cr4 ?? CR4_SUPPORTED))) gp0();
  const next = Number(value);
  const old = s.cr4;
  const changed = next ^ old;
  if (s.longMode && !(next & CR4.PAE)) gp0();
  if (changed & CR4.PCIDE && next & CR4.PCIDE && (!s.longMode || s.cr3 & 0xfffn)) gp0();
  if (changed & (CR4.PAE | CR4.PGE | CR4.PSE | CR4.SMEP)) loadPdptes(cpu, s.cr0, next, s.cr3);
  s.set64(L.CR4, value);
  const translating = CR4.PAE | CR4.PGE | CR4.PSE | CR4.SMEP | CR4.SMAP;
  if (changed & translating || (changed & CR4.PCIDE && !(next & CR4.PCIDE))) flushAll(cpu);
  cpu.modeChanged();
}

/** WRMSR to EFER: LMA is read-only, LME is frozen while paging is on (Intel SDM 3A 2.2.1). */
export function writeEfer(cpu: ProcessorContext, value: bigint): void {
  const { s } = cpu;
  const supported = BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE);
  if (value & ~(supported & (cpu.exits.offered?.efer ?? supported))) gp0();
  const old = s.get64(L.EFER);
  const lme = BigInt(EFER.LME);
  if (s.cr0 & CR0.PG && (value ^ old) & lme) gp0();
  s.set64(L.EFER, (value & ~BigInt(EFER.LMA)) | (old & BigInt(EFER.LMA)));
  if ((value ^ old) & BigInt(EFER.NXE)) flushAll(cpu);
  cpu.modeChanged();
}

/** LMSW: PE, MP, EM, TS; PE can be set but not cleared. */
export function writeMachineStatusWord(cpu: ProcessorContext, value: number): void {
  const { s } = cpu;
  const low = (value & 0xf) | (s.cr0 & CR0.PE);
  writeCr0(cpu, BigInt(((s.cr0 & ~0xf) | low) >>> 0));
}

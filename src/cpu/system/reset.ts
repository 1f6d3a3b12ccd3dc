import * as L from '../layout.ts';
import { ATTR, CR0, CR4, type CpuState, EFER, REG, SEG } from '../state.ts';
import { DR6_RESET, DR7_RESET } from './debug.ts';

/** PAT after reset: WB WT UC- UC, twice (Intel SDM 3A table 12-12). */
export const PAT_RESET = 0x0007040600070406n;
/** Local APIC at 0xfee00000, enabled; bit 8 marks the bootstrap processor. */
const APIC_BASE_RESET = 0xfee00800n;
const APIC_BASE_BSP = 0x100n;
/** Fast strings on; branch trace and PEBS unavailable. */
const MISC_ENABLE_RESET = 0x1801n;
const PAGE_DATA = 0x93;
const PAGE_CODE = 0x9b;

function resetCommon(s: CpuState, signature: number): void {
  for (let n = 0; n < 16; n++) s.setReg(n, 0n);
  s.setReg32(REG.RDX, signature);
  s.eflags = 2;
  s.rip = 0xfff0n;
  for (const seg of [SEG.ES, SEG.SS, SEG.DS, SEG.FS, SEG.GS]) s.setSegment(seg, 0, 0n, 0xffff, PAGE_DATA);
  s.setSegment(SEG.CS, 0xf000, 0xffff0000n, 0xffff, PAGE_CODE);
  s.setSegment(SEG.LDTR, 0, 0n, 0xffff, 0x82);
  s.setSegment(SEG.TR, 0, 0n, 0xffff, 0x8b);
  for (const at of [L.GDTR_BASE, L.IDTR_BASE, L.CR2, L.CR3, L.CR4, L.EFER, L.CR8]) s.set64(at, 0n);
  s.set32(L.GDTR_LIMIT, 0xffff);
  s.set32(L.IDTR_LIMIT, 0xffff);
  for (let n = 0; n < 4; n++) s.set64(L.DR + n * 8, 0n);
  s.set64(L.DR + 48, DR6_RESET);
  s.set64(L.DR + 56, DR7_RESET);
  for (const at of [L.CPL, L.ACTIVITY, L.NMI_BLOCKED, L.PENDING_DEBUG, L.INTERRUPT_SHADOW]) s.set32(at, 0);
}

/**
 * Power-up (Intel SDM 3A table 10-1). `signature` is CPUID.1 EAX, which EDX holds; `bootstrap` marks the first processor.
 * Follow with `modeChanged()` of the context.
 */
export function powerUp(s: CpuState, signature: number, bootstrap: boolean): void {
  s.u8.fill(0, 0, L.STATE_BYTES);
  resetCommon(s, signature);
  s.set64(L.CR0, BigInt((CR0.CD | CR0.NW | CR0.ET) >>> 0));
  s.set64(L.XCR0, 1n);
  s.set64(L.MSR_PAT, PAT_RESET);
  s.set64(L.MSR_APIC_BASE, bootstrap ? APIC_BASE_RESET | APIC_BASE_BSP : APIC_BASE_RESET);
  s.set64(L.MSR_MISC_ENABLE, MISC_ENABLE_RESET);
  s.u16[L.X87_FCW >> 1] = 0x40;
  s.set32(L.MXCSR, 0x1f80);
}

/** INIT: as power-up, but x87, SSE, MSRs, TSC, CD and NW keep their values (Intel SDM 3A table 10-1). */
export function initProcessor(s: CpuState, signature: number): void {
  const cacheBits = s.cr0 & (CR0.CD | CR0.NW);
  resetCommon(s, signature);
  s.set64(L.CR0, BigInt((cacheBits | CR0.ET) >>> 0));
}

/** A start-up IPI: real mode at vector << 12. */
export function startUp(s: CpuState, vector: number): void {
  s.setSegment(SEG.CS, vector << 8, BigInt(vector << 12), 0xffff, PAGE_CODE);
  s.rip = 0n;
  s.set32(L.ACTIVITY, 0);
}

function flat(s: CpuState, code: number): void {
  for (const seg of [SEG.ES, SEG.SS, SEG.DS]) s.setSegment(seg, 0, 0n, 0xffffffff, 0xc093);
  for (const seg of [SEG.FS, SEG.GS]) s.setSegment(seg, 0, 0n, 0xffffffff, 0xc093);
  s.setSegment(SEG.CS, 0, 0n, 0xffffffff, code);
  s.setSegment(SEG.LDTR, 0, 0n, 0, ATTR.NULL);
  s.setSegment(SEG.TR, 0, 0n, 0x67, 0x8b);
  s.set32(L.GDTR_LIMIT, 0);
  s.set32(L.IDTR_LIMIT, 0);
  s.eflags = 2;
  s.set32(L.CPL, 0);
}

/** Flat 32-bit protected mode without paging: the PVH start of the Xen ABI (EBX = start_info). */
export function startFlat32(s: CpuState, eip: number, ebx: number): void {
  flat(s, 0xc09b);
  s.set64(L.CR0, BigInt(CR0.PE | CR0.ET));
  s.set64(L.CR4, 0n);
  s.set64(L.EFER, 0n);
  s.rip = BigInt(eip >>> 0);
  s.setReg32(REG.RBX, ebx >>> 0);
}

/** 64-bit mode over page tables at `cr3`: VCPU_HVM_MODE_64B of Xen's vcpu_hvm_context. */
export function startLong64(s: CpuState, rip: bigint, cr3: bigint): void {
  flat(s, 0xa09b);
  s.set64(L.CR4, BigInt(CR4.PAE));
  s.set64(L.EFER, BigInt(EFER.LME | EFER.LMA));
  s.set64(L.CR3, cr3);
  s.set64(L.CR0, BigInt((CR0.PE | CR0.ET | CR0.PG) >>> 0));
  s.rip = rip;
}

/** Real mode at CS:IP with all other segments 0, as a boot sector finds it. */
export function startReal(s: CpuState, cs: number, ip: number): void {
  resetCommon(s, 0);
  s.set64(L.CR0, BigInt(CR0.ET));
  s.setSegment(SEG.CS, cs, BigInt(cs << 4), 0xffff, PAGE_CODE);
  s.set32(L.IDTR_LIMIT, 0x3ff);
  s.rip = BigInt(ip);
}

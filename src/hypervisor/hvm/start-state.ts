import * as L from '../../cpu/layout.ts';
import { CR0, CR4, type CpuState, EFER, FLAG, SEG } from '../../cpu/state.ts';
import { E, fail } from '../abi/errno.ts';
import type { vcpuHvmX86_32, vcpuHvmX86_64 } from '../abi/hvm.ts';
import type { ValueOf } from '../abi/struct.ts';

/** A segment register as `struct segment_register` has it: attributes are descriptor bits 8..11 moved down to 4..11. */
export interface StartSegment {
  readonly base: number;
  readonly limit: number;
  /** type 3..0 │ S 4 │ DPL 6..5 │ P 7 │ AVL 8 │ L 9 │ D/B 10 │ G 11 */
  readonly attributes: number;
  /** 0 if not given. */
  readonly selector?: number;
}

/** Registers of a vcpu that is about to run for the first time; those not named keep their power-up values. */
export interface StartState {
  /** RAX…R15 by Intel's numbers; missing ones are 0. */
  readonly registers: readonly bigint[];
  readonly rip: bigint;
  readonly rflags: number;
  readonly cr0: number;
  readonly cr3: bigint;
  readonly cr4: number;
  readonly efer: number;
  readonly cs: StartSegment;
  readonly ss: StartSegment;
  readonly ds: StartSegment;
  readonly es: StartSegment;
  readonly tr: StartSegment;
}

const FLAT_CODE: StartSegment = { base: 0, limit: 0xffffffff, attributes: 0xc9b };
const FLAT_DATA: StartSegment = { base: 0, limit: 0xffffffff, attributes: 0xc93 };
const LONG_CODE: StartSegment = { base: 0, limit: 0xffffffff, attributes: 0xa9b };
const TSS: StartSegment = { base: 0, limit: 0x67, attributes: 0x8b };

/** PVH's start of day (Xen docs/misc/pvh.pandoc): flat 32-bit protected mode, EBX = address of the start info. */
export function pvhStart(entry: number, startInfo: number): StartState {
  return {
    registers: [0n, 0n, 0n, BigInt(startInfo)],
    rip: BigInt(entry),
    rflags: 2,
    cr0: 0x11,
    cr3: 0n,
    cr4: 0,
    efer: 0,
    cs: FLAT_CODE,
    ss: FLAT_DATA,
    ds: FLAT_DATA,
    es: FLAT_DATA,
    tr: TSS,
  };
}

type Regs32 = ValueOf<typeof vcpuHvmX86_32>;
type Regs64 = ValueOf<typeof vcpuHvmX86_64>;

/** From VCPUOP_initialise's 32-bit form, with Xen's checks. @throws Errno EINVAL */
export function startState32(r: Regs32): StartState {
  const segment = (name: 'cs' | 'ds' | 'ss' | 'es' | 'tr'): StartSegment => {
    const given = r[`${name}_ar`];
    const attributes = given & 0x80 ? given | (name === 'tr' ? 2 : 1) : given;
    checkSegment(name, attributes);
    return { base: r[`${name}_base`], limit: r[`${name}_limit`], attributes };
  };
  if (r.pad1 !== 0 || r.pad2.some((b) => b !== 0)) fail(E.INVAL);
  const [cs, ds, ss, es, tr] = [segment('cs'), segment('ds'), segment('ss'), segment('es'), segment('tr')];
  const dpl = (s: StartSegment) => (s.attributes >> 5) & 3;
  const limit = cs.attributes & 0x800 ? ((cs.limit << 12) | 0xfff) >>> 0 : cs.limit;
  if (r.eip > limit || dpl(ss) !== dpl(cs)) fail(E.INVAL);
  for (const s of [ds, es]) if (s.attributes & 0x80 && dpl(s) > dpl(cs)) fail(E.INVAL);
  const efer = Number(r.efer);
  if (efer & EFER.LMA && !(efer & EFER.LME)) fail(E.INVAL);
  return {
    registers: [r.eax, r.ecx, r.edx, r.ebx, r.esp, r.ebp, r.esi, r.edi].map(BigInt),
    rip: BigInt(r.eip),
    rflags: r.eflags,
    cr0: r.cr0,
    cr3: BigInt(r.cr3),
    cr4: r.cr4,
    efer: checkControl(r.eflags, r.cr0, r.cr4, efer),
    cs,
    ss,
    ds,
    es,
    tr,
  };
}

/** From the 64-bit form: long mode with paging, flat segments. @throws Errno EINVAL */
export function startState64(r: Regs64): StartState {
  const canonical = BigInt.asIntN(48, r.rip) === BigInt.asIntN(64, r.rip);
  if (!canonical || !(r.cr0 & 0x80000000n) || !(r.cr4 & 0x20n) || !(r.efer & BigInt(EFER.LME))) fail(E.INVAL);
  return {
    registers: [r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi],
    rip: r.rip,
    rflags: Number(r.rflags & 0xffffffffn),
    cr0: Number(r.cr0 & 0xffffffffn),
    cr3: r.cr3,
    cr4: Number(r.cr4 & 0xffffffffn),
    efer: checkControl(
      Number(r.rflags & 0xffffffffn),
      Number(r.cr0 & 0xffffffffn),
      Number(r.cr4 & 0xffffffffn),
      Number(r.efer & 0xffffffffn),
    ),
    cs: LONG_CODE,
    ss: FLAT_DATA,
    ds: FLAT_DATA,
    es: FLAT_DATA,
    tr: TSS,
  };
}

const CR4_VALID = Object.values(CR4).reduce<number>((all, bit) => all | bit, 0);
const EFER_VALID = Object.values(EFER).reduce<number>((all, bit) => all | bit, 0);

/** Control registers that no processor can be in are refused. @returns EFER with LMA as paging has it */
function checkControl(rflags: number, cr0: number, cr4: number, efer: number): number {
  const paging = (cr0 & CR0.PG) !== 0;
  const long = paging && (efer & EFER.LME) !== 0;
  if ((cr4 & ~CR4_VALID) !== 0 || (efer & ~EFER_VALID) !== 0 || (rflags & FLAG.VM) !== 0) fail(E.INVAL);
  if ((paging && !(cr0 & CR0.PE)) || (long && !(cr4 & CR4.PAE))) fail(E.INVAL);
  return long ? efer | EFER.LMA : efer & ~EFER.LMA;
}

/** check_segment of Xen's arch/x86/hvm/domain.c: which attributes a segment register can have. */
function checkSegment(name: string, ar: number): void {
  if (ar >> 12 !== 0) fail(E.INVAL);
  if (ar === 0) {
    if (name !== 'ds' && name !== 'es') fail(E.INVAL);
    return;
  }
  const type = ar & 15;
  const code = (type & 8) !== 0;
  const system = (ar & 0x10) === 0;
  if ((ar & 0x80) === 0 || system !== (name === 'tr')) fail(E.INVAL);
  const wrong =
    (name === 'tr' && type !== 0xb) ||
    (name === 'cs' && !code) ||
    (name === 'ss' && (code || !(type & 2))) ||
    ((name === 'ds' || name === 'es') && code && !(type & 2));
  if (wrong) fail(E.INVAL);
}

/** Puts the registers in place; the vcpu is current in the engine. */
export function applyStart(s: CpuState, start: StartState, bootstrap: boolean): void {
  // Only the first processor's APIC base says so; the rest of the MSR is the processor's.
  const base = s.get64(L.MSR_APIC_BASE) & ~0x100n;
  s.set64(L.MSR_APIC_BASE, bootstrap ? base | 0x100n : base);
  // As construct_vmcb() leaves it: present, but with no room for a descriptor.
  s.setSegment(SEG.LDTR, 0, 0n, 0, 0x82);
  for (let n = 0; n < 16; n++) s.setReg(n, BigInt.asUintN(64, start.registers[n] ?? 0n));
  s.rip = start.rip;
  s.eflags = start.rflags;
  s.set32(L.CR0, start.cr0);
  s.set64(L.CR3, start.cr3);
  s.set32(L.CR4, start.cr4);
  s.set32(L.EFER, start.efer);
  const load = (seg: number, { base, limit, attributes, selector = 0 }: StartSegment) => {
    const word = attributes === 0 ? 0x10000 : (attributes & 0xff) | ((attributes & 0xf00) << 4);
    s.setSegment(seg, selector, BigInt(base), limit, word);
  };
  load(SEG.CS, start.cs);
  load(SEG.SS, start.ss);
  load(SEG.DS, start.ds);
  load(SEG.ES, start.es);
  load(SEG.FS, start.ds);
  load(SEG.GS, start.ds);
  load(SEG.TR, start.tr);
  s.set32(L.CPL, (start.ss.attributes >> 5) & 3);
  s.set32(L.ACTIVITY, 0);
}

/** Where a startup message sends a processor: real mode, CS = vector << 8, IP = 0 (SDM 3A 9.4.4.1). */
export function sipiStart(vector: number): StartState {
  const data: StartSegment = { base: 0, limit: 0xffff, attributes: 0x93 };
  return {
    registers: [],
    rip: 0n,
    rflags: 2,
    cr0: 0x10,
    cr3: 0n,
    cr4: 0,
    efer: 0,
    cs: { base: vector << 12, limit: 0xffff, attributes: 0x9b, selector: vector << 8 },
    ss: data,
    ds: data,
    es: data,
    tr: { base: 0, limit: 0xffff, attributes: 0x8b },
  };
}

import { Flow, type ProcessorContext, type SystemInstruction } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR0, CR4, FLAG, SEG } from '../state.ts';
import {
  attributesOf,
  commitNull,
  type Descriptor,
  dplOf,
  fetchDescriptor,
  findDescriptor,
  findUpper,
  isCanonical,
  isCode,
  isConforming,
  isNull,
  isParagraphMode,
  isPresent,
  isReadable,
  isWritableData,
  limitOf,
  selectorError,
  setBusy,
  SYSTEM,
  systemBase,
  typeOf,
} from './descriptors.ts';
import { readMemory, readRm16, requireCpl0, writeMemory, writeRegister, writeRm16 } from './operands.ts';
import { writeMachineStatusWord } from './paging-control.ts';

function requireUmip(cpu: ProcessorContext): void {
  if (cpu.s.cr4 & CR4.UMIP && cpu.s.cpl > 0) raise(VECTOR.GP, 0);
}
function requireProtected(cpu: ProcessorContext): void {
  if (isParagraphMode(cpu.s)) raise(VECTOR.UD);
}

/** LGDT, LIDT: limit, then a base of 24 (16-bit operand), 32 or 64 bits. */
const loadTable =
  (baseAt: number, limitAt: number): SystemInstruction =>
  (cpu, insn) => {
    requireCpl0(cpu);
    const wide = insn.mode === 64;
    const at = cpu.effectiveLinear(insn, wide ? 10 : 6, false);
    const limit = Number(readMemory(cpu, at, 2));
    let base = readMemory(cpu, at + 2n, wide ? 8 : 4);
    if (insn.operandSize === 16) base &= 0xffffffn;
    if (wide && !isCanonical(base)) raise(VECTOR.GP, 0);
    cpu.s.set64(baseAt, base);
    cpu.s.set32(limitAt, limit);
    return Flow.NEXT;
  };

/** SGDT, SIDT store all 32 base bits even with a 16-bit operand, as processors since the 386 do. */
const storeTable =
  (baseAt: number, limitAt: number): SystemInstruction =>
  (cpu, insn) => {
    requireUmip(cpu);
    const wide = insn.mode === 64;
    const at = cpu.effectiveLinear(insn, wide ? 10 : 6, true);
    cpu.mem.probeWrite(at, wide ? 10 : 6);
    writeMemory(cpu, at, 2, BigInt(cpu.s.get32(limitAt)));
    writeMemory(cpu, at + 2n, wide ? 8 : 4, cpu.s.get64(baseAt));
    return Flow.NEXT;
  };

const lldt: SystemInstruction = (cpu, insn) => {
  requireProtected(cpu);
  requireCpl0(cpu);
  const selector = readRm16(cpu, insn);
  if (isNull(selector)) commitNull(cpu.s, SEG.LDTR, selector);
  else {
    const d = fetchGlobal(cpu, selector);
    if (typeOf(d) !== SYSTEM.LDT) raise(VECTOR.GP, selectorError(selector));
    if (!isPresent(d)) raise(VECTOR.NP, selectorError(selector));
    cpu.s.setSegment(SEG.LDTR, selector, systemBase(cpu, d), limitOf(d), attributesOf(d));
  }
  return Flow.NEXT;
};

const ltr: SystemInstruction = (cpu, insn) => {
  requireProtected(cpu);
  requireCpl0(cpu);
  const selector = readRm16(cpu, insn);
  if (isNull(selector)) raise(VECTOR.GP, 0);
  const d = fetchGlobal(cpu, selector);
  const type = typeOf(d);
  if (type !== SYSTEM.TSS32 && (type !== SYSTEM.TSS16 || cpu.s.longMode)) raise(VECTOR.GP, selectorError(selector));
  if (!isPresent(d)) raise(VECTOR.NP, selectorError(selector));
  const base = systemBase(cpu, d);
  setBusy(cpu, d, true);
  cpu.s.setSegment(SEG.TR, selector, base, limitOf(d), attributesOf(d));
  return Flow.NEXT;
};

function fetchGlobal(cpu: ProcessorContext, selector: number): Descriptor {
  return selector & 4 ? raise(VECTOR.GP, selectorError(selector)) : fetchDescriptor(cpu, selector);
}

const storeSelector =
  (seg: number): SystemInstruction =>
  (cpu, insn) => {
    requireProtected(cpu);
    requireUmip(cpu);
    writeRm16(cpu, insn, BigInt(cpu.s.selector(seg)));
    return Flow.NEXT;
  };

const smsw: SystemInstruction = (cpu, insn) => {
  requireUmip(cpu);
  writeRm16(cpu, insn, cpu.s.get64(L.CR0));
  return Flow.NEXT;
};

const lmsw: SystemInstruction = (cpu, insn) => {
  requireCpl0(cpu);
  writeMachineStatusWord(cpu, readRm16(cpu, insn));
  return Flow.NEXT;
};

const clts: SystemInstruction = (cpu) => {
  requireCpl0(cpu);
  cpu.s.set64(L.CR0, cpu.s.get64(L.CR0) & ~BigInt(CR0.TS));
  cpu.modeChanged();
  return Flow.NEXT;
};

function setZf(cpu: ProcessorContext, on: boolean): void {
  const flags = cpu.s.eflags;
  cpu.s.eflags = on ? flags | FLAG.ZF : flags & ~FLAG.ZF;
}

/** CPL and RPL against the DPL of a data or non-conforming code segment. */
function isVisible(cpu: ProcessorContext, d: Descriptor): boolean {
  return isConforming(d) || (cpu.s.cpl <= dplOf(d) && (d.selector & 3) <= dplOf(d));
}

const verify =
  (write: boolean): SystemInstruction =>
  (cpu, insn) => {
    requireProtected(cpu);
    const selector = readRm16(cpu, insn);
    const d = isNull(selector) ? undefined : findDescriptor(cpu, selector);
    setZf(cpu, d !== undefined && isVisible(cpu, d) && (write ? isWritableData(d) : isReadable(d)));
    return Flow.NEXT;
  };

/** System types that LAR and LSL accept, one bit a type; long mode knows fewer (Intel SDM 2, LAR and LSL). */
const LAR_TYPES = 0b0001_1010_0011_1110;
const LAR_TYPES_LONG = 0b0001_1010_0000_0100;
const LSL_TYPES = 0b0000_1010_0000_1110;
const LSL_TYPES_LONG = 0b0000_1010_0000_0100;

function acceptedDescriptor(
  cpu: ProcessorContext,
  insn: Instruction,
  types: number,
  longTypes: number,
): Descriptor | undefined {
  requireProtected(cpu);
  const selector = readRm16(cpu, insn);
  if (isNull(selector)) return undefined;
  const d = findDescriptor(cpu, selector);
  if (!d) return undefined;
  const type = typeOf(d);
  if (type < 16) {
    const { longMode } = cpu.s;
    if ((((longMode ? longTypes : types) >>> type) & 1) === 0) return undefined;
    if (longMode) {
      const upper = findUpper(cpu, d);
      if (!upper || upper[1] & 0x1f00) return undefined;
    }
  }
  return isCode(d) && isConforming(d) ? d : isVisible(cpu, d) ? d : undefined;
}

const lar: SystemInstruction = (cpu, insn) => {
  const d = acceptedDescriptor(cpu, insn, LAR_TYPES, LAR_TYPES_LONG);
  setZf(cpu, d !== undefined);
  if (d) writeRegister(cpu.s, insn.reg, insn.operandSize / 8, BigInt(d.high & 0x00ffff00));
  return Flow.NEXT;
};

const lsl: SystemInstruction = (cpu, insn) => {
  const d = acceptedDescriptor(cpu, insn, LSL_TYPES, LSL_TYPES_LONG);
  setZf(cpu, d !== undefined);
  if (d) writeRegister(cpu.s, insn.reg, insn.operandSize / 8, BigInt(limitOf(d)));
  return Flow.NEXT;
};

const arpl: SystemInstruction = (cpu, insn) => {
  requireProtected(cpu);
  const { s } = cpu;
  // Read first, and written only if it changes: the error code of a fault says so (measured on AMD's).
  const at = insn.hasMem ? cpu.effectiveLinear(insn, 2, false) : 0n;
  const destination = insn.hasMem ? cpu.mem.read16(at) : s.u16[insn.rm * 4]!;
  const rpl = s.u16[insn.reg * 4]! & 3;
  const raises = (destination & 3) < rpl;
  if (raises) {
    const value = (destination & ~3) | rpl;
    if (insn.hasMem) cpu.mem.write16(cpu.effectiveLinear(insn, 2, true), value);
    else s.u16[insn.rm * 4] = value;
  }
  setZf(cpu, raises);
  return Flow.NEXT;
};

export const tableInstructions: Record<string, SystemInstruction> = {
  LGDT: loadTable(L.GDTR_BASE, L.GDTR_LIMIT),
  LIDT: loadTable(L.IDTR_BASE, L.IDTR_LIMIT),
  SGDT: storeTable(L.GDTR_BASE, L.GDTR_LIMIT),
  SIDT: storeTable(L.IDTR_BASE, L.IDTR_LIMIT),
  LLDT: lldt,
  LTR: ltr,
  SLDT: storeSelector(SEG.LDTR),
  STR: storeSelector(SEG.TR),
  SMSW: smsw,
  LMSW: lmsw,
  CLTS: clts,
  VERR: verify(false),
  VERW: verify(true),
  LAR: lar,
  LSL: lsl,
  ARPL: arpl,
};

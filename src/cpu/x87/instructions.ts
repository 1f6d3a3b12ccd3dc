/**
 * x87 instructions and FWAIT as the engine calls them: checks, memory operands, pointers around `executeX87`.
 *
 * Order of checks (SDM vol. 3A, 6.9 and 2.5): #NM by CR0, #MF for a pending exception, addressing and page faults,
 * then the instruction. With CR0.NE = 0 a pending exception is ignored, as if IGNNE# were asserted.
 */
import type { ProcessorContext, SystemInstruction, VirtualMemory } from '../context.ts';
import { Flow } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { CR0, type CpuState, FLAG, SEG } from '../state.ts';
import { LinearX87State } from './state.ts';
import { type X87Op, x87Lookup } from './table.ts';
import { X87Unit } from './unit.ts';

const units = new WeakMap<CpuState, X87Unit>();

/** The unit over a processor's state in linear memory; it holds no state between instructions. */
export function unitOf(s: CpuState): X87Unit {
  let unit = units.get(s);
  if (unit === undefined) {
    unit = new X87Unit(new LinearX87State(s));
    units.set(s, unit);
  }
  return unit;
}

/** #NM when the unit is emulated or belongs to another task: all x87, MMX and FXSAVE instructions but FWAIT. */
export function requireX87(s: CpuState): void {
  if (s.cr0 & (CR0.EM | CR0.TS)) raise(VECTOR.NM);
}

/** #MF for a pending unmasked exception. MMX instructions need this, too. */
export function requireNoPending(s: CpuState, unit: X87Unit): void {
  if (unit.pending && s.cr0 & CR0.NE) raise(VECTOR.MF);
}

/** FWAIT: #NM only with both TS and MP set. */
export const fwait: SystemInstruction = (cpu) => {
  const { s } = cpu;
  if ((s.cr0 & CR0.MP) !== 0 && (s.cr0 & CR0.TS) !== 0) raise(VECTOR.NM);
  requireNoPending(s, unitOf(s));
  return Flow.NEXT;
};

/** Any of D8..DF. */
export const x87Instruction: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  const op = x87Lookup(insn.opcode, insn.modrm);
  if (op === undefined) raise(VECTOR.UD);
  requireX87(s);
  const unit = unitOf(s);
  if (op.waits) requireNoPending(s, unit);
  unit.environment16 = insn.operandSize === 16;
  unit.environmentProtected = (s.cr0 & CR0.PE) !== 0 && (s.get32(L.EFLAGS_REST) & FLAG.VM) === 0;
  const length = unit.environment16 ? op.bytes16 : op.bytes;
  const isMemory = op.access === 'read' || op.access === 'write';
  const isWrite = op.access === 'write';
  const linear = isMemory ? cpu.effectiveLinear(insn, length, isWrite) : 0n;
  const operand = unit.bytes.subarray(0, length);
  if (length > LONGEST_VALUE) probeEnds(cpu.mem, linear, length, unit.environment16 ? 2 : 4, isWrite);
  if (op.access === 'read') cpu.mem.readBytes(linear, operand);
  if (isWrite) cpu.mem.probeWrite(linear, length);
  const store = run(s, unit, op, insn.rm & 7);
  if (!op.control) recordPointers(cpu, unit, insn, isMemory);
  if (store && isWrite) cpu.mem.writeBytes(linear, operand);
  if (store && op.access === 'ax') s.u16[0] = unit.operand.getUint16(0, true);
  return Flow.NEXT;
};

/** Longer operands are environments and whole states. */
const LONGEST_VALUE = 10;

/**
 * Of an environment the first word (of `wordBytes`) is touched first, then the last byte, as recorded on silicon: CR2 tells
 * when it lies on two pages and only the second faults.
 */
function probeEnds(mem: VirtualMemory, linear: bigint, length: number, wordBytes: 2 | 4, isWrite: boolean): void {
  if (isWrite) {
    mem.probeWrite(linear, wordBytes);
    mem.probeWrite(linear + BigInt(length - 1), 1);
  } else {
    if (wordBytes === 2) mem.read16(linear);
    else mem.read32(linear);
    mem.read8(linear + BigInt(length - 1));
  }
}

function run(s: CpuState, unit: X87Unit, op: X87Op, i: number): boolean {
  unit.begin();
  if (!op.usesEflags) return op.run(unit, i) === true;
  const before = s.eflags;
  unit.eflags = before;
  op.run(unit, i);
  if (unit.eflags !== before) s.eflags = unit.eflags;
  return false;
}

/** FIP, FCS, FOP, and for memory operands FDP, FDS (SDM vol. 1, 8.1.8). */
function recordPointers(
  cpu: ProcessorContext,
  unit: X87Unit,
  insn: Parameters<SystemInstruction>[1],
  isMemory: boolean,
): void {
  const { s } = cpu;
  const { state } = unit;
  state.fip = s.rip;
  state.fcs = s.selector(SEG.CS);
  state.fop = ((insn.opcode & 7) << 8) | insn.modrm;
  if (!isMemory) return;
  state.fdp = cpu.effectiveOffset(insn);
  state.fds = s.selector(insn.memory.segment);
}

/**
 * Loads and stores of single elements by the sign bits of a mask: MASKMOVQ, MASKMOVDQU, VMASKMOVPS and relatives, gathers.
 * Elements that the mask leaves out are not accessed, so they do not fault.
 */
import type { ProcessorContext, SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { FAULT } from '../fault.ts';
import { requireVectors } from '../sse/operands.ts';
import { REG } from '../state.ts';
import { enterMmx, readMmx, requireNoPending, requireX87, unitOf } from '../x87/index.ts';
import { cutAddress, register, setRegister } from './operands.ts';

/**
 * Stores the bytes of `data` whose mask byte has bit 7, at seg:rDI. All of the destination must be writable, even for a mask of
 * zero: the manual allows both, and this is what was recorded.
 */
function storeMasked(cpu: ProcessorContext, insn: Instruction, data: Uint8Array, mask: Uint8Array): void {
  const linear = linearAt(cpu, insn, cpu.s.reg(REG.RDI), data.length, true);
  cpu.mem.probeWrite(linear, data.length);
  for (let i = 0; i < data.length; i++) {
    if (mask[i]! & 0x80) cpu.mem.write8(linear + BigInt(i), data[i]!);
  }
}

function linearAt(cpu: ProcessorContext, insn: Instruction, offset: bigint, bytes: number, write: boolean): bigint {
  return cpu.segmentLinear(insn.memory.segment, cutAddress(insn, offset), bytes, write);
}

const maskmovdqu: SystemInstruction = (cpu, insn) => {
  requireVectors(cpu.s, insn.vex);
  storeMasked(cpu, insn, register(cpu.s, insn.reg, 16), register(cpu.s, insn.rm, 16));
  return Flow.NEXT;
};

function bytesOf(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer);
}

const maskmovq: SystemInstruction = (cpu, insn) => {
  const { s } = cpu;
  requireX87(s);
  const unit = unitOf(s);
  requireNoPending(s, unit);
  const { state } = unit;
  // The MMX state is entered even when the store faults.
  enterMmx(state);
  storeMasked(cpu, insn, bytesOf(readMmx(state, insn.reg & 7)), bytesOf(readMmx(state, insn.rm & 7)));
  return Flow.NEXT;
};

/** VMASKMOVPS, VPMASKMOVD and relatives: loads clear what the mask leaves out, stores skip it. */
const maskMove =
  (element: 4 | 8): SystemInstruction =>
  (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, true);
    const bytes = insn.vexL !== 0 ? 32 : 16;
    const isStore = insn.operands[0]!.kind === 'mem';
    const mask = register(s, insn.vvvv, bytes);
    const chosen: number[] = [];
    for (let at = 0; at < bytes; at += element) if (mask[at + element - 1]! & 0x80) chosen.push(at);
    if (chosen.length === 0 && isStore) return Flow.NEXT;
    // Segment limits and canonical addresses, too, are looked at for the chosen elements alone (measured).
    const offset = cpu.effectiveOffset(insn);
    const place = (at: number): bigint => linearAt(cpu, insn, offset + BigInt(at), element, isStore);
    if (isStore) {
      const data = register(s, insn.reg, bytes);
      for (const at of chosen) cpu.mem.probeWrite(place(at), element);
      for (const at of chosen) cpu.mem.writeBytes(place(at), data.subarray(at, at + element));
    } else {
      const data = new Uint8Array(bytes);
      for (const at of chosen) cpu.mem.readBytes(place(at), data.subarray(at, at + element));
      setRegister(s, insn.reg, data, true);
    }
    return Flow.NEXT;
  };

/**
 * A fault leaves the elements before it done and their mask elements clear, so that a restart goes on there (SDM Vol. 2).
 * As recorded, the fault of a later element is not delivered by the same execution: that ends with RIP still here, and
 * the next one meets the fault at its first element.
 */
const gather =
  (indexBytes: 4 | 8, element: 4 | 8): SystemInstruction =>
  (cpu, insn) => {
    const { s } = cpu;
    requireVectors(s, true);
    const m = insn.memory;
    const bytes = insn.vexL !== 0 ? 32 : 16;
    const count = bytes / Math.max(indexBytes, element);
    const indices = register(s, m.index, 32);
    const view = new DataView(indices.buffer, indices.byteOffset, 32);
    const mask = register(s, insn.vvvv, 32);
    const target = register(s, insn.reg, 32);
    const base = (BigInt(m.dispHi) << 32n) + BigInt(m.disp >>> 0) + (m.base < 0 ? 0n : s.reg(m.base));
    const value = new Uint8Array(element);
    let progress = false;
    for (let i = 0; i < count; i++) {
      const top = (i + 1) * element - 1;
      if (mask[top]! & 0x80) {
        const index = indexBytes === 4 ? BigInt(view.getInt32(4 * i, true)) : view.getBigInt64(8 * i, true);
        try {
          cpu.mem.readBytes(linearAt(cpu, insn, base + (index << BigInt(m.scale)), element, false), value);
        } catch (thrown) {
          if (thrown !== FAULT || !progress) throw thrown;
          return Flow.BRANCH;
        }
        target.set(value, i * element);
        progress = true;
      }
      mask.fill(0, i * element, top + 1);
    }
    mask.fill(0);
    target.fill(0, count * element);
    return Flow.NEXT;
  };

export const masked: Record<string, SystemInstruction> = {
  MASKMOVQ: maskmovq,
  MASKMOVDQU: maskmovdqu,
  VMASKMOVDQU: maskmovdqu,
  VMASKMOVPS: maskMove(4),
  VMASKMOVPD: maskMove(8),
  VPMASKMOVD: maskMove(4),
  VPMASKMOVQ: maskMove(8),
  VPGATHERDD: gather(4, 4),
  VPGATHERDQ: gather(4, 8),
  VPGATHERQD: gather(8, 4),
  VPGATHERQQ: gather(8, 8),
  VGATHERDPS: gather(4, 4),
  VGATHERDPD: gather(4, 8),
  VGATHERQPS: gather(8, 4),
  VGATHERQPD: gather(8, 8),
};

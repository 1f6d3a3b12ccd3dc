/**
 * Rare instructions of the integer set, in TypeScript: decimal arithmetic, cache-line flushes, hardware random numbers.
 * The flags that Intel SDM Vol. 2 leaves undefined keep the value that the operation's plain arithmetic gives, or stay.
 */
import type { ProcessorContext, SystemInstruction } from '../context.ts';
import { Flow } from '../context.ts';
import type { Instruction } from '../decode/instruction.ts';
import { raise, VECTOR } from '../fault.ts';
import { type CpuState, FLAG, STATUS_FLAGS } from '../state.ts';

const AL = 0;
const AH = 1;

function evenParity(byte: number): boolean {
  const folded = byte ^ (byte >> 4);
  return ((0x6996 >> (folded & 15)) & 1) === 0;
}

/** SF, ZF and PF of a byte. */
function byteFlags(value: number): number {
  return (value & 0x80 ? FLAG.SF : 0) | (value === 0 ? FLAG.ZF : 0) | (evenParity(value) ? FLAG.PF : 0);
}

function setFlags(s: CpuState, mask: number, value: number): void {
  s.eflags = (s.eflags & ~mask) | (value & mask);
}

/** AAA (direction 1) and AAS (-1). OF, SF, ZF, PF are undefined: they stay. */
const asciiAdjust =
  (direction: 1 | -1): SystemInstruction =>
  ({ s }) => {
    const adjusts = (s.u8[AL]! & 15) > 9 || (s.eflags & FLAG.AF) !== 0;
    if (adjusts) s.u16[0] = s.u16[0]! + direction * 0x106;
    s.u8[AL] = s.u8[AL]! & 15;
    setFlags(s, FLAG.AF | FLAG.CF, adjusts ? FLAG.AF | FLAG.CF : 0);
    return Flow.NEXT;
  };

/** DAA (direction 1) and DAS (-1). OF is undefined: it stays. */
const decimalAdjust =
  (direction: 1 | -1): SystemInstruction =>
  ({ s }) => {
    const before = s.u8[AL]!;
    const flags = s.eflags;
    let carry = false;
    let value = before;
    const low = (before & 15) > 9 || (flags & FLAG.AF) !== 0;
    if (low) {
      value += direction * 6;
      carry = (flags & FLAG.CF) !== 0 || value !== (value & 255);
    }
    const high = before > 0x99 || (flags & FLAG.CF) !== 0;
    if (high) {
      value += direction * 0x60;
      carry = true;
    } else if (direction === 1) carry = false;
    s.u8[AL] = value;
    const result = byteFlags(value & 255) | (carry ? FLAG.CF : 0) | (low ? FLAG.AF : 0);
    setFlags(s, FLAG.CF | FLAG.AF | FLAG.SF | FLAG.ZF | FLAG.PF, result);
    return Flow.NEXT;
  };

/** AAM: #DE for base 0. OF, AF, CF are undefined: clear. */
const aam: SystemInstruction = ({ s }, insn) => {
  const base = insn.imm & 255;
  if (base === 0) raise(VECTOR.DE);
  const value = s.u8[AL]!;
  s.u8[AH] = Math.floor(value / base);
  s.u8[AL] = value % base;
  setFlags(s, STATUS_FLAGS, byteFlags(s.u8[AL]!));
  return Flow.NEXT;
};

/** AAD: OF, AF, CF are undefined: clear. */
const aad: SystemInstruction = ({ s }, insn) => {
  const value = (s.u8[AL]! + s.u8[AH]! * (insn.imm & 255)) & 255;
  s.u16[0] = value;
  setFlags(s, STATUS_FLAGS, byteFlags(value));
  return Flow.NEXT;
};

/** SALC (undocumented, in every processor): AL = CF ? FF : 0, flags untouched. */
const salc: SystemInstruction = ({ s }) => {
  s.u8[AL] = s.eflags & FLAG.CF ? 0xff : 0;
  return Flow.NEXT;
};

/** Cache lines are not modelled: only the byte load's checks remain (CLFLUSH: "all the segment and paging faults of a byte load"). */
const flushLine: SystemInstruction = (cpu, insn) => {
  cpu.mem.read8(cpu.effectiveLinear(insn, 1, false));
  return Flow.NEXT;
};

/**
 * RDRAND, RDSEED: #UD where the surroundings know that they are not offered; else CF = 0 and a zero result say that no number is
 * ready now, which software must cope with.
 */
const noRandomNumber =
  (feature: 'rdrand' | 'rdseed'): SystemInstruction =>
  (cpu, insn) => {
    if (cpu.exits.offered?.[feature] === false) raise(VECTOR.UD);
    writeRegister(cpu, insn);
    setFlags(cpu.s, STATUS_FLAGS, 0);
    return Flow.NEXT;
  };

function writeRegister({ s }: ProcessorContext, insn: Instruction): void {
  if (insn.operandSize === 16) s.u16[insn.rm * 4] = 0;
  else s.setReg(insn.rm, 0n);
}

/** By mnemonic. */
export const legacyInstructions: Readonly<Record<string, SystemInstruction | undefined>> = {
  AAA: asciiAdjust(1),
  AAS: asciiAdjust(-1),
  DAA: decimalAdjust(1),
  DAS: decimalAdjust(-1),
  AAM: aam,
  AAD: aad,
  SALC: salc,
  CLFLUSH: flushLine,
  CLFLUSHOPT: flushLine,
  CLWB: flushLine,
  RDRAND: noRandomNumber('rdrand'),
  RDSEED: noRandomNumber('rdseed'),
};

/** What the manuals leave open in a result, as the format of the vectors wants it said. */
import type { Instruction } from '../../../src/cpu/decode/instruction.ts';
import type { Vector } from '../vector-machine.ts';
import type { MachineState } from './case.ts';
import { REGISTERS } from '../registers.ts';

const [AF, OF, CF] = [0x10, 0x800, 1] as const;
const STATUS = 0x8d5;

type Open = Pick<
  Vector,
  'undefinedFlags' | 'undefinedRegs' | 'undefinedMem' | 'undefinedFsw' | 'approx' | 'modelSpecific'
>;

/** The count of a shift or rotate, masked as its operand size says, or -1. */
export function shiftCount(insn: Instruction, cl: number): number {
  const { row, operandSize } = insn;
  if (!/^(R[OC][LR]|S[HA][LR]|SH[LR]D)$/.test(row.mnemonic)) return -1;
  const last = row.operands.at(-1)!.text;
  const count = last === 'CL' ? cl : last === '1' ? 1 : insn.imm & 0xff;
  return count & (operandSize === 64 ? 63 : 31);
}

function openFlags(insn: Instruction, cl: number, faulted: boolean): number {
  const { row, operandSize } = insn;
  const count = shiftCount(insn, cl);
  if (count === 0) return 0;
  if (count > 0) {
    if (/^R/.test(row.mnemonic)) return count === 1 ? 0 : OF;
    if (/D$/.test(row.mnemonic)) return count > operandSize ? STATUS : count === 1 ? AF : AF | OF;
    const carry = row.mnemonic !== 'SAR' && count >= operandSize ? CF : 0;
    return (count === 1 ? AF : AF | OF) | carry;
  }
  if (/^(CMPS|SCAS)$/.test(row.mnemonic)) return faulted && insn.rep !== 0 ? STATUS : 0;
  return row.flags.undefined;
}

/** C0 to C3 that the manual calls undefined. */
function openStatus(insn: Instruction): number {
  const { mnemonic, feature } = insn.row;
  if (feature !== 'x87' && !mnemonic.startsWith('FISTTP')) return 0;
  if (/^F(I?COMP?P?|UCOMP?P?|TST|XAM|PREM1?|LDENV|RSTOR|NSAVE|NINIT|NSTSW|WAIT)$/.test(mnemonic)) return 0;
  if (/^F(LDCW|NSTENV|NSTCW|NOP|NCLEX|FREEP?|NENI|NDISI|NSETPM)$/.test(mnemonic)) return 0x4700;
  return /^F(PTAN|SINCOS|SIN|COS)$/.test(mnemonic) ? 0x4100 : 0x4500;
}

/**
 * @param before the state before, `fsw` the status word after
 * @param source bits that BSF and BSR look at
 * @param at linear address of the memory operand
 */
export function openResults(
  insn: Instruction,
  before: MachineState,
  fsw: number,
  faulted: boolean,
  source: bigint,
  at: bigint,
): Open {
  const { mnemonic } = insn.row;
  const cl = Number(before.gpr[1]! & 0xffn);
  const open: Open = { undefinedFlags: `0x${openFlags(insn, cl, faulted).toString(16)}` };
  const register = (i: number): string[] => [REGISTERS[insn.operands[i]!.reg]!];
  if (mnemonic === 'BSWAP' && insn.operandSize === 16) open.undefinedRegs = register(0);
  if (/^BS[FR]$/.test(mnemonic) && source === 0n) open.undefinedRegs = register(0);
  if (/^SH[LR]D$/.test(mnemonic) && insn.operandSize === 16 && shiftCount(insn, cl) > 16) {
    if (insn.hasMem) open.undefinedMem = { addr: `0x${at.toString(16)}`, len: 2 };
    else open.undefinedRegs = register(0);
  }
  if (/^(FX|X)SAVE/.test(mnemonic)) open.undefinedMem = { addr: `0x${(at + 28n).toString(16)}`, len: 4 };
  const status = openStatus(insn);
  if (status !== 0) open.undefinedFsw = `0x${status.toString(16)}`;
  if (/^V?R(CP|SQRT)[PS]S$/.test(mnemonic) || /^F(2XM1|YL2X|YL2XP1|PTAN|PATAN|SINCOS|SIN|COS)$/.test(mnemonic))
    open.approx = true;
  if (/^FPREM1?$/.test(mnemonic) && (fsw & 0x400) !== 0) open.approx = true;
  if (insn.memory.vsibBits !== 0 && faulted) open.modelSpecific = true;
  return open;
}

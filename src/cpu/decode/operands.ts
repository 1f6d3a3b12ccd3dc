/** Operand codes of a row to decoded operands: registers, memory kinds and the immediates that follow. */
import { resolveSize } from '../../isa/operand-kinds.ts';
import type { OperandKind, OperandSpec } from '../../isa/row.ts';
import type { Instruction, Operand } from './instruction.ts';
import type { ByteReader } from './reader.ts';

function setOperand(operand: Operand, kind: OperandKind, reg: number, size: number): void {
  operand.kind = kind;
  operand.reg = reg;
  operand.size = size;
  operand.high8 = false;
}

function setGpr(operand: Operand, reg: number, size: number, hasRex: boolean): void {
  setOperand(operand, size === 8 ? 'reg8' : 'gpr', reg, size);
  // Without REX the byte registers 4 to 7 are AH, CH, DH, BH (Intel SDM Vol. 2, table 2-2).
  if (size === 8 && !hasRex && reg >= 4 && reg < 8) {
    operand.reg = reg - 4;
    operand.high8 = true;
  }
}

function setVector(operand: Operand, reg: number, size: number): void {
  setOperand(operand, size === 256 ? 'ymm' : 'xmm', reg, size);
}

function readImmediate(out: Instruction, reader: ByteReader, size: number, signed: boolean, index: number): void {
  let value: number;
  if (size === 8) value = signed ? reader.i8() : reader.u8();
  else if (size === 16) value = signed ? reader.i16() : reader.u16();
  else value = reader.i32();
  if (index > 0) {
    out.imm2 = value;
    return;
  }
  out.imm = value;
  out.immHi = size === 64 ? reader.i32() : signed || size === 32 ? value >> 31 : 0;
}

function readOffset(out: Instruction, reader: ByteReader): void {
  const { memory, addressSize } = out;
  memory.disp = addressSize === 16 ? reader.u16() : reader.i32();
  memory.dispHi = addressSize === 64 ? reader.i32() : 0;
  out.hasMem = true;
}

function setFixed(out: Instruction, operand: Operand, spec: OperandSpec, size: number): void {
  setOperand(operand, spec.fixedKind, spec.fixedReg, size);
  if (spec.fixedKind === 'imm') {
    out.imm = spec.fixedReg;
    out.immHi = 0;
  }
}

/** The r/m operand of methods E, M, Q, W: memory, or the register kind of the method. */
function setRegisterOrMemory(out: Instruction, operand: Operand, spec: OperandSpec, bits: number, size: number): void {
  if (out.hasMem) {
    const width = resolveSize(spec.memSize, out.operandSize, out.rexW, out.mode === 64, bits);
    setOperand(operand, spec.vsib ? 'vsib' : 'mem', 0, spec.vsib ? 0 : width);
    if (spec.vsib) out.memory.vsibBits = width;
  } else if (spec.method === 'E') setGpr(operand, out.rm, size, out.rex !== 0);
  else if (spec.method === 'Q') setOperand(operand, 'mmx', out.rm & 7, size);
  else setVector(operand, out.rm, size);
}

function setRegister(out: Instruction, operand: Operand, spec: OperandSpec, size: number): void {
  switch (spec.method) {
    case 'G':
      setGpr(operand, out.reg, size, out.rex !== 0);
      break;
    case 'R':
      setGpr(operand, out.rm, size, out.rex !== 0);
      break;
    case 'B':
      setOperand(operand, 'gpr', out.vvvv, size);
      break;
    case 'Z':
      setGpr(operand, (out.opcode & 7) | ((out.rex & 1) << 3), size, out.rex !== 0);
      break;
    case 'S':
      setOperand(operand, 'sreg', out.reg & 7, 16);
      break;
    case 'C':
      setOperand(operand, 'creg', out.reg, size);
      break;
    case 'D':
      setOperand(operand, 'dreg', out.reg, size);
      break;
    case 'P':
      setOperand(operand, 'mmx', out.reg & 7, size);
      break;
    case 'N':
      setOperand(operand, 'mmx', out.rm & 7, size);
      break;
    case 'T':
      setOperand(operand, 'st', out.modrm & 7, 80);
      break;
    case 'V':
      setVector(operand, out.reg, size);
      break;
    case 'U':
      setVector(operand, out.rm, size);
      break;
    case 'H':
      setVector(operand, out.vvvv, size);
      break;
    default:
      throw new Error(`operand code ${spec.text}: the decoder does not know it`);
  }
}

/** Resolves `out.row`'s operands. Everything but the immediates is already in `out`. */
export function readOperands(out: Instruction, reader: ByteReader): void {
  const { row, rexW } = out;
  const specs = row.operands;
  const vSize = out.operandSize;
  const bits = out.vexL !== 0 ? 256 : 128;
  const is64 = out.mode === 64;
  let immediates = 0;
  out.imm = 0;
  out.immHi = 0;
  out.imm2 = 0;
  out.operandCount = specs.length;
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i]!;
    const operand = out.operands[i]!;
    const size = resolveSize(spec.size, vSize, rexW, is64, bits);
    switch (spec.method) {
      case 'E':
      case 'M':
      case 'Q':
      case 'W':
        setRegisterOrMemory(out, operand, spec, bits, size);
        break;
      case 'I':
        // Iz is sign-extended to 64 bits with a 64-bit operand; Iw is a count (RET, ENTER) when fixed at 16.
        readImmediate(out, reader, size, spec.signed || spec.size >= 0x8000, immediates++);
        setOperand(operand, 'imm', 0, spec.signed || size > 8 ? vSize : 8);
        break;
      case 'J':
        readImmediate(out, reader, size, true, 0);
        setOperand(operand, 'rel', 0, vSize);
        break;
      case 'A':
        readImmediate(out, reader, vSize === 16 ? 16 : 32, false, 0);
        out.imm2 = reader.u16();
        setOperand(operand, 'far', 0, size);
        break;
      case 'L':
        setVector(operand, (reader.u8() >> 4) & (is64 ? 15 : 7), size);
        break;
      case 'O':
        readOffset(out, reader);
        setOperand(operand, 'mem', 0, size);
        break;
      case 'X':
        setOperand(operand, 'si', 6, size);
        break;
      case 'Y':
        setOperand(operand, 'di', 7, size);
        break;
      case 'fixed':
        setFixed(out, operand, spec, size);
        break;
      default:
        setRegister(out, operand, spec, size);
    }
  }
}

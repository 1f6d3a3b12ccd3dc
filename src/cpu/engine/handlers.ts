/**
 * From instructions to handlers: which variants of each mnemonic exist, and which one an instruction takes.
 * A handler is named by its key, for example `ADD/r32,m32`, `PUSH/r64@s64`, `MOVS:8@a64+rep`.
 */
import type { Instruction } from '../decode/instruction.ts';
import { ROWS } from '../../isa/instruction-table.ts';
import { resolveSize, SIZE_E, SIZE_F, SIZE_H, SIZE_N, SIZE_S, SIZE_X, SIZE_Y } from '../../isa/operand-kinds.ts';
import type { InstructionRow, OperandKind, OperandSpec } from '../../isa/row.ts';
import { semantics } from '../semantics/index.ts';
import { meaningName } from '../semantics/vector-aliases.ts';
import type { Addressing, OperandForm, StackMode } from '../semantics/operation.ts';

const STACK = new Set(['PUSH', 'POP', 'PUSHA', 'POPA', 'LEAVE', 'ENTER', 'CALL', 'RET']);
const REPEATABLE = new Set(['MOVS', 'STOS', 'LODS', 'SCAS', 'CMPS']);
const ADDRESSED = new Set([...REPEATABLE, 'XLAT', 'LOOP', 'LOOPZ', 'LOOPNZ', 'JCXZ']);
const STACK_MODES: readonly StackMode[] = ['s64', 's32', 'sx'];
const ADDRESSINGS: readonly Addressing[] = ['a64', 'a32', 'x32', 'x16'];
const REPS = ['', 'rep', 'repnz'] as const;
const VECTOR_SIZES = [SIZE_X, SIZE_H, SIZE_F, SIZE_E];

/** How the code at hand uses implicit addresses. */
export interface CodeShape {
  readonly stackMode: StackMode;
  readonly addressing: Addressing;
}

export interface HandlerSpec extends CodeShape {
  readonly key: string;
  readonly mnemonic: string;
  readonly operands: readonly OperandForm[];
  readonly size: number;
  readonly rep: '' | 'rep' | 'repnz';
  /** Ends its block and leaves through `Control`. */
  readonly terminator: boolean;
  /** The memory operand is a base register and a displacement, nothing else: most are. */
  readonly simpleAddress?: boolean;
}

/** Mark of the variants for simple addresses, at the end of the key. */
export const SIMPLE = '~';

const FORM: Partial<Record<OperandKind, OperandForm['kind']>> = {
  reg8: 'r',
  gpr: 'r',
  mem: 'm',
  imm: 'i',
  xmm: 'x',
  ymm: 'x',
  mmx: 'q',
  st: 's',
};
/** Operand kinds that say where the instruction goes or what it implies, and take no part in the key. */
const IMPLICIT: ReadonlySet<OperandKind> = new Set(['rel', 'si', 'di']);

const isTransfer = (row: InstructionRow): boolean =>
  row.blockEnd === 'jump' || row.blockEnd === 'call' || row.blockEnd === 'ret' || row.blockEnd === 'cond';

/** MOV r64, imm64 is the only instruction whose immediate does not fit 32 bits. */
export const hasWideImmediate = (row: InstructionRow): boolean => row.map === '1B' && (row.opcode & 0xf8) === 0xb8;

function specFrom(
  row: InstructionRow,
  operandSize: number,
  operands: readonly { kind: OperandKind; size: number }[],
  shape: CodeShape,
  rep: '' | 'rep' | 'repnz',
): HandlerSpec | undefined {
  const mnemonic = meaningName(row.mnemonic);
  if (semantics[mnemonic] === undefined) return undefined;
  const forms: OperandForm[] = [];
  const implicitAccumulator = REPEATABLE.has(mnemonic);
  for (const { kind, size } of operands) {
    if (IMPLICIT.has(kind) || implicitAccumulator) continue;
    const form = FORM[kind];
    if (form === undefined) return undefined;
    forms.push({ kind: form, size: form === 'i' && size === 64 && !hasWideImmediate(row) ? 32 : size });
  }
  // No register or memory operand tells the size: it is the instruction's own (PUSH imm pushes 8 bytes in 64-bit mode).
  const sizeless =
    isTransfer(row) || forms.length === 0 || mnemonic === 'ENTER' || (mnemonic === 'PUSH' && forms[0]!.kind === 'i');
  const size = sizeless ? operandSize : forms[0]!.size;
  let key = `${mnemonic}/${forms.map((x) => x.kind + x.size).join(',')}`;
  if (sizeless) key += `:${size}`;
  const stackMode = STACK.has(mnemonic) ? shape.stackMode : 's64';
  const addressing = ADDRESSED.has(mnemonic) ? shape.addressing : 'a64';
  if (STACK.has(mnemonic)) key += `@${stackMode}`;
  if (ADDRESSED.has(mnemonic)) key += `@${addressing}`;
  const r = REPEATABLE.has(mnemonic) ? (rep === 'repnz' && row.rep === 'rep' ? 'rep' : rep) : '';
  if (r !== '') key += `+${r}`;
  return {
    key,
    mnemonic,
    operands: forms,
    size,
    stackMode,
    addressing,
    rep: r,
    terminator: isTransfer(row) || r !== '',
  };
}

/** The handler that `insn` needs, or undefined if TypeScript executes it. */
export function specOf(insn: Instruction, shape: CodeShape): HandlerSpec | undefined {
  return specFrom(insn.row, insn.operandSize, insn.operands.slice(0, insn.operandCount), shape, REPS[insn.rep]!);
}

const both = [false, true];
const one = [false];

/** All variants of a row's operands: every size, register and memory form. What its operands do not ask for stays fixed. */
function* variants(
  row: InstructionRow,
): Generator<{ operandSize: number; operands: { kind: OperandKind; size: number }[] }> {
  const uses = (codes: readonly number[]): boolean =>
    row.operands.some((o) => codes.includes(o.size) || codes.includes(o.memSize));
  const vex = row.map.startsWith('V');
  const vector = row.map !== '1B' && row.operands.some((o) => 'VWUPQN'.includes(o.method));
  const sizes = row.byteSized ? [8] : vector ? [32] : [16, 32, 64];
  const forms = row.hasModrm && !row.ignoresMod ? (row.form === 'any' ? both : [row.form === 'mem']) : one;
  for (const operandSize of sizes) {
    for (const w of uses([SIZE_Y]) && (vector || row.byteSized || operandSize === 64) ? both : one) {
      for (const is64 of uses([SIZE_Y, SIZE_N, SIZE_S]) ? both : one) {
        for (const bits of vex && uses(VECTOR_SIZES) ? [128, 256] : [128]) {
          for (const mem of forms) {
            const operands = row.operands.map((spec) => operandOf(spec, mem, operandSize, w, is64, bits, row));
            yield { operandSize, operands };
          }
        }
      }
    }
  }
}

function operandOf(
  spec: OperandSpec,
  mem: boolean,
  operandSize: number,
  w: boolean,
  is64: boolean,
  bits: number,
  row: InstructionRow,
) {
  const vector = bits === 256 ? 'ymm' : 'xmm';
  const size = resolveSize(spec.size, operandSize, w, is64, bits);
  const memory = { kind: 'mem' as OperandKind, size: resolveSize(spec.memSize, operandSize, w, is64, bits) };
  const gpr = { kind: (size === 8 ? 'reg8' : 'gpr') as OperandKind, size };
  const vec = { kind: (size === 256 ? 'ymm' : size === 128 ? 'xmm' : vector) as OperandKind, size };
  switch (spec.method) {
    case 'E':
      return mem ? memory : gpr;
    case 'W':
      return mem ? memory : vec;
    case 'Q':
      return mem ? memory : { kind: 'mmx' as OperandKind, size };
    case 'M':
    case 'O':
      return memory;
    case 'B':
    case 'G':
    case 'R':
    case 'Z':
      return gpr;
    case 'V':
    case 'U':
    case 'H':
    case 'L':
      return vec;
    case 'P':
    case 'N':
      return { kind: 'mmx' as OperandKind, size };
    case 'I':
      return { kind: 'imm' as OperandKind, size: spec.signed || size > 8 ? operandSize : 8 };
    case 'T':
      return { kind: 'st' as OperandKind, size: 80 };
    case 'J':
      return { kind: 'rel' as OperandKind, size };
    case 'X':
      return { kind: 'si' as OperandKind, size };
    case 'Y':
      return { kind: 'di' as OperandKind, size };
    case 'fixed':
      return { kind: spec.fixedKind, size };
    default:
      return { kind: row.operands.length > 0 ? ('far' as OperandKind) : ('none' as OperandKind), size };
  }
}

/** Every handler the interpreter must have, each key once, in table order. */
export function allSpecs(): HandlerSpec[] {
  const found = new Map<string, HandlerSpec>();
  for (const row of ROWS) {
    if (semantics[meaningName(row.mnemonic)] === undefined) continue;
    for (const { operandSize, operands } of variants(row)) {
      for (const stackMode of STACK.has(row.mnemonic) ? STACK_MODES : STACK_MODES.slice(0, 1)) {
        for (const addressing of ADDRESSED.has(row.mnemonic) ? ADDRESSINGS : ADDRESSINGS.slice(0, 1)) {
          for (const rep of REPEATABLE.has(row.mnemonic) ? REPS : REPS.slice(0, 1)) {
            const spec = specFrom(row, operandSize, operands, { stackMode, addressing }, rep);
            if (spec !== undefined && !found.has(spec.key)) found.set(spec.key, spec);
          }
        }
      }
    }
  }
  return [...found.values()];
}

const HOT_MEMORY = /^(MOV|ADD|SUB|CMP|AND|OR|XOR|TEST|MOVZX|MOVSX|MOVSXD|NOP)\//;
const HOT_REGISTER =
  /^(MOV|ADD|ADC|SUB|SBB|CMP|AND|OR|XOR|TEST|LEA|INC|DEC|MOVZX|MOVSX|MOVSXD|NOP|SHL|SHR|SAR|ROL|ROR|IMUL|NEG|NOT|CBW|CWD|XCHG|CMOV\w+|SET\w+)[/]/;

/** Aliases count under one name: MOVUPS and MOVAPS are also MOVDQU, MOVDQA and so on. */
const HOT_VECTOR =
  /^(MOV[UA]PS[/](x128,m128|m128,x128|x128,x128)|PXOR[/]x128,x128|MOVQ[/](x128,m64|m64,x128)|MOVD[/](x128,r\d\d|r\d\d,x128))$/;

/** Whether a handler goes into the dispatch loop itself; all others are called from it. */
export function isHot(spec: HandlerSpec): boolean {
  const { key, mnemonic, operands, stackMode } = spec;
  if (operands.some((x) => x.kind === 'x' || x.kind === 'q')) return HOT_VECTOR.test(key);
  if (/^(JMP|CALL|RET|J[A-Z]+)$/.test(mnemonic) && mnemonic !== 'JCXZ')
    return spec.size !== 16 && stackMode !== 'sx' && !/m16|m32/.test(key);
  if (mnemonic === 'PUSH' || mnemonic === 'POP') return stackMode !== 'sx' && spec.size !== 16 && !/m/.test(key);
  if (mnemonic === 'LEAVE') return stackMode !== 'sx' && spec.size !== 16;
  if (operands.some((x) => x.size === 16 && mnemonic !== 'MOVZX' && mnemonic !== 'MOVSX' && mnemonic !== 'MOV'))
    return false;
  if (mnemonic === 'LEA') return spec.size >= 32;
  if (/^(ADC|SBB)/.test(mnemonic) && spec.size < 32) return false;
  if (operands.some((x) => x.kind === 'm')) return HOT_MEMORY.test(key);
  if (/^(CMOV|SET)/.test(mnemonic)) return /(Z|NZ|B|NB|L|NL|LE|NLE|S|NS|BE|NBE)$/.test(mnemonic) && spec.size !== 16;
  if (/^(IMUL|SHL|SHR|SAR|ROL|ROR)/.test(mnemonic)) return spec.size >= 32;
  return HOT_REGISTER.test(key);
}

/** The hot handlers: those of `specs` that are, each with a second variant for simple addresses where it has a memory operand. */
export function hotSpecs(specs: readonly HandlerSpec[]): HandlerSpec[] {
  const hot = specs.filter(isHot);
  const simple = hot.filter((s) => !s.terminator && s.mnemonic !== 'LEA' && s.operands.some((o) => o.kind === 'm'));
  return [...hot, ...simple.map((s) => ({ ...s, key: s.key + SIMPLE, simpleAddress: true }))];
}

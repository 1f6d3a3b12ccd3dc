/** Opcodes D8..DF as one table: what each does, which memory operand it has, whether it waits. */
import { F32, F64 } from '../softfloat/index.ts';
import * as A from './arithmetic.ts';
import { ARITHMETIC } from './arithmetic.ts';
import * as C from './compare.ts';
import * as K from './control.ts';
import * as X from './transcendental.ts';
import * as T from './transfer.ts';
import type { X87Unit } from './unit.ts';

export interface X87Op {
  readonly name: string;
  /** Bytes of the memory operand with 32- or 64-bit operand size; 0 for register forms. */
  readonly bytes: number;
  /** Bytes with 16-bit operand size (environment images differ). */
  readonly bytes16: number;
  readonly access: 'none' | 'read' | 'write' | 'ax';
  /** Checks for a pending unmasked exception first (#MF). */
  readonly waits: boolean;
  /** Reads or writes RFLAGS (FCMOVcc, FCOMI and relatives). */
  readonly usesEflags: boolean;
  /** Leaves the last instruction and operand pointers alone. */
  readonly control: boolean;
  /** Execute with i = modrm.rm. For access 'write' and 'ax', `true` says that the operand is to be written. */
  readonly run: (u: X87Unit, i: number) => unknown;
}

const memory: (X87Op | undefined)[] = new Array(64).fill(undefined);
const register: (X87Op | undefined)[] = new Array(512).fill(undefined);

type Run = X87Op['run'];

const PLAIN = { bytes: 0, bytes16: 0, access: 'none', waits: true, usesEflags: false, control: false } as const;

function onMemory(opcode: number, reg: number, name: string, bytes: number, access: 'read' | 'write', run: Run): void {
  memory[(opcode & 7) * 8 + reg] = { ...PLAIN, name, bytes, bytes16: bytes, access, run };
}

/** A control instruction with a memory operand. */
function onControl(
  opcode: number,
  reg: number,
  name: string,
  bytes: number,
  bytes16: number,
  access: 'read' | 'write',
  waits: boolean,
  run: Run,
): void {
  memory[(opcode & 7) * 8 + reg] = { ...PLAIN, name, bytes, bytes16, access, waits, control: true, run };
}

/** Register forms modrm = `first` .. `first + count - 1`. */
function onRegister(
  opcode: number,
  first: number,
  count: number,
  name: string,
  run: Run,
  more: Partial<X87Op> = {},
): void {
  for (let modrm = first; modrm < first + count; modrm++) {
    const op: X87Op = { ...PLAIN, name, run, ...more };
    register[(opcode & 7) * 64 + (modrm & 63)] = op;
  }
}

const NAMES = ['add', 'mul', 'com', 'comp', 'sub', 'subr', 'div', 'divr'];

function arithmeticForms(): void {
  const sources: [number, string, number, (u: X87Unit) => bigint][] = [
    [0xd8, 'f', 4, (u) => T.floatOperand(u, F32)],
    [0xda, 'fi', 4, (u) => T.integerOperand(u, 4)],
    [0xdc, 'f', 8, (u) => T.floatOperand(u, F64)],
    [0xde, 'fi', 2, (u) => T.integerOperand(u, 2)],
  ];
  for (const [opcode, prefix, bytes, operand] of sources) {
    for (let reg = 0; reg < 8; reg++) {
      const op = ARITHMETIC[reg];
      const run: Run = op
        ? (u) => A.arithmeticMemory(u, op, () => operand(u))
        : (u) => C.compareMemory(u, () => operand(u), reg === 3);
      onMemory(opcode, reg, `${prefix}${NAMES[reg]}`, bytes, 'read', run);
    }
  }
  for (let reg = 0; reg < 8; reg++) {
    const op = ARITHMETIC[reg];
    const first = 0xc0 + 8 * reg;
    if (!op) continue;
    onRegister(0xd8, first, 8, `f${NAMES[reg]}`, (u, i) => A.arithmeticStack(u, op, 0, i, false));
    // With ST(i) as destination the encodings of the reversed forms are exchanged.
    const other = ARITHMETIC[reg < 4 ? reg : reg ^ 1]!;
    const name = NAMES[reg < 4 ? reg : reg ^ 1];
    onRegister(0xdc, first, 8, `f${name}`, (u, i) => A.arithmeticStack(u, other, i, 0, false));
    onRegister(0xde, first, 8, `f${name}p`, (u, i) => A.arithmeticStack(u, other, i, 0, true));
  }
}

const EFLAGS = { usesEflags: true };

function compareForms(): void {
  const com =
    (pops: number): Run =>
    (u, i) =>
      C.compareStack(u, i, false, 'codes', pops);
  onRegister(0xd8, 0xd0, 8, 'fcom', com(0));
  onRegister(0xd8, 0xd8, 8, 'fcomp', com(1));
  // Undocumented aliases that every processor executes.
  onRegister(0xdc, 0xd0, 8, 'fcom', com(0));
  onRegister(0xdc, 0xd8, 8, 'fcomp', com(1));
  onRegister(0xde, 0xd0, 8, 'fcomp', com(1));
  onRegister(0xde, 0xd9, 1, 'fcompp', (u) => C.compareStack(u, 1, false, 'codes', 2));
  onRegister(0xda, 0xe9, 1, 'fucompp', (u) => C.compareStack(u, 1, true, 'codes', 2));
  onRegister(0xdd, 0xe0, 8, 'fucom', (u, i) => C.compareStack(u, i, true, 'codes', 0));
  onRegister(0xdd, 0xe8, 8, 'fucomp', (u, i) => C.compareStack(u, i, true, 'codes', 1));
  onRegister(0xdb, 0xe8, 8, 'fucomi', (u, i) => C.compareStack(u, i, true, 'eflags', 0), EFLAGS);
  onRegister(0xdb, 0xf0, 8, 'fcomi', (u, i) => C.compareStack(u, i, false, 'eflags', 0), EFLAGS);
  onRegister(0xdf, 0xe8, 8, 'fucomip', (u, i) => C.compareStack(u, i, true, 'eflags', 1), EFLAGS);
  onRegister(0xdf, 0xf0, 8, 'fcomip', (u, i) => C.compareStack(u, i, false, 'eflags', 1), EFLAGS);
  ['b', 'e', 'be', 'u'].forEach((condition, n) => {
    onRegister(0xda, 0xc0 + 8 * n, 8, `fcmov${condition}`, (u, i) => C.fcmov(u, n, false, i), EFLAGS);
    onRegister(0xdb, 0xc0 + 8 * n, 8, `fcmovn${condition}`, (u, i) => C.fcmov(u, n, true, i), EFLAGS);
  });
  onRegister(0xd9, 0xe4, 1, 'ftst', (u) => C.ftst(u));
  onRegister(0xd9, 0xe5, 1, 'fxam', (u) => C.fxam(u));
}

function transferForms(): void {
  onMemory(0xd9, 0, 'fld', 4, 'read', (u) => T.loadFloat(u, F32));
  onMemory(0xdd, 0, 'fld', 8, 'read', (u) => T.loadFloat(u, F64));
  onMemory(0xdb, 5, 'fld', 10, 'read', (u) => T.loadExtended(u));
  onMemory(0xd9, 2, 'fst', 4, 'write', (u) => T.storeFloat(u, F32, false));
  onMemory(0xd9, 3, 'fstp', 4, 'write', (u) => T.storeFloat(u, F32, true));
  onMemory(0xdd, 2, 'fst', 8, 'write', (u) => T.storeFloat(u, F64, false));
  onMemory(0xdd, 3, 'fstp', 8, 'write', (u) => T.storeFloat(u, F64, true));
  onMemory(0xdb, 7, 'fstp', 10, 'write', (u) => T.storeExtended(u));
  const integers: [number, 2 | 4][] = [
    [0xdf, 2],
    [0xdb, 4],
  ];
  for (const [opcode, size] of integers) {
    onMemory(opcode, 0, 'fild', size, 'read', (u) => T.loadInteger(u, size));
    onMemory(opcode, 1, 'fisttp', size, 'write', (u) => T.storeInteger(u, size, true, true));
    onMemory(opcode, 2, 'fist', size, 'write', (u) => T.storeInteger(u, size, false, false));
    onMemory(opcode, 3, 'fistp', size, 'write', (u) => T.storeInteger(u, size, true, false));
  }
  onMemory(0xdf, 4, 'fbld', 10, 'read', (u) => T.loadBcd(u));
  onMemory(0xdf, 5, 'fild', 8, 'read', (u) => T.loadInteger(u, 8));
  onMemory(0xdf, 6, 'fbstp', 10, 'write', (u) => T.storeBcd(u));
  onMemory(0xdf, 7, 'fistp', 8, 'write', (u) => T.storeInteger(u, 8, true, false));
  onMemory(0xdd, 1, 'fisttp', 8, 'write', (u) => T.storeInteger(u, 8, true, true));
  onRegister(0xd9, 0xc0, 8, 'fld', (u, i) => T.loadStack(u, i));
  onRegister(0xd9, 0xc8, 8, 'fxch', (u, i) => T.fxch(u, i));
  onRegister(0xdd, 0xd0, 8, 'fst', (u, i) => T.storeStack(u, i, false));
  onRegister(0xdd, 0xd8, 8, 'fstp', (u, i) => T.storeStack(u, i, true));
  onRegister(0xdd, 0xc0, 8, 'ffree', (u, i) => T.ffree(u, i, false));
  ['fld1', 'fldl2t', 'fldl2e', 'fldpi', 'fldlg2', 'fldln2', 'fldz'].forEach((name, n) => {
    onRegister(0xd9, 0xe8 + n, 1, name, (u) => T.loadConstant(u, n));
  });
  onRegister(0xd9, 0xf6, 1, 'fdecstp', (u) => T.moveTop(u, -1));
  onRegister(0xd9, 0xf7, 1, 'fincstp', (u) => T.moveTop(u, 1));
  // Undocumented aliases.
  for (const opcode of [0xdd, 0xdf]) onRegister(opcode, 0xc8, 8, 'fxch', (u, i) => T.fxch(u, i));
  onRegister(0xdf, 0xc0, 8, 'ffreep', (u, i) => T.ffree(u, i, true));
  onRegister(0xd9, 0xd8, 8, 'fstpnce', (u, i) => T.storeStackQuietly(u, i));
  onRegister(0xdf, 0xd0, 16, 'fstp', (u, i) => T.storeStack(u, i, true));
}

function unaryForms(): void {
  const forms: [number, string, Run][] = [
    [0xe0, 'fchs', A.fchs],
    [0xe1, 'fabs', A.fabs],
    [0xf0, 'f2xm1', X.f2xm1],
    [0xf1, 'fyl2x', X.fyl2x],
    [0xf2, 'fptan', X.fptan],
    [0xf3, 'fpatan', X.fpatan],
    [0xf4, 'fxtract', A.fxtract],
    [0xf5, 'fprem1', (u) => A.fprem(u, true)],
    [0xf8, 'fprem', (u) => A.fprem(u, false)],
    [0xf9, 'fyl2xp1', X.fyl2xp1],
    [0xfa, 'fsqrt', A.fsqrt],
    [0xfb, 'fsincos', X.fsincos],
    [0xfc, 'frndint', A.frndint],
    [0xfd, 'fscale', A.fscale],
    [0xfe, 'fsin', (u) => X.fsin(u, false)],
    [0xff, 'fcos', (u) => X.fsin(u, true)],
  ];
  for (const [modrm, name, run] of forms) onRegister(0xd9, modrm, 1, name, run);
}

function controlForms(): void {
  const control = { waits: false, control: true };
  onRegister(0xd9, 0xd0, 1, 'fnop', () => {}, { control: true });
  onRegister(0xdb, 0xe2, 1, 'fnclex', K.fnclex, control);
  onRegister(0xdb, 0xe3, 1, 'fninit', K.fninit, control);
  // FENI, FDISI, FSETPM: no-operations since the 387.
  for (const modrm of [0xe0, 0xe1, 0xe4]) onRegister(0xdb, modrm, 1, 'fnop', () => {}, control);
  onRegister(0xdf, 0xe0, 1, 'fnstsw', K.fnstsw, { ...control, access: 'ax', bytes: 2, bytes16: 2 });
  onControl(0xd9, 4, 'fldenv', 28, 14, 'read', true, K.fldenv);
  onControl(0xd9, 5, 'fldcw', 2, 2, 'read', true, K.fldcw);
  onControl(0xd9, 6, 'fnstenv', 28, 14, 'write', false, K.fnstenv);
  onControl(0xd9, 7, 'fnstcw', 2, 2, 'write', false, K.fnstcw);
  onControl(0xdd, 4, 'frstor', 108, 94, 'read', true, K.frstor);
  onControl(0xdd, 6, 'fnsave', 108, 94, 'write', false, K.fnsave);
  onControl(0xdd, 7, 'fnstsw', 2, 2, 'write', false, K.fnstsw);
}

arithmeticForms();
compareForms();
transferForms();
unaryForms();
controlForms();

/** The operation of opcode D8..DF with this modrm byte, or undefined for #UD. */
export function x87Lookup(opcode: number, modrm: number): X87Op | undefined {
  return modrm >= 0xc0 ? register[(opcode & 7) * 64 + (modrm & 63)] : memory[(opcode & 7) * 8 + ((modrm >> 3) & 7)];
}

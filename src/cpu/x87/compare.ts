/** FCOM, FUCOM, FCOMI, FTST, FXAM, FCMOVcc. */
import {
  compare,
  EQUAL,
  F80,
  GREATER,
  KIND_FINITE,
  KIND_INFINITY,
  KIND_QNAN,
  KIND_SNAN,
  KIND_UNSUPPORTED,
  KIND_ZERO,
  LESS,
  unpackRaw,
  UNORDERED,
} from '../softfloat/index.ts';
import { FSW_C0, FSW_C1, FSW_C2, FSW_C3 } from './state.ts';
import type { X87Unit } from './unit.ts';

const CODES = FSW_C0 | FSW_C2 | FSW_C3;

/** C3 C2 C0: 000 greater, 001 less, 100 equal, 111 unordered. */
function codesOf(relation: number): number {
  if (relation === GREATER) return 0;
  if (relation === LESS) return FSW_C0;
  return relation === EQUAL ? FSW_C3 : CODES;
}

/** ZF, PF, CF at their places in RFLAGS, in the same pattern. */
function eflagsOf(relation: number): number {
  if (relation === GREATER) return 0;
  if (relation === LESS) return 0x01;
  return relation === EQUAL ? 0x40 : 0x45;
}

/** OF SF ZF AF PF CF. */
const EFLAGS_STATUS = 0x8d5;

export type CompareTarget = 'codes' | 'eflags';

function deliver(u: X87Unit, relation: number, target: CompareTarget): void {
  if (target === 'codes') u.setConditions(CODES, codesOf(relation));
  else u.eflags = (u.eflags & ~EFLAGS_STATUS) | eflagsOf(relation);
}

/** Compare ST(0) with ST(i), `quiet` for the FUCOM family, then pop `pops` times. */
export function compareStack(u: X87Unit, i: number, quiet: boolean, target: CompareTarget, pops: number): void {
  if (u.isEmpty(0) || u.isEmpty(i)) {
    const goOn = u.stackFault(false);
    deliver(u, UNORDERED, target);
    if (!goOn) return;
  } else if (!compareValues(u, u.st(0), u.st(i), quiet, target, 0)) {
    return;
  }
  for (let n = 0; n < pops; n++) u.pop();
}

/** Compare ST(0) with a memory operand; `operand` widens it and may raise DE. */
export function compareMemory(u: X87Unit, operand: () => bigint, pop: boolean): void {
  if (u.isEmpty(0)) {
    const goOn = u.stackFault(false);
    deliver(u, UNORDERED, 'codes');
    if (!goOn) return;
  } else {
    const b = operand();
    const operandFlags = u.env.flags;
    u.env.flags = 0;
    if (!compareValues(u, u.st(0), b, false, 'codes', operandFlags)) return;
  }
  if (pop) u.pop();
}

/** Deliver the relation even when an unmasked exception keeps the stack from being popped. @returns whether to pop. */
function compareValues(
  u: X87Unit,
  a: bigint,
  b: bigint,
  quiet: boolean,
  target: CompareTarget,
  flags: number,
): boolean {
  const relation = compare(u.env, F80, a, b, quiet);
  // A NaN outranks the memory operand's DE.
  if (relation !== UNORDERED) u.env.raise(flags);
  const c1 = target === 'eflags' ? u.state.fsw & FSW_C1 : 0;
  u.env.roundedUp = false;
  const goOn = u.commit();
  u.setConditions(FSW_C1, c1);
  deliver(u, relation, target);
  return goOn;
}

/** FTST: compare with +0. */
export function ftst(u: X87Unit): void {
  compareMemory(u, () => 0n, false);
}

/** FXAM: C1 = sign, C3 C2 C0 = class; never an exception. */
export function fxam(u: X87Unit): void {
  const a = unpackRaw(F80, u.st(0));
  let codes: number;
  if (u.isEmpty(0)) codes = FSW_C3 | FSW_C0;
  else if (a.kind === KIND_UNSUPPORTED) codes = 0;
  else if (a.kind === KIND_QNAN || a.kind === KIND_SNAN) codes = FSW_C0;
  else if (a.kind === KIND_INFINITY) codes = FSW_C2 | FSW_C0;
  else if (a.kind === KIND_ZERO) codes = FSW_C3;
  else codes = a.kind === KIND_FINITE && a.denormal ? FSW_C3 | FSW_C2 : FSW_C2;
  u.setConditions(CODES | FSW_C1, codes | (a.sign ? FSW_C1 : 0));
}

/** The conditions of FCMOVB/E/BE/U in the order of the encoding; the second opcode negates. */
const MOVE_CONDITIONS = [0x01, 0x40, 0x41, 0x04];

/** FCMOVcc ST(0), ST(i). C1 stays, as the vectors show; so it does for FCOMI. */
export function fcmov(u: X87Unit, condition: number, negate: boolean, i: number): void {
  if (u.isEmpty(0) || u.isEmpty(i)) {
    if (u.stackFault(false)) u.setSt(0, F80.defaultNaN);
    return;
  }
  const holds = (u.eflags & MOVE_CONDITIONS[condition]) !== 0;
  if (holds !== negate) u.setSt(0, u.st(i));
}

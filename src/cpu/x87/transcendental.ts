/** F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS: the instructions around functions.ts. */
import type { FloatEnv } from '../softfloat/index.ts';
import { F80, isNanLike, unpackRaw } from '../softfloat/index.ts';
import {
  arctangent,
  exponentialMinusOne,
  logarithm,
  logarithmPlusOne,
  outOfRange,
  sineCosine,
  tangent,
} from './functions.ts';
import { FSW_C1, FSW_C2 } from './state.ts';
import type { X87Unit } from './unit.ts';

/** 1.0, which FPTAN pushes. */
const ONE = 0x3fff8000000000000000n;

/** Transcendentals ignore precision control. */
function fullPrecision(u: X87Unit): void {
  u.env.precision = 64;
}

function emptyTop(u: X87Unit): boolean {
  if (!u.isEmpty(0)) return false;
  if (u.stackFault(false)) u.setSt(0, F80.defaultNaN);
  return true;
}

/** |x| >= 2^63: C2 = 1, nothing else happens; in all other cases, faults included, C2 = 0. */
function refuse(u: X87Unit): boolean {
  u.setConditions(FSW_C2, 0);
  if (u.isEmpty(0) || !outOfRange(u.st(0))) return false;
  u.setConditions(FSW_C1 | FSW_C2, FSW_C2);
  return true;
}

export function f2xm1(u: X87Unit): void {
  fullPrecision(u);
  if (emptyTop(u)) return;
  const result = exponentialMinusOne(u.env, u.st(0));
  if (u.commit()) u.setSt(0, result);
}

export function fsin(u: X87Unit, cosine: boolean): void {
  fullPrecision(u);
  if (refuse(u) || emptyTop(u)) return;
  const result = sineCosine(u.env, u.st(0), cosine ? 'cos' : 'sin');
  if (u.commit()) u.setSt(0, result);
}

/** Push after replacing ST(0); both need the stack check first. */
function replaceAndPush(u: X87Unit, compute: (bits: bigint) => { replaced: bigint; pushed: bigint }): void {
  fullPrecision(u);
  const underflow = u.isEmpty(0);
  if (underflow || !u.isEmpty(7)) {
    u.setConditions(FSW_C2, 0);
    if (!u.stackFault(!underflow)) return;
    u.setSt(0, F80.defaultNaN);
    u.push(F80.defaultNaN);
    return;
  }
  if (refuse(u)) return;
  const { replaced, pushed } = compute(u.st(0));
  if (!u.commit()) return;
  u.setSt(0, replaced);
  u.push(pushed);
}

export function fptan(u: X87Unit): void {
  replaceAndPush(u, (bits) => {
    const replaced = tangent(u.env, bits);
    // A NaN is pushed in place of 1.0, too.
    return { replaced, pushed: isNanLike(unpackRaw(F80, replaced)) ? replaced : ONE };
  });
}

export function fsincos(u: X87Unit): void {
  replaceAndPush(u, (bits) => {
    // C1 tells how the sine was rounded: it comes last.
    const pushed = sineCosine(u.env, bits, 'cos');
    const replaced = sineCosine(u.env, bits, 'sin');
    return { replaced, pushed };
  });
}

/** ST(1) = f(ST(0), ST(1)), pop. */
function binaryPop(u: X87Unit, f: (env: FloatEnv, st0: bigint, st1: bigint) => bigint): void {
  fullPrecision(u);
  if (u.isEmpty(0) || u.isEmpty(1)) {
    if (!u.stackFault(false)) return;
    u.setSt(1, F80.defaultNaN);
  } else {
    const result = f(u.env, u.st(0), u.st(1));
    if (!u.commit()) return;
    u.setSt(1, result);
  }
  u.pop();
}

export function fyl2x(u: X87Unit): void {
  binaryPop(u, logarithm);
}
export function fyl2xp1(u: X87Unit): void {
  binaryPop(u, logarithmPlusOne);
}
export function fpatan(u: X87Unit): void {
  binaryPop(u, arctangent);
}

/** Control words, environment images, FNSAVE and FRSTOR. */
import { F80, KIND_FINITE, KIND_ZERO, unpackRaw } from '../softfloat/index.ts';
import { FCW_INIT, FSW_B, FSW_ES, FSW_EXCEPTIONS, FSW_SF } from './state.ts';
import { read80, write80 } from './transfer.ts';
import type { X87Unit } from './unit.ts';

export function fninit(u: X87Unit): void {
  const s = u.state;
  s.fcw = FCW_INIT;
  s.fsw = 0;
  s.ftw = 0;
  s.fop = 0;
  s.fip = 0n;
  s.fdp = 0n;
  s.fcs = 0;
  s.fds = 0;
}

export function fnclex(u: X87Unit): void {
  u.state.fsw &= ~(FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
}

export function fldcw(u: X87Unit): void {
  u.loadFcw(u.operand.getUint16(0, true));
}

export function fnstcw(u: X87Unit): boolean {
  u.operand.setUint16(0, u.state.fcw, true);
  return true;
}

export function fnstsw(u: X87Unit): boolean {
  u.operand.setUint16(0, u.state.fsw, true);
  return true;
}

/** The two-bit tags of FSTENV by physical register: 00 valid, 01 zero, 10 special, 11 empty. */
export function fullTagWord(u: X87Unit): number {
  let tags = 0;
  for (let p = 0; p < 8; p++) {
    let tag = 3;
    if ((u.state.ftw >> p) & 1) {
      const a = unpackRaw(F80, u.state.getReg(p));
      tag = a.kind === KIND_ZERO ? 1 : a.kind === KIND_FINITE && !a.denormal ? 0 : 2;
    }
    tags |= tag << (2 * p);
  }
  return tags;
}

/** The inverse keeps only "not empty". */
function setTagWord(u: X87Unit, tags: number): void {
  let ftw = 0;
  for (let p = 0; p < 8; p++) if (((tags >> (2 * p)) & 3) !== 3) ftw |= 1 << p;
  u.state.ftw = ftw;
}

/**
 * The environment images (SDM vol. 1, figures 8-9 to 8-12), words or doublewords:
 *
 *   protected mode  FCW | FSW | FTW | FIP | FCS (+ FOP << 16) | FDP | FDS
 *   real mode       FCW | FSW | FTW | FIP 15..0 | FIP 31..16 << 12 + FOP | FDP 15..0 | FDP 31..16 << 12
 */
export function environmentBytes(u: X87Unit): number {
  return u.environment16 ? 14 : 28;
}

function storeEnvironment(u: X87Unit): void {
  const { operand, state } = u;
  const wide = !u.environment16;
  // The upper halves of the doubleword form read ones, except beside FIP, FCS and FDP.
  const put = (index: number, value: number, upper = 0xffff) => {
    if (!wide) operand.setUint16(2 * index, value, true);
    else operand.setUint32(4 * index, ((upper << 16) | (value & 0xffff)) >>> 0, true);
  };
  const fip = Number(state.fip & 0xffffffffn);
  const fdp = Number(state.fdp & 0xffffffffn);
  put(0, state.fcw);
  put(1, state.fsw);
  put(2, fullTagWord(u));
  if (u.environmentProtected) {
    put(3, fip, fip >>> 16);
    put(4, state.fcs, state.fop & 0x7ff);
    put(5, fdp, fdp >>> 16);
    put(6, state.fds);
    return;
  }
  const linearIp = (fip + state.fcs * 16) >>> 0;
  const linearDp = (fdp + state.fds * 16) >>> 0;
  const ipHigh = (linearIp >>> 16) << 12;
  const dpHigh = (linearDp >>> 16) << 12;
  put(3, linearIp, 0);
  put(4, ipHigh | (state.fop & 0x7ff), ipHigh >>> 16);
  put(5, linearDp, 0);
  put(6, dpHigh, dpHigh >>> 16);
}

function loadEnvironment(u: X87Unit): void {
  const { operand, state } = u;
  const wide = !u.environment16;
  const get = (index: number) => (wide ? operand.getUint32(4 * index, true) : operand.getUint16(2 * index, true));
  state.fsw = get(1) & 0xffff;
  setTagWord(u, get(2) & 0xffff);
  u.loadFcw(get(0) & 0xffff);
  if (u.environmentProtected) {
    state.fip = BigInt(get(3));
    state.fcs = get(4) & 0xffff;
    if (wide) state.fop = (get(4) >>> 16) & 0x7ff;
    state.fdp = BigInt(get(5));
    state.fds = get(6) & 0xffff;
    return;
  }
  state.fip = BigInt((((get(4) >>> 12) << 16) | (get(3) & 0xffff)) >>> 0);
  state.fop = get(4) & 0x7ff;
  state.fdp = BigInt((((get(6) >>> 12) << 16) | (get(5) & 0xffff)) >>> 0);
  state.fcs = 0;
  state.fds = 0;
}

/** FNSTENV: stores, then masks every exception. */
export function fnstenv(u: X87Unit): boolean {
  storeEnvironment(u);
  u.loadFcw(u.state.fcw | FSW_EXCEPTIONS);
  return true;
}

export function fldenv(u: X87Unit): void {
  loadEnvironment(u);
}

/** FNSAVE: environment, then ST(0)..ST(7), 10 bytes each; then FNINIT (see `afterSave`). */
export function fnsave(u: X87Unit): boolean {
  storeEnvironment(u);
  const base = environmentBytes(u);
  for (let i = 0; i < 8; i++) write80(u, u.st(i), base + 10 * i);
  fninit(u);
  return true;
}

export function frstor(u: X87Unit): void {
  loadEnvironment(u);
  const base = environmentBytes(u);
  for (let i = 0; i < 8; i++) u.state.setReg(u.physical(i), read80(u, base + 10 * i));
}

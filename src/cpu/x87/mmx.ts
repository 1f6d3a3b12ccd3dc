/** What MMX does to the x87 state (SDM vol. 1, 9.5): its registers are the physical registers' low 64 bits. */
import type { X87State } from './state.ts';
import { FSW_TOP } from './state.ts';

/** Before every MMX instruction but EMMS: TOP = 0, all registers tagged valid. */
export function enterMmx(state: X87State): void {
  state.fsw &= ~FSW_TOP;
  state.ftw = 0xff;
}

/** EMMS: TOP = 0 (as recorded on silicon), all registers empty. */
export function emms(state: X87State): void {
  state.fsw &= ~FSW_TOP;
  state.ftw = 0;
}

export function readMmx(state: X87State, n: number): bigint {
  return BigInt.asUintN(64, state.getReg(n));
}

/** Writing sets sign and exponent to ones. */
export function writeMmx(state: X87State, n: number, value: bigint): void {
  state.setReg(n, 0xffff0000000000000000n | BigInt.asUintN(64, value));
}

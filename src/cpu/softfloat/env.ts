/**
 * The floating-point environment: what an operation must know, and what it reports.
 *
 * Flags have the layout shared by MXCSR and the x87 status word (SDM vol. 1, 8.1.3 and 10.2.3):
 *
 *     5    4    3    2    1    0
 *   | PE | UE | OE | ZE | DE | IE |
 */
export const FLAG_INVALID = 0x01;
export const FLAG_DENORMAL = 0x02;
export const FLAG_DIV_ZERO = 0x04;
export const FLAG_OVERFLOW = 0x08;
export const FLAG_UNDERFLOW = 0x10;
export const FLAG_INEXACT = 0x20;
/** Found before computing; unmasked, they keep the result from being computed (SDM vol. 1, 4.9.2). */
export const FLAGS_PRE = FLAG_INVALID | FLAG_DENORMAL | FLAG_DIV_ZERO;
/** Found while rounding. */
export const FLAGS_POST = FLAG_OVERFLOW | FLAG_UNDERFLOW | FLAG_INEXACT;
export const FLAGS_ALL = 0x3f;

/** Rounding control, with the encoding of MXCSR.RC, FCW.RC and the imm8 of ROUNDxx. */
export const ROUND_NEAREST = 0;
export const ROUND_DOWN = 1;
export const ROUND_UP = 2;
export const ROUND_ZERO = 3;

/** Which operand a NaN result is taken from: SDM vol. 1, table 4-7. */
export type NanRule = 'sse' | 'x87';

/** Rounding and masks going in, exception flags coming out (accumulated by or). */
export class FloatEnv {
  /** ROUND_NEAREST ... ROUND_ZERO. */
  rounding = ROUND_NEAREST;
  /** Significand bits an f80 result is rounded to: 24, 53 or 64 (x87 precision control). */
  precision = 64;
  /** Set bit = exception masked. Matters only to underflow and overflow here. */
  masks = FLAGS_ALL;
  /** Tiny results become zero when underflow is masked (MXCSR.FZ). */
  flushToZero = false;
  /** Denormal operands count as zero (MXCSR.DAZ). */
  denormalsAreZero = false;
  nanRule: NanRule = 'sse';
  /** Accumulated FLAG_* bits. */
  flags = 0;
  /** The last rounding made the magnitude larger: x87's C1. */
  roundedUp = false;

  /** Set everything an MXCSR value says; clears the flags (they are the caller's to accumulate). */
  loadMxcsr(mxcsr: number): this {
    this.rounding = (mxcsr >> 13) & 3;
    this.precision = 64;
    this.masks = (mxcsr >> 7) & FLAGS_ALL;
    this.flushToZero = (mxcsr & 0x8000) !== 0;
    this.denormalsAreZero = (mxcsr & 0x40) !== 0;
    this.nanRule = 'sse';
    this.flags = 0;
    this.roundedUp = false;
    return this;
  }

  /** Set everything an x87 control word says; clears the flags. PC = 01 is reserved and taken as 64 bits. */
  loadFcw(fcw: number): this {
    this.rounding = (fcw >> 10) & 3;
    const pc = (fcw >> 8) & 3;
    this.precision = pc === 0 ? 24 : pc === 2 ? 53 : 64;
    this.masks = fcw & FLAGS_ALL;
    this.flushToZero = false;
    this.denormalsAreZero = false;
    this.nanRule = 'x87';
    this.flags = 0;
    this.roundedUp = false;
    return this;
  }

  raise(flags: number): void {
    this.flags |= flags;
  }

  /** True when this exception is masked. */
  masked(flag: number): boolean {
    return (this.masks & flag) !== 0;
  }
}

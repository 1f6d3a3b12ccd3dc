/**
 * SSE, AVX, FMA and F16C floating point on whole vectors, lane by lane and exactly.
 *
 * One `SseUnit` serves one instruction at a time:
 *
 *   unit.begin(mxcsr);                               // rounding, masks, DAZ, FTZ
 *   const value = unit.packed('add', F32, 4, a, b);  // any number of lane or vector operations
 *   const flags = unit.finish();                     // OR these into MXCSR, even before a fault
 *   if (unit.fault) raise #XM (the destination is not written); else write value
 *
 * Vectors are unsigned `bigint`s with lane 0 in the low bits. Flags of all lanes are or-ed; when an unmasked
 * pre-computation exception (IE, DE, ZE) occurred in any lane, no post-computation exception (OE, UE, PE) is
 * reported for any (Intel SDM vol. 1, 11.5.2; agrees with the recorded vectors).
 */
import { add, div, fma, type FmaSigns, mul, sqrt, sub } from './arithmetic.ts';
import { compare, comparePredicate, EQUAL, GREATER, LESS, minMax, UNORDERED } from './compare.ts';
import { convert, fromInteger, roundToIntegral, toInteger } from './convert.ts';
import { FLAGS_POST, FLAGS_PRE, FloatEnv, ROUND_ZERO } from './env.ts';
import type { FloatFormat } from './format.ts';
import { F16, F32, F64 } from './format.ts';
import { fastBinary, fastSqrt } from './fast.ts';

export type SseBinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max';

/** Lane `index` of a vector of `width`-bit lanes. */
export function lane(vector: bigint, width: number, index: number): bigint {
  return BigInt.asUintN(width, vector >> BigInt(width * index));
}

/** `vector` with lane `index` replaced. */
export function withLane(vector: bigint, width: number, index: number, value: bigint): bigint {
  const shift = BigInt(width * index);
  return vector ^ ((lane(vector, width, index) ^ value) << shift);
}

export class SseUnit {
  readonly env = new FloatEnv();
  /** After `finish`: an unmasked exception occurred. */
  fault = false;
  /** Flags of earlier steps of an instruction of several, which a later step's unmasked exception does not take back. */
  private reported = 0;

  begin(mxcsr: number): this {
    this.env.loadMxcsr(mxcsr);
    this.fault = false;
    this.reported = 0;
    return this;
  }

  /** The flags to set in MXCSR; sets `fault`. */
  finish(): number {
    const unmasked = ~this.env.masks;
    let flags = this.env.flags;
    if (flags & FLAGS_PRE & unmasked) flags = (flags & ~FLAGS_POST) | this.reported;
    this.fault = (flags & unmasked) !== 0;
    return flags;
  }

  /** One lane of a two-operand operation. */
  binary(op: SseBinaryOp, format: FloatFormat, a: bigint, b: bigint): bigint {
    if (op === 'min') return minMax(this.env, format, a, b, LESS);
    if (op === 'max') return minMax(this.env, format, a, b, GREATER);
    const fast = fastBinary(this.env, format, op, a, b);
    if (fast >= 0n) return fast;
    if (op === 'add') return add(this.env, format, a, b);
    if (op === 'sub') return sub(this.env, format, a, b);
    return op === 'mul' ? mul(this.env, format, a, b) : div(this.env, format, a, b);
  }

  sqrt(format: FloatFormat, a: bigint): bigint {
    const fast = fastSqrt(this.env, format, a);
    return fast >= 0n ? fast : sqrt(this.env, format, a);
  }

  /** Apply `each` to lanes 0..lanes-1 and assemble the results. */
  map(resultWidth: number, lanes: number, each: (index: number) => bigint): bigint {
    let result = 0n;
    for (let i = 0; i < lanes; i++) result |= each(i) << BigInt(resultWidth * i);
    return result;
  }

  /** ADDPS ... MAXPD. */
  packed(op: SseBinaryOp, format: FloatFormat, lanes: number, a: bigint, b: bigint): bigint {
    const w = format.width;
    return this.map(w, lanes, (i) => this.binary(op, format, lane(a, w, i), lane(b, w, i)));
  }

  /** SQRTPS, SQRTPD. */
  packedSqrt(format: FloatFormat, lanes: number, a: bigint): bigint {
    return this.map(format.width, lanes, (i) => this.sqrt(format, lane(a, format.width, i)));
  }

  /** ADDSUBPS, ADDSUBPD: even lanes subtract, odd lanes add. */
  addSub(format: FloatFormat, lanes: number, a: bigint, b: bigint): bigint {
    const w = format.width;
    return this.map(w, lanes, (i) => this.binary(i & 1 ? 'add' : 'sub', format, lane(a, w, i), lane(b, w, i)));
  }

  /** HADDPS ... HSUBPD, each 128-bit half by itself. */
  horizontal(op: 'add' | 'sub', format: FloatFormat, lanes: number, a: bigint, b: bigint): bigint {
    const w = format.width;
    const perHalf = 128 / w;
    return this.map(w, lanes, (i) => {
      const within = i % perHalf;
      const source = within < perHalf / 2 ? a : b;
      const first = i - within + 2 * (within % (perHalf / 2));
      return this.binary(op, format, lane(source, w, first), lane(source, w, first + 1));
    });
  }

  /** CMPPS ... with predicate 0..31: all ones or zero a lane. */
  compareMask(format: FloatFormat, lanes: number, a: bigint, b: bigint, predicate: number): bigint {
    const w = format.width;
    const ones = (1n << BigInt(w)) - 1n;
    return this.map(w, lanes, (i) =>
      comparePredicate(this.env, format, lane(a, w, i), lane(b, w, i), predicate) ? ones : 0n,
    );
  }

  /** (U)COMISS/SD: ZF, PF, CF at their places in RFLAGS (bits 6, 2, 0); OF, SF and AF become 0. */
  compareFlags(format: FloatFormat, a: bigint, b: bigint, quiet: boolean): number {
    const relation = compare(this.env, format, a, b, quiet);
    return relation === UNORDERED ? 0x45 : relation === LESS ? 0x01 : relation === EQUAL ? 0x40 : 0;
  }

  /** ROUNDPS ...: imm8 | PE suppressed (3) | use MXCSR.RC (2) | RC (1..0) |. */
  round(format: FloatFormat, lanes: number, a: bigint, imm: number): bigint {
    const rounding = imm & 4 ? this.env.rounding : imm & 3;
    const w = format.width;
    return this.map(w, lanes, (i) => roundToIntegral(this.env, format, lane(a, w, i), rounding, (imm & 8) !== 0));
  }

  /**
   * DPPS, DPPD: imm8 high nibble selects the products, low nibble the lanes that receive the sum; 128-bit halves. Products and
   * each level of sums are steps: a step whose exceptions are not masked is the last, and keeps what the ones before reported
   * (measured).
   */
  dotProduct(format: FloatFormat, lanes: number, a: bigint, b: bigint, imm: number): bigint {
    const w = format.width;
    const perHalf = 128 / w;
    const wanted = (i: number): boolean => ((imm >> (4 + (i % perHalf))) & 1) !== 0;
    let terms = Array.from({ length: lanes }, (_, i) =>
      wanted(i) ? this.binary('mul', format, lane(a, w, i), lane(b, w, i)) : 0n,
    );
    for (let left = perHalf; left > 1; left /= 2) {
      if (this.env.flags & ~this.env.masks) return 0n;
      this.reported |= this.env.flags & FLAGS_POST;
      terms = Array.from({ length: terms.length / 2 }, (_, i) =>
        this.binary('add', format, terms[2 * i]!, terms[2 * i + 1]!),
      );
    }
    let result = 0n;
    for (let i = 0; i < lanes; i++) {
      if ((imm >> (i % perHalf)) & 1) result |= terms[Math.floor(i / perHalf)]! << BigInt(w * i);
    }
    return result;
  }

  /** CVTPS2PD, CVTPD2PS, CVTSS2SD, CVTSD2SS. */
  convertFloat(from: FloatFormat, to: FloatFormat, lanes: number, a: bigint): bigint {
    return this.map(to.width, lanes, (i) => convert(this.env, from, to, lane(a, from.width, i)));
  }

  /** VCVTPH2PS: DAZ is ignored and denormals raise nothing (SDM vol. 2). */
  convertFromHalf(lanes: number, a: bigint): bigint {
    const { denormalsAreZero, flags } = this.env;
    this.env.denormalsAreZero = false;
    const value = this.convertFloat(F16, F32, lanes, a);
    this.env.denormalsAreZero = denormalsAreZero;
    this.env.flags = flags | (this.env.flags & 1);
    return value;
  }

  /** VCVTPS2PH: imm8 | use MXCSR.RC (2) | RC (1..0) |; FTZ is ignored. */
  convertToHalf(lanes: number, a: bigint, imm: number): bigint {
    const { rounding, flushToZero } = this.env;
    if (!(imm & 4)) this.env.rounding = imm & 3;
    this.env.flushToZero = false;
    const value = this.convertFloat(F32, F16, lanes, a);
    this.env.rounding = rounding;
    this.env.flushToZero = flushToZero;
    return value;
  }

  /** CVTxS2DQ, CVTxD2DQ, CVTxS2SI and their truncating forms: signed integers of 32 or 64 bits. */
  toIntegers(format: FloatFormat, width: 32 | 64, lanes: number, a: bigint, truncate: boolean): bigint {
    const rounding = truncate ? ROUND_ZERO : this.env.rounding;
    const target = { width, signed: true } as const;
    return this.map(width, lanes, (i) => toInteger(this.env, format, lane(a, format.width, i), target, rounding));
  }

  /** CVTDQ2PS, CVTDQ2PD, CVTSI2SS, CVTSI2SD: from signed integers of 32 or 64 bits. */
  fromIntegers(width: 32 | 64, format: FloatFormat, lanes: number, a: bigint): bigint {
    return this.map(format.width, lanes, (i) => fromInteger(this.env, format, BigInt.asIntN(width, lane(a, width, i))));
  }

  /**
   * One lane of an FMA3 instruction with its operands in Intel's order: op1 (destination), op2, op3.
   * `order` is 132, 213 or 231: the two factors, then the addend.
   */
  fma(format: FloatFormat, order: FmaOrder, signs: FmaSigns, op1: bigint, op2: bigint, op3: bigint): bigint {
    if (order === 132) return fma(this.env, format, op1, op3, op2, signs);
    return order === 213 ? fma(this.env, format, op2, op1, op3, signs) : fma(this.env, format, op2, op3, op1, signs);
  }
}

export type FmaOrder = 132 | 213 | 231;

export interface SseLaneResult {
  value: bigint;
  /** FLAG_* bits as this lane alone would report them. */
  flags: number;
}

const single = new SseUnit();

/** One lane by itself, for callers that combine lanes on their own with `combineFlags`. */
export function sseBinary(op: SseBinaryOp, a: bigint, b: bigint, format: FloatFormat, mxcsr: number): SseLaneResult {
  single.begin(mxcsr);
  const value = single.binary(op, format, a, b);
  return { value, flags: single.env.flags };
}

/** What an instruction reports for the or of its lanes' flags: flags for MXCSR, and whether #XM follows. */
export function combineFlags(laneFlags: number, mxcsr: number): { flags: number; fault: boolean } {
  const unmasked = ~(mxcsr >> 7) & 0x3f;
  const flags = laneFlags & FLAGS_PRE & unmasked ? laneFlags & ~FLAGS_POST : laneFlags;
  return { flags, fault: (flags & unmasked) !== 0 };
}

/**
 * RCPPS and RSQRTPS for one f32: the correctly rounded value cut to 12 significant bits after the leading one,
 * well inside the architecture's bound of 1.5 * 2^-12. No flags, MXCSR ignored; denormals count as zero.
 */
export function approximateReciprocal(bits: bigint, squareRoot: boolean): bigint {
  const env = new FloatEnv();
  env.denormalsAreZero = true;
  env.flushToZero = true;
  const magnitude = bits & 0x7fffffffn;
  if (magnitude > F32.infinity) return bits | F32.quietBit;
  const one = 0x3ff0000000000000n;
  const wide = convert(env, F32, F64, bits);
  const root = squareRoot ? sqrt(env, F64, wide) : wide;
  const exact = div(env, F64, one, root);
  const rounded = convert(env, F64, F32, exact);
  if ((rounded & 0x7fffffffn) >= F32.infinity) return rounded;
  // 11 low bits dropped, rounding to nearest: a carry into the exponent is right, too.
  return (rounded + 0x400n) & ~0x7ffn & 0xffffffffn;
}

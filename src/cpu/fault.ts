/**
 * Guest exceptions raised from inside an instruction, wherever it is executed.
 *
 * One object is thrown again and again: it crosses WebAssembly frames, costs no stack trace, and its fields
 * say what to deliver. Only the run loop catches it. An instruction must not have changed guest state
 * that it does not intend to keep before it raises (Intel SDM 3A 6.5, faults are restartable).
 */

/** Exception vectors, Intel SDM 3A table 6-1. */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

export class GuestFault {
  vector = 0;
  /** Error code, or -1 for vectors that push none. */
  error = -1;
  /** Faulting linear address for #PF. */
  cr2 = 0n;
}

/** The one instance. */
export const FAULT = new GuestFault();

/** Raises exception `vector` for the current instruction. Never returns. */
export function raise(vector: number, error = -1): never {
  FAULT.vector = vector;
  FAULT.error = error;
  throw FAULT;
}

/** Raises a page fault: `error` is the code of Intel SDM 3A 4.7 (P=1, W=2, U=4, RSVD=8, I/D=16). */
export function raisePageFault(linear: bigint, error: number): never {
  FAULT.vector = VECTOR.PF;
  FAULT.error = error;
  FAULT.cr2 = linear;
  throw FAULT;
}

/** Error numbers of Xen's interface (xen/include/public/errno.h). Hypercalls return them negated. */
export const E = {
  PERM: 1,
  NOENT: 2,
  SRCH: 3,
  INTR: 4,
  IO: 5,
  NXIO: 6,
  '2BIG': 7,
  BADF: 9,
  AGAIN: 11,
  NOMEM: 12,
  ACCES: 13,
  FAULT: 14,
  BUSY: 16,
  EXIST: 17,
  XDEV: 18,
  NODEV: 19,
  ISDIR: 21,
  INVAL: 22,
  NFILE: 23,
  MFILE: 24,
  NOSPC: 28,
  ROFS: 30,
  MLINK: 31,
  DOM: 33,
  RANGE: 34,
  DEADLK: 35,
  NOSYS: 38,
  NOTEMPTY: 39,
  NODATA: 61,
  OVERFLOW: 75,
  ILSEQ: 84,
  OPNOTSUPP: 95,
} as const;

/** What `fail` throws: no Error, because a stack trace costs more than the whole hypercall. */
export class Errno {
  readonly code: number;
  constructor(code: number) {
    this.code = code;
  }
}

const ERRNOS = new Map<number, Errno>(Object.values(E).map((code) => [code, new Errno(code)]));

/** Ends the hypercall in progress with `-code`. */
export function fail(code: number): never {
  throw ERRNOS.get(code)!;
}

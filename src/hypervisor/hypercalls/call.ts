import type { Domain } from '../domain.ts';
import type { GuestAccess } from '../guest-access.ts';
import type { Xen } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { E, fail } from '../abi/errno.ts';
import { DOMID } from '../abi/xen.ts';

/**
 * Most elements of an array that one hypercall works through. Xen preempts long ones; here a guest that asks for more
 * (no known guest does) is refused with -E2BIG, so that it cannot hold up the machine for more than a moment.
 */
export const MAX_BATCH = 1 << 16;

/** The hypercall in progress: who makes it, and its arguments as they lie in the registers. */
export class Call {
  readonly xen: Xen;
  readonly guest: GuestAccess;
  vcpu!: Vcpu;
  nr = 0;
  /** Six arguments, low and high words. A 32-bit caller's high words are 0. */
  readonly words = new Uint32Array(12);

  constructor(xen: Xen, guest: GuestAccess) {
    this.xen = xen;
    this.guest = guest;
  }

  get domain(): Domain {
    return this.vcpu.domain;
  }

  /** Argument `i` as `unsigned int`. */
  u32(i: number): number {
    return this.words[i * 2];
  }
  i32(i: number): number {
    return this.words[i * 2] | 0;
  }
  /** Argument `i` as `unsigned long` or guest handle. */
  long(i: number): bigint {
    const high = this.words[i * 2 + 1];
    const low = BigInt(this.words[i * 2]);
    return high === 0 ? low : (BigInt(high) << 32n) | low;
  }
  /** As `long`, as a number: exact to 2^53. */
  num(i: number): number {
    return this.words[i * 2] + this.words[i * 2 + 1] * 0x1_0000_0000;
  }

  /** The domain that `domid` names for this caller. @throws Errno ESRCH */
  target(domid: number): Domain {
    if (domid === DOMID.SELF) return this.domain;
    return this.xen.find(domid) ?? fail(E.SRCH);
  }

  /**
   * As `target`, for operations that a guest may do to itself only, and Domain 0 to any (XSM_TARGET).
   * @throws Errno ESRCH, EPERM
   */
  ownTarget(domid: number): Domain {
    const domain = this.target(domid);
    if (domain !== this.domain && !this.privileged) fail(E.PERM);
    return domain;
  }

  get privileged(): boolean {
    return this.domain.id === 0;
  }

  /** Says on the log that the guest asked for something there is not. @returns -ENOSYS */
  unimplemented(sub: number, code: number = E.NOSYS): number {
    this.xen.log.emit('unimplemented', { what: 'suboperation', nr: this.nr, sub: sub >>> 0 });
    return -code;
  }
}

/** What a hypercall does. @returns its result; negative errnos by value or by `fail` */
export type Handler = (call: Call) => number | bigint;

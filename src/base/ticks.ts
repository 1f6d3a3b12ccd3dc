/**
 * The one clock (DESIGN C1): a count of retired guest instructions over all processors of a machine.
 * One tick is also one nanosecond of virtual time and one cycle of the virtual time stamp counter.
 * Held as a JavaScript integer, exact to 2^53 (104 days of virtual time).
 */
export type Ticks = number & { readonly __unit: 'ticks' };

/** Virtual ticks in one virtual second: the guest's TSC runs at 1 GHz. */
export const TICKS_PER_SECOND = 1_000_000_000;

/** Marks a plain integer as ticks. @throws RangeError if it is not a non-negative safe integer. */
export function ticks(n: number): Ticks {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`not a tick count: ${n}`);
  return n as Ticks;
}

/** `t + n`, staying in the type. */
export function addTicks(t: Ticks, n: number): Ticks {
  return (t + n) as Ticks;
}

/** A moment that never comes: the alarm of a timer that is off. */
export const NEVER = Number.MAX_SAFE_INTEGER as Ticks;

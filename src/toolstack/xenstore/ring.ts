import { BadGuestAddress, type GuestPhysical } from '../../memory/p2m.ts';
import { PAGE_SIZE } from '../../memory/frames.ts';

export const STORE_RING_BYTES = 1024;

/** error field of the ring page: XENSTORE_ERROR_*. */
export const RingError = { NONE: 0, COMM: 1, RING_INDEX: 2, PROTOCOL: 3 } as const;

/** The guest made its ring unusable. `reason` is a RingError. */
export class BadRing extends Error {
  readonly reason: number;
  constructor(reason: number, what: string) {
    super(`xenstore ring: ${what}`);
    this.name = 'BadRing';
    this.reason = reason;
  }
}

/**
 * struct xenstore_domain_interface, one page of the guest (xs_wire.h). Indexes run freely and are taken modulo 1024.
 *
 *      0        1024     2048      2052      2056      2060      2064      2068        2072   2076
 *     ┌────────┬────────┬─────────┬─────────┬─────────┬─────────┬─────────┬───────────┬──────┬─────────┐
 *     │ req    │ rsp    │req_cons │req_prod │rsp_cons │rsp_prod │features │connection │error │evtchn   │
 *     └────────┴────────┴─────────┴─────────┴─────────┴─────────┴─────────┴───────────┴──────┴─────────┘
 */
export class StoreRing {
  readonly #memory: GuestPhysical;
  readonly #base: number;

  constructor(memory: GuestPhysical, gfn: number) {
    this.#memory = memory;
    this.#base = gfn * PAGE_SIZE;
  }

  /** @returns up to `most` bytes of requests, none if there are none @throws BadRing */
  take(most: number): Uint8Array {
    return this.#guarded(() => {
      const [consumer, used] = this.#indexes(2048);
      const bytes = this.#transfer(consumer, Math.min(most, used), (at, n) => this.#memory.read(this.#base + at, n));
      if (bytes.length > 0) this.#memory.writeU32(this.#base + 2048, (consumer + bytes.length) >>> 0);
      return bytes;
    });
  }

  /** Puts as much of `bytes` as fits into the response ring. @returns how many bytes @throws BadRing */
  put(bytes: Uint8Array): number {
    return this.#guarded(() => {
      const [consumer, used] = this.#indexes(2056);
      const count = Math.min(bytes.length, STORE_RING_BYTES - used);
      const producer = (consumer + used) >>> 0;
      let done = 0;
      this.#transfer(producer, count, (at, n) => {
        this.#memory.write(this.#base + STORE_RING_BYTES + at, bytes.subarray(done, (done += n)));
        return new Uint8Array(0);
      });
      if (count > 0) this.#memory.writeU32(this.#base + 2060, (producer + count) >>> 0);
      return count;
    });
  }

  /** At introduction: both rings empty, and a guest that waits for a reconnection is told that it is done. */
  reset(): { reconnected: boolean } {
    return this.#guarded(() => {
      for (const at of [2048, 2052, 2056, 2060]) this.#memory.writeU32(this.#base + at, 0);
      const reconnected = this.#memory.readU32(this.#base + 2068) === 1;
      if (reconnected) this.#memory.writeU32(this.#base + 2068, 0);
      return { reconnected };
    });
  }

  setError(reason: number): void {
    this.#guarded(() => this.#memory.writeU32(this.#base + 2072, reason));
  }

  /** Consumer index of a ring and the bytes in it. */
  #indexes(at: number): [consumer: number, used: number] {
    const consumer = this.#memory.readU32(this.#base + at);
    const used = (this.#memory.readU32(this.#base + at + 4) - consumer) >>> 0;
    if (used > STORE_RING_BYTES) throw new BadRing(RingError.RING_INDEX, `${used} bytes between its indexes`);
    return [consumer, used];
  }

  /** Splits `count` bytes from free-running `index` at the ring's end. */
  #transfer(index: number, count: number, part: (at: number, n: number) => Uint8Array): Uint8Array {
    const at = index % STORE_RING_BYTES;
    const first = Math.min(count, STORE_RING_BYTES - at);
    const parts = [part(at, first), ...(count > first ? [part(0, count - first)] : [])];
    if (parts.length === 1) return parts[0]!;
    const whole = new Uint8Array(parts[0]!.length + parts[1]!.length);
    whole.set(parts[0]!);
    whole.set(parts[1]!, parts[0]!.length);
    return whole;
  }

  #guarded<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (error instanceof BadGuestAddress) throw new BadRing(RingError.COMM, 'its page is gone');
      throw error;
    }
  }
}

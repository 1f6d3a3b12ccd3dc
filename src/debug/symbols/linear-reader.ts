import type { GuestPhysical } from '../../memory/p2m.ts';
import { View } from '../../memory/tlb.ts';
import { Access, PageWalker, type PagingState } from '../../memory/walk.ts';

/** Bytes at a linear address; undefined if any of them is not mapped to RAM. */
export type ReadLinear = (linear: bigint, length: number) => Uint8Array | undefined;

const PAGE = 4096n;

/**
 * Reads a vcpu's linear memory the way nobody notices: with its page tables but past its TLB, and without the accessed
 * bits that a walk of the processor would set.
 * @param paging the vcpu's control registers, as they are at the time of each read
 */
export function linearReader(paging: PagingState, memory: GuestPhysical): ReadLinear {
  const { p2m, machine } = memory;
  const frameOf = (gfn: number): Uint8Array | undefined => {
    const mfn = p2m.mfn(gfn);
    return mfn < 0 ? undefined : machine.frame(mfn);
  };
  const walker = new PageWalker({
    read32(gpa) {
      const frame = frameOf(Math.floor(gpa / 4096));
      if (!frame) return 0xffffffff;
      const at = gpa & 4095;
      return (frame[at]! | (frame[at + 1]! << 8) | (frame[at + 2]! << 16) | (frame[at + 3]! << 24)) >>> 0;
    },
    write32() {},
  });
  const page = (linear: bigint): Uint8Array | undefined => {
    if (BigInt.asUintN(64, BigInt.asIntN(48, linear)) !== linear) return undefined;
    const low = Number(linear & 0xffffffffn);
    const high = Number(linear >> 32n);
    return walker.walk(paging, low, high, Access.READ, View.SUPERVISOR_AC) === 0 ? frameOf(walker.gfn) : undefined;
  };
  return (linear, length) => {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const address = BigInt.asUintN(64, linear + BigInt(done));
      const frame = page(address & ~(PAGE - 1n));
      if (!frame) return undefined;
      const offset = Number(address & (PAGE - 1n));
      const part = frame.subarray(offset, Math.min(4096, offset + length - done));
      out.set(part, done);
      done += part.length;
    }
    return out;
  };
}

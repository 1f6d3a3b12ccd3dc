/** Questions about a recording that are answered by running parts of it again. */
import type { WatchedBytes } from '../src/cpu/engine/debug-taps.ts';
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import type { Session } from '../src/session.ts';
import { contents, translate, translatePhysical } from '../src/inspect/places.ts';
import { findLast, type Hit } from './scan.ts';
import { finish } from './step.ts';
import type { Timeline } from './timeline.ts';

/** Memory that somebody asks about. */
export interface Watched {
  readonly domain: number;
  readonly vcpu: number;
  readonly address: bigint;
  readonly length: number;
  /** The address is guest-physical. */
  readonly physical?: boolean;
}

/** A write, and what it changed. */
export interface Write extends Hit {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export function vcpuOf(session: Session, { domain, vcpu }: Pick<Watched, 'domain' | 'vcpu'>): Vcpu | undefined {
  return session.xen.find(domain)?.vcpus[vcpu];
}

/** Where the memory lies in machine frames now; empty if it is not mapped. */
export function bytesOf(session: Session, watched: Watched): WatchedBytes[] {
  const vcpu = vcpuOf(session, watched);
  if (!vcpu) return [];
  return watched.physical
    ? translatePhysical(vcpu, Number(watched.address), watched.length)
    : translate(session, vcpu, watched.address, watched.length);
}

/**
 * The last write to `watched` before tick `before`, or undefined if nothing was written since the domain was built.
 * Stores of the same value count; what the hypervisor and back ends write does too. Which machine memory a virtual
 * address means is asked at `before`, so that times at which it was not mapped are searched as well.
 */
export function whoWrote(timeline: Timeline, watched: Watched, before: number): Write | undefined {
  return finish(findWrite(timeline, watched, before));
}

/** `whoWrote` in pieces. */
export function* findWrite(timeline: Timeline, watched: Watched, before: number): Generator<void, Write | undefined> {
  timeline.seek(before);
  const place = bytesOf(timeline.session, watched);
  if (place.length === 0) throw new RangeError(`0x${watched.address.toString(16)} is not mapped at tick ${before}`);
  const interest = { breakpoints: [], watches: [() => place] };
  const hit = yield* findLast(timeline, before, interest);
  if (hit === undefined) return undefined;
  // A write from outside is noted when it is done.
  timeline.seek(hit.outside ? Math.max(0, hit.tick - 1) : hit.tick);
  const was = contents(timeline.session, place);
  timeline.seek(hit.tick + 1);
  const after = contents(timeline.session, place);
  timeline.seek(hit.tick);
  return { ...hit, before: was, after };
}

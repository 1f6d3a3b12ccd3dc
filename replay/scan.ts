/**
 * Finding the first or last moment at which something happens, by running pieces of the timeline with listeners in
 * the engine. They only take notes, so what runs is the recording, and the place found is then simply sought.
 *
 * Everything here is a generator that yields between pieces: whoever drives it may stop there.
 */
import type { WatchedBytes, WatchedWrite } from '../src/cpu/engine/debug-taps.ts';
import type { Session } from '../src/session.ts';
import type { Timeline } from './timeline.ts';

/** Something that was looked for happened. */
export interface Hit {
  readonly kind: 'break' | 'write' | 'read';
  /** break: the instruction there is about to execute. write, read: the instruction that takes this tick does it. */
  readonly tick: number;
  /** Who did it; domain 0x7ff2 and above is Xen itself. */
  readonly domain: number;
  readonly vcpu: number;
  readonly rip: bigint;
  /** write, read: which of the watches (its index), and whether the hypervisor or a back end wrote. */
  readonly watch?: number;
  readonly outside?: boolean;
}

/** What to look for. */
export interface Interest {
  readonly breakpoints: readonly bigint[];
  /** Resolved anew for each piece, as page tables change. Bytes may lie in several frames. */
  readonly watches: readonly ((session: Session) => readonly WatchedBytes[])[];
  /** Only what this domain does. */
  readonly domain?: number | undefined;
  /** Looked at in the very moment: whether the hit counts. A write has not happened yet, unless it is from outside. */
  readonly check?: (hit: Hit, session: Session) => boolean;
}

const FIRST_PIECE = 100_000;
const LONGEST_PIECE = 8_000_000;
/** Hits kept of one piece; of more, the first ones and the last count. */
const MAX_HITS = 100_000;

/** Notes every hit in the order in which they come, until `stop`. */
export function listen(session: Session, interest: Interest): { readonly hits: Hit[]; stop(): void } {
  const { taps } = session.engine;
  const hits: Hit[] = [];
  const note = (hit: Omit<Hit, 'domain' | 'vcpu' | 'rip'>, rip: bigint) => {
    const { domain, vcpu } = session.log.where;
    if (interest.domain !== undefined && domain !== interest.domain && !hit.outside) return;
    const whole: Hit = { ...hit, domain, vcpu, rip };
    if (interest.check && !interest.check(whole, session)) return;
    if (hits.length >= MAX_HITS) hits.pop();
    hits.push(whole);
  };
  const owners = new Map<WatchedBytes, number>();
  for (const [i, resolve] of interest.watches.entries()) for (const bytes of resolve(session)) owners.set(bytes, i);
  taps.onProbe = (rip, tick) => note({ kind: 'break', tick }, rip);
  taps.onWrite = ({ watch, tick, outside }: WatchedWrite) =>
    note({ kind: 'write', tick, watch: owners.get(watch)!, outside }, session.engine.runningRip);
  taps.onRead = ({ watch, tick }) => note({ kind: 'read', tick, watch: owners.get(watch)! }, session.engine.runningRip);
  taps.onFault = (tick) => {
    while (hits.at(-1)?.kind === 'read' && hits.at(-1)!.tick === tick) hits.pop();
  };
  // Without breakpoints those of before stay in decoded code, and tell nobody: decoding costs more than they do.
  if (interest.breakpoints.length > 0) taps.setProbes(interest.breakpoints);
  taps.setWatches([...owners.keys()]);
  const stop = () => {
    taps.onProbe = () => {};
    taps.onWrite = () => {};
    taps.onRead = () => {};
    taps.onFault = () => {};
    taps.setWatches([]);
  };
  return { hits, stop };
}

/** Runs from where the timeline is to `to`, in pieces, and notes every hit, in order. */
function* observe(timeline: Timeline, to: number, interest: Interest): Generator<void, Hit[]> {
  const { hits, stop } = listen(timeline.session, interest);
  try {
    for (;;) {
      const end = Math.min(to, timeline.tick + LONGEST_PIECE);
      if (!timeline.play(end) || end >= to) return hits;
      yield;
    }
  } finally {
    stop();
  }
}

/** Seeks in pieces. */
export function* approach(timeline: Timeline, target: number): Generator<void, void> {
  const from = timeline.startBefore(target);
  const here = timeline.tick;
  if (timeline.diverted || here < from || here > target) timeline.seek(Math.min(from, target));
  while (target - timeline.tick > LONGEST_PIECE) {
    if (!timeline.play(timeline.tick + LONGEST_PIECE)) break;
    yield;
  }
  timeline.seek(target);
}

/**
 * The first hit that `accept`s, from the timeline's place on. Leaves the timeline somewhere behind it; a diversion,
 * which cannot be sought, at the place to stop: before the instruction of a breakpoint, behind one that accesses.
 */
export function* findFirst(
  timeline: Timeline,
  interest: Interest,
  accept: (hit: Hit) => boolean = () => true,
): Generator<void, Hit | undefined> {
  if (timeline.diverted) return yield* stopAtFirst(timeline, interest, accept);
  let piece = FIRST_PIECE;
  while (timeline.tick < timeline.lastTick) {
    const from = timeline.tick;
    const hit = (yield* observe(timeline, Math.min(timeline.lastTick, from + piece), interest)).find(accept);
    if (hit) return hit;
    if (timeline.tick === from) return undefined;
    piece = Math.min(piece * 2, LONGEST_PIECE);
    yield;
  }
  return undefined;
}

/** In a diversion, which cannot be run again: breaks the machine off right at the hit. */
function* stopAtFirst(
  timeline: Timeline,
  interest: Interest,
  accept: (hit: Hit) => boolean,
): Generator<void, Hit | undefined> {
  const { session } = timeline;
  const { taps } = session.engine;
  let found: Hit | undefined;
  const check = (hit: Hit) => {
    if (found || (interest.check && !interest.check(hit, session)) || !accept(hit)) return false;
    found = hit;
    taps.breakOff();
    session.machine.pause();
    return false;
  };
  for (;;) {
    const from = timeline.tick;
    // Anew for each piece: watched addresses may lie elsewhere by now.
    const { stop } = listen(session, { ...interest, check });
    taps.onFault = (tick) => {
      if (found?.kind === 'read' && found.tick === tick) found = undefined;
    };
    try {
      timeline.forward(from + LONGEST_PIECE);
    } finally {
      stop();
    }
    if (found) return found;
    if (timeline.tick === from) return undefined;
    yield;
  }
}

/** The last hit that `accept`s before tick `before`. Leaves the timeline anywhere. */
export function* findLast(
  timeline: Timeline,
  before: number,
  interest: Interest,
  accept: (hit: Hit) => boolean = () => true,
): Generator<void, Hit | undefined> {
  for (let end = before; end > 0; ) {
    const start = timeline.startBefore(end - 1);
    yield* approach(timeline, start);
    const hit = (yield* observe(timeline, end, interest)).findLast((each) => each.tick < end && accept(each));
    if (hit) return hit;
    end = start;
    yield;
  }
  return undefined;
}

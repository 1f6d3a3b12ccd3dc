/** When did a condition first hold? */
import type { WatchedBytes } from '../src/cpu/engine/debug-taps.ts';
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import { holds } from '../src/inspect/condition/evaluate.ts';
import { ConsoleText, matchesEvent } from '../src/inspect/condition/event-match.ts';
import type { ConsoleAtom, EventAtom, Node } from '../src/inspect/condition/node.ts';
import { type Plan, planOf } from '../src/inspect/condition/plan.ts';
import { vcpuPlace } from '../src/inspect/condition/vcpu-place.ts';
import { translate } from '../src/inspect/places.ts';
import type { MachineEvent } from '../src/log/event.ts';
import type { Recording } from '../src/log/recording.ts';
import { selectEvents } from '../src/log/select.ts';
import type { Session } from '../src/session.ts';
import type { Mark } from './mark.ts';
import { type Hit, listen } from './scan.ts';
import { finish } from './step.ts';
import type { Timeline } from './timeline.ts';

export interface WhenOptions {
  /** Whose registers and memory. */
  readonly domain: number;
  /** Only this vcpu's; otherwise any vcpu's, as soon as it holds for one of them. */
  readonly vcpu?: number | undefined;
  readonly from?: number | undefined;
  /** Up to here, inclusive; by default the end. */
  readonly to?: number | undefined;
  readonly symbol: (name: string) => bigint | undefined;
}

/** True for a condition that can only be looked at after every instruction: slow. */
export function needsEveryTick(condition: Node, symbol: WhenOptions['symbol']): boolean {
  return planOf(condition, symbol).always;
}

/**
 * The first place from `from` on at which `condition` holds, or undefined. What a condition reads of memory is looked at
 * after every write to it, by the page tables of a moment no more than eight million ticks before; `rip == ADDRESS` where
 * that is about to execute; an event at its tick; registers otherwise after every instruction.
 */
export function firstWhen(timeline: Timeline, condition: Node, options: WhenOptions): Mark | undefined {
  return finish(findWhen(timeline, condition, options));
}

/** `firstWhen` in pieces. */
export function* findWhen(
  timeline: Timeline,
  condition: Node,
  options: WhenOptions,
): Generator<void, Mark | undefined> {
  const { recording } = timeline;
  const from = options.from ?? 0;
  const to = Math.min(options.to ?? recording.lastTick, recording.lastTick);
  if (condition.kind === 'console') return within(firstPrinted(recording, condition, from), to);
  if (condition.kind === 'event') {
    for (const event of selectEvents(recording, { kinds: [condition.name], from, to })) {
      if (matchesEvent(event, condition)) return { tick: event.tick, seq: event.seq };
    }
    return undefined;
  }
  const search = new Search(timeline, condition, options, from, to);
  timeline.seek(from);
  const tick = search.plan.always ? yield* search.everyTick() : yield* search.pieces();
  if (tick === undefined) return undefined;
  timeline.seek(tick);
  return { tick };
}

function within(mark: Mark | undefined, to: number): Mark | undefined {
  return mark !== undefined && mark.tick <= to ? mark : undefined;
}

function firstPrinted(recording: Recording, atom: ConsoleAtom, from: number): Mark | undefined {
  const text = new ConsoleText(atom);
  for (const event of selectEvents(recording, { kinds: ['console-output', 'console-io'], from })) {
    if (text.count(event) > 0) return { tick: event.tick, seq: event.seq };
  }
  return undefined;
}

const FIRST_PIECE = 100_000;
const LONGEST_PIECE = 8_000_000;
const TICKS_A_PIECE = 5_000;

class Search {
  readonly plan: Plan;
  readonly #timeline: Timeline;
  readonly #condition: Node;
  readonly #options: WhenOptions;
  readonly #from: number;
  readonly #to: number;
  /** Number of the event with which each text was printed, from `from` on. */
  readonly #printed = new Map<ConsoleAtom, Mark>();

  constructor(timeline: Timeline, condition: Node, options: WhenOptions, from: number, to: number) {
    this.plan = planOf(condition, options.symbol);
    this.#timeline = timeline;
    this.#condition = condition;
    this.#options = options;
    this.#from = from;
    this.#to = to;
    for (const atom of this.plan.consoles) {
      const mark = firstPrinted(timeline.recording, atom, from);
      if (mark) this.#printed.set(atom, mark);
    }
  }

  /** Looks after every instruction. */
  *everyTick(): Generator<void, number | undefined> {
    const timeline = this.#timeline;
    for (let n = 1; ; n++) {
      if (this.#holds(true)) return timeline.tick;
      if (timeline.tick >= this.#to || !timeline.play(timeline.tick + 1)) return undefined;
      if (n % TICKS_A_PIECE === 0) yield;
    }
  }

  /** Looks where the plan says. */
  *pieces(): Generator<void, number | undefined> {
    const timeline = this.#timeline;
    if (this.#holds(false)) return timeline.tick;
    const stops = this.#stops();
    let stop = stops.next().value;
    for (let piece = FIRST_PIECE; ; piece = Math.min(2 * piece, LONGEST_PIECE)) {
      while (stop && stop.tick <= timeline.tick) {
        if (stop.event === undefined ? this.#holds(false) : this.#holds(true, stop.event)) return timeline.tick;
        stop = stops.next().value;
      }
      if (timeline.tick >= this.#to) return undefined;
      const found = this.#piece(Math.min(this.#to, timeline.tick + piece, stop?.tick ?? this.#to));
      if (found !== undefined) return found;
      yield;
    }
  }

  /** The places to be looked at for what is on the log, in order. */
  *#stops(): Generator<{ tick: number; event?: MachineEvent }, undefined> {
    const texts = [...this.#printed.values()].flatMap(({ tick }) => [{ tick }, { tick: tick + 1 }]);
    texts.sort((a, b) => a.tick - b.tick);
    const { events } = this.plan;
    const kinds = [...new Set(events.map(({ name }) => name))];
    const filter = { kinds, from: this.#from, to: this.#to };
    for (const event of kinds.length > 0 ? selectEvents(this.#timeline.recording, filter) : []) {
      if (!events.some((atom) => matchesEvent(event, atom))) continue;
      while (texts.length > 0 && texts[0]!.tick <= event.tick) yield texts.shift()!;
      yield { tick: event.tick, event };
    }
    yield* texts;
    return undefined;
  }

  /** One piece, to `end`. */
  #piece(end: number): number | undefined {
    const timeline = this.#timeline;
    const start = timeline.tick;
    const { plan } = this;
    let last = start;
    let found: number | undefined;
    const check = (hit: Hit, session: Session): boolean => {
      if (found !== undefined) return false;
      // What the writes before this one left.
      if (!plan.momentary && this.#holds(false)) found = hit.outside ? hit.tick : last;
      else if (hit.kind === 'break') {
        const vcpu = session.xen.find(hit.domain)?.vcpus[hit.vcpu];
        if (vcpu && this.#means(vcpu) && this.#holdsFor(vcpu, true)) found = hit.tick;
      } else last = hit.tick + 1;
      return false;
    };
    const { stop } = listen(timeline.session, { breakpoints: plan.probes, watches: this.#watches(), check });
    try {
      timeline.play(end);
    } finally {
      stop();
    }
    // The last write of a piece has no next one to show it.
    if (found === undefined && this.#holds(false)) found = last;
    if (found === undefined) {
      // The domain may be gone now, with what was written last.
      if (last === start || this.#vcpus().length > 0) return undefined;
      timeline.seek(last);
      const held = this.#holds(false);
      if (!held) timeline.seek(end);
      return held ? last : undefined;
    }
    return this.#settled(found, end);
  }

  /** Where it holds from, if not at `found`: page tables, and so what an address means, changed behind it. */
  #settled(found: number, end: number): number {
    const timeline = this.#timeline;
    const held = (tick: number) => {
      timeline.seek(tick);
      return this.#holds(true);
    };
    if (held(found)) return found;
    let low = found;
    let high = end;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (held(middle)) high = middle;
      else low = middle;
    }
    return high;
  }

  #watches(): ((session: Session) => readonly WatchedBytes[])[] {
    return this.plan.watches.map(
      ({ address, length }) =>
        (session) =>
          this.#vcpus().flatMap((vcpu) => translate(session, vcpu, address, length)),
    );
  }

  #vcpus(): readonly Vcpu[] {
    const { domain, vcpu } = this.#options;
    const all = this.#timeline.session.xen.find(domain)?.vcpus ?? [];
    return vcpu === undefined ? all : all.filter(({ id }) => id === vcpu);
  }

  #means({ domain, id }: Vcpu): boolean {
    const { vcpu } = this.#options;
    return domain.id === this.#options.domain && (vcpu === undefined || id === vcpu);
  }

  /** @param registers they mean something here; without them, nothing of a moment holds */
  #holds(registers: boolean, event?: MachineEvent): boolean {
    return this.#vcpus().some((vcpu) => this.#holdsFor(vcpu, registers, event));
  }

  #holdsFor(vcpu: Vcpu, registers: boolean, event?: MachineEvent): boolean {
    const { session } = this.#timeline;
    const place = vcpuPlace(session, vcpu, {
      registers,
      symbol: this.#options.symbol,
      printed: (atom) => session.log.seq > (this.#printed.get(atom)?.seq ?? Number.POSITIVE_INFINITY),
      happening: (atom: EventAtom) => event !== undefined && matchesEvent(event, atom),
    });
    return holds(this.#condition, place);
  }
}

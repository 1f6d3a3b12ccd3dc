/** What the terminal view needs of a recording beside its replay: where its events lie, who ran when, what was printed. */
import { eventsOf } from '../src/log/streams/from-recording.ts';
import type { MachineEvent } from '../src/log/event.ts';
import { KIND, type KindName } from '../src/log/kinds.ts';
import { RECORD_WORDS, toU53 } from '../src/log/record.ts';
import type { Recording } from '../src/log/recording.ts';
import { selectEvents } from '../src/log/select.ts';

/** Events beyond these are not drawn, nor stepped to: a recording may be larger than memory. */
const MAX_EVENTS = 16_000_000;
const MAX_CONSOLE_BYTES = 8 << 20;
/** Events between the two ticks are read for a list; of a burst at one tick only so many. */
const MAX_LISTED = 4096;

/** Time in which a domain had a processor. */
interface Run {
  readonly from: number;
  readonly to: number;
}

interface Printed {
  readonly tick: number;
  readonly domain: number;
  readonly text: string;
}

export class EventIndex {
  readonly recording: Recording;
  readonly lastTick: number;
  /** Domains in the order of their creation. */
  readonly domains = new Map<number, string>();
  readonly count: number;
  readonly #ticks: Float64Array;
  readonly #domains: Uint16Array;
  readonly #kinds: Uint16Array;
  readonly #runs = new Map<number, Run[]>();
  readonly #printed: Printed[] = [];

  constructor(recording: Recording) {
    this.recording = recording;
    this.lastTick = recording.lastTick;
    this.count = Math.min(MAX_EVENTS, recording.events);
    this.#ticks = new Float64Array(this.count);
    this.#domains = new Uint16Array(this.count);
    this.#kinds = new Uint16Array(this.count);
    this.#readHeads();
    this.#readRuns();
    this.#readConsoles();
  }

  /** Tick of event `seq`. */
  tick(seq: number): number {
    return this.#ticks[seq]!;
  }

  /** The first event at `tick` or after it; `count` if there is none. */
  firstAt(tick: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ticks[middle]! < tick) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The next event from `seq` on, or the last before it, of a domain or of all. */
  next(seq: number, step: 1 | -1, domain: number | undefined): number | undefined {
    for (let i = seq; i >= 0 && i < this.count; i += step) {
      if (domain === undefined || this.#domains[i] === domain) return i;
    }
    return undefined;
  }

  /** Numbers of the kinds of events in [from, to) of one domain, each once. */
  kindsIn(from: number, to: number, domain: number): Set<number> {
    const kinds = new Set<number>();
    for (let i = this.firstAt(from); i < this.count && this.#ticks[i]! < to; i++) {
      if (this.#domains[i] === domain) kinds.add(this.#kinds[i]!);
    }
    return kinds;
  }

  /** Share of [from, to) in which `domain` had a processor, 0 to 1 and more with several. */
  share(from: number, to: number, domain: number): number {
    const runs = this.#runs.get(domain) ?? [];
    let low = 0;
    for (let high = runs.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (runs[middle]!.to <= from) low = middle + 1;
      else high = middle;
    }
    let sum = 0;
    for (let i = low; i < runs.length && runs[i]!.from < to; i++) {
      sum += Math.max(0, Math.min(to, runs[i]!.to) - Math.max(from, runs[i]!.from));
    }
    return sum / Math.max(1e-9, to - from);
  }

  /** Events `first` to `first + length - 1`, decoded. */
  list(first: number, length: number): MachineEvent[] {
    const from = Math.max(0, first);
    const to = Math.min(this.count, first + length);
    const events: MachineEvent[] = [];
    if (from >= to) return events;
    let seen = 0;
    for (const event of eventsOf(this.recording, { from: this.#ticks[from]!, to: this.#ticks[to - 1]! })) {
      if (event.seq >= to || ++seen > MAX_LISTED) break;
      if (event.seq >= from) events.push(event);
    }
    return events;
  }

  /** The end of what `domain` has printed before `tick`, at least `characters` of it if there are so many. */
  printed(tick: number, domain: number | undefined, characters: number): string {
    let low = 0;
    for (let high = this.#printed.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#printed[middle]!.tick < tick) low = middle + 1;
      else high = middle;
    }
    let text = '';
    for (let i = low - 1; i >= 0 && text.length < characters; i--) {
      if (domain === undefined || this.#printed[i]!.domain === domain) text = this.#printed[i]!.text + text;
    }
    return text;
  }

  #readHeads(): void {
    for (const entry of this.recording.batches) {
      if (entry.firstSeq >= this.count) return;
      const { words, firstSeq, count } = this.recording.readBatch(entry);
      for (let i = 0; i < count && firstSeq + i < this.count; i++) {
        const base = i * RECORD_WORDS;
        this.#kinds[firstSeq + i] = words[base]! & 0xffff;
        this.#domains[firstSeq + i] = words[base]! >>> 16;
        this.#ticks[firstSeq + i] = toU53(words[base + 2]!, words[base + 3]!);
      }
    }
  }

  #readRuns(): void {
    const running = new Map<number, { domain: number; since: number }>();
    const end = (pcpu: number, tick: number) => {
      const run = running.get(pcpu);
      running.delete(pcpu);
      if (run && tick > run.since) this.#addRun(run.domain, run.since, tick);
    };
    for (const event of selectEvents(this.recording, { kinds: ['domain-create', 'context-switch', 'idle'] })) {
      if (event.kind === 'domain-create') this.domains.set(event.domain, event.name);
      else if (event.kind === 'idle') for (const pcpu of [...running.keys()]) end(pcpu, event.tick);
      else if (event.kind === 'context-switch') {
        end(event.pcpu, event.tick);
        if (this.domains.has(event.toDomain)) running.set(event.pcpu, { domain: event.toDomain, since: event.tick });
      }
    }
    for (const pcpu of [...running.keys()]) end(pcpu, this.lastTick);
    for (const runs of this.#runs.values()) runs.sort((a, b) => a.to - b.to);
  }

  #addRun(domain: number, from: number, to: number): void {
    const runs = this.#runs.get(domain) ?? [];
    this.#runs.set(domain, runs);
    runs.push({ from, to });
  }

  #readConsoles(): void {
    let bytes = 0;
    for (const event of selectEvents(this.recording, { kinds: ['console-output', 'console-io'] })) {
      if (event.kind !== 'console-output' && event.kind !== 'console-io') continue;
      if ((bytes += event.bytes.length) > MAX_CONSOLE_BYTES) return;
      const text = Buffer.from(event.bytes).toString('latin1');
      this.#printed.push({ tick: event.tick, domain: event.domain, text });
    }
  }
}

/** A letter for a cell of a lane: the most telling kind of event in it. */
const SIGNS: readonly (readonly [sign: string, kinds: readonly KindName[]])[] = [
  ['!', ['domain-create', 'domain-shutdown', 'domain-destroy', 'triple-fault', 'stop', 'end', 'unimplemented']],
  ['i', ['console-input', 'packet', 'operator', 'wallclock', 'entropy']],
  ['c', ['console-output', 'console-io']],
  ['s', ['xenstore']],
  ['g', ['grant-map', 'grant-unmap', 'grant-copy', 'p2m-change']],
  ['x', ['exception']],
  ['e', ['evtchn-bind', 'evtchn-send', 'evtchn-close']],
  ['h', ['hypercall']],
  ['v', ['interrupt-deliver', 'interrupt-raise', 'evtchn-pending']],
  ['t', ['timer-fire', 'timer-set']],
];
const SIGN_KINDS = SIGNS.map(([sign, kinds]) => [sign, kinds.map((kind) => KIND[kind])] as const);

export const SIGNS_TEXT = '! life  i input  c console  s store  g grant  x fault  e event  h hypercall  v irq  t timer';

export function signOf(kinds: ReadonlySet<number>): string {
  if (kinds.size === 0) return ' ';
  return SIGN_KINDS.find(([, numbers]) => numbers.some((number) => kinds.has(number)))?.[0] ?? '.';
}

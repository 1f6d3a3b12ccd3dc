/** The terminal view without a terminal: where it is in a recording, and what each key does. */
import type { PrintNames } from '../src/log/print.ts';
import { eventDetails, grouped, place } from '../src/log/print.ts';
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import { livingEnd } from './ends.ts';
import { disassemblyText, registersText } from './inspect.ts';
import { parseMark } from './mark.ts';
import { currentVcpu, withVcpu } from '../src/inspect/places.ts';
import { stepBackward, stepForward } from './step.ts';
import { symbolsOf, vcpuReader } from '../src/inspect/symbols.ts';
import type { Timeline } from './timeline.ts';
import type { Size, ViewState } from './view.ts';
import type { EventIndex } from './view-index.ts';

/** A long way is gone in pieces of so many ticks, so that keys are heard in between. */
const PIECE_TICKS = 20_000_000;
const ZOOM = 4;
const LEAST_WINDOW = 64;
const MAX_TYPED = 200;

export interface ViewOptions {
  readonly file: string;
  readonly names?: PrintNames;
}

export class ViewModel {
  readonly #timeline: Timeline;
  readonly #index: EventIndex;
  readonly #options: ViewOptions;
  /** A vcpu to follow, or undefined for whichever runs. */
  #selected: { domain: number; vcpu: number } | undefined;
  /** The event that n and p came to, while it is still here. */
  #event: number | undefined;
  #zoom = 0;
  #typed: string | undefined;
  #message = '';
  #work: Generator<void, unknown> | undefined;
  ended = false;

  constructor(timeline: Timeline, index: EventIndex, options: ViewOptions) {
    this.#timeline = timeline;
    this.#index = index;
    this.#options = options;
  }

  /** True while it is on its way: call `advance`. */
  get busy(): boolean {
    return this.#work !== undefined;
  }

  /** Goes a piece of the way. */
  advance(): void {
    try {
      if (this.#work?.next().done) this.#work = undefined;
      if (this.#work) this.#message = ` at ${grouped(this.#timeline.tick)}; any key stops`;
      else if (this.#message.endsWith('any key stops')) this.#message = '';
    } catch (error) {
      this.#work = undefined;
      this.#message = ` ${(error as Error).message}`;
    }
  }

  /** Goes to a mark. @throws RangeError for what is none */
  goTo(mark: string): void {
    const { tick, seq } = parseMark(mark, this.#index.recording);
    this.#travel(tick, seq);
  }

  /** What a key does; see keysOf for their names. */
  key(key: string): void {
    if (key === 'interrupt') this.ended = true;
    else if (this.#work) this.#stop();
    else if (this.#typed !== undefined) this.#type(key);
    else this.#command(key);
  }

  #command(key: string): void {
    this.#message = '';
    const { tick, lastTick } = this.#timeline;
    const page = Math.max(1, Math.floor(this.#windowSize() / 20));
    const commands: Record<string, () => void> = {
      q: () => {
        this.ended = true;
      },
      right: () => this.#step(1),
      left: () => this.#step(-1),
      n: () => this.#stepEvent(1),
      p: () => this.#stepEvent(-1),
      pagedown: () => this.#travel(Math.min(lastTick, tick + page)),
      pageup: () => this.#travel(Math.max(0, tick - page)),
      home: () => this.#travel(0),
      end: () => this.#travel(livingEnd(this.#index.recording)),
      g: () => {
        this.#typed = '';
      },
      tab: () => this.#selectNext(),
      '+': () => {
        this.#zoom += this.#windowSize() > LEAST_WINDOW ? 1 : 0;
      },
      '-': () => {
        this.#zoom = Math.max(0, this.#zoom - 1);
      },
    };
    commands['=' === key ? '+' : key]?.();
  }

  #type(key: string): void {
    const typed = this.#typed!;
    if (key === 'escape') this.#typed = undefined;
    else if (key === 'backspace') this.#typed = typed.slice(0, -1);
    else if (key === 'clear') this.#typed = '';
    else if (key === 'enter') {
      this.#typed = undefined;
      if (typed === '') return;
      try {
        this.goTo(typed);
      } catch (error) {
        this.#message = ` ${(error as Error).message}`;
      }
    } else if (key.length === 1 && typed.length < MAX_TYPED) this.#typed = typed + key;
  }

  #stop(): void {
    this.#work = undefined;
    this.#message = ' stopped on the way';
  }

  #step(direction: 1 | -1): void {
    this.#event = undefined;
    const vcpu = this.#selectedVcpu();
    if (this.#selected && !vcpu) this.#message = ` ${this.#selectedText()} does not live here`;
    else {
      const slot = vcpu?.slot.index;
      this.#start(direction === 1 ? stepForward(this.#timeline, slot) : stepBackward(this.#timeline, slot));
    }
  }

  #stepEvent(direction: 1 | -1): void {
    const upcoming = this.#index.firstAt(this.#timeline.tick);
    // An event of this very tick counts as here; a later one is still to come to.
    const isHere = upcoming < this.#index.count && this.#index.tick(upcoming) === this.#timeline.tick;
    const here = this.#event ?? (isHere || direction === -1 ? upcoming : upcoming - 1);
    const seq = this.#index.next(here + direction, direction, this.#selected?.domain);
    if (seq === undefined) this.#message = direction === 1 ? ' no event after this' : ' no event before this';
    else this.#travel(this.#index.tick(seq), seq);
  }

  #travel(tick: number, event?: number): void {
    this.#event = event;
    this.#start(travel(this.#timeline, tick));
  }

  #start(work: Generator<void, unknown>): void {
    this.#work = work;
    this.advance();
  }

  #selectNext(): void {
    const all = this.#vcpus();
    const at = all.findIndex(({ domain, id }) => domain.id === this.#selected?.domain && id === this.#selected.vcpu);
    const next = this.#selected ? all[at + 1] : all[0];
    this.#selected = next && { domain: next.domain.id, vcpu: next.id };
    this.#event = undefined;
  }

  #vcpus(): Vcpu[] {
    return [...this.#timeline.session.xen.domains.guests()].flatMap((domain) => domain.vcpus);
  }

  #selectedVcpu(): Vcpu | undefined {
    return this.#selected && this.#timeline.session.xen.find(this.#selected.domain)?.vcpus[this.#selected.vcpu];
  }

  #selectedText(): string {
    return this.#selected ? `d${this.#selected.domain}v${this.#selected.vcpu}` : 'any vcpu';
  }

  #windowSize(): number {
    return Math.max(LEAST_WINDOW, this.#index.lastTick / ZOOM ** this.#zoom);
  }

  /** Around where we are, in steps of half a window, so that it rests while we move within it. */
  #window(): { from: number; to: number } {
    const { lastTick } = this.#index;
    const size = this.#windowSize();
    if (this.#zoom === 0) return { from: 0, to: Math.max(1, lastTick) };
    const half = size / 2;
    const from = Math.max(0, Math.min(lastTick - size, (Math.floor(this.#timeline.tick / half) - 0.5) * half));
    return { from, to: from + size };
  }

  /** Everything for one picture. Reads the guest in ways that it cannot see. */
  state({ columns, rows }: Size): ViewState {
    const { session, tick } = this.#timeline;
    const vcpu = this.#selectedVcpu() ?? (this.#selected ? undefined : currentVcpu(session));
    // Until its first instruction a vcpu's registers are those of a processor that was just switched on.
    const begun = vcpu?.start === undefined ? vcpu : undefined;
    const following = vcpu && !this.#selected ? `, d${vcpu.domain.id}v${vcpu.id} here` : '';
    const prompt =
      this.#typed === undefined ? undefined : ` go to (tick, 1.5s, #45, console:"text", end-1000): ${this.#typed}_`;
    return {
      file: this.#options.file,
      index: this.#index,
      tick,
      window: this.#window(),
      selected: `${this.#selectedText()}${following}`,
      registers: begun
        ? this.#registers(begun, columns)
        : [vcpu ? '(this vcpu has not run yet)' : '(no such vcpu lives here)'],
      code: begun ? this.#code(begun, rows) : [],
      events: this.#events(rows),
      console: this.#index.printed(tick, this.#selected?.domain, columns * rows),
      prompt,
      message: this.#message,
    };
  }

  #registers(vcpu: Vcpu, columns: number): string[] {
    const { session } = this.#timeline;
    const wide = columns >= 88 && (columns < 140 || columns >= 170);
    return withVcpu(session, vcpu, () => registersText(session.engine, wide ? 4 : 3));
  }

  #code(vcpu: Vcpu, rows: number): string[] {
    const { session } = this.#timeline;
    const read = vcpuReader(session, vcpu);
    return withVcpu(session, vcpu, () => {
      const { state } = session.engine;
      const symbols = state.cpl === 3 ? undefined : symbolsOf(session, vcpu.domain.id);
      const name = (address: bigint) => symbols?.name(address);
      return disassemblyText(session.engine, state.rip, rows, name, read);
    });
  }

  #events(rows: number): { text: string; next: boolean }[] {
    const next = this.#event ?? this.#index.firstAt(this.#timeline.tick);
    return this.#index.list(next - rows, 2 * rows).map((event) => ({
      text: `${grouped(event.tick).padStart(15)}  ${place(event).padEnd(8)} ${event.kind.padEnd(17)} ${eventDetails(event, this.#options.names)}`,
      next: event.seq === next,
    }));
  }
}

/** To `tick`, in pieces where the way is long. */
export function* travel(timeline: Timeline, tick: number): Generator<void, void> {
  const target = Math.max(0, Math.min(tick, timeline.lastTick));
  if (target > timeline.tick) {
    const ahead = timeline.snapshots.fittingBefore(target);
    if (ahead && ahead.tick > timeline.tick) timeline.seek(ahead.tick);
    while (target - timeline.tick > PIECE_TICKS) {
      if (!timeline.play(timeline.tick + PIECE_TICKS)) break;
      yield;
    }
  }
  timeline.seek(target);
}

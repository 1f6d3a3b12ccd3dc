import { NEVER, type Ticks } from '../base/ticks.ts';
import type { EventLog } from '../log/append.ts';
import { DOMID_XEN, NONE } from '../log/kinds.ts';
import type { Clock } from './clock.ts';

/** What the outside world can do to a machine (DESIGN C2). The names are those of the input events. */
export type Input =
  | { readonly kind: 'console-input'; readonly domain: number; readonly bytes: Uint8Array }
  | { readonly kind: 'wallclock'; readonly seconds: number; readonly nanoseconds: number }
  | { readonly kind: 'entropy'; readonly bytes: Uint8Array }
  | { readonly kind: 'operator'; readonly text: string }
  | { readonly kind: 'disk-content'; readonly device: string; readonly sha256: Uint8Array }
  | { readonly kind: 'packet'; readonly device: number; readonly bytes: Uint8Array }
  | { readonly kind: 'stop'; readonly reason: string };

export type InputKind = Input['kind'];
export type InputOf<K extends InputKind> = Extract<Input, { kind: K }>;

/** Where a replay's inputs come from: a recording, in its order. */
export interface InputSource {
  /** Tick of the next input, NEVER if there is none. */
  nextTick(): Ticks;
  /** The next input if it was recorded at this tick with this sequence number; takes it off. */
  take(tick: Ticks, seq: number): Input | undefined;
}

/**
 * The one door. While recording, inputs queue up here from `submit` to the next turn boundary, where they get their
 * tick and their place on the log. While replaying, they come from the recording, at the same tick and place.
 */
export class Door {
  readonly #clock: Clock;
  readonly #log: EventLog;
  readonly #queue: (Input | (() => void))[] = [];
  readonly #handlers = new Map<InputKind, (input: never) => void>();
  #source: InputSource | undefined;

  constructor(clock: Clock, log: EventLog) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Sets who applies inputs of a kind. */
  handle<K extends InputKind>(kind: K, handler: (input: InputOf<K>) => void): void {
    this.#handlers.set(kind, handler as (input: never) => void);
  }

  /** From the outside. @throws Error during a replay or for a kind that nothing in this machine takes */
  submit(input: Input): void {
    if (this.#source) throw new Error('a replay takes its inputs from the recording only');
    if (!this.#handlers.has(input.kind))
      throw new Error(`nothing in this machine takes an input of kind ${input.kind}`);
    this.#queue.push(input);
  }

  /**
   * Calls `look` when all that was submitted before it is applied. It sees a machine at a turn boundary, must change
   * nothing, and leaves no trace: whether somebody looks never shows in the session.
   */
  observe(look: () => void): void {
    this.#queue.push(look);
  }

  /** Makes this a replay. */
  replayFrom(source: InputSource): void {
    this.#source = source;
  }

  /** Tick of the next input already known; runs must not go beyond it. */
  get next(): Ticks {
    if (this.#source) return this.#source.nextTick();
    return this.#queue.some((each) => typeof each !== 'function') ? this.#clock.now() : NEVER;
  }

  /** Logs and applies what is due now. Called at turn boundaries only. @returns how many */
  apply(): number {
    let count = 0;
    for (let input = this.#take(); input !== undefined; input = this.#take()) {
      const { kind, domain = DOMID_XEN, ...fields } = input as Input & { domain?: number };
      this.#log.emitAt(domain, NONE, kind, fields as never);
      const handler = this.#handlers.get(kind);
      if (!handler) throw new Error(`the recording holds an input of kind ${kind} that this machine cannot take`);
      handler(input as never);
      count++;
    }
    return count;
  }

  #take(): Input | undefined {
    if (this.#source) return this.#source.take(this.#clock.now(), this.#log.seq);
    for (;;) {
      const next = this.#queue.shift();
      if (typeof next !== 'function') return next;
      next();
    }
  }
}

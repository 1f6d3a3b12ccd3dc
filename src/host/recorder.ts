/**
 * Records a live session: runs its machine in chunks, feeds it from a script or a terminal, flushes the log, and ends
 * the recording. How time is cut into chunks, how fast the host is and when it flushes never show in the session.
 */
import { setImmediate } from 'node:timers/promises';
import type { Ticks } from '../base/ticks.ts';
import type { EventLog, LogSink, RecordBatch } from '../log/append.ts';
import { KIND, SHUTDOWN_REASONS } from '../log/kinds.ts';
import { RECORD_WORDS } from '../log/record.ts';
import type { RecordingWriter } from '../log/recording.ts';
import type { Input } from '../machine/door.ts';
import { hostSeconds } from './output.ts';
import { type OperatorCommand, parseOperator } from '../toolstack/operator.ts';
import type { Driver } from './script.ts';

export type RunStop = 'limit' | 'blocked' | 'finished' | 'stopped';

/** What the recorder needs of a session. */
export interface LiveSession {
  readonly machine: {
    run(until: Ticks): RunStop;
    now(): Ticks;
    readonly door: { submit(input: Input): void; observe(look: () => void): void };
  };
  readonly log: EventLog;
  /** Names of the configured domains, in order. */
  readonly domains: readonly string[];
  /** The id that a domain has now (another after a reboot), or undefined if it is gone. */
  domainId(name: string): number | undefined;
  /** Calls synchronously with what a console prints. */
  onConsole(listener: (domain: string, bytes: Uint8Array) => void): void;
  /** What an operator's command that only looks prints. @throws ToolstackError */
  look(command: string): string;
}

/** Keys typed by a person. */
export interface Keyboard {
  /** Bytes typed since the last call. */
  take(): Uint8Array | undefined;
  /** An operator's command typed since the last call; call again until there is none. */
  takeCommand?(): string | undefined;
  /** The command last taken is done. */
  answered?(): void;
  /** The person asked to end (Ctrl-]), or there will be no more input. */
  readonly ended: 'asked' | 'closed' | undefined;
  /** Resolves when there is something new, or after `ms`. */
  wait(ms: number): Promise<void>;
}

/** The host's network, for guests that reach it. */
export interface OutsideNetwork {
  /** True while something may come from outside: the guests' time then keeps to the host's. */
  readonly busy: boolean;
  /** Lets it work: until something came, or for `ms`. */
  wait(ms: number): Promise<void>;
}

/** Somebody who may hold the session still: a debugger. The guests' time stands while it does, and nothing shows. */
export interface Holder {
  readonly held: boolean;
  /** Settles when `held` changes. */
  changed(): Promise<void>;
  /** The machine has run for a while. */
  ran(): void;
  /** The session is over. */
  over(): void;
}

export interface RecorderOptions {
  readonly writer: RecordingWriter;
  readonly maxTicks?: number | undefined;
  readonly script?: Driver | undefined;
  readonly keyboard?: Keyboard | undefined;
  /** Where guests' packets go that leave the machine. */
  readonly network?: OutsideNetwork | undefined;
  readonly holder?: Holder | undefined;
  /** Shows what operators' commands print; lines end in newlines. */
  readonly print?: ((text: string) => void) | undefined;
  /** The person's keys go to the console of this domain from now on. */
  readonly onSwitch?: ((domain: string) => void) | undefined;
  /** Called now and then. */
  readonly progress?: (ticks: number, events: number) => void;
  /** A signal to end the session as soon as possible. */
  readonly signal?: { readonly aborted: boolean };
}

/**
 *   finished   all domains powered off (or nothing can happen any more)
 *   ended      the script or the person ended it
 */
export type RecordOutcome = 'finished' | 'ended' | 'crashed' | 'max-ticks' | 'expect-not-met' | 'interrupted';

export interface RecordResult {
  readonly outcome: RecordOutcome;
  /** Why, in words, if it is not what was hoped for. */
  readonly message: string | undefined;
  readonly ticks: number;
  readonly events: number;
  readonly bytes: number;
  readonly inputBytes: number;
  readonly digest: string;
  readonly seconds: number;
}

/** Ticks between two looks at the host. */
const CHUNK_TICKS = 2_000_000;
/** What is lost at most when the process is killed. An input is kept at once. */
const FLUSH_SECONDS = 0.1;
/** How long a signal waits at most: Node delivers none while this loop runs. */
const TURN_SECONDS = 0.1;
const TICKS_PER_MS = 1_000_000;
const BLOCKED_WAIT_MS = 100;
/** While the session is held: between two looks at whether it should end. */
const HELD_WAIT_MS = 100;
/** After a script ran out without `end`: the session goes on until nothing was printed for so long. */
const QUIET_TICKS = 100_000_000;
/** An `expect` is given up when nothing was printed or typed for so long: ten minutes of the guests' time. */
const SILENT_TICKS = 600_000_000_000;

/** Records until the session is over. @throws what the recording's sink threw, e.g. for a full disk */
export async function recordSession(session: LiveSession, options: RecorderOptions): Promise<RecordResult> {
  try {
    return await new Recorder(session, options).run();
  } catch (error) {
    // Whatever went wrong, what happened until then is kept.
    session.log.flush();
    throw error;
  }
}

/** Sees crashes on the log. */
class CrashWatch implements LogSink {
  crashed: number | undefined;

  batch({ words, count }: RecordBatch): void {
    for (let i = 0; i < count; i++) {
      const base = i * RECORD_WORDS;
      if ((words[base] & 0xffff) !== KIND['domain-shutdown']) continue;
      if (SHUTDOWN_REASONS[words[base + 4]] === 'crash') this.crashed ??= words[base] >>> 16;
    }
  }
}

class Recorder {
  readonly #session: LiveSession;
  readonly #options: RecorderOptions;
  readonly #crashes = new CrashWatch();
  readonly #started = hostSeconds();
  #flushed = hostSeconds();
  #turned = hostSeconds();
  #submitted = false;
  #lastOutput = 0;
  /** When the script last did something. */
  #lastStep = 0;
  /** Tick at which to look at the script again. */
  #wake = Number.POSITIVE_INFINITY;
  #scriptDone: 'end' | 'through' | undefined;
  /** Since when the guests' time keeps to the host's. */
  #paceFrom: { readonly ticks: number; readonly host: number } | undefined;
  /** Whose console the keyboard is. */
  #console: string;

  constructor(session: LiveSession, options: RecorderOptions) {
    this.#session = session;
    this.#console = session.domains[0]!;
    this.#options = options;
    session.log.addSink(this.#crashes);
    session.onConsole((domain, bytes) => {
      this.#lastOutput = session.machine.now();
      options.script?.onOutput(domain, bytes);
      this.#script();
    });
  }

  async run(): Promise<RecordResult> {
    const { machine } = this.#session;
    const { maxTicks = Number.MAX_SAFE_INTEGER, keyboard, network, holder, progress, signal } = this.#options;
    this.#script();
    for (;;) {
      if (holder) await this.#hold(holder);
      const now = machine.now();
      if (now >= maxTicks) return this.#stop('max-ticks', `reached --max-ticks ${maxTicks}`);
      if (this.#scriptDone === 'end') return this.#stop('ended');
      if (signal?.aborted) return this.#stop('interrupted', 'interrupted');
      const stop = machine.run(Math.min(now + CHUNK_TICKS, this.#wake, maxTicks, this.#quietEnd() + 1) as Ticks);
      holder?.ran();
      this.#host();
      if (hostSeconds() - this.#turned >= TURN_SECONDS) await this.#turn();
      progress?.(machine.now(), this.#session.log.seq);
      if (stop === 'finished') return this.#over('finished');
      if (stop === 'stopped') return this.#over('ended');
      if (machine.now() >= this.#wake) {
        this.#lastStep = machine.now();
        this.#script();
      }
      if (network?.busy) await this.#pace(network, stop === 'blocked');
      else this.#paceFrom = undefined;
      if (keyboard) {
        const ended = await this.#keyboard(keyboard, stop === 'blocked' && !network?.busy);
        if (ended) return this.#stop('ended', undefined);
      } else if (stop === 'blocked' && !network?.busy) {
        const ended = this.#blocked();
        if (ended) return ended;
      }
      const inVain = this.#waitsInVain();
      if (inVain !== undefined) return this.#stop('expect-not-met', inVain);
      if (machine.now() > this.#quietEnd()) return this.#stop('ended');
    }
  }

  /** The last tick of a session whose script has run out. */
  #quietEnd(): number {
    return this.#scriptDone === 'through' ? this.#lastOutput + QUIET_TICKS : Number.MAX_SAFE_INTEGER - 1;
  }

  /** Lets the debugger work, and waits for as long as it holds the session. */
  async #hold(holder: Holder): Promise<void> {
    await this.#turn();
    if (!holder.held) return;
    // Whoever looks at the recording meanwhile finds all of it.
    this.#session.log.flush();
    this.#paceFrom = undefined;
    const { signal, keyboard } = this.#options;
    while (holder.held && !signal?.aborted && keyboard?.ended !== 'asked') {
      await Promise.race([holder.changed(), new Promise((done) => setTimeout(done, HELD_WAIT_MS))]);
    }
  }

  /** Does what the script wants now, as far as it can. Called in the middle of instructions too: only submits. */
  #script(): void {
    const { script } = this.#options;
    if (!script || this.#scriptDone) return;
    const { machine } = this.#session;
    this.#wake = Number.POSITIVE_INFINITY;
    for (;;) {
      const step = script.next(machine.now());
      if (step.do === 'expect') return;
      if (step.do === 'wait') {
        this.#wake = step.until;
        return;
      }
      if (step.do === 'end') {
        this.#scriptDone = step.explicit ? 'end' : 'through';
        // Ask here, so that the place of the end does not depend on where a chunk ends.
        if (step.explicit) machine.door.submit({ kind: 'stop', reason: 'script' });
        return;
      }
      if (step.do === 'xl') {
        this.#lastStep = machine.now();
        this.#operate(step.command);
        continue;
      }
      this.#lastStep = machine.now();
      const domain = this.#session.domainId(step.domain);
      if (domain !== undefined) this.#type(domain, step.bytes);
    }
  }

  /** Guests that idle have timers that fire for ever: what an `expect` waits for may never come. @returns why, if so */
  #waitsInVain(): string | undefined {
    const { script } = this.#options;
    if (!script || this.#scriptDone || this.#wake < Number.POSITIVE_INFINITY) return undefined;
    if (this.#session.machine.now() <= Math.max(this.#lastOutput, this.#lastStep) + SILENT_TICKS) return undefined;
    return script.unmet && `${script.unmet}; nothing was printed for ten minutes of the guests' time`;
  }

  /** Nothing can happen without an input, and none is queued. */
  #blocked(): RecordResult | Promise<RecordResult> | undefined {
    const { script } = this.#options;
    if (script && !this.#scriptDone) {
      if (!script.skipWait() && script.unmet) return this.#stop('expect-not-met', script.unmet);
      this.#script();
      return undefined;
    }
    return this.#stop('finished', 'every vcpu waits and no timer is set');
  }

  /**
   * While something may come from outside, the guests' clock does not run ahead of the host's: an idle machine would
   * jump to the end of every time-out before an answer can be there.
   */
  async #pace(network: OutsideNetwork, blocked: boolean): Promise<void> {
    const now = this.#session.machine.now();
    const host = hostSeconds();
    this.#paceFrom ??= { ticks: now, host };
    const aheadMs = (now - this.#paceFrom.ticks) / TICKS_PER_MS - (host - this.#paceFrom.host) * 1000;
    await network.wait(blocked ? BLOCKED_WAIT_MS : Math.max(0, aheadMs));
  }

  async #keyboard(keyboard: Keyboard, blocked: boolean): Promise<boolean> {
    await keyboard.wait(blocked && !keyboard.ended ? 1000 : 0);
    const bytes = keyboard.take();
    const domain = this.#session.domainId(this.#console);
    if (bytes && domain !== undefined) this.#type(domain, bytes);
    for (let text = keyboard.takeCommand?.(); text !== undefined; text = keyboard.takeCommand?.()) {
      this.#command(text);
      this.#session.machine.door.observe(() => keyboard.answered?.());
    }
    return keyboard.ended === 'asked' || (keyboard.ended === 'closed' && blocked && !bytes);
  }

  /** A line that a person typed at the prompt. */
  #command(text: string): void {
    const { print, onSwitch } = this.#options;
    const { domains, machine } = this.#session;
    const [, name] = /^\s*console\s+(\S+)\s*$/.exec(text) ?? [];
    try {
      if (name === undefined) this.#operate(parseOperator(text));
      else if (!domains.includes(name)) throw new Error(`there is no domain ${name}; there are ${domains.join(', ')}`);
      else {
        this.#console = name;
        onSwitch?.(name);
      }
    } catch (error) {
      // In turn behind what earlier commands print.
      machine.door.observe(() => print?.(`${(error as Error).message}\n`));
    }
  }

  /** Changes go through the door as inputs; a look is taken when what was asked before it is done. */
  #operate({ text, changes }: OperatorCommand): void {
    const { machine } = this.#session;
    if (changes) {
      machine.door.submit({ kind: 'operator', text });
      this.#submitted = true;
    } else machine.door.observe(() => this.#options.print?.(this.#look(text)));
  }

  #look(text: string): string {
    try {
      return this.#session.look(text);
    } catch (error) {
      return `xl ${text}: ${(error as Error).message}\n`;
    }
  }

  #type(domain: number, bytes: Uint8Array): void {
    this.#session.machine.door.submit({ kind: 'console-input', domain, bytes });
    this.#submitted = true;
  }

  #host(): void {
    const { log } = this.#session;
    const now = hostSeconds();
    if (this.#submitted || now - this.#flushed >= FLUSH_SECONDS) {
      log.flush();
      this.#flushed = now;
      this.#submitted = false;
    }
    if (log.failure) throw log.failure;
  }

  /** Lets Node do what waits for it: signals. */
  async #turn(): Promise<void> {
    await setImmediate();
    this.#turned = hostSeconds();
  }

  /** Ends the session from outside, on the log. */
  #stop(outcome: RecordOutcome, message?: string): RecordResult {
    const { machine } = this.#session;
    if (this.#scriptDone !== 'end') machine.door.submit({ kind: 'stop', reason: outcome });
    machine.run(machine.now());
    return this.#over(outcome, message);
  }

  #over(outcome: RecordOutcome, message?: string): RecordResult {
    const { log, machine } = this.#session;
    const { script, writer, holder } = this.#options;
    holder?.over();
    const digest = log.digest() ?? '';
    if (log.failure) throw log.failure;
    const totals = { events: log.seq, lastTick: machine.now(), digest };
    writer.finish(totals);
    const figures = {
      ticks: totals.lastTick,
      events: totals.events,
      bytes: writer.bytes,
      inputBytes: writer.inputBytes,
      digest,
      seconds: hostSeconds() - this.#started,
    };
    if (this.#crashes.crashed !== undefined) {
      return { outcome: 'crashed', message: `domain ${this.#crashes.crashed} crashed`, ...figures };
    }
    if (outcome === 'finished' && script?.unmet) {
      return { outcome: 'expect-not-met', message: script.unmet, ...figures };
    }
    return {
      outcome,
      message: outcome === 'max-ticks' && script?.unmet ? `${message}; ${script.unmet}` : message,
      ...figures,
    };
  }
}

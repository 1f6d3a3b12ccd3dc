/**
 * A replay: the machine of a recording, built again, fed with the recorded inputs at their ticks, and checked against
 * every recorded effect and state digest as it happens.
 *
 *     const session = new ReplaySession(recording, buildMachine, { createHash });
 *     while (!session.step(10_000_000)) showProgress(session.tick);
 *     const result = session.result();        // verified, or the first event that differs
 *
 * A recording that was cut is verified as far as it goes. A damaged one is refused: open it with `until` before the
 * damage to have the part before it.
 */
import type { Ticks } from '../src/base/ticks.ts';
import { EventLog } from '../src/log/append.ts';
import type { CreateHash } from '../src/log/digest.ts';
import { type Recording, RecordingError, type RecordingHeader } from '../src/log/recording.ts';
import type { InputSource } from '../src/machine/door.ts';
import { type Divergence, type DivergenceReason, differingFields, type GuestPlace } from './divergence.ts';
import { RecordedInputs } from './recorded-inputs.ts';
import { ReplayStop, Verifier } from './verifier.ts';

/** What a replay needs of a machine. */
export interface Replayable {
  /** As Machine.run: to tick `until` at the latest. */
  run(until: Ticks): 'limit' | 'blocked' | 'finished' | 'stopped';
  now(): Ticks;
  /** Where the running guest is, for the report of a divergence. */
  guestPlace?(): GuestPlace | undefined;
}

/** What a machine is built from again. */
export interface ReplayParts {
  readonly header: RecordingHeader;
  readonly inputs: InputSource;
  /** Makes the log that the machine must append to, from its very first event on. */
  createLog(now: () => Ticks): EventLog;
}

export type BuildMachine<M extends Replayable = Replayable> = (parts: ReplayParts) => M;

export interface ReplayOptions {
  readonly createHash?: CreateHash;
  /** Replays to this tick only. */
  readonly until?: number | undefined;
  /** Names a guest address for the report of a divergence. */
  readonly symbol?: (domain: number, rip: bigint) => string | undefined;
  /** Matching events shown before a divergence. */
  readonly context?: number;
}

export interface ReplayResult {
  /** Every event up to `ticks` matched, state digests included (and the final digest, if the replay was whole). */
  readonly verified: boolean;
  /** The replay went through the whole recording, and that was ended cleanly. */
  readonly whole: boolean;
  readonly ticks: number;
  /** Events that matched. */
  readonly events: number;
  /** SHA-256 of those events. */
  readonly digest: string | undefined;
  readonly divergence: Divergence | undefined;
}

export class ReplaySession<M extends Replayable = Replayable> {
  /** The machine that replays; undefined only if the recording ends before anything could be built. */
  readonly machine: M | undefined;
  log: EventLog | undefined;
  readonly #recording: Recording;
  readonly #verifier: Verifier;
  readonly #options: ReplayOptions;
  readonly #end: number;
  #divergence: Divergence | undefined;
  #done = false;
  #tick = 0;

  /** Builds the machine, which appends (and so verifies) its first events. @throws RecordingError for a damaged one */
  constructor(recording: Recording, build: BuildMachine<M>, options: ReplayOptions = {}) {
    const { ending } = recording;
    if (ending.kind === 'damaged' && !((options.until ?? Number.POSITIVE_INFINITY) <= recording.lastTick)) {
      const before =
        recording.events > 0
          ? `replay the part before it with --until ${recording.lastTick}`
          : 'nothing lies before it';
      throw new RecordingError(ending.problem, undefined, before);
    }
    this.#recording = recording;
    this.#options = options;
    this.#verifier = new Verifier(recording);
    // One tick more, so that everything at the last tick has happened.
    this.#end = Math.min(options.until ?? Number.MAX_SAFE_INTEGER, recording.lastTick + 1);
    if (!recording.header || recording.events === 0) this.#done = true;
    else this.machine = this.#guarded(() => build(this.#parts(recording.header!)));
  }

  /** Tick the replay has reached. */
  get tick(): number {
    return this.#tick;
  }

  /** Runs on for about `n` ticks. @returns true when the replay is over: see `result`. */
  step(n: number): boolean {
    const machine = this.machine;
    if (this.#done || !machine) return true;
    const until = Math.min(machine.now() + n, this.#end) as Ticks;
    const stop = this.#guarded(() => machine.run(until));
    if (this.#done) return true;
    this.#tick = machine.now();
    if (stop !== 'limit' || this.#tick >= this.#end) this.#finish(stop ?? 'limit');
    return this.#done;
  }

  /** Runs to the end. */
  run(): ReplayResult {
    while (!this.step(50_000_000));
    return this.result();
  }

  result(): ReplayResult {
    const recording = this.#recording;
    const divergence = this.#divergence;
    const seq = this.log?.seq ?? 0;
    const events = Math.max(0, seq - recording.firstSeq);
    const all = seq === recording.events && this.#done;
    return {
      verified: divergence === undefined,
      whole: all && divergence === undefined && recording.ending.kind === 'clean',
      ticks: Math.min(this.#tick, divergence ? divergence.tick : recording.lastTick),
      events,
      digest: this.#digest(),
      divergence,
    };
  }

  #parts(header: RecordingHeader): ReplayParts {
    return {
      header,
      inputs: new RecordedInputs(this.#recording),
      createLog: (now) => {
        const { createHash } = this.#options;
        const log = new EventLog(now, createHash ? { createHash } : {});
        log.verifier = this.#verifier;
        this.log = log;
        return log;
      },
    };
  }

  /** Runs `step`; a mismatch found in it ends the replay, whether or not its exception came through. */
  #guarded<T>(step: () => T): T | undefined {
    let value: T | undefined;
    try {
      value = step();
    } catch (error) {
      if (!(error instanceof ReplayStop) && !this.#verifier.mismatch) throw error;
    }
    const mismatch = this.#verifier.mismatch;
    if (mismatch) {
      this.#done = true;
      // The machine was stopped in the middle of a run, of which its clock now knows nothing.
      this.#tick = mismatch.actual.tick;
      // Beyond the end of a recording that was not ended by the machine itself, nothing is known.
      if (mismatch.expected || this.#endedByItself())
        this.#diverge(mismatch.expected ? 'different' : 'extra', mismatch.seq);
    }
    return value;
  }

  #endedByItself(): boolean {
    const last = this.#recording.ending.kind === 'clean' ? this.#verifier.event(this.#recording.events - 1) : undefined;
    return last?.kind === 'end' || last?.kind === 'stop';
  }

  #finish(stop: 'limit' | 'blocked' | 'finished' | 'stopped'): void {
    this.#done = true;
    const seq = this.log?.seq ?? 0;
    const due = this.#verifier.event(seq);
    if (due && (stop !== 'limit' || due.tick < this.#end)) {
      this.#diverge('missing', seq);
      return;
    }
    const { ending } = this.#recording;
    if (ending.kind !== 'clean' || due) return;
    const digest = this.#digest();
    if (digest !== undefined && digest !== ending.totals.digest) this.#diverge('digest', seq);
  }

  #diverge(reason: DivergenceReason, seq: number): void {
    const verifier = this.#verifier;
    const actual = verifier.mismatch?.actual;
    const expected = reason === 'missing' ? verifier.event(seq) : verifier.mismatch?.expected;
    const about = actual ?? expected;
    const before = [];
    for (let i = Math.max(this.#recording.firstSeq, seq - (this.#options.context ?? 5)); i < seq; i++)
      before.push(verifier.event(i)!);
    this.#divergence = {
      reason,
      seq,
      tick: actual?.tick ?? this.machine?.now() ?? 0,
      domain: about?.domain ?? 0,
      vcpu: about?.vcpu ?? -1,
      place: this.#place(),
      expected,
      actual,
      fields: differingFields(expected, actual),
      before,
    };
  }

  #place(): GuestPlace | undefined {
    const place = this.machine?.guestPlace?.();
    if (!place || place.symbol) return place;
    return { ...place, symbol: this.#options.symbol?.(place.domain, place.rip) };
  }

  #digest(): string | undefined {
    return this.log?.digest();
  }
}

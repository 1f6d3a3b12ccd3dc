/**
 * A machine small enough to be obviously right: a counter that appends events of its own and answers inputs, in turns
 * of 100 ticks. Any difference in what it is told changes everything after it.
 */
import { NEVER, type Ticks } from '../../src/base/ticks.ts';
import { MemoryFile, sha256 } from '../../src/host/files.ts';
import { EventLog } from '../../src/log/append.ts';
import { DOMID_XEN, KIND } from '../../src/log/kinds.ts';
import { RecordingWriter } from '../../src/log/recording.ts';
import type { Input, InputSource } from '../../src/machine/door.ts';
import type { Replayable } from '../../replay/session.ts';

export interface ToyConfig {
  /** Tick at which it ends by itself; 0 for never. */
  endsAt: number;
  seed: number;
}

export class ToyMachine implements Replayable {
  readonly log: EventLog;
  readonly submitted: Input[] = [];
  readonly #config: ToyConfig;
  readonly #source: InputSource | undefined;
  #tick = 0;
  #state: number;
  #ended: 'finished' | 'stopped' | undefined;

  constructor(config: ToyConfig, createLog: (now: () => Ticks) => EventLog, source?: InputSource) {
    this.#config = config;
    this.#source = source;
    this.#state = config.seed;
    this.log = createLog(() => this.now());
    this.log.emitAt(1, -1, 'domain-create', { name: 'toy' });
  }

  now(): Ticks {
    return this.#tick as Ticks;
  }

  guestPlace() {
    return { domain: 1, vcpu: 0, rip: BigInt(this.#state), symbol: 'toy_loop+0x4' };
  }

  /** What a debugger or a bug would do: changes the state behind the log's back. */
  poke(value: number): void {
    this.#state ^= value;
  }

  run(until: Ticks): 'limit' | 'finished' | 'stopped' {
    for (;;) {
      if (this.#ended) return this.#ended;
      this.#inputs();
      if (this.#ended) return this.#ended;
      if (this.#config.endsAt > 0 && this.#tick >= this.#config.endsAt) {
        this.log.emitAt(DOMID_XEN, -1, 'end', { reason: 'all domains shut down' });
        this.#ended = 'finished';
        return 'finished';
      }
      if (this.#tick >= until) return 'limit';
      this.#turn();
    }
  }

  #inputs(): void {
    const next = () => (this.#source ? this.#source.take(this.now(), this.log.seq) : this.submitted.shift());
    for (let input = next(); input; input = next()) {
      const { kind, ...fields } = input;
      this.log.emitAt('domain' in input ? input.domain : DOMID_XEN, -1, kind, fields as never);
      if (input.kind === 'stop') this.#ended = 'stopped';
      else if (input.kind === 'console-input')
        for (const byte of input.bytes) this.#state = (this.#state * 31 + byte) | 0;
    }
  }

  #turn(): void {
    const { log } = this;
    log.where.domain = 1;
    log.where.vcpu = 0;
    log.where.pcpu = 0;
    for (let i = 0; i < 100; i++) {
      this.#tick++;
      this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
      const value = this.#state >>> 0;
      if (value % 7 === 0) log.append(KIND['evtchn-send'], value);
      if (value % 53 === 0) log.emit('console-output', { bytes: new TextEncoder().encode(`value ${value}\n`) });
      if (this.#tick % 1000 === 0) log.append(KIND.digest, 0, value, 0);
    }
  }
}

export const noInputs: InputSource = { nextTick: () => NEVER, take: () => undefined };

/** Runs a toy to `until`, typing at it, and gives the file. */
export function recordToy(config: ToyConfig, until: number, stop: boolean, batch = 50): MemoryFile {
  const file = new MemoryFile();
  const writer = new RecordingWriter(
    file,
    { rexen: 'test', recorded: '2026-01-01T00:00:00Z', title: 'toy', config, images: [] },
    new Map(),
  );
  const machine = new ToyMachine(config, (now) => {
    const log = new EventLog(now, { capacity: batch, createHash: sha256 });
    log.addSink(writer);
    return log;
  });
  for (let tick = 700; tick <= until; tick += 700) {
    machine.run(tick as Ticks);
    machine.submitted.push({ kind: 'console-input', domain: 1, bytes: Uint8Array.of(tick & 0xff, 13) });
  }
  if (stop) machine.submitted.push({ kind: 'stop', reason: 'test' });
  machine.run(until as Ticks);
  const digest = machine.log.digest()!;
  writer.finish({ events: machine.log.seq, lastTick: machine.now(), digest });
  return file;
}

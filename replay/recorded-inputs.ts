/** The inputs of a recording, for the door of the machine that replays it. */
import { NEVER, type Ticks } from '../src/base/ticks.ts';
import { decodeRecord } from '../src/log/decode.ts';
import { blobStart } from '../src/log/append.ts';
import type { MachineEvent } from '../src/log/event.ts';
import type { BatchEntry, Recording } from '../src/log/recording.ts';
import { LAYOUT_BY_NUMBER, RECORD_WORDS } from '../src/log/record.ts';
import type { Input, InputSource } from '../src/machine/door.ts';

/** Reads batches with inputs only, and only when their turn comes. */
export class RecordedInputs implements InputSource {
  readonly #recording: Recording;
  #index = 0;
  #queue: MachineEvent[] = [];
  #at = 0;
  #all: MachineEvent[] | undefined;

  constructor(recording: Recording) {
    this.#recording = recording;
  }

  nextTick(): Ticks {
    return this.#head()?.tick ?? NEVER;
  }

  take(tick: Ticks, seq: number): Input | undefined {
    const head = this.#head();
    if (!head || head.tick !== tick || head.seq !== seq) return undefined;
    this.#at++;
    const { seq: _seq, tick: _tick, vcpu: _vcpu, pcpu: _pcpu, ...input } = head;
    return input as Input;
  }

  /** The next input is the first with at least sequence number `seq`. The first call reads all inputs. */
  seek(seq: number): void {
    if (this.#all === undefined) {
      const batches = this.#recording.batches.filter(({ inputs }) => inputs > 0);
      this.#all = batches.flatMap((entry) => inputsOf(this.#recording, entry));
    }
    this.#index = this.#recording.batches.length;
    this.#queue = this.#all;
    const at = this.#all.findIndex((input) => input.seq >= seq);
    this.#at = at < 0 ? this.#all.length : at;
  }

  #head(): MachineEvent | undefined {
    while (this.#at >= this.#queue.length && this.#index < this.#recording.batches.length) {
      const entry = this.#recording.batches[this.#index++];
      if (entry.inputs === 0) continue;
      this.#queue = inputsOf(this.#recording, entry);
      this.#at = 0;
    }
    return this.#queue[this.#at];
  }
}

function inputsOf(recording: Recording, entry: BatchEntry): MachineEvent[] {
  const batch = recording.readBatch(entry);
  const inputs: MachineEvent[] = [];
  for (let i = 0; i < batch.count; i++) {
    const base = i * RECORD_WORDS;
    if (!LAYOUT_BY_NUMBER[batch.words[base] & 0xff]!.input) continue;
    inputs.push(decodeRecord(batch.words, base, batch.firstSeq + i, batch.blobs, blobStart(batch, base)));
  }
  return inputs;
}

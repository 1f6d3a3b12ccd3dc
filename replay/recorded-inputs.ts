/** The inputs of a recording, for the door of the machine that replays it. */
import { NEVER, type Ticks } from '../src/base/ticks.ts';
import { decodeRecord } from '../src/log/decode.ts';
import { blobStart } from '../src/log/append.ts';
import type { MachineEvent } from '../src/log/event.ts';
import type { Recording } from '../src/log/recording.ts';
import { LAYOUT_BY_NUMBER, RECORD_WORDS } from '../src/log/record.ts';
import type { Input, InputSource } from '../src/machine/door.ts';

/** Reads batches with inputs only, and only when their turn comes. */
export class RecordedInputs implements InputSource {
  readonly #recording: Recording;
  #index = 0;
  #queue: MachineEvent[] = [];
  #at = 0;

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

  /** The next input is the first with at least sequence number `seq`. */
  seek(seq: number): void {
    this.#index = Math.max(
      0,
      this.#recording.batches.findLastIndex((each) => each.firstSeq <= seq),
    );
    this.#queue = [];
    this.#at = 0;
    while ((this.#head()?.seq ?? seq) < seq) this.#at++;
  }

  #head(): MachineEvent | undefined {
    while (this.#at >= this.#queue.length && this.#index < this.#recording.batches.length) {
      const entry = this.#recording.batches[this.#index++];
      if (entry.inputs === 0) continue;
      const batch = this.#recording.readBatch(entry);
      this.#queue = [];
      this.#at = 0;
      for (let i = 0; i < batch.count; i++) {
        const base = i * RECORD_WORDS;
        if (!LAYOUT_BY_NUMBER[batch.words[base] & 0xff]!.input) continue;
        this.#queue.push(decodeRecord(batch.words, base, batch.firstSeq + i, batch.blobs, blobStart(batch, base)));
      }
    }
    return this.#queue[this.#at];
  }
}

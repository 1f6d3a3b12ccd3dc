import { PAGE_SIZE } from '../../memory/frames.ts';
import { BadGuestAddress, type GuestPhysical } from '../../memory/p2m.ts';

/**
 * struct xencons_interface, one page of the guest (xen/include/public/io/console.h). Indexes run freely.
 *
 *      0          1024        3072      3076      3080      3084
 *     ┌──────────┬───────────┬─────────┬─────────┬─────────┬─────────┐
 *     │ in, 1024 │ out, 2048 │ in_cons │ in_prod │ out_cons│ out_prod│
 *     └──────────┴───────────┴─────────┴─────────┴─────────┴─────────┘
 */
const IN = { at: 0, size: 1024, consumer: 3072, producer: 3076 } as const;
const OUT = { at: 1024, size: 2048, consumer: 3080, producer: 3084 } as const;

/** Typed bytes that may wait for the guest; more are refused. */
export const MAX_WAITING_INPUT = 1 << 20;

export interface ConsoleState {
  readonly waiting: Uint8Array;
}

/** The back end of a domain's console: bytes from its ring to `onOutput`, typed bytes into its ring as they fit. */
export class ConsoleRing {
  readonly #memory: GuestPhysical;
  readonly #base: number;
  readonly #notify: () => void;
  readonly #onOutput: (bytes: Uint8Array) => void;
  #waiting = new Uint8Array(0);

  /** `notify` signals the domain's event channel. */
  constructor(memory: GuestPhysical, gfn: number, notify: () => void, onOutput: (bytes: Uint8Array) => void) {
    this.#memory = memory;
    this.#base = gfn * PAGE_SIZE;
    this.#notify = notify;
    this.#onOutput = onOutput;
  }

  /** The domain signalled: takes its output, gives it input if there is room now. */
  run(): void {
    const output = this.#takeOutput();
    const moved = this.#giveInput();
    if (output.length > 0 || moved) this.#notify();
    if (output.length > 0) this.#onOutput(output);
  }

  /** Bytes typed at the console. @returns how many were taken; the others were one too many */
  input(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, MAX_WAITING_INPUT - this.#waiting.length);
    const joined = new Uint8Array(this.#waiting.length + taken.length);
    joined.set(this.#waiting);
    joined.set(taken, this.#waiting.length);
    this.#waiting = joined;
    if (this.#giveInput()) this.#notify();
    return taken.length;
  }

  get waitingInput(): number {
    return this.#waiting.length;
  }

  save(): ConsoleState {
    return { waiting: this.#waiting.slice() };
  }
  restore(state: ConsoleState): void {
    this.#waiting = state.waiting.slice();
  }

  #takeOutput(): Uint8Array {
    return this.#guarded(new Uint8Array(0), () => {
      const consumer = this.#memory.readU32(this.#base + OUT.consumer);
      const used = (this.#memory.readU32(this.#base + OUT.producer) - consumer) >>> 0;
      // As xenconsoled does: a guest whose indexes make no sense is not listened to until they do.
      if (used === 0 || used > OUT.size) return new Uint8Array(0);
      const bytes = new Uint8Array(used);
      const at = consumer % OUT.size;
      const first = Math.min(used, OUT.size - at);
      bytes.set(this.#memory.read(this.#base + OUT.at + at, first));
      if (used > first) bytes.set(this.#memory.read(this.#base + OUT.at, used - first), first);
      this.#memory.writeU32(this.#base + OUT.consumer, (consumer + used) >>> 0);
      return bytes;
    });
  }

  #giveInput(): boolean {
    if (this.#waiting.length === 0) return false;
    return this.#guarded(false, () => {
      const producer = this.#memory.readU32(this.#base + IN.producer);
      const used = (producer - this.#memory.readU32(this.#base + IN.consumer)) >>> 0;
      const count = used > IN.size ? 0 : Math.min(this.#waiting.length, IN.size - used);
      if (count === 0) return false;
      const at = producer % IN.size;
      const first = Math.min(count, IN.size - at);
      this.#memory.write(this.#base + IN.at + at, this.#waiting.subarray(0, first));
      if (count > first) this.#memory.write(this.#base + IN.at, this.#waiting.subarray(first, count));
      this.#memory.writeU32(this.#base + IN.producer, (producer + count) >>> 0);
      this.#waiting = this.#waiting.slice(count);
      return true;
    });
  }

  /** A guest that gave its console page away has no console. */
  #guarded<T>(otherwise: T, action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (error instanceof BadGuestAddress) return otherwise;
      throw error;
    }
  }
}

/** Bytes of a page frame. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/** No more machine frames: the caller turns this into -ENOMEM or a message about the configuration. */
export class OutOfFrames extends Error {
  constructor(total: number) {
    super(`machine memory is exhausted: all ${total} frames (${(total * PAGE_SIZE) / 1048576} MiB) are in use`);
    this.name = 'OutOfFrames';
  }
}

/**
 * Machine memory: the frames of RAM that all domains share, at `base` of the linear memory.
 * Frames are handed out lowest number first and reused last-freed first, so allocation is deterministic. A frame
 * is zeroed when it is handed out, as Xen scrubs pages. Frame 0 is never handed out.
 */
export class MachineMemory {
  readonly bytes: Uint8Array;
  readonly base: number;
  readonly frameCount: number;
  /** Told of every frame that is handed out and so zeroed: what was known of its content no longer holds. */
  onScrub: (mfn: number) => void = () => {};
  #next = 1;
  readonly #free: number[] = [];

  constructor(buffer: ArrayBufferLike, base: number, frameCount: number) {
    this.base = base;
    this.frameCount = frameCount;
    this.bytes = new Uint8Array(buffer, base, frameCount * PAGE_SIZE);
  }

  /** @returns a zeroed mfn. @throws OutOfFrames */
  allocate(): number {
    const reused = this.#free.pop();
    if (reused !== undefined) {
      this.frame(reused).fill(0);
      return reused;
    }
    // A frame that nobody had before is zero as the host's memory is; touching it would cost its page.
    if (this.#next >= this.frameCount) throw new OutOfFrames(this.frameCount);
    return this.#next++;
  }

  release(mfn: number): void {
    this.#free.push(mfn);
  }

  get freeFrames(): number {
    return this.frameCount - this.#next + this.#free.length;
  }

  /** The 4096 bytes of a frame, a live view. */
  frame(mfn: number): Uint8Array {
    return this.bytes.subarray(mfn * PAGE_SIZE, (mfn + 1) * PAGE_SIZE);
  }

  /** Address of a frame in linear memory. */
  linear(mfn: number): number {
    return this.base + mfn * PAGE_SIZE;
  }

  /** For snapshots: what `restore` needs beside the frames' contents. */
  save(): { next: number; free: number[] } {
    return { next: this.#next, free: [...this.#free] };
  }
  restore(state: { next: number; free: number[] }): void {
    this.#next = state.next;
    this.#free.splice(0, Infinity, ...state.free);
  }
}

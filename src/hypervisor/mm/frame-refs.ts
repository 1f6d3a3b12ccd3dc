import type { MachineMemory } from '../../memory/frames.ts';

/**
 * Uses of machine frames by others than their owner (mapped grants). A frame that its owner gives up meanwhile
 * stays until the last user is gone, as Xen's page reference counts have it.
 */
export class FrameRefs {
  readonly #frames: MachineMemory;
  readonly #uses = new Map<number, number>();
  readonly #orphans = new Set<number>();

  constructor(frames: MachineMemory) {
    this.#frames = frames;
  }

  get(mfn: number): void {
    this.#uses.set(mfn, (this.#uses.get(mfn) ?? 0) + 1);
  }

  put(mfn: number): void {
    const uses = this.#uses.get(mfn) ?? 0;
    if (uses > 1) {
      this.#uses.set(mfn, uses - 1);
      return;
    }
    this.#uses.delete(mfn);
    if (this.#orphans.delete(mfn)) this.#frames.release(mfn);
  }

  /** The owner gives the frame up. */
  release(mfn: number): void {
    if (this.#uses.has(mfn)) this.#orphans.add(mfn);
    else this.#frames.release(mfn);
  }

  save(): { uses: [number, number][]; orphans: number[] } {
    return { uses: [...this.#uses], orphans: [...this.#orphans] };
  }
  restore(state: { uses: [number, number][]; orphans: number[] }): void {
    this.#uses.clear();
    for (const [mfn, n] of state.uses) this.#uses.set(mfn, n);
    this.#orphans.clear();
    for (const mfn of state.orphans) this.#orphans.add(mfn);
  }
}

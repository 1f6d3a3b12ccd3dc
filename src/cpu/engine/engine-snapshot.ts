/** What of the engine a snapshot carries, and how it is put back. None of it shows in the guest. */
import type { MachineMemory } from '../../memory/frames.ts';
import { TLB_SET_BYTES } from '../../memory/tlb.ts';
import * as L from '../layout.ts';
import type { CpuState } from '../state.ts';
import type { Slot } from './slot.ts';

/**
 * A frame was written since … looked last. Two consumers, each with its bit:
 *
 *       1          0
 *     ┌──────────┬────────┐
 *     │ SNAPSHOT │ DIGEST │
 *     └──────────┴────────┘
 */
export const DIRTY = { DIGEST: 1, SNAPSHOT: 2, ALL: 3 } as const;

/** The parts of the engine that snapshots reach into. */
export interface EngineInside {
  readonly state: CpuState;
  readonly frames: MachineMemory;
  readonly dirty: Uint8Array;
  readonly slots: readonly (Slot | undefined)[];
  current(): Slot | undefined;
  makeCurrent(slot: Slot | undefined): void;
  /** A frame got another content: forgets the code decoded from it. */
  frameReplaced(mfn: number): void;
  /** The TLBs are those of the snapshot: shuts again what listeners want shut. */
  listen(): void;
}

export interface SavedVcpu {
  readonly index: number;
  /** STATE_BYTES of state. */
  readonly state: Uint8Array;
  /** TLB_SET_BYTES: contents are architectural (DESIGN C3); the host's columns are made anew. */
  readonly tlb: Uint8Array;
}

export interface EngineState {
  readonly current: number;
  readonly vcpus: readonly SavedVcpu[];
  /** Frames that the next state digest covers. */
  readonly digestDirty: Uint32Array;
}

export class EngineSnapshots {
  readonly #in: EngineInside;

  constructor(inside: EngineInside) {
    this.#in = inside;
  }

  /** Frames whose content may have changed since the last call, ascending. Starts a new period. */
  takeWritten(): number[] {
    const { dirty } = this.#in;
    const written = marked(dirty, DIRTY.SNAPSHOT);
    for (const mfn of written) dirty[mfn]! &= ~DIRTY.SNAPSHOT;
    for (const slot of this.#in.slots) slot?.tlb.protectFrame(-1);
    return written;
  }

  frame(mfn: number): Uint8Array {
    return this.#in.frames.frame(mfn);
  }

  /** Gives frame `mfn` another content. */
  replaceFrame(mfn: number, content: Uint8Array): void {
    this.#in.frames.frame(mfn).set(content);
    this.#in.frameReplaced(mfn);
  }

  /** The next `takeWritten` names frame `mfn`, whoever gave it its content. */
  markWritten(mfn: number): void {
    this.#in.dirty[mfn]! |= DIRTY.SNAPSHOT;
  }

  /** Registers and TLBs; memory is the caller's. Between runs only. */
  save(): EngineState {
    const { state, slots, dirty } = this.#in;
    const current = this.#in.current();
    const vcpus: SavedVcpu[] = [];
    for (const slot of slots) {
      if (slot === undefined) continue;
      const from = slot === current ? state.u8.subarray(0, L.STATE_BYTES) : slot.parked;
      const tlb = state.u8.slice(slot.tlb.base, slot.tlb.base + TLB_SET_BYTES);
      vcpus.push({ index: slot.index, state: from.slice(), tlb });
    }
    const digestDirty = Uint32Array.from(marked(dirty, DIRTY.DIGEST));
    return { current: current?.index ?? -1, vcpus, digestDirty };
  }

  /** After the frames are back. @throws Error if the vcpus are not those of the snapshot */
  restore(saved: EngineState): void {
    const { state, slots, dirty } = this.#in;
    this.#in.makeCurrent(slots[saved.current]);
    for (const vcpu of saved.vcpus) {
      const slot = slots[vcpu.index];
      if (slot === undefined) throw new Error(`the snapshot's vcpu slot ${vcpu.index} is empty`);
      slot.parked.set(vcpu.state);
      if (vcpu.index === saved.current) state.u8.set(vcpu.state, 0);
      state.u8.set(vcpu.tlb, slot.tlb.base);
      slot.tlb.restored();
    }
    this.#in.listen();
    dirty.fill(0);
    for (const mfn of saved.digestDirty) dirty[mfn] = DIRTY.DIGEST;
  }
}

/** Indices with `bit` set, eight at a time: most frames are clean. */
function marked(dirty: Uint8Array, bit: number): number[] {
  const out: number[] = [];
  const words = new Float64Array(dirty.buffer, 0, dirty.length >> 3);
  for (let w = 0; w < words.length; w++) {
    if (words[w] === 0) continue;
    for (let i = w * 8; i < w * 8 + 8; i++) if ((dirty[i]! & bit) !== 0) out.push(i);
  }
  for (let i = words.length * 8; i < dirty.length; i++) if ((dirty[i]! & bit) !== 0) out.push(i);
  return out;
}

/** What the memory side needs of others: of the vcpu that runs, and of those who keep watch over frames. */
import type { P2m } from '../memory/p2m.ts';
import type { TlbSet } from '../memory/tlb.ts';
import type { ProcessorExits } from './exits.ts';

/** What the memory side needs to know of the vcpu that runs. */
export interface MmuVcpu {
  readonly p2m: P2m;
  readonly tlb: TlbSet;
  readonly exits: ProcessorExits;
}

/** Host knowledge about frames that must never show in the guest. */
export interface FrameHooks {
  /** Frame `mfn` is about to be written at `offset` (length bytes within the page). @returns true if later writes may go straight to memory. */
  written(mfn: number, offset: number, length: number): boolean;
  /** While `watchesReads`: bytes of frame `mfn` are read. */
  read(mfn: number, offset: number, length: number): void;
  /** While `watchesReads`: every read of frame `mfn` must be told. */
  watched(mfn: number): boolean;
}

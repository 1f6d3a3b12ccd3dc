import type { P2m } from '../../memory/p2m.ts';
import type { TlbSet } from '../../memory/tlb.ts';
import type { VcpuSlot } from '../engine.ts';
import type { ProcessorExits } from '../exits.ts';
import * as L from '../layout.ts';

/** What the engine keeps of a vcpu. */
export class Slot implements VcpuSlot {
  readonly index: number;
  readonly p2m: P2m;
  readonly tlb: TlbSet;
  readonly exits: ProcessorExits;
  /** State while another vcpu is current. */
  readonly parked = new Uint8Array(L.STATE_BYTES);
  constructor(index: number, p2m: P2m, tlb: TlbSet, exits: ProcessorExits) {
    this.index = index;
    this.p2m = p2m;
    this.tlb = tlb;
    this.exits = exits;
  }
}

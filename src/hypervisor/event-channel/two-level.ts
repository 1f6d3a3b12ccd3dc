import { KIND } from '../../log/kinds.ts';
import type { EventLog } from '../../log/append.ts';
import type { Domain } from '../domain.ts';
import type { Vcpu } from '../vcpu.ts';
import type { EventAbi } from './abi.ts';

/**
 * The two-level ABI: one bit a port in `evtchn_pending` and `evtchn_mask` of the shared page, and one bit a word of
 * those in each vcpu's `evtchn_pending_sel` (event_channel.h, "Event channel ABI, 2-level").
 */
export class TwoLevel implements EventAbi {
  readonly #domain: Domain;
  readonly #log: EventLog;
  /** A vcpu's `evtchn_upcall_pending` went from 0 to 1. */
  readonly #upcall: (vcpu: Vcpu) => void;

  constructor(domain: Domain, log: EventLog, upcall: (vcpu: Vcpu) => void) {
    this.#domain = domain;
    this.#log = log;
    this.#upcall = upcall;
  }

  get maxPorts(): number {
    return this.#domain.width * this.#domain.width * 64;
  }

  setPending(vcpu: Vcpu, port: number): void {
    const { shared, offsets } = this.#domain;
    if (shared!.setBit(offsets.pending, port)) return;
    this.#log.appendAt(vcpu.domain.id, vcpu.id, KIND['evtchn-pending'], port);
    if (!shared!.bit(offsets.mask, port)) this.#select(vcpu, port);
  }

  clearPending(port: number): void {
    this.#domain.shared!.clearBit(this.#domain.offsets.pending, port);
  }

  unmask(vcpu: Vcpu, port: number): void {
    const { shared, offsets } = this.#domain;
    if (shared!.clearBit(offsets.mask, port) && shared!.bit(offsets.pending, port)) this.#select(vcpu, port);
  }

  isPending(port: number): boolean {
    return port < this.maxPorts && this.#domain.shared!.bit(this.#domain.offsets.pending, port);
  }

  isMasked(port: number): boolean {
    return port >= this.maxPorts || this.#domain.shared!.bit(this.#domain.offsets.mask, port);
  }

  #select(vcpu: Vcpu, port: number): void {
    const { width, offsets } = this.#domain;
    if (!vcpu.info.setBit(offsets.selector, Math.floor(port / (width * 8)))) markEventsPending(vcpu, this.#upcall);
  }
}

/** Xen's vcpu_mark_events_pending: raises the upcall flag; `upcall` learns of it if it was down. */
export function markEventsPending(vcpu: Vcpu, upcall: (vcpu: Vcpu) => void): void {
  if (vcpu.info.u8(0) !== 0) return;
  vcpu.info.setU8(0, 1);
  upcall(vcpu);
}

import { Backend, type DevicePaths, type DeviceType, XenbusState } from '../backend.ts';
import { BackRing, type RingState } from '../ring.ts';
import type { BackendServices, Store, Timer } from '../services.ts';
import {
  extraHasMore,
  MAX_SLOTS,
  NETIF_RSP,
  NETRXF,
  NETTXF,
  RX_ENTRY_BYTES,
  rxRequest,
  rxResponse,
  TX_ENTRY_BYTES,
  type TxRequest,
  txRequest,
  txResponse,
} from './abi.ts';
import type { Packet, Switch, SwitchPort } from './switch.ts';

/** From a packet's notification to its delivery: 50 µs. */
const LATENCY_TICKS = 50_000;
/** Packets that may wait for the guest to offer room; more are dropped, as a full queue does. */
const MAX_WAITING = 256;
const PAGE = 4096;

interface Rings {
  readonly tx: BackRing;
  readonly rx: BackRing;
  /** One port for both, or one each (split event channels). */
  readonly txPort: number;
  readonly rxPort: number;
}

export interface VifState {
  readonly state: number;
  readonly rings: {
    readonly tx: RingState;
    readonly rx: RingState;
    readonly txPort: number;
    readonly rxPort: number;
  } | null;
  readonly waiting: readonly Packet[];
}

/** The back end of a virtual network interface: one queue, packets by grant copy, its far end in a switch. */
export class Vif implements DeviceType, SwitchPort {
  readonly backend: Backend;
  readonly name: string;
  readonly #services: BackendServices;
  readonly #domain: number;
  readonly #switch: Switch;
  readonly #timer: Timer;
  #rings: Rings | undefined;
  #waiting: Packet[] = [];

  constructor(services: BackendServices, store: Store, paths: DevicePaths, bridge: Switch) {
    this.#services = services;
    this.#domain = paths.domain;
    this.#switch = bridge;
    this.name = paths.back;
    this.#timer = services.timer(paths.back, () => this.#work());
    this.backend = new Backend(store, paths, this);
    bridge.plug(this);
  }

  offer() {
    return [
      ['feature-sg', '1'],
      // Nothing is left to the back end. A front end that leaves checksums all the same has its mark passed on.
      ['feature-gso-tcpv4', '0'],
      ['feature-gso-tcpv6', '0'],
      ['feature-no-csum-offload', '1'],
      ['feature-ipv6-csum-offload', '0'],
      ['feature-rx-copy', '1'],
      ['feature-rx-flip', '0'],
      ['feature-split-event-channels', '1'],
    ] as const;
  }

  ready(): boolean {
    return true;
  }

  connect(read: (name: string) => string | undefined): [string, string][] | undefined {
    if (read('request-rx-copy') !== '1') return undefined;
    const tx = this.#ring(Number(read('tx-ring-ref') ?? -1), TX_ENTRY_BYTES);
    const rx = this.#ring(Number(read('rx-ring-ref') ?? -1), RX_ENTRY_BYTES);
    const ports = tx && rx ? this.#ports(read) : undefined;
    if (!tx || !rx || !ports) {
      for (const ring of [tx, rx]) for (const { handle } of ring?.pages ?? []) this.#services.unmapGrant(handle);
      return undefined;
    }
    this.#rings = { tx, rx, ...ports };
    return [];
  }

  disconnect(): void {
    const rings = this.#rings;
    if (!rings) return;
    for (const port of new Set([rings.txPort, rings.rxPort])) this.#services.closePort(port);
    for (const { handle } of [...rings.tx.pages, ...rings.rx.pages]) this.#services.unmapGrant(handle);
    this.#rings = undefined;
    this.#waiting = [];
  }

  remove(): void {
    this.#switch.unplug(this);
    this.backend.remove();
    this.#timer.remove();
  }

  /** A frame from the switch: into the guest's ring, or it waits for room there. */
  receive(packet: Packet): void {
    if (!this.#rings || this.#waiting.length >= MAX_WAITING) return;
    this.#waiting.push(packet);
    this.#deliver(this.#rings);
  }

  save(): VifState {
    const rings = this.#rings;
    return {
      state: this.backend.save(),
      rings: rings ? { ...rings, tx: rings.tx.save(), rx: rings.rx.save() } : null,
      waiting: [...this.#waiting],
    };
  }

  /** Behind the hypervisor's own state: grants and ports must be there. */
  restore(state: VifState): void {
    this.backend.restore(state.state);
    this.#waiting = [...state.waiting];
    this.#rings = undefined;
    if (!state.rings) return;
    const ring = (saved: RingState, entryBytes: number) => {
      const made = new BackRing(
        saved.handles.map((handle) => this.#services.mappedGrant(handle)),
        entryBytes,
      );
      made.restore(saved);
      return made;
    };
    const { txPort, rxPort } = state.rings;
    for (const port of new Set([txPort, rxPort])) this.#services.handlePort(port, () => this.#notified());
    this.#rings = {
      tx: ring(state.rings.tx, TX_ENTRY_BYTES),
      rx: ring(state.rings.rx, RX_ENTRY_BYTES),
      txPort,
      rxPort,
    };
  }

  #ring(ref: number, entryBytes: number): BackRing | undefined {
    const page = this.#services.mapGrant(this.#domain, ref, false);
    return page && new BackRing([page], entryBytes);
  }

  #ports(read: (name: string) => string | undefined): { txPort: number; rxPort: number } | undefined {
    const bind = (port: string | undefined) =>
      port === undefined ? undefined : this.#services.bindPort(this.#domain, Number(port), () => this.#notified());
    const both = read('event-channel');
    if (both !== undefined) {
      const port = bind(both);
      return port === undefined ? undefined : { txPort: port, rxPort: port };
    }
    const txPort = bind(read('event-channel-tx'));
    const rxPort = txPort === undefined ? undefined : bind(read('event-channel-rx'));
    if (txPort !== undefined && rxPort === undefined) this.#services.closePort(txPort);
    return txPort === undefined || rxPort === undefined ? undefined : { txPort, rxPort };
  }

  #notified(): void {
    if (!this.#timer.armed && this.backend.state === XenbusState.Connected) this.#timer.set(LATENCY_TICKS);
  }

  #work(): void {
    const rings = this.#rings;
    if (!rings) return;
    // The guest may have offered room only.
    this.#deliver(rings);
    const { tx, txPort } = rings;
    const packets: Packet[] = [];
    do {
      while (tx.hasRequest) {
        const packet = this.#takePacket(tx);
        if (packet) packets.push(packet);
      }
    } while (tx.rearm());
    if (tx.publish()) this.#services.notify(txPort);
    for (const packet of packets) this.#switch.send(this, packet);
  }

  /** Takes all slots of one packet and answers them. @returns undefined for one that had to be dropped */
  #takePacket(tx: BackRing): Packet | undefined {
    const first = txRequest(tx.take());
    const extras = first.flags & NETTXF.extra_info ? takeExtras(tx) : 0;
    const slots: TxRequest[] = [first];
    let last = first;
    while (last.flags & NETTXF.more_data && tx.hasRequest) {
      last = txRequest(tx.take());
      slots.push(last);
    }
    const whole = (last.flags & NETTXF.more_data) === 0 && slots.length <= MAX_SLOTS;
    const bytes = whole ? this.#gather(slots) : undefined;
    for (const [i, { id }] of slots.entries()) {
      tx.respond(txResponse(id, bytes ? NETIF_RSP.OKAY : NETIF_RSP.ERROR));
      for (let e = 0; i === 0 && e < extras; e++) tx.respond(txResponse(0, NETIF_RSP.NULL));
    }
    if (!bytes) return undefined;
    const { flags } = first;
    return {
      bytes,
      checksumBlank: (flags & NETTXF.csum_blank) !== 0,
      checksumValid: (flags & NETTXF.data_validated) !== 0,
    };
  }

  #gather(slots: readonly TxRequest[]): Uint8Array | undefined {
    const total = slots[0]!.size;
    const others = slots.slice(1).reduce((sum, { size }) => sum + size, 0);
    if (others > total) return undefined;
    const packet = new Uint8Array(total);
    let at = 0;
    for (const [i, { ref, offset, size }] of slots.entries()) {
      const length = i === 0 ? total - others : size;
      const part = this.#services.copyFromGrant(this.#domain, ref, offset, length);
      if (!part) return undefined;
      packet.set(part, at);
      at += length;
    }
    return packet;
  }

  /** Gives waiting packets to the guest while it offers pages for them. */
  #deliver({ rx, rxPort }: Rings): void {
    for (;;) {
      const packet = this.#waiting[0];
      if (!packet) break;
      const pages = Math.ceil(packet.bytes.length / PAGE);
      if (rx.waiting < pages && !rx.rearm(pages)) break;
      this.#waiting.shift();
      this.#give(rx, packet, pages);
    }
    if (rx.publish()) this.#services.notify(rxPort);
  }

  #give(rx: BackRing, { bytes, checksumBlank, checksumValid }: Packet, pages: number): void {
    for (let page = 0; page < pages; page++) {
      const { id, ref } = rxRequest(rx.take());
      const part = bytes.subarray(page * PAGE, (page + 1) * PAGE);
      const given = this.#services.copyToGrant(this.#domain, ref, 0, part);
      const flags =
        (page < pages - 1 ? NETRXF.more_data : 0) |
        (page > 0 ? 0 : checksumBlank ? NETRXF.csum_blank | NETRXF.data_validated : 0) |
        (page === 0 && checksumValid ? NETRXF.data_validated : 0);
      rx.respond(rxResponse(id, flags, given ? part.length : NETIF_RSP.ERROR));
    }
  }
}

/** Slots of extra information (multicast filters, segmentation) say nothing to a back end that offered neither. */
function takeExtras(tx: BackRing): number {
  let count = 0;
  while (tx.hasRequest) {
    count++;
    if (!extraHasMore(tx.take())) break;
  }
  return count;
}

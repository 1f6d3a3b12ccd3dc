import { BackRing, type RingState } from '../ring.ts';
import type { BackendServices } from '../services.ts';
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
import type { Packet } from './switch.ts';

/** Packets that may wait for the guest to offer room; more are dropped, as a full queue does. */
const MAX_WAITING = 256;
const PAGE = 4096;

interface Ends {
  readonly tx: BackRing;
  readonly rx: BackRing;
  /** One port for both, or one each (split event channels). */
  readonly txPort: number;
  readonly rxPort: number;
}

export interface QueueState {
  readonly tx: RingState;
  readonly rx: RingState;
  readonly txPort: number;
  readonly rxPort: number;
  readonly waiting: readonly Packet[];
}

/** A pair of rings of a virtual interface: packets by grant copy. */
export class Queue {
  readonly #services: BackendServices;
  readonly #domain: number;
  readonly #ends: Ends;
  #waiting: Packet[] = [];

  private constructor(services: BackendServices, domain: number, ends: Ends) {
    this.#services = services;
    this.#domain = domain;
    this.#ends = ends;
  }

  /**
   * Maps the rings and binds the ports that the front end names. @returns undefined, with nothing held, if it names nonsense
   */
  static connect(
    services: BackendServices,
    domain: number,
    read: (name: string) => string | undefined,
    notified: () => void,
  ): Queue | undefined {
    const map = (name: string, entryBytes: number) => {
      const page = services.mapGrant(domain, Number(read(name) ?? -1), false);
      return page && new BackRing([page], entryBytes);
    };
    const tx = map('tx-ring-ref', TX_ENTRY_BYTES);
    const rx = map('rx-ring-ref', RX_ENTRY_BYTES);
    const ports = tx && rx ? bindPorts(services, domain, read, notified) : undefined;
    if (tx && rx && ports) return new Queue(services, domain, { tx, rx, ...ports });
    for (const ring of [tx, rx]) for (const { handle } of ring?.pages ?? []) services.unmapGrant(handle);
    return undefined;
  }

  /** Behind the hypervisor's own state: grants and ports must be there. */
  static restore(services: BackendServices, domain: number, state: QueueState, notified: () => void): Queue {
    const ring = (saved: RingState, entryBytes: number) => {
      const made = new BackRing(
        saved.handles.map((handle) => services.mappedGrant(handle)),
        entryBytes,
      );
      made.restore(saved);
      return made;
    };
    const { txPort, rxPort } = state;
    for (const port of new Set([txPort, rxPort])) services.handlePort(port, notified);
    const ends = { tx: ring(state.tx, TX_ENTRY_BYTES), rx: ring(state.rx, RX_ENTRY_BYTES), txPort, rxPort };
    const queue = new Queue(services, domain, ends);
    queue.#waiting = [...state.waiting];
    return queue;
  }

  save(): QueueState {
    const { tx, rx, txPort, rxPort } = this.#ends;
    return { tx: tx.save(), rx: rx.save(), txPort, rxPort, waiting: [...this.#waiting] };
  }

  close(): void {
    const { tx, rx, txPort, rxPort } = this.#ends;
    for (const port of new Set([txPort, rxPort])) this.#services.closePort(port);
    for (const { handle } of [...tx.pages, ...rx.pages]) this.#services.unmapGrant(handle);
  }

  /** A frame for the guest: into its ring, or it waits for room there. */
  give(packet: Packet): void {
    if (this.#waiting.length >= MAX_WAITING) return;
    this.#waiting.push(packet);
    this.deliver();
  }

  /** All that the guest sends. */
  takeAll(): Packet[] {
    const { tx, txPort } = this.#ends;
    const packets: Packet[] = [];
    do {
      while (tx.hasRequest) {
        const packet = this.#takePacket(tx);
        if (packet) packets.push(packet);
      }
    } while (tx.rearm());
    if (tx.publish()) this.#services.notify(txPort);
    return packets;
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
  deliver(): void {
    const { rx, rxPort } = this.#ends;
    for (;;) {
      const packet = this.#waiting[0];
      if (!packet) break;
      const pages = Math.ceil(packet.bytes.length / PAGE);
      if (rx.waiting < pages && !rx.rearm(pages)) break;
      this.#waiting.shift();
      this.#fill(rx, packet, pages);
    }
    if (rx.publish()) this.#services.notify(rxPort);
  }

  #fill(rx: BackRing, { bytes, checksumBlank, checksumValid }: Packet, pages: number): void {
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

function bindPorts(
  services: BackendServices,
  domain: number,
  read: (name: string) => string | undefined,
  notified: () => void,
): { txPort: number; rxPort: number } | undefined {
  const bind = (port: string | undefined) =>
    port === undefined ? undefined : services.bindPort(domain, Number(port), notified);
  const both = read('event-channel');
  if (both !== undefined) {
    const port = bind(both);
    return port === undefined ? undefined : { txPort: port, rxPort: port };
  }
  const txPort = bind(read('event-channel-tx'));
  const rxPort = txPort === undefined ? undefined : bind(read('event-channel-rx'));
  if (txPort !== undefined && rxPort === undefined) services.closePort(txPort);
  return txPort === undefined || rxPort === undefined ? undefined : { txPort, rxPort };
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

import { Backend, type DevicePaths, type DeviceType, XenbusState } from '../backend.ts';
import type { BackendServices, Store, Timer } from '../services.ts';
import { flowHash } from './flow.ts';
import { Queue, type QueueState } from './queue.ts';
import type { Packet, Switch, SwitchPort } from './switch.ts';

/** From a packet's notification to its delivery: 50 µs. */
const LATENCY_TICKS = 50_000;
const MAX_QUEUES = 4;

export interface VifState {
  readonly state: number;
  readonly queues: readonly QueueState[];
}

/** The back end of a virtual network interface: its near end in a guest's queues, its far end in a switch. */
export class Vif implements DeviceType, SwitchPort {
  readonly backend: Backend;
  readonly name: string;
  readonly #services: BackendServices;
  readonly #domain: number;
  readonly #switch: Switch;
  readonly #timer: Timer;
  #queues: Queue[] = [];

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
      ['multi-queue-max-queues', String(MAX_QUEUES)],
    ] as const;
  }

  ready(): boolean {
    return true;
  }

  /** Several queues have their nodes in folders of their own, one is named directly. */
  connect(read: (name: string) => string | undefined): [string, string][] | undefined {
    if (read('request-rx-copy') !== '1') return undefined;
    const count = Number(read('multi-queue-num-queues') ?? 1);
    if (!(Number.isInteger(count) && count >= 1 && count <= MAX_QUEUES)) return undefined;
    for (let i = 0; i < count; i++) {
      const at = count > 1 ? `queue-${i}/` : '';
      const queue = Queue.connect(
        this.#services,
        this.#domain,
        (name) => read(`${at}${name}`),
        () => this.#notified(),
      );
      if (!queue) {
        this.disconnect();
        return undefined;
      }
      this.#queues.push(queue);
    }
    return [];
  }

  disconnect(): void {
    for (const queue of this.#queues) queue.close();
    this.#queues = [];
  }

  remove(): void {
    this.#switch.unplug(this);
    this.backend.remove();
    this.#timer.remove();
  }

  /** A frame from the switch. Frames of one flow take one queue, so that they stay in order. */
  receive(packet: Packet): void {
    const count = this.#queues.length;
    if (count > 0) this.#queues[count === 1 ? 0 : flowHash(packet.bytes) % count]!.give(packet);
  }

  save(): VifState {
    return { state: this.backend.save(), queues: this.#queues.map((queue) => queue.save()) };
  }

  /** Behind the hypervisor's own state: grants and ports must be there. */
  restore({ state, queues }: VifState): void {
    this.backend.restore(state);
    const notified = () => this.#notified();
    this.#queues = queues.map((queue) => Queue.restore(this.#services, this.#domain, queue, notified));
  }

  #notified(): void {
    if (!this.#timer.armed && this.backend.state === XenbusState.Connected) this.#timer.set(LATENCY_TICKS);
  }

  #work(): void {
    const packets: Packet[] = [];
    for (const queue of this.#queues) {
      // The guest may have offered room only.
      queue.deliver();
      packets.push(...queue.takeAll());
    }
    for (const packet of packets) this.#switch.send(this, packet);
  }
}

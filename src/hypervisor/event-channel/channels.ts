import { E, fail } from '../abi/errno.ts';
import { DOMID, NR_VIRQS, PER_VCPU_VIRQS } from '../abi/xen.ts';
import { KIND } from '../../log/kinds.ts';
import type { EventLog } from '../../log/append.ts';
import type { Domain } from '../domain.ts';
import type { Vcpu } from '../vcpu.ts';
import type { EventAbi } from './abi.ts';
import { Fifo, type FifoState } from './fifo.ts';

/** What a port is (Xen's ECS_*). The last four are bound in the order of the event's enumeration. */
export type ChannelKind = 'free' | 'reserved' | 'unbound' | 'interdomain' | 'virq' | 'ipi' | 'pirq';
const EVENT_TYPE: Readonly<Record<string, number>> = { unbound: 0, interdomain: 1, virq: 2, ipi: 3, pirq: 4 };

export interface Channel {
  kind: ChannelKind;
  /** Vcpu that is told. */
  vcpu: number;
  /** Domain on the other end, or allowed to bind. */
  remoteDomain: number;
  remotePort: number;
  virq: number;
}

/** Ports come into being in buckets, as in Xen: a port beyond the last bucket does not exist, one within is free. */
const BUCKET = 64;
const free = (): Channel => ({ kind: 'free', vcpu: 0, remoteDomain: DOMID.INVALID, remotePort: 0, virq: 0 });

export interface EventChannelsState {
  channels: Channel[];
  /** Null while the guest keeps to the two-level ABI. */
  fifo: FifoState | null;
}

/** One domain's event channels. Methods end the hypercall with an errno (`fail`) as Xen's functions return it. */
export class EventChannels {
  readonly domain: Domain;
  abi: EventAbi;
  /** The two-level ABI, which every domain begins with. */
  readonly #firstAbi: EventAbi;
  /** Makes the FIFO ABI for a domain that asks for it. */
  makeFifo: () => Fifo = () => fail(E.NOSYS);
  readonly #maxPort: number;
  readonly #log: EventLog;
  readonly #find: (domid: number) => Domain | undefined;
  /** A vcpu blocked in SCHEDOP_poll may wait for this port. */
  onPending: (port: number) => void = () => {};
  readonly #channels: Channel[] = [];

  constructor(
    domain: Domain,
    abi: EventAbi,
    maxPort: number,
    log: EventLog,
    find: (domid: number) => Domain | undefined,
  ) {
    this.domain = domain;
    this.abi = abi;
    this.#firstAbi = abi;
    this.#maxPort = maxPort;
    this.#log = log;
    this.#find = find;
    this.#grow();
    this.#channels[0].kind = 'reserved';
  }

  /** The channel of a port that exists. @throws Errno EINVAL */
  get(port: number): Channel {
    return this.#channels[port] ?? fail(E.INVAL);
  }

  exists(port: number): boolean {
    return port < this.#channels.length;
  }

  allocUnbound(remote: number): number {
    const port = this.#freePort();
    this.#bind(port, { ...free(), kind: 'unbound', remoteDomain: remote });
    return port;
  }

  /** Binds to `remotePort` of `remote`, which must be unbound and waiting for this domain. */
  bindInterdomain(remote: Domain, remotePort: number): number {
    const port = this.#freePort();
    const other = remote.events.get(remotePort);
    if (other.kind !== 'unbound' || other.remoteDomain !== this.domain.id) fail(E.INVAL);
    this.#bind(port, { ...free(), kind: 'interdomain', remoteDomain: remote.id, remotePort });
    other.kind = 'interdomain';
    other.remotePort = port;
    // An event may have been sent and lost before: Xen marks the new port pending.
    this.#setPending(port);
    return port;
  }

  bindVirq(virq: number, vcpuId: number): number {
    if (virq >= NR_VIRQS) fail(E.INVAL);
    if (!PER_VCPU_VIRQS.includes(virq) && virq < 16 && vcpuId !== 0) fail(E.INVAL);
    const vcpu = this.domain.vcpus[vcpuId] ?? fail(E.NOENT);
    if (vcpu.virqPorts[virq] !== 0) fail(E.EXIST);
    const port = this.#freePort();
    this.#bind(port, { ...free(), kind: 'virq', vcpu: vcpuId, virq });
    vcpu.virqPorts[virq] = port;
    return port;
  }

  bindIpi(vcpuId: number): number {
    if (!this.domain.vcpus[vcpuId]) fail(E.NOENT);
    const port = this.#freePort();
    this.#bind(port, { ...free(), kind: 'ipi', vcpu: vcpuId });
    return port;
  }

  close(port: number): void {
    const channel = this.get(port);
    if (channel.kind === 'free' || channel.kind === 'reserved') fail(E.INVAL);
    if (channel.kind === 'virq') this.#virqOwner(channel).virqPorts[channel.virq] = 0;
    if (channel.kind === 'interdomain') {
      const other = this.#find(channel.remoteDomain)?.events.get(channel.remotePort);
      if (other) {
        other.kind = 'unbound';
        other.remoteDomain = this.domain.id;
        other.remotePort = 0;
      }
    }
    this.abi.clearPending(port);
    this.#channels[port] = free();
    this.#log.appendAt(this.domain.id, -1, KIND['evtchn-close'], port);
  }

  /** EVTCHNOP_send: notifies the other end. */
  send(port: number): void {
    const channel = this.get(port);
    switch (channel.kind) {
      case 'interdomain': {
        const remote = this.#find(channel.remoteDomain);
        if (remote) remote.events.#setPending(channel.remotePort);
        break;
      }
      case 'ipi':
        this.#setPending(port);
        break;
      case 'unbound':
        break;
      default:
        fail(E.INVAL);
    }
  }

  bindVcpu(port: number, vcpuId: number): void {
    if (!this.domain.vcpus[vcpuId]) fail(E.NOENT);
    const channel = this.get(port);
    const perVcpu = channel.kind === 'virq' && PER_VCPU_VIRQS.includes(channel.virq);
    if (!['virq', 'unbound', 'interdomain'].includes(channel.kind) || perVcpu) fail(E.INVAL);
    channel.vcpu = vcpuId;
  }

  /** The FIFO ABI if the domain uses it. */
  get fifo(): Fifo | undefined {
    return this.abi instanceof Fifo ? this.abi : undefined;
  }

  /** EVTCHNOP_init_control: the first one changes the ABI, and what is pending comes along. */
  initControl(vcpuId: number, gfn: bigint, offset: number): void {
    const { fifo } = this;
    if (fifo) {
      fifo.initControl(vcpuId, gfn, offset);
      return;
    }
    const made = this.makeFifo();
    made.initControl(vcpuId, gfn, offset);
    for (let port = 1; port < this.#channels.length; port++) {
      if (this.#channels[port].kind !== 'free' && this.abi.isPending(port)) made.adopt(port);
    }
    this.abi = made;
  }

  /** EVTCHNOP_expand_array. */
  expandArray(gfn: bigint): void {
    const fifo = this.fifo ?? fail(E.OPNOTSUPP);
    fifo.expandArray(gfn, (port) => this.domain.vcpus[this.#channels[port]?.vcpu ?? 0]);
  }

  /** EVTCHNOP_set_priority. */
  setPriority(port: number, priority: number): void {
    this.get(port);
    (this.fifo ?? fail(E.NOSYS)).setPriority(port, priority);
  }

  unmask(port: number): void {
    this.abi.unmask(this.domain.vcpus[this.get(port).vcpu], port);
  }

  /** Raises a virq if it is bound. @returns whether it is */
  sendVirq(vcpu: Vcpu, virq: number): boolean {
    const port = vcpu.virqPorts[virq];
    if (port !== 0) this.#setPending(port);
    return port !== 0;
  }

  /** Closes everything that the guest could close (EVTCHNOP_reset, and a domain's end). */
  reset(): void {
    for (let port = 1; port < this.#channels.length; port++) {
      if (this.#channels[port].kind !== 'free') this.close(port);
    }
    this.fifo?.close();
    this.abi = this.#firstAbi;
  }

  isPending(port: number): boolean {
    return this.abi.isPending(port);
  }

  #setPending(port: number): void {
    this.abi.setPending(this.domain.vcpus[this.#channels[port].vcpu], port);
    this.onPending(port);
  }

  #virqOwner(channel: Channel): Vcpu {
    return this.domain.vcpus[PER_VCPU_VIRQS.includes(channel.virq) || channel.virq >= 16 ? channel.vcpu : 0];
  }

  #bind(port: number, channel: Channel): void {
    this.#channels[port] = channel;
    this.abi.opened?.(port);
    const { kind, remoteDomain, remotePort } = channel;
    const from = this.#log.where.domain === this.domain.id ? this.#log.where.vcpu : -1;
    this.#log.appendAt(this.domain.id, from, KIND['evtchn-bind'], port, EVENT_TYPE[kind], remoteDomain, remotePort);
  }

  #freePort(): number {
    if (this.domain.dying) fail(E.INVAL);
    for (let port = 1; ; port++) {
      if (port > this.#maxPort || port >= this.abi.maxPorts) fail(E.NOSPC);
      if (port >= this.#channels.length) this.#grow();
      if (this.#channels[port].kind === 'free') return port;
    }
  }

  #grow(): void {
    for (let i = 0; i < BUCKET; i++) this.#channels.push(free());
  }

  /** How many ports of each kind there are: for `xl debug` and tests. */
  count(kind: ChannelKind): number {
    return this.#channels.filter((c) => c.kind === kind).length;
  }

  save(): EventChannelsState {
    return { channels: this.#channels.map((c) => ({ ...c })), fifo: this.fifo?.save() ?? null };
  }
  restore(state: EventChannelsState): void {
    this.abi = this.#firstAbi;
    if (state.fifo) {
      const fifo = this.makeFifo();
      fifo.restore(state.fifo);
      this.abi = fifo;
    }
    this.#channels.splice(0, Infinity, ...state.channels.map((c) => ({ ...c })));
  }
}

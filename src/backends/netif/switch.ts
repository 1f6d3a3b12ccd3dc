/** A frame on its way, with what the sender said of its checksum. */
export interface Packet {
  readonly bytes: Uint8Array;
  /** The TCP or UDP checksum is still to be filled in: the packet never left the machine. */
  readonly checksumBlank: boolean;
  readonly checksumValid: boolean;
}

export interface SwitchPort {
  /** Domain and interface: the order in which a flooded frame is delivered. */
  readonly name: string;
  receive(packet: Packet): void;
}

const BROADCAST_BIT = 1;
const ETHERNET_HEADER = 14;
/** Learned addresses; beyond that the oldest is forgotten. */
const MAX_LEARNED = 1024;

export interface SwitchState {
  readonly learned: readonly (readonly [address: string, port: string])[];
}

/** A learning Ethernet switch: what `bridge=` names. It has no loops, so it needs no spanning tree. */
export class Switch {
  readonly #ports: SwitchPort[] = [];
  /** Source address to the name of its port. */
  readonly #learned = new Map<string, string>();

  plug(port: SwitchPort): void {
    this.#ports.push(port);
  }

  unplug(port: SwitchPort): void {
    const at = this.#ports.indexOf(port);
    if (at >= 0) this.#ports.splice(at, 1);
    for (const [address, name] of this.#learned) if (name === port.name) this.#learned.delete(address);
  }

  get ports(): number {
    return this.#ports.length;
  }

  /** Takes a frame from a port. Those too short for a header are dropped. */
  send(from: SwitchPort, packet: Packet): void {
    const { bytes } = packet;
    if (bytes.length < ETHERNET_HEADER) return;
    if ((bytes[6]! & BROADCAST_BIT) === 0) this.#learn(address(bytes, 6), from.name);
    const known = (bytes[0]! & BROADCAST_BIT) === 0 ? this.#learned.get(address(bytes, 0)) : undefined;
    for (const port of [...this.#ports])
      if (port !== from && (known === undefined || port.name === known)) port.receive(packet);
  }

  save(): SwitchState {
    return { learned: [...this.#learned] };
  }
  restore(state: SwitchState): void {
    this.#learned.clear();
    for (const [address, port] of state.learned) this.#learned.set(address, port);
  }

  #learn(source: string, port: string): void {
    if (this.#learned.get(source) === port) return;
    this.#learned.delete(source);
    if (this.#learned.size >= MAX_LEARNED) this.#learned.delete(this.#learned.keys().next().value!);
    this.#learned.set(source, port);
  }
}

function address(bytes: Uint8Array, at: number): string {
  let text = '';
  for (let i = 0; i < 6; i++) text += bytes[at + i]!.toString(16).padStart(2, '0');
  return text;
}

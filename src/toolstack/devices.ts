import { type Disk, Disk as DiskImage, type Overlay } from '../backends/blkif/disk.ts';
import { Qcow2 } from '../backends/blkif/qcow2.ts';
import { Vbd, type VbdState } from '../backends/blkif/vbd.ts';
import { Switch, type SwitchPort, type SwitchState } from '../backends/netif/switch.ts';
import { Vif, type VifState } from '../backends/netif/vif.ts';
import type { BackendServices } from '../backends/services.ts';
import { diskContent, type Image } from './builder/image.ts';
import { writeVbd, writeVif } from './xenstore-tree.ts';
import type { DiskConfig, DomainConfig } from './xl/domain-config.ts';
import type { LocalClient } from './xenstore/local-client.ts';
import { domainPath } from './xenstore/paths.ts';

interface DomainDevices {
  readonly vbds: readonly Vbd[];
  readonly vifs: readonly Vif[];
}

export interface DevicesState {
  readonly domains: readonly {
    readonly id: number;
    readonly vbds: readonly VbdState[];
    readonly vifs: readonly VifState[];
  }[];
  readonly disks: readonly (readonly [name: string, overlay: Overlay])[];
  readonly switches: readonly (readonly [bridge: string, state: SwitchState])[];
}

/** The bridge with one port more, which leads out of the machine: its frames are inputs when they come from there. */
export const USER_BRIDGE = 'user';
/** No packet that IP has is larger. */
const MAX_FRAME = 65_535;

/** Disks, switches, and the back ends that join them to domains. */
export class Devices {
  readonly #services: BackendServices;
  readonly #store: LocalClient;
  readonly #domains = new Map<number, DomainDevices>();
  /** By domain's name and device, so that a restarted domain finds what it wrote. */
  readonly #disks = new Map<string, Disk>();
  readonly #switches = new Map<string, Switch>();

  /** Called with frames for the outside; must not change the machine but by its door. */
  onUplink: (frame: Uint8Array) => void = () => {};
  readonly #uplink: SwitchPort = { name: 'uplink', receive: ({ bytes }) => this.onUplink(bytes) };

  constructor(services: BackendServices, store: LocalClient) {
    this.#services = services;
    this.#store = store;
  }

  /** Makes a new domain's devices: nodes of both ends, and back ends that wait. `contents`: one for each of its disks. */
  attach(id: number, config: DomainConfig, contents: readonly Image[]): void {
    const { disks, vifs } = config;
    if (contents.length !== disks.length)
      throw new Error(`${config.name} has ${disks.length} disks, ${contents.length} given`);
    const vbds: Vbd[] = [];
    const nics: Vif[] = [];
    this.#domains.set(id, { vbds, vifs: nics });
    for (const [i, disk] of disks.entries()) {
      const device = vdevNumber(disk.vdev);
      writeVbd(this.#store, id, device, disk);
      vbds.push(
        new Vbd(
          this.#services,
          this.#store,
          paths('vbd', id, device),
          this.#disk(config.name, disk, contents[i]!),
          disk,
        ),
      );
    }
    for (const [device, vif] of vifs.entries()) {
      writeVif(this.#store, id, device, vif);
      nics.push(new Vif(this.#services, this.#store, paths('vif', id, device), this.#switch(vif.bridge)));
    }
  }

  /** Ends a domain's back ends. Its nodes are the caller's to remove. */
  detach(id: number): void {
    const devices = this.#domains.get(id);
    this.#domains.delete(id);
    for (const vbd of devices?.vbds ?? []) vbd.remove();
    for (const vif of devices?.vifs ?? []) vif.remove();
  }

  /** A frame from outside, with right checksums. */
  fromOutside(bytes: Uint8Array): void {
    if (bytes.length > MAX_FRAME) return;
    const packet = { bytes, checksumBlank: false, checksumValid: true };
    this.#switches.get(USER_BRIDGE)?.send(this.#uplink, packet);
  }

  /** True while no domain had a device. */
  get empty(): boolean {
    return this.#disks.size === 0 && this.#switches.size === 0;
  }

  /** Disks that were written to, as `domain/device`. */
  *changedDisks(): Generator<readonly [name: string, disk: Disk]> {
    for (const entry of this.#disks) if (entry[1].changedBytes > 0) yield entry;
  }

  save(): DevicesState {
    return {
      domains: this.#saveBackends(),
      disks: [...this.#disks].map(([name, disk]) => [name, disk.save()]),
      switches: [...this.#switches].map(([bridge, each]) => [bridge, each.save()]),
    };
  }

  /** The same domains must be there. */
  restore(state: DevicesState): void {
    for (const { id, vbds, vifs } of state.domains) {
      const devices = this.#domains.get(id);
      if (!devices) throw new Error(`domain ${id} of the snapshot has no devices here`);
      for (const [i, vbd] of devices.vbds.entries()) vbd.restore(vbds[i]!);
      for (const [i, vif] of devices.vifs.entries()) vif.restore(vifs[i]!);
    }
    for (const [name, overlay] of state.disks) this.#disks.get(name)?.restore(overlay);
    for (const [bridge, each] of state.switches) this.#switches.get(bridge)?.restore(each);
  }

  /** For digests: all but what is on the disks, which is what guests' memory held; how much was written stands for it. */
  digest() {
    return {
      domains: this.#saveBackends(),
      disks: [...this.#disks].map(([name, disk]) => [name, disk.writes, disk.changedBytes] as const),
      switches: [...this.#switches].map(([bridge, each]) => [bridge, each.save()] as const),
    };
  }

  #saveBackends() {
    return [...this.#domains].map(([id, { vbds, vifs }]) => ({
      id,
      vbds: vbds.map((vbd) => vbd.save()),
      vifs: vifs.map((vif) => vif.save()),
    }));
  }

  #disk(domain: string, { vdev, format, readOnly }: DiskConfig, image: Image): Disk {
    const name = `${domain}/${vdev}`;
    const file = diskContent(image);
    const make = () => new DiskImage(format === 'qcow2' ? new Qcow2(file, image.name) : file, readOnly);
    const disk = this.#disks.get(name) ?? make();
    this.#disks.set(name, disk);
    return disk;
  }

  #switch(bridge: string): Switch {
    const there = this.#switches.get(bridge);
    if (there) return there;
    const fresh = new Switch();
    this.#switches.set(bridge, fresh);
    if (bridge === USER_BRIDGE) fresh.plug(this.#uplink);
    return fresh;
  }
}

function paths(kind: string, domain: number, device: number) {
  return {
    domain,
    front: `${domainPath(domain)}/device/${kind}/${device}`,
    back: `${domainPath(0)}/backend/${kind}/${domain}/${device}`,
  };
}

/**
 * The number of a virtual device by its name (xen/docs/man/xen-vbd-interface.7): `xvda` is major 202 with 16 minors a
 * disk, the 17th disk and later ones have numbers of an extended form; `hd` and `sd` are the old Linux numbers.
 */
export function vdevNumber(name: string): number {
  const numbered = /^d(\d+)(?:p(\d+))?$/.exec(name);
  const lettered = /^(xvd|hd|sd)([a-z]{1,2})(\d+)?$/.exec(name);
  if (!numbered && !lettered) throw new Error(`${name} is no name of a disk`);
  const partition = Number((numbered ? numbered[2] : lettered![3]) ?? 0);
  const disk = numbered
    ? Number(numbered[1])
    : [...lettered![2]!].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 96, 0) - 1;
  if (lettered?.[1] === 'hd') return ((disk < 2 ? 3 : 22) << 8) | ((disk & 1) << 6) | partition;
  if (lettered?.[1] === 'sd') return (8 << 8) | (disk << 4) | partition;
  if (disk < 16 && partition < 16) return (202 << 8) | (disk << 4) | partition;
  return (1 << 28) | (disk << 8) | partition;
}

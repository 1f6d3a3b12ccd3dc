import type { MemoryMapEntry } from './hypervisor-interface.ts';
import type { DiskConfig, DomainConfig, VifConfig } from './xl/domain-config.ts';
import type { LocalClient } from './xenstore/local-client.ts';
import { domainPath } from './xenstore/paths.ts';

/**
 * The nodes that libxl 4.17 makes for a domain, in its order and with its permissions: libxl_create.c
 * (libxl__domain_make), libxl_dom.c (libxl__build_post), libxl_console.c, libxl_device.c.
 * `read`: Domain 0's, the guest may read. `own`: the guest's. `hidden`: Domain 0's alone.
 */
const permissionSets = (id: number) => ({
  hidden: ['n0'],
  read: ['n0', `r${id}`],
  own: [`n${id}`],
  /** A device's front end: the guest's, Domain 0's back end may read. */
  front: [`n${id}`, 'r0'],
});
type PermissionSet = keyof ReturnType<typeof permissionSets>;

/** XenbusStateInitialising. */
const INITIALISING = '1';
const CONSOLE_LIMIT = 1048576;

export interface BuiltTree {
  readonly storePort: number;
  readonly storeGfn: number;
  readonly consolePort: number;
  readonly consoleGfn: number;
  readonly memoryMap?: readonly MemoryMapEntry[];
}

/** Domain 0's own nodes, once for a machine. */
export function writeDomain0(store: LocalClient): void {
  store.write(`${domainPath(0)}/domid`, '0');
  store.write(`${domainPath(0)}/name`, 'Domain-0');
}

/** What is there before the domain has memory. */
export function writeSkeleton(store: LocalClient, id: number, config: DomainConfig): void {
  const home = domainPath(id);
  const vm = `/vm/${config.uuid}`;
  const libxl = `/libxl/${id}`;
  const sets = permissionSets(id);
  const make = (path: string, set: PermissionSet): void => {
    store.mkdir(path);
    store.setPermissions(path, ...sets[set]);
  };
  store.transaction(() => {
    for (const [path, set] of [
      [home, 'read'],
      [vm, 'read'],
      [libxl, 'hidden'],
    ] as const) {
      store.remove(path);
      make(path, set);
    }
    make(`${libxl}/device`, 'hidden');
    store.write(`${home}/vm`, vm);
    store.write(`${home}/name`, config.name);
    for (const name of ['cpu', 'memory', 'device']) make(`${home}/${name}`, 'read');
    make(`${home}/device/suspend/event-channel`, 'own');
    make(`${home}/control`, 'read');
    for (const name of ['shutdown', 'feature-poweroff', 'feature-reboot', 'feature-suspend', 'sysrq'])
      make(`${home}/control/${name}`, 'own');
    for (const name of ['data', 'drivers', 'feature', 'attr', 'error']) make(`${home}/${name}`, 'own');
    store.write(`${vm}/uuid`, config.uuid);
    store.write(`${vm}/name`, config.name);
    store.write(`${home}/control/platform-feature-multiprocessor-suspend`, '1');
    store.write(`${home}/control/platform-feature-xs_reset_watches`, '1');
    store.write(`${libxl}/type`, config.type);
  });
}

/** What is known once it is built. Memory is in KiB. */
export function writeBuilt(store: LocalClient, id: number, config: DomainConfig, built: BuiltTree): void {
  const home = domainPath(id);
  store.transaction(() => {
    const nodes: [string, string][] = [
      ['memory/static-max', String(config.maxMemoryMiB * 1024)],
      ['memory/target', String(config.memoryMiB * 1024)],
      ['memory/videoram', '0'],
      ['domid', String(id)],
      ['store/port', String(built.storePort)],
      ['store/ring-ref', String(built.storeGfn)],
    ];
    for (let cpu = 0; cpu < config.maxVcpus; cpu++)
      nodes.push([`cpu/${cpu}/availability`, cpu < config.vcpus ? 'online' : 'offline']);
    for (const [name, value] of nodes) store.write(`${home}/${name}`, value);
  });
}

/** The primary console, whose front end is /local/domain/ID/console and not among the devices. */
export function writeConsole(store: LocalClient, id: number, built: BuiltTree): void {
  const back: [string, string][] = [
    ['frontend-id', String(id)],
    ['online', '1'],
    ['state', INITIALISING],
    ['protocol', 'vt100'],
  ];
  const readOnly: [string, string][] = [
    ['limit', String(CONSOLE_LIMIT)],
    ['type', 'xenconsoled'],
    ['output', 'pty'],
    // No pseudo-terminal of a host belongs to it: the console is on the event log.
    ['tty', ''],
    ['port', String(built.consolePort)],
    ['ring-ref', String(built.consoleGfn)],
  ];
  writeDevice(store, id, {
    kind: 'console',
    device: 0,
    frontPath: `${domainPath(id)}/console`,
    frontIsOwn: false,
    back,
    front: [['backend-id', '0']],
    readOnly,
  });
}

export interface DeviceNodes {
  /** Name of the kind in paths: vbd, vif, console. */
  readonly kind: string;
  readonly device: number;
  readonly frontPath: string;
  /** Whether the front end's directory is the guest's (all devices but the primary console). */
  readonly frontIsOwn: boolean;
  readonly back: readonly (readonly [string, string])[];
  readonly front: readonly (readonly [string, string])[];
  readonly readOnly?: readonly (readonly [string, string])[];
}

/** A device's three directories: front end, back end in Domain 0, and libxl's own record (libxl__device_generic_add). */
export function writeDevice(store: LocalClient, id: number, nodes: DeviceNodes): void {
  const { kind, device, frontPath } = nodes;
  const backPath = `${domainPath(0)}/backend/${kind}/${id}/${device}`;
  const libxl = `/libxl/${id}/device/${kind}/${device}`;
  const sets = permissionSets(id);
  store.transaction(() => {
    store.remove(libxl);
    store.write(`${libxl}/frontend`, frontPath);
    store.write(`${libxl}/backend`, backPath);
    store.remove(frontPath);
    store.mkdir(frontPath);
    store.setPermissions(frontPath, ...sets[nodes.frontIsOwn ? 'front' : 'read']);
    store.write(`${frontPath}/backend`, backPath);
    for (const [list, set] of [
      [nodes.front, 'front'],
      [nodes.readOnly ?? [], 'read'],
    ] as const)
      for (const [name, value] of list) {
        store.write(`${frontPath}/${name}`, value);
        store.setPermissions(`${frontPath}/${name}`, ...sets[set]);
      }
    store.remove(backPath);
    store.mkdir(backPath);
    store.setPermissions(backPath, ...sets.read);
    store.write(`${backPath}/frontend`, frontPath);
    for (const [name, value] of nodes.back) store.write(`${backPath}/${name}`, value);
    for (const [name, value] of nodes.back) store.write(`${libxl}/${name}`, value);
  });
}

/** A disk: libxl_disk.c (device_disk_add), with a file as its target. */
export function writeVbd(store: LocalClient, id: number, device: number, disk: DiskConfig): void {
  const kind = disk.cdrom ? 'cdrom' : 'disk';
  writeDevice(store, id, {
    kind: 'vbd',
    device,
    frontPath: `${domainPath(id)}/device/vbd/${device}`,
    frontIsOwn: true,
    back: [
      ['frontend-id', String(id)],
      ['params', disk.target],
      ['online', '1'],
      ['removable', disk.cdrom ? '1' : '0'],
      ['bootable', '1'],
      ['state', INITIALISING],
      ['dev', disk.vdev],
      ['type', disk.format],
      ['mode', disk.readOnly ? 'r' : 'w'],
      ['device-type', kind],
      ['discard-enable', disk.readOnly || disk.discard === false ? '0' : '1'],
    ],
    front: [
      ['backend-id', '0'],
      ['state', INITIALISING],
      ['virtual-device', String(device)],
      ['device-type', kind],
    ],
  });
}

/** A network interface: libxl_nic.c (libxl__set_xenstore_nic). */
export function writeVif(store: LocalClient, id: number, device: number, vif: VifConfig): void {
  const optional: [string, string | undefined][] = [
    ['vifname', vif.vifname],
    ['ip', vif.ip],
  ];
  writeDevice(store, id, {
    kind: 'vif',
    device,
    frontPath: `${domainPath(id)}/device/vif/${device}`,
    frontIsOwn: true,
    back: [
      ['frontend-id', String(id)],
      ['online', '1'],
      ['state', INITIALISING],
      ['mac', vif.mac],
      ...optional.filter((each): each is [string, string] => each[1] !== undefined),
      ['bridge', vif.bridge],
      ['handle', String(device)],
      ['type', 'vif'],
      ['hotplug-status', 'connected'],
    ],
    front: [
      ['backend-id', '0'],
      ['state', INITIALISING],
      ['handle', String(device)],
      ['mac', vif.mac],
      ['mtu', '1500'],
    ],
  });
}

/** Takes everything of a domain away, as libxl does when it destroys one. */
export function removeDomain(store: LocalClient, id: number, uuid: string): void {
  for (const kind of store.list(`${domainPath(0)}/backend`)) store.remove(`${domainPath(0)}/backend/${kind}/${id}`);
  store.remove(`/vm/${uuid}`);
  store.remove(domainPath(id));
  store.remove(`/libxl/${id}`);
}

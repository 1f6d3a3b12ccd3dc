/** What a domain is, as xl's configuration says it: plain JSON, so that it fits a recording's header. */
export interface DomainConfig {
  readonly name: string;
  /** 8-4-4-4-12 lower-case hex digits. Derived from the name unless the file gives one. */
  readonly uuid: string;
  readonly type: DomainType;
  /** Paths as written; a relative one is relative to the process's folder, as in xl. */
  readonly kernel?: string;
  readonly ramdisk?: string;
  /** The kernel's command line: `cmdline`, or `root` and `extra` joined as xl joins them. */
  readonly cmdline: string;
  readonly memoryMiB: number;
  readonly maxMemoryMiB: number;
  readonly vcpus: number;
  readonly maxVcpus: number;
  readonly onPoweroff: ShutdownAction;
  readonly onReboot: ShutdownAction;
  readonly onCrash: ShutdownAction;
  readonly onWatchdog: ShutdownAction;
  readonly disks: readonly DiskConfig[];
  readonly vifs: readonly VifConfig[];
  /** Changes to CPUID as written, checked: see cpuid.ts. */
  readonly cpuid: readonly string[];
  /** Processors that the domain's vcpus may run on; absent: all. */
  readonly cpus?: readonly number[];
  readonly cpuWeight?: number;
  readonly cpuCap?: number;
  /** Highest version of the grant table that the guest may choose; absent: 2. */
  readonly maxGrantVersion?: number;
  /** False takes the ACPI tables away from a PVH guest. */
  readonly acpi: boolean;
}

export type DomainType = 'pvh' | 'hvm' | 'pv';
export const DOMAIN_TYPES: readonly DomainType[] = ['pvh', 'hvm', 'pv'];

/** What happens to a domain that stopped. */
export type ShutdownAction = 'destroy' | 'restart' | 'preserve';
export const SHUTDOWN_ACTIONS: readonly ShutdownAction[] = ['destroy', 'restart', 'preserve'];

/** A virtual disk: xl-disk-configuration(5). */
export interface DiskConfig {
  readonly target: string;
  readonly format: 'raw' | 'qcow2';
  /** The guest's name of it, such as xvda. */
  readonly vdev: string;
  readonly readOnly: boolean;
  readonly cdrom: boolean;
  /** False if the guest is not to give back what it does not need; absent: it may. */
  readonly discard?: false;
}

/** A virtual network interface: xl-network-configuration(5). */
export interface VifConfig {
  /** Six lower-case hex bytes with colons. Derived from the domain's uuid unless given. */
  readonly mac: string;
  readonly bridge: string;
  readonly ip?: string;
  readonly vifname?: string;
}

import { OutOfFrames, PAGE_SIZE } from '../memory/frames.ts';
import { type BuiltDomain, buildPvh } from './builder/pvh.ts';
import { type Image, ImageError } from './builder/image.ts';
import { ConsoleRing } from './console/ring.ts';
import { Devices } from './devices.ts';
import type { Hypervisor, ShutdownReason, ToolstackDomain } from './hypervisor-interface.ts';
import { removeDomain, writeBuilt, writeConsole, writeDomain0, writeSkeleton } from './xenstore-tree.ts';
import type { DomainConfig, ShutdownAction } from './xl/domain-config.ts';
import { LocalClient } from './xenstore/local-client.ts';
import { domainPath } from './xenstore/paths.ts';
import { StoreService } from './xenstore/service.ts';
import { Xenstored, type StoreOperation, RELEASE_DOMAIN } from './xenstore/xenstored.ts';
import { cpuidOverrides } from './xl/cpuid.ts';

/** The files that a domain boots, read by the host. */
export interface DomainImages {
  readonly kernel: Image;
  readonly ramdisk?: Image;
  /** One for each disk of its configuration: its first content. */
  readonly disks?: readonly Image[];
}

/** What the toolstack tells of: for the event log and for the terminal. */
export interface ToolstackEvents {
  built(domain: ToolstackDomain, config: DomainConfig, images: DomainImages, built: BuiltDomain): void;
  /** A domain stopped; `action` is what is done about it now. */
  stopped(id: number, name: string, reason: ShutdownReason, action: ShutdownAction): void;
  /** A domain is new. `was` is the id of the one it restarts. */
  created(id: number, name: string, was: number | undefined): void;
  destroyed(id: number, name: string): void;
  /** A domain that was to be restarted is gone for good: the machine has no room for it now. */
  notRestarted(name: string, why: string): void;
  consoleOutput(id: number, bytes: Uint8Array): void;
  storeOperation(operation: StoreOperation): void;
}

/** A request to the toolstack that cannot be done; the message says why and what to do. */
export class ToolstackError extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'ToolstackError';
  }
}

interface Running {
  readonly domain: ToolstackDomain;
  readonly config: DomainConfig;
  readonly images: DomainImages;
  readonly terminal: ConsoleRing;
  readonly consolePort: number;
}

/** Pages beyond its RAM that libxl allows a domain (LIBXL_MAXMEM_CONSTANT, 1 MiB), and as many for the ACPI tables. */
const EXTRA_PAGES = 512;

/**
 * xl and its helpers as services of Domain 0: makes domains from configurations, keeps the store and the consoles, and
 * does what `on_poweroff` and its like say when one stops. Everything happens at turn boundaries, in a fixed order.
 */
export class Toolstack {
  readonly xenstored = new Xenstored();
  /** The store as Domain 0 sees it. */
  readonly store: LocalClient;
  readonly #hypervisor: Hypervisor;
  readonly #events: ToolstackEvents;
  readonly #service: StoreService;
  readonly devices: Devices;
  readonly #domains = new Map<number, Running>();
  /** Configurations that an operator may create domains of. */
  readonly #known = new Map<string, { readonly config: DomainConfig; readonly images: DomainImages }>();

  constructor(hypervisor: Hypervisor, events: ToolstackEvents) {
    this.#hypervisor = hypervisor;
    this.#events = events;
    this.xenstored.onOperation = (operation) => events.storeOperation(operation);
    this.#service = new StoreService(this.xenstored, hypervisor);
    this.store = new LocalClient(this.xenstored);
    writeDomain0(this.store);
    this.devices = new Devices(hypervisor.backends, this.store);
    hypervisor.onShutdown = (id) => this.#shutDown(id);
  }

  /**
   * Makes a domain and starts it (`xl create`; with `paused`, `xl create -p`).
   * @returns its id
   * @throws ToolstackError, ImageError, OutOfFrames; nothing of the domain is left then
   */
  create(config: DomainConfig, images: DomainImages, paused = false): number {
    return this.#create(config, images, paused, undefined);
  }

  /** Keeps a configuration for `createKnown`, under its domain's name and `alias`. */
  know(config: DomainConfig, images: DomainImages, alias?: string): void {
    this.#known.set(config.name, { config, images });
    if (alias !== undefined) this.#known.set(alias, { config, images });
  }

  /** Makes a domain of a configuration that is kept here. @returns its id. @throws ToolstackError for any reason */
  createKnown(name: string, paused = false): number {
    const known = this.#known.get(name);
    if (!known) {
      const names = [...this.#known.keys()].join(', ');
      throw new ToolstackError(`the session knows no configuration ${JSON.stringify(name)}; it knows ${names}`);
    }
    try {
      return this.create(known.config, known.images, paused);
    } catch (error) {
      if (isNoRoom(error)) throw new ToolstackError(`${known.config.name}: ${error.message}`);
      throw error;
    }
  }

  /** Names and ids of the domains there are. */
  list(): { id: number; name: string; config: DomainConfig }[] {
    return [...this.#domains.values()].map(({ domain, config }) => ({ id: domain.id, name: config.name, config }));
  }

  /** @throws ToolstackError if there is none */
  idOf(nameOrId: string): number {
    for (const { domain, config } of this.#domains.values())
      if (config.name === nameOrId || String(domain.id) === nameOrId) return domain.id;
    throw new ToolstackError(`there is no domain ${JSON.stringify(nameOrId)}`);
  }

  /** Bytes typed at a domain's console. @returns how many were taken: 0 if the domain is gone */
  consoleInput(id: number, bytes: Uint8Array): number {
    return this.#domains.get(id)?.terminal.input(bytes) ?? 0;
  }

  /** Asks the guest to stop by its control/shutdown node (`xl shutdown`, `xl reboot`). */
  requestShutdown(id: number, how: 'poweroff' | 'reboot'): void {
    this.store.write(`${domainPath(id)}/control/shutdown`, how);
  }

  /** Ends a domain at once (`xl destroy`). */
  destroy(id: number): void {
    const running = this.#get(id);
    this.#domains.delete(id);
    this.devices.detach(id);
    this.#hypervisor.closeService(running.consolePort);
    this.#service.disconnect(id);
    this.#hypervisor.destroy(id);
    this.xenstored.domainGone(id);
    removeDomain(this.store, id, running.config.uuid);
    this.#events.destroyed(id, running.config.name);
  }

  /** Sets a domain's memory target, MiB (`xl mem-set`); its balloon driver does the rest. */
  setMemory(id: number, mib: number): void {
    const { config } = this.#get(id);
    if (!(Number.isInteger(mib) && mib >= 1 && mib <= config.maxMemoryMiB))
      throw new ToolstackError(
        `${config.name} can have 1 to ${config.maxMemoryMiB} MiB, not ${mib}; maxmem sets the limit`,
      );
    this.store.write(`${domainPath(id)}/memory/target`, String(mib * 1024));
  }

  /** Sets how many vcpus are to be online (`xl vcpu-set`): the guest watches `cpu/N/availability` and does it. */
  setVcpus(id: number, count: number): void {
    const { config } = this.#get(id);
    if (!(Number.isInteger(count) && count >= 1 && count <= config.maxVcpus))
      throw new ToolstackError(
        `${config.name} can have 1 to ${config.maxVcpus} vcpus, not ${count}; maxvcpus sets the limit`,
      );
    this.store.transaction(() => {
      for (let cpu = 0; cpu < config.maxVcpus; cpu++)
        this.store.write(`${domainPath(id)}/cpu/${cpu}/availability`, cpu < count ? 'online' : 'offline');
    });
  }

  /** A key of Linux's magic SysRq (`xl sysrq`). */
  sysrq(id: number, key: string): void {
    if (!/^[\x21-\x7e]$/.test(key)) throw new ToolstackError(`sysrq takes one key, not ${JSON.stringify(key)}`);
    this.store.write(`${domainPath(id)}/control/sysrq`, key);
  }

  /** The state of the store, the consoles and the back ends. */
  state() {
    return { ...this.#state(), devices: this.devices.save() };
  }

  /** The same for digests, without the disks' contents. */
  digest() {
    const state = this.#state();
    return this.devices.empty ? state : { ...state, devices: this.devices.digest() };
  }

  #state() {
    return {
      store: this.xenstored.save(),
      rings: this.#service.save(),
      consoles: [...this.#domains].map(([id, { terminal }]) => ({ id, ...terminal.save() })),
    };
  }

  /** Puts back what `state` gave; the same domains must be there. @throws Error if they are not */
  restore(state: ReturnType<Toolstack['state']>): void {
    this.xenstored.restore(state.store);
    this.#service.restore(state.rings);
    for (const { id, ...terminal } of state.consoles) this.#get(id).terminal.restore(terminal);
    this.devices.restore(state.devices);
  }

  #create(config: DomainConfig, images: DomainImages, paused: boolean, was: number | undefined): number {
    if (config.type !== 'pvh')
      throw new ToolstackError(
        `${config.name}: type = "${config.type}" cannot be booted yet; use a PVH kernel and type = "pvh"`,
      );
    for (const other of this.#domains.values())
      if (other.config.name === config.name || other.config.uuid === config.uuid)
        throw new ToolstackError(
          `a domain with the name or UUID of ${config.name} is there already (id ${other.domain.id})`,
        );
    const { name, uuid, maxVcpus, maxMemoryMiB, cpus, cpuWeight: weight, maxGrantVersion } = config;
    const domain = this.#hypervisor.createDomain({
      name,
      uuid,
      maxVcpus,
      maxPages: (maxMemoryMiB * 2 ** 20) / PAGE_SIZE + EXTRA_PAGES,
      ...(cpus === undefined ? {} : { cpus }),
      ...(weight === undefined ? {} : { weight }),
      ...(maxGrantVersion === undefined ? {} : { maxGrantVersion }),
      cpuid: cpuidOverrides(config.cpuid, (what) => {
        throw new ToolstackError(`${name}: ${what}`);
      }),
    });
    try {
      this.#build(domain, config, images);
    } catch (error) {
      this.devices.detach(domain.id);
      this.#service.disconnect(domain.id);
      this.#hypervisor.destroy(domain.id);
      removeDomain(this.store, domain.id, uuid);
      throw error;
    }
    this.#events.created(domain.id, name, was);
    if (!paused) this.#hypervisor.unpause(domain.id);
    return domain.id;
  }

  /** libxl's order: skeleton of the tree, ports, memory, rest of the tree, introduction, console. */
  #build(domain: ToolstackDomain, config: DomainConfig, images: DomainImages): void {
    const { id } = domain;
    writeSkeleton(this.store, id, config);
    const storePort = this.#hypervisor.allocUnbound(id, 0);
    const consolePort = this.#hypervisor.allocUnbound(id, 0);
    const { cmdline, maxMemoryMiB: memoryMiB, maxVcpus, vcpus, acpi } = config;
    const options = { memoryMiB, maxVcpus, vcpus, acpi, storePort, consolePort, serviceDomain: 0 };
    const built = buildPvh(domain, { ...images, cmdline }, options);
    this.#events.built(domain, config, images, built);
    const ports = { storePort, consolePort, storeGfn: built.storeGfn, consoleGfn: built.consoleGfn };
    writeBuilt(this.store, id, config, ports);
    this.store.introduce(id, built.storeGfn, storePort);
    writeConsole(this.store, id, ports);
    this.devices.attach(id, config, images.disks ?? []);
    const port = this.#hypervisor.bindService(id, consolePort, () => this.#domains.get(id)?.terminal.run());
    const terminal = new ConsoleRing(
      domain.memory,
      built.consoleGfn,
      () => this.#hypervisor.notify(port),
      (bytes) => this.#events.consoleOutput(id, bytes),
    );
    this.#domains.set(id, { domain, config, images, terminal, consolePort: port });
  }

  /** A domain shut down by itself, or was made to. */
  #shutDown(id: number): void {
    const running = this.#domains.get(id);
    const reason = running?.domain.shutdownReason;
    if (running === undefined || reason === undefined) return;
    const { config, images, terminal } = running;
    // What the guest printed last may still be in the ring.
    terminal.run();
    this.xenstored.fireSpecial(RELEASE_DOMAIN);
    const action = actionFor(config, reason);
    this.#events.stopped(id, config.name, reason, action);
    if (action === 'preserve') return;
    this.destroy(id);
    if (action !== 'restart') return;
    try {
      this.#create(config, images, false, id);
    } catch (error) {
      // Its memory may have gone to others while its balloon was small.
      if (!isNoRoom(error)) throw error;
      this.#events.notRestarted(config.name, error.message);
    }
  }

  #get(id: number): Running {
    const running = this.#domains.get(id);
    if (running === undefined) throw new ToolstackError(`there is no domain ${id}`);
    return running;
  }
}

function isNoRoom(error: unknown): error is Error {
  return error instanceof ImageError || error instanceof OutOfFrames;
}

/** A suspended domain is kept: nothing here resumes it. Soft reset needs a device model, which nobody has here. */
function actionFor(config: DomainConfig, reason: ShutdownReason): ShutdownAction {
  const actions: Readonly<Record<ShutdownReason, ShutdownAction>> = {
    poweroff: config.onPoweroff,
    reboot: config.onReboot,
    crash: config.onCrash,
    watchdog: config.onWatchdog,
    suspend: 'preserve',
    soft_reset: config.onReboot,
  };
  return actions[reason];
}

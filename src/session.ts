/**
 * A session: machine, hypervisor and toolstack put together from one plain configuration, the same way for a recording
 * and for its replay.
 */
import type { Ticks } from './base/ticks.ts';
import { WasmEngine } from './cpu/engine/wasm-engine.ts';
import { Control } from './hypervisor/control.ts';
import { Xen } from './hypervisor/hypervisor.ts';
import type { EventLog } from './log/append.ts';
import { Clock } from './machine/clock.ts';
import { type MachineConfig, MAX_MEMORY_MIB, machineConfig } from './machine/config.ts';
import type { InputSource } from './machine/door.ts';
import { Machine, type RunStop } from './machine/machine.ts';
import { PAGE_SIZE } from './memory/frames.ts';
import { attachToolstack } from './toolstack/attach.ts';
import type { Image } from './toolstack/builder/image.ts';
import { USER_BRIDGE } from './toolstack/devices.ts';
import type { DomainImages, Toolstack } from './toolstack/domains.ts';
import { look } from './toolstack/operator.ts';
import { DOMAIN_TYPES, type DomainConfig, SHUTDOWN_ACTIONS } from './toolstack/xl/domain-config.ts';
import { cpuidOverrides } from './toolstack/xl/cpuid.ts';

/** Everything that decides a session beside its inputs. Plain JSON: `config` in a recording's header. */
export interface SessionConfig {
  readonly machine: MachineConfig;
  readonly domains: readonly SessionDomain[];
}

/** A domain to be created at the start, in order. Images are named by their SHA-256. */
export interface SessionDomain {
  readonly config: DomainConfig;
  readonly kernel: string;
  readonly ramdisk?: string;
  /** First contents of its disks, in the configuration's order. */
  readonly disks?: readonly string[];
  /** Not created at the start: an operator's `xl create` does that, with this name for it (its file). */
  readonly later?: string;
}

export interface SessionParts {
  readonly config: SessionConfig;
  /** By SHA-256. */
  readonly images: ReadonlyMap<string, Image>;
  createLog(now: () => Ticks): EventLog;
  /** For a replay. */
  readonly inputs?: InputSource;
}

/** Xen's own frames, and those of each domain beside its memory: shared info, grant tables, ACPI tables. */
const XEN_MIB = 4;
const DOMAIN_EXTRA_MIB = 4;

/** What a Linux executes while it boots fits; the tables of four domains' code take 96 MiB, and more domains share them. */
const CODE_PAGES = 1536;

/** A configuration of the machine that the domains fit into. @throws RangeError if they fit into none */
export function sessionConfig(domains: readonly SessionDomain[], machine: Partial<MachineConfig> = {}): SessionConfig {
  const memory_mib = domains.reduce((sum, { config }) => sum + config.maxMemoryMiB + DOMAIN_EXTRA_MIB, XEN_MIB);
  if (machine.memory_mib === undefined && memory_mib > MAX_MEMORY_MIB)
    throw new RangeError(
      `the domains need ${memory_mib} MiB of machine memory, ${XEN_MIB} for Xen and ${DOMAIN_EXTRA_MIB} beside each one's own ` +
        `included; a machine has at most ${MAX_MEMORY_MIB}: lower memory or maxmem`,
    );
  const pcpus = Math.min(8, Math.max(1, ...domains.map(({ config }) => config.maxVcpus)));
  return { machine: machineConfig({ memory_mib, pcpus, ...machine }), domains };
}

/**
 * What a recording's header says, checked: it may come from anywhere.
 * @throws RangeError that names what is wrong
 */
export function checkSessionConfig(value: unknown): SessionConfig {
  const { machine, domains } = (value ?? {}) as Partial<SessionConfig>;
  if (typeof machine !== 'object' || !Array.isArray(domains) || domains.length === 0 || domains.length > 64) {
    throw new RangeError('the recording holds no configuration of a machine with domains');
  }
  for (const domain of domains) checkDomain(domain);
  return { machine: machineConfig(machine ?? {}), domains };
}

function checkDomain(domain: SessionDomain): void {
  const { config, kernel, ramdisk, disks = [], later } = domain ?? {};
  const wrong = (what: string) => new RangeError(`the recording's configuration of a domain has a wrong ${what}`);
  if (typeof kernel !== 'string' || (ramdisk !== undefined && typeof ramdisk !== 'string')) throw wrong('image');
  if (later !== undefined && typeof later !== 'string') throw wrong('time of creation');
  if (!Array.isArray(disks) || !disks.every((disk) => typeof disk === 'string')) throw wrong('disk');
  if (typeof config !== 'object' || config === null) throw wrong('shape');
  for (const text of ['name', 'uuid', 'cmdline'] as const) if (typeof config[text] !== 'string') throw wrong(text);
  for (const number of ['memoryMiB', 'maxMemoryMiB', 'vcpus', 'maxVcpus'] as const) {
    if (!(Number.isInteger(config[number]) && config[number] >= 1 && config[number] <= 1 << 20)) throw wrong(number);
  }
  if (config.maxVcpus > 128 || config.vcpus > config.maxVcpus) throw wrong('number of vcpus');
  if (!DOMAIN_TYPES.includes(config.type)) throw wrong('type');
  for (const action of ['onPoweroff', 'onReboot', 'onCrash', 'onWatchdog'] as const) {
    if (!SHUTDOWN_ACTIONS.includes(config[action])) throw wrong(action);
  }
  if (!Array.isArray(config.disks) || !Array.isArray(config.vifs) || !Array.isArray(config.cpuid)) throw wrong('shape');
  if (!config.cpuid.every((entry) => typeof entry === 'string')) throw wrong('cpuid');
  cpuidOverrides(config.cpuid, () => {
    throw wrong('cpuid');
  });
  if (disks.length !== config.disks.length) throw wrong('number of disks');
}

export class Session {
  readonly config: SessionConfig;
  /** What was booted, by SHA-256. */
  readonly images: ReadonlyMap<string, Image>;
  readonly machine: Machine;
  readonly engine: WasmEngine;
  readonly xen: Xen;
  readonly toolstack: Toolstack;
  readonly log: EventLog;
  readonly domains: readonly string[];
  readonly #ids = new Map<string, number>();
  readonly #consoles: ((domain: string, bytes: Uint8Array) => void)[] = [];
  readonly #control: Control;
  /** Called with an operator's command that could not be done, and why. Must not change the machine. */
  onRefused: (command: string, why: string) => void = () => {};

  /**
   * Builds everything and creates the domains, at tick 0; nothing has run yet.
   * @throws Error for people: an image that cannot be booted, too little memory
   */
  constructor(parts: SessionParts) {
    const { config, images, inputs } = parts;
    const { machine: machineOptions, domains } = config;
    this.config = config;
    this.images = images;
    this.domains = domains.map((domain) => domain.config.name);
    const clock = new Clock();
    this.log = parts.createLog(() => clock.now());
    this.engine = new WasmEngine({
      frames: machineOptions.memory_mib * (2 ** 20 / PAGE_SIZE),
      vcpus: domains.reduce((sum, domain) => sum + domain.config.maxVcpus, 0),
      codePages: CODE_PAGES * Math.min(domains.length, 4),
    });
    this.machine = new Machine(machineOptions, this.engine, this.log, clock);
    if (inputs) this.machine.door.replayFrom(inputs);
    this.xen = new Xen(this.machine);
    this.#control = new Control(this.xen);
    this.toolstack = attachToolstack(this.machine, this.#control, {
      consoleOutput: (id, bytes) => this.#printed(id, bytes),
      created: (id, name) => this.#ids.set(name, id),
      destroyed: (id, name) => {
        if (this.#ids.get(name) === id) this.#ids.delete(name);
      },
      refused: (text, why) => this.onRefused(text, why),
    });
    for (const domain of domains) {
      const files = imagesOf(domain, images);
      this.toolstack.know(domain.config, files, domain.later);
      if (domain.later === undefined) this.toolstack.create(domain.config, files);
    }
  }

  /** What an operator's command that only looks prints. Changes nothing. @throws ToolstackError */
  look(command: string): string {
    return look(this.toolstack, this.#control, command);
  }

  now(): Ticks {
    return this.machine.now();
  }

  run(until: Ticks): RunStop {
    return this.machine.run(until);
  }

  /** The id a domain has now, or undefined if it is gone. */
  domainId(name: string): number | undefined {
    return this.#ids.get(name);
  }

  /** Called synchronously with what consoles print. Must not change the machine, except by its door. */
  onConsole(listener: (domain: string, bytes: Uint8Array) => void): void {
    this.#consoles.push(listener);
  }

  /** True if a domain has an interface that leads out of the machine. */
  get hasUplink(): boolean {
    return this.config.domains.some(({ config: { vifs } }) => vifs.some(({ bridge }) => bridge === USER_BRIDGE));
  }
  /** Called with frames for the outside. What comes from there goes through the machine's door. */
  set onUplink(listener: (frame: Uint8Array) => void) {
    this.toolstack.devices.onUplink = listener;
  }

  /** Where the running guest is. */
  guestPlace(): { domain: number; vcpu: number; rip: bigint } | undefined {
    const { domain, vcpu } = this.log.where;
    if (!this.engine.current || !this.xen.find(domain)?.vcpus[vcpu]) return undefined;
    return { domain, vcpu, rip: this.engine.state.rip };
  }

  #printed(id: number, bytes: Uint8Array): void {
    const domain = this.xen.find(id);
    if (domain) for (const listener of this.#consoles) listener(domain.name, bytes);
  }
}

function imagesOf(domain: SessionDomain, images: ReadonlyMap<string, Image>): DomainImages {
  const find = (sha256: string): Image => {
    const image = images.get(sha256);
    if (!image) throw new RangeError(`the image with SHA-256 ${sha256} is missing`);
    return image;
  };
  return {
    kernel: find(domain.kernel),
    ...(domain.ramdisk === undefined ? {} : { ramdisk: find(domain.ramdisk) }),
    disks: (domain.disks ?? []).map(find),
  };
}

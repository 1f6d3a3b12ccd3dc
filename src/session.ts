/**
 * A session: one machine with its hypervisor, toolstack and domains, put together the same way for a recording and
 * for its replay. What is built is decided by `SessionConfig` and the images alone; all else comes through the door.
 */
import type { Ticks } from './base/ticks.ts';
import { WasmEngine } from './cpu/engine/wasm-engine.ts';
import { RIP } from './cpu/layout.ts';
import { Control } from './hypervisor/control.ts';
import { Xen } from './hypervisor/hypervisor.ts';
import type { EventLog } from './log/append.ts';
import { Clock } from './machine/clock.ts';
import { type MachineConfig, machineConfig } from './machine/config.ts';
import type { InputSource } from './machine/door.ts';
import { Machine, type RunStop } from './machine/machine.ts';
import { attachToolstack } from './toolstack/attach.ts';
import type { DomainImages, Toolstack } from './toolstack/domains.ts';
import type { DomainConfig } from './toolstack/xl/domain-config.ts';

/** A domain to create at the start, its images by SHA-256 (hexadecimal). */
export interface SessionDomain {
  readonly config: DomainConfig;
  readonly kernel: string;
  readonly ramdisk?: string;
}

/** All that decides a session beside its inputs. Plain JSON: the `config` of a recording's header. */
export interface SessionConfig {
  readonly machine: MachineConfig;
  readonly domains: readonly SessionDomain[];
}

export interface SessionParts {
  readonly config: SessionConfig;
  /** Contents by SHA-256. */
  readonly images: ReadonlyMap<string, Uint8Array>;
  readonly createLog: (now: () => Ticks) => EventLog;
  /** Makes it a replay. */
  readonly inputs?: InputSource;
  /** Instructions in a block at the most: for tests, nothing may depend on it. */
  readonly maxBlock?: number;
}

/** Machine memory that domains need beside their RAM: special pages, grant tables, shared info; MiB. */
const OVERHEAD_MIB = 8;

/** A complete configuration for these domains; `machine` overrides what is derived from them. */
export function sessionConfig(domains: readonly SessionDomain[], machine: Partial<MachineConfig> = {}): SessionConfig {
  const memory_mib = domains.reduce((sum, { config }) => sum + config.maxMemoryMiB + OVERHEAD_MIB, OVERHEAD_MIB);
  return { machine: machineConfig({ memory_mib, ...machine }), domains };
}

export class Session {
  readonly config: SessionConfig;
  readonly log: EventLog;
  readonly engine: WasmEngine;
  readonly machine: Machine;
  readonly xen: Xen;
  readonly toolstack: Toolstack;
  readonly #ids = new Map<string, number>();
  readonly #listeners: ((domain: string, bytes: Uint8Array) => void)[] = [];
  #names = new Map<number, string>();

  /** Builds everything and creates the domains. @throws ToolstackError, ImageError, OutOfFrames, RangeError */
  constructor(parts: SessionParts) {
    const { config, images } = parts;
    this.config = config;
    const clock = new Clock();
    this.log = parts.createLog(() => clock.now());
    this.engine = new WasmEngine({
      frames: config.machine.memory_mib * 256,
      vcpus: config.domains.reduce((sum, d) => sum + d.config.maxVcpus, 0),
      ...(parts.maxBlock === undefined ? {} : { maxBlock: parts.maxBlock }),
    });
    this.machine = new Machine(config.machine, this.engine, this.log, clock);
    this.xen = new Xen(this.machine);
    this.toolstack = attachToolstack(this.machine, new Control(this.xen), {
      created: (id, name) => this.#created(id, name),
      consoleOutput: (id, bytes) => this.#output(id, bytes),
    });
    if (parts.inputs !== undefined) this.machine.door.replayFrom(parts.inputs);
    for (const domain of config.domains) this.toolstack.create(domain.config, imagesOf(domain, images));
  }

  /** Names of the configured domains, in order. */
  get domains(): readonly string[] {
    return this.config.domains.map((d) => d.config.name);
  }

  /** The id that a domain has now (another after a reboot), or undefined if it is gone. */
  domainId(name: string): number | undefined {
    const id = this.#ids.get(name);
    return id !== undefined && this.toolstack.list().some((d) => d.id === id) ? id : undefined;
  }

  /** `listener` hears synchronously what consoles print. It must not touch the machine. */
  onConsole(listener: (domain: string, bytes: Uint8Array) => void): void {
    this.#listeners.push(listener);
  }

  /** As Machine.run: to tick `until` at the latest. */
  run(until: Ticks): RunStop {
    return this.machine.run(until);
  }

  now(): Ticks {
    return this.machine.now();
  }

  /** RIP of the vcpu that runs or ran last, for reports. */
  guestPlace(): { rip: bigint } | undefined {
    return this.engine.current === undefined ? undefined : { rip: this.engine.state.get64(RIP) };
  }

  #created(id: number, name: string): void {
    this.#ids.set(name, id);
    this.#names.set(id, name);
  }

  #output(id: number, bytes: Uint8Array): void {
    const name = this.#names.get(id);
    if (name !== undefined) for (const listener of this.#listeners) listener(name, bytes);
  }
}

function imagesOf(domain: SessionDomain, images: ReadonlyMap<string, Uint8Array>): DomainImages {
  const { config, kernel, ramdisk } = domain;
  const image = (sha256: string, path: string | undefined) => {
    const bytes = images.get(sha256);
    if (bytes === undefined) throw new Error(`no image with SHA-256 ${sha256} was given for ${config.name}`);
    return { name: path ?? sha256, bytes };
  };
  const parts = { kernel: image(kernel, config.kernel) };
  return ramdisk === undefined ? parts : { ...parts, ramdisk: image(ramdisk, config.ramdisk) };
}

import { KIND, NONE } from '../log/kinds.ts';
import type { Plain } from '../machine/digest.ts';
import { PAGE_SIZE } from '../memory/frames.ts';
import { GuestPhysical, P2m } from '../memory/p2m.ts';
import { HVM_PARAM } from './abi/hvm.ts';
import { SHUTDOWN } from './abi/sched.ts';
import { LEGACY_MAX_VCPUS, VCPU_INFO_BYTES } from './abi/xen.ts';
import { Domain, type DomainOptions } from './domain.ts';
import { EventChannels } from './event-channel/channels.ts';
import { Fifo } from './event-channel/fifo.ts';
import { ServicePorts } from './event-channel/services.ts';
import { TwoLevel } from './event-channel/two-level.ts';
import { FrameView } from './frame-view.ts';
import { GrantTable } from './grant-table/table.ts';
import { HvmExits } from './hvm/exits.ts';
import type { Xen } from './hypervisor.ts';
import { Vcpu } from './vcpu.ts';

/** xl's defaults (max_event_channels, max_grant_frames, max_maptrack_frames, max_grant_version). */
const DEFAULTS = { maxEventChannel: 1023, maxGrantFrames: 64, maxMaptrackFrames: 1024, maxGrantVersion: 2 } as const;
/** Vcpus whose vcpu_info has a place before it is registered: 32 in the shared page, the rest in one more. */
export const MAX_VCPUS = LEGACY_MAX_VCPUS + PAGE_SIZE / VCPU_INFO_BYTES;

/** All domains there are: making them whole, and taking them apart. */
export class Domains {
  readonly #xen: Xen;
  readonly #byId = new Map<number, Domain>();
  /** Grant tables of destroyed domains that others still have mapped. */
  readonly #ghosts = new Map<number, GrantTable>();
  readonly dom0: Domain;
  /** Its event-channel ports, which services are bound to. */
  readonly services: ServicePorts;
  #nextId = 1;

  constructor(xen: Xen) {
    this.#xen = xen;
    this.dom0 = new Domain(0, { name: 'Domain-0', vcpus: 0, maxPages: 0 });
    this.services = new ServicePorts(xen.machine, 0);
    const { engine } = xen;
    this.dom0.p2m = new P2m();
    this.dom0.physical = new GuestPhysical(engine.frames, this.dom0.p2m);
    this.dom0.events = new EventChannels(this.dom0, this.services, this.services.maxPorts, xen.log, (id) =>
      this.get(id),
    );
    this.dom0.grants = new GrantTable(this.dom0, engine, xen.refs, {
      frames: 0,
      maptrack: DEFAULTS.maxMaptrackFrames,
      version: DEFAULTS.maxGrantVersion,
    });
    this.#byId.set(0, this.dom0);
  }

  get(id: number): Domain | undefined {
    return this.#byId.get(id);
  }
  /** How many were made so far. */
  get created(): number {
    return this.#nextId - 1;
  }
  all(): Iterable<Domain> {
    return this.#byId.values();
  }
  *guests(): Iterable<Domain> {
    for (const domain of this.#byId.values()) if (domain.id !== 0) yield domain;
  }

  /** The grant table of a domain that lives, or whose grants are still mapped. */
  grantsOf(id: number): GrantTable | undefined {
    return this.#byId.get(id)?.grants ?? this.#ghosts.get(id);
  }

  /**
   * A new domain, paused, with its vcpus down and no memory but what Xen shares with it.
   * @throws RangeError for a number of vcpus that cannot be; OutOfFrames
   */
  create(options: DomainOptions): Domain {
    const { engine, log, refs } = this.#xen;
    if (!(options.vcpus >= 1 && options.vcpus <= MAX_VCPUS)) {
      throw new RangeError(`a domain has 1 to ${MAX_VCPUS} vcpus, not ${options.vcpus}`);
    }
    const domain = new Domain(this.#nextId++, options, this.#xen.features);
    domain.p2m = new P2m();
    domain.physical = new GuestPhysical(engine.frames, domain.p2m);
    domain.physical.onWrite = (mfn) => engine.frameWritten(mfn);
    domain.p2m.onChange = () => engine.p2mChanged(domain.p2m);
    domain.shared = this.#xenFrame(domain);
    domain.grants = new GrantTable(domain, engine, refs, {
      frames: options.maxGrantFrames ?? DEFAULTS.maxGrantFrames,
      maptrack: options.maxMaptrackFrames ?? DEFAULTS.maxMaptrackFrames,
      version: options.maxGrantVersion ?? DEFAULTS.maxGrantVersion,
    });
    domain.grants.grow(1);
    this.#makeEvents(domain, options.maxEventChannel ?? DEFAULTS.maxEventChannel);
    domain.params[HVM_PARAM.TRIPLE_FAULT_REASON] = BigInt(SHUTDOWN.reboot);
    this.#byId.set(domain.id, domain);
    log.emitAt(domain.id, NONE, 'domain-create', { name: options.name });
    const more = options.vcpus > LEGACY_MAX_VCPUS ? this.#xenFrame(domain).mfn : -1;
    for (let id = 0; id < options.vcpus; id++) this.#addVcpu(domain, id, more);
    this.#xen.watchdogs.attach(domain);
    this.#xen.time.publishWallclock(domain);
    return domain;
  }

  #xenFrame(domain: Domain): FrameView {
    const mfn = this.#xen.engine.frames.allocate();
    domain.xenFrames.set(mfn, -1);
    return new FrameView(this.#xen.engine, mfn);
  }

  #makeEvents(domain: Domain, maxPort: number): void {
    const { engine, refs, log } = this.#xen;
    const upcall = (vcpu: Vcpu) => this.#xen.upcall(vcpu);
    const abi = new TwoLevel(domain, log, upcall);
    domain.events = new EventChannels(domain, abi, maxPort, log, (id) => this.get(id));
    domain.events.makeFifo = () => new Fifo(domain, engine, refs, log, upcall);
    domain.events.onPending = (port) => this.#xen.wakePollers(domain, port);
  }

  #addVcpu(domain: Domain, id: number, moreInfoMfn: number): void {
    const { engine, timers, lapics, scheduling } = this.#xen;
    const vcpu = new Vcpu(domain, id);
    vcpu.slot = engine.createVcpu(domain.p2m, new HvmExits(this.#xen, vcpu));
    const legacy = domain.legacyInfoOffset(id);
    vcpu.info =
      legacy === undefined
        ? new FrameView(engine, moreInfoMfn, (id - LEGACY_MAX_VCPUS) * VCPU_INFO_BYTES, VCPU_INFO_BYTES)
        : new FrameView(engine, domain.shared!.mfn, legacy, VCPU_INFO_BYTES);
    timers.attach(vcpu);
    lapics.attach(vcpu);
    domain.vcpus.push(vcpu);
    scheduling.scheduler.insertVcpu(vcpu, this.#xen.now());
  }

  destroy(domain: Domain): void {
    const { scheduling, timers, lapics, watchdogs, physmap, engine, log } = this.#xen;
    domain.dying = true;
    for (const vcpu of domain.vcpus) {
      scheduling.remove(vcpu);
      timers.detach(vcpu);
      lapics.detach(vcpu);
    }
    watchdogs.detach(domain);
    domain.events.reset();
    for (const [handle, mapping] of [...domain.grants.mappings()]) this.#xen.dropMapping(domain, handle, mapping);
    for (const vcpu of domain.vcpus) if (vcpu.infoRegistered) this.#xen.refs.put(vcpu.info.mfn);
    domain.grants.close();
    if (domain.grants.activeCount > 0) this.#ghosts.set(domain.id, domain.grants);
    physmap.releaseAll(domain);
    for (const vcpu of domain.vcpus) engine.destroyVcpu(vcpu.slot);
    this.#byId.delete(domain.id);
    log.appendAt(domain.id, NONE, KIND['domain-destroy']);
  }

  /** What of the hypervisor's own state a digest covers: all but what guests' memory and registers show anyway. */
  digestState(): Plain {
    return [...this.guests()].map((domain) => ({
      id: domain.id,
      pages: domain.pages,
      width: domain.width,
      params: domain.params,
      reason: domain.shutdownReason,
      pause: domain.pauseCount,
      events: domain.events.save().channels.map((c) => [c.kind, c.vcpu, c.remoteDomain, c.remotePort, c.virq]),
      vcpus: domain.vcpus.map((vcpu) => vcpu.save() as unknown as Plain),
    }));
  }
}

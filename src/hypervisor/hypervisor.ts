import type { Ticks } from '../base/ticks.ts';
import { addTicks } from '../base/ticks.ts';
import type { Engine } from '../cpu/engine.ts';
import { ACTIVITY, NMI_BLOCKED } from '../cpu/layout.ts';
import type { EventLog } from '../log/append.ts';
import { DOMID_XEN, KIND, NONE } from '../log/kinds.ts';
import type { Alarm } from '../machine/alarms.ts';
import type { Machine } from '../machine/machine.ts';
import type { NamedVcpu, Supervisor } from '../machine/supervisor.ts';
import { Errno } from './abi/errno.ts';
import { HVM_PARAM } from './abi/hvm.ts';
import { SHUTDOWN } from './abi/sched.ts';
import type { Width } from './abi/struct.ts';
import type { Domain, DomainOptions } from './domain.ts';
import { Domains } from './domains.ts';
import type { MapTrack } from './grant-table/table.ts';
import { GuestAccess } from './guest-access.ts';
import { type CpuFeatures, ENGINE_FEATURES } from './hvm/cpu-features.ts';
import { Lapics } from './hvm/lapics.ts';
import { HvmMsrs } from './hvm/msrs.ts';
import { applyStart, type StartState } from './hvm/start-state.ts';
import { Hypercalls } from './hypercalls/table.ts';
import { FrameRefs } from './mm/frame-refs.ts';
import { Physmap } from './mm/physmap.ts';
import { makeScheduler } from './schedulers/index.ts';
import { Reason, Scheduling } from './scheduling.ts';
import { GuestTime } from './time.ts';
import { VcpuTimers } from './timers.ts';
import type { Vcpu } from './vcpu.ts';
import { Watchdogs } from './watchdogs.ts';

/** A shut-down domain's last words are kept this long if no newline ends them. */
const DEBUG_LINE_MAX = 256;

/**
 * The hypervisor: domains and their vcpus, what they run on and how they are interrupted. Parts that stand for
 * themselves (event channels, grants, hypercalls, time, scheduling) have their own files; this one joins them.
 */
export class Xen implements Supervisor {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly log: EventLog;
  readonly features: CpuFeatures;
  readonly guest: GuestAccess;
  readonly scheduling: Scheduling;
  readonly time: GuestTime;
  readonly timers: VcpuTimers;
  readonly watchdogs: Watchdogs;
  readonly hypercalls: Hypercalls;
  readonly lapics: Lapics;
  readonly msrs: HvmMsrs;
  readonly refs: FrameRefs;
  readonly physmap: Physmap;
  readonly domains: Domains;
  /** Domain 0's toolstack learns here, at a turn boundary, that a domain shut down (VIRQ_DOM_EXC). */
  onShutdown: (domain: Domain) => void = () => {};
  readonly #shutdowns: Domain[] = [];
  readonly #shutdownAlarm: Alarm;
  readonly #debugLines = new Map<Domain, number[]>();

  constructor(machine: Machine, features: CpuFeatures = ENGINE_FEATURES) {
    const { config, engine, log } = machine;
    this.machine = machine;
    this.engine = engine;
    this.log = log;
    this.features = features;
    this.guest = new GuestAccess(engine);
    this.scheduling = new Scheduling(
      machine,
      makeScheduler<Vcpu>(config.scheduler, config.pcpus, config.timeslice_ticks),
    );
    this.time = new GuestTime(machine, this.guest);
    this.timers = new VcpuTimers(machine, this.scheduling);
    this.watchdogs = new Watchdogs(machine, (domain) => this.shutdown(domain, SHUTDOWN.watchdog));
    this.hypercalls = new Hypercalls(this);
    this.lapics = new Lapics(this);
    this.msrs = new HvmMsrs(this);
    this.refs = new FrameRefs(engine.frames);
    this.physmap = new Physmap(engine.frames, this.refs, log);
    this.domains = new Domains(this);
    this.scheduling.onSwitchOut = (vcpu) => this.time.publishRunstate(vcpu);
    this.scheduling.onSwitchIn = (vcpu) => this.#switchedIn(vcpu);
    this.#shutdownAlarm = machine.alarms.create('xen.dom_exc', () => this.#reportShutdowns());
    machine.supervise(this);
    machine.door.handle('wallclock', (i) => this.time.setWallclock(i.seconds, i.nanoseconds, this.domains.all()));
    machine.digestSources.push({ scope: 'hypervisor', state: () => this.domains.digestState() });
  }

  now(): Ticks {
    return this.machine.now();
  }

  /** The domain with this id, Domain 0 included. */
  find(id: number): Domain | undefined {
    return this.domains.get(id);
  }

  // What the machine asks

  schedule(pcpu: number): boolean {
    return this.scheduling.schedule(pcpu) !== undefined;
  }

  /** Delivers what the current vcpu can take now. A vcpu that woke for nothing goes back to its HLT. */
  enter(): void {
    const { domain, vcpu: id } = this.log.where;
    const vcpu = this.find(domain)!.vcpus[id];
    const s = this.engine.state;
    if (this.machine.control.hold && s.get32(ACTIVITY) !== 1) return;
    if (vcpu.nmiPending && s.get32(NMI_BLOCKED) === 0) {
      vcpu.nmiPending = false;
      this.#delivered(2);
      this.engine.injectNmi();
    }
    const vector = this.pendingVector(vcpu);
    if (vector >= 0 && this.engine.interruptible()) {
      if (vector !== this.#callback(vcpu)) vcpu.lapic.acknowledge(vector);
      this.#delivered(vector);
      this.engine.injectInterrupt(vector);
    }
    if (s.get32(ACTIVITY) === 1 && !vcpu.blocked) this.scheduling.block(vcpu);
  }

  preempt(pcpu: number): void {
    this.scheduling.reschedule(pcpu, Reason.SLICE);
  }

  finished(): string | undefined {
    if (this.#shutdownAlarm.armed || this.domains.created === 0) return undefined;
    for (const domain of this.domains.guests()) if (domain.shutdownReason === undefined) return undefined;
    return 'every domain is shut down';
  }

  *vcpus(): Iterable<NamedVcpu> {
    for (const domain of this.domains.guests()) {
      for (const vcpu of domain.vcpus) yield { domain: domain.id, vcpu: vcpu.id, slot: vcpu.slot };
    }
  }

  // Interrupts and events

  /** The vector that the current `vcpu` should take next, or -1. Events come before the local APIC's, as in Xen. */
  pendingVector(vcpu: Vcpu): number {
    const callback = this.#callback(vcpu);
    return callback >= 0 ? callback : vcpu.lapic.highest();
  }

  #callback(vcpu: Vcpu): number {
    const vector = vcpu.domain.callbackVector;
    return vector !== 0 && vcpu.upcallVector === 0 && vcpu.info.u8(0) !== 0 ? vector : -1;
  }

  /** A vcpu's event flag went up (hvm_assert_evtchn_irq). */
  upcall(vcpu: Vcpu): void {
    const vector = vcpu.upcallVector || vcpu.domain.callbackVector;
    if (vector !== 0) this.log.appendAt(vcpu.domain.id, vcpu.id, KIND['interrupt-raise'], vector);
    if (vcpu.upcallVector !== 0) vcpu.lapic.request(vcpu.upcallVector);
    else if (vector !== 0) this.kick(vcpu);
  }

  /** Something waits for `vcpu`: wakes it, or makes it look if it runs. */
  kick(vcpu: Vcpu): void {
    this.scheduling.unblock(vcpu);
    if (vcpu.pcpu >= 0) this.machine.control.leave = true;
  }

  /** True if the current `vcpu` would be interrupted at once. */
  eventsNeedDelivery(vcpu: Vcpu): boolean {
    return vcpu.nmiPending || (this.pendingVector(vcpu) >= 0 && this.engine.interruptible());
  }

  /** A port of `domain` became pending: whoever polls for it goes on. */
  wakePollers(domain: Domain, port: number): void {
    for (const vcpu of domain.vcpus) {
      if (vcpu.polling && (vcpu.pollPort === 0 || vcpu.pollPort === port)) this.scheduling.unblock(vcpu);
    }
  }

  /** SCHEDOP_block: events are unmasked, and the vcpu waits unless one is there already. */
  blockVcpu(vcpu: Vcpu): void {
    vcpu.info.setU8(1, 0);
    if (!this.eventsNeedDelivery(vcpu)) this.scheduling.block(vcpu);
  }

  #delivered(vector: number): void {
    const { rip } = this.engine.state;
    this.log.append(KIND['interrupt-deliver'], vector, Number(rip & 0xffffffffn), Number(rip >> 32n));
  }

  // Life of vcpus

  /** Gives a vcpu its first registers. It stays down. */
  initialiseVcpu(vcpu: Vcpu, start: StartState): void {
    vcpu.start = start;
    vcpu.initialised = true;
  }

  /** The vcpu is as after power-up, and down (INIT). */
  resetVcpu(vcpu: Vcpu): void {
    vcpu.initialised = false;
    vcpu.online = false;
    vcpu.blocked = false;
    vcpu.polling = false;
    vcpu.pollTimer.cancel();
    vcpu.lapic.reset();
    this.scheduling.sleep(vcpu, Reason.PAUSE);
  }

  vcpuUp(vcpu: Vcpu): void {
    if (vcpu.online) return;
    vcpu.online = true;
    const rip = vcpu.start?.rip ?? 0n;
    this.log.appendAt(vcpu.domain.id, vcpu.id, KIND['vcpu-up'], Number(rip & 0xffffffffn), Number(rip >> 32n));
    this.scheduling.wake(vcpu);
  }

  /** Takes a vcpu down; the last one powers the domain off. */
  vcpuDown(vcpu: Vcpu): void {
    if (!vcpu.domain.vcpus.some((other) => other !== vcpu && other.online)) {
      this.shutdown(vcpu.domain, SHUTDOWN.poweroff);
      return;
    }
    if (!vcpu.online) return;
    vcpu.online = false;
    this.log.appendAt(vcpu.domain.id, vcpu.id, KIND['vcpu-down']);
    this.scheduling.sleep(vcpu, Reason.PAUSE);
  }

  #switchedIn(vcpu: Vcpu): void {
    if (vcpu.start) {
      applyStart(this.engine.state, vcpu.start, vcpu.id === 0);
      vcpu.start = undefined;
    }
    this.time.publishTime(vcpu);
    this.time.publishRunstate(vcpu);
  }

  /** A triple fault ends the domain with the reason that HVM_PARAM_TRIPLE_FAULT_REASON says. */
  tripleFault(vcpu: Vcpu): void {
    const { rip } = this.engine.state;
    this.log.append(KIND['triple-fault'], Number(rip & 0xffffffffn), Number(rip >> 32n));
    this.shutdown(vcpu.domain, Number(vcpu.domain.params[HVM_PARAM.TRIPLE_FAULT_REASON]));
  }

  // Life of domains

  createDomain(options: DomainOptions): Domain {
    return this.domains.create(options);
  }

  pause(domain: Domain): void {
    domain.pauseCount++;
    this.log.appendAt(domain.id, NONE, KIND['domain-pause']);
    for (const vcpu of domain.vcpus) this.scheduling.sleep(vcpu, Reason.PAUSE);
  }

  /** Undoes one `pause`, the one of its creation included. */
  unpause(domain: Domain): void {
    if (!domain.started) domain.started = true;
    else if (domain.pauseCount > 0) domain.pauseCount--;
    this.log.appendAt(domain.id, NONE, KIND['domain-unpause']);
    for (const vcpu of domain.vcpus) this.scheduling.wake(vcpu);
  }

  /** Stops a domain for good; the toolstack decides what follows. @returns 0 */
  shutdown(domain: Domain, reason: number): number {
    if (domain.shutdownReason !== undefined || domain.dying) return 0;
    domain.shutdownReason = domain.shutdownCode ?? reason;
    this.#flushDebugLine(domain);
    this.log.appendAt(domain.id, NONE, KIND['domain-shutdown'], domain.shutdownReason);
    for (const vcpu of domain.vcpus) this.scheduling.sleep(vcpu, Reason.PAUSE);
    this.#shutdowns.push(domain);
    if (!this.#shutdownAlarm.armed) this.#shutdownAlarm.set(this.now());
    return 0;
  }

  /** Ends a domain and gives back all it had. Between runs only. */
  destroy(domain: Domain): void {
    this.#flushDebugLine(domain);
    this.#debugLines.delete(domain);
    this.domains.destroy(domain);
  }

  #reportShutdowns(): void {
    for (const domain of this.#shutdowns.splice(0)) if (!domain.dying) this.onShutdown(domain);
  }

  // Small things that several parts share

  /** The guest set up its hypercalls in this mode: that fixes the layout of its shared page (hvm_latch_shinfo_size). */
  latchWidth(domain: Domain, width: Width): void {
    domain.setWidth(width);
    this.time.publishWallclock(domain);
  }

  /** Ends `handle` of `domain`: the grant is no longer in use by it. */
  dropMapping(domain: Domain, handle: number, mapping: MapTrack): void {
    if (mapping.gfn >= 0) this.physmap.clear(domain, mapping.gfn);
    domain.grants.untrack(handle);
    this.domains.grantsOf(mapping.granter)?.unpin(mapping.ref, mapping.readonly);
  }

  /** Runs `fn`; an errno it fails with becomes the result. @returns 0 or a positive errno */
  errno(fn: () => void): number {
    try {
      fn();
      return 0;
    } catch (error) {
      if (error instanceof Errno) return error.code;
      throw error;
    }
  }

  /** A line of Xen's own log. */
  note(text: string): void {
    this.log.emitAt(DOMID_XEN, NONE, 'note', { text });
  }

  /** A character of Xen's debug port: lines go to the console as a whole. */
  debugCharacter(domain: Domain, code: number): void {
    const line = this.#debugLines.get(domain) ?? [];
    this.#debugLines.set(domain, line);
    line.push(code);
    if (code === 10 || line.length >= DEBUG_LINE_MAX) this.#flushDebugLine(domain);
  }

  #flushDebugLine(domain: Domain): void {
    const line = this.#debugLines.get(domain) ?? [];
    if (line.length > 0) this.log.appendBytesAt(domain.id, NONE, KIND['console-io'], Uint8Array.from(line));
    line.length = 0;
  }

  /** For snapshots: what is here besides the parts that save themselves. */
  save(): { debugLines: [domain: number, line: number[]][]; shutdowns: number[] } {
    return {
      debugLines: [...this.#debugLines].map(([domain, line]) => [domain.id, [...line]]),
      shutdowns: this.#shutdowns.map((domain) => domain.id),
    };
  }
  restore(state: ReturnType<Xen['save']>): void {
    this.#shutdowns.splice(0, Infinity, ...state.shutdowns.flatMap((id) => this.find(id) ?? []));
    this.#debugLines.clear();
    for (const [id, line] of state.debugLines) {
      const domain = this.find(id);
      if (domain) this.#debugLines.set(domain, [...line]);
    }
  }

  /** `n` ticks from now. */
  after(n: number): Ticks {
    return addTicks(this.now(), n);
  }
}

import type { Alarm } from '../machine/alarms.ts';
import type { VcpuSlot } from '../cpu/engine.ts';
import type { Lapic, LapicState } from '../devices/lapic.ts';
import { RUNSTATE } from './abi/vcpu.ts';
import { NR_VIRQS } from './abi/xen.ts';
import type { Width } from './abi/struct.ts';
import type { Domain } from './domain.ts';
import type { FrameView } from './frame-view.ts';
import type { StartState } from './hvm/start-state.ts';
import type { Schedulable } from './schedulers/scheduler.ts';

/** A place in guest memory that the hypervisor keeps up to date, by the linear address the guest gave. */
export interface SharedArea {
  readonly address: bigint;
  readonly width: Width;
}

export interface VcpuState {
  id: number;
  online: boolean;
  initialised: boolean;
  blocked: boolean;
  pollPort: number;
  polling: boolean;
  pauseCount: number;
  affinity: bigint;
  runstate: { state: number; entry: number; time: number[] };
  info: { mfn: number; offset: number };
  infoRegistered: boolean;
  upcallVector: number;
  nmiPending: boolean;
  virqPorts: number[];
  periodic: number;
  runstateArea: SharedArea | null;
  timeArea: SharedArea | null;
  timeVersion: number;
  timeOffset: bigint | null;
  start: StartState | null;
  lapic: LapicState;
}

/** A virtual processor: why it runs or does not, and what it shares with its guest. Its registers are the engine's. */
export class Vcpu implements Schedulable {
  readonly domain: Domain;
  readonly id: number;
  /** Set when the vcpu is made in the engine. */
  slot!: VcpuSlot;
  affinity = -1n;

  /** VCPUOP_up'd, not down. */
  online = false;
  /** VCPUOP_initialise'd, or built by the toolstack. */
  initialised = false;
  /** SCHEDOP_block, SCHEDOP_poll or HLT. */
  blocked = false;
  polling = false;
  /** Port polled for; 0 = any of several. */
  pollPort = 0;
  pauseCount = 0;
  /** pcpu it is the current vcpu of, or -1. */
  pcpu = -1;

  readonly runstate = { state: RUNSTATE.offline as number, entry: 0, time: [0, 0, 0, 0] };
  runstateArea: SharedArea | undefined;
  timeArea: SharedArea | undefined;
  /** `struct vcpu_info`: in the shared page, or where the guest registered it. */
  info!: FrameView;
  infoRegistered = false;
  /** Version counter of the time it publishes, and the TSC offset that it is valid for. */
  timeVersion = 0;
  timeOffset: bigint | undefined;

  lapic!: Lapic;
  /** Registers to begin with, until it runs for the first time. */
  start: StartState | undefined;

  /** HVMOP_set_evtchn_upcall_vector, 0 for none. */
  upcallVector = 0;
  nmiPending = false;
  /** Port that each virq is bound to, 0 for none. */
  readonly virqPorts: number[] = new Array<number>(NR_VIRQS).fill(0);
  /** Period of VIRQ_TIMER, ticks; 0 for off. */
  periodic = 0;
  periodicTimer!: Alarm;
  singleshotTimer!: Alarm;
  pollTimer!: Alarm;

  constructor(domain: Domain, id: number) {
    this.domain = domain;
    this.id = id;
  }

  get domainId(): number {
    return this.domain.id;
  }

  get runnable(): boolean {
    return this.online && !this.blocked && this.pauseCount === 0 && this.domain.mayRun;
  }

  /** RUNSTATE_* while it is not running. */
  get idleState(): number {
    if (this.runnable) return RUNSTATE.runnable;
    return this.online && this.blocked ? RUNSTATE.blocked : RUNSTATE.offline;
  }

  save(): VcpuState {
    const { state, entry, time } = this.runstate;
    return {
      id: this.id,
      online: this.online,
      initialised: this.initialised,
      blocked: this.blocked,
      pollPort: this.pollPort,
      polling: this.polling,
      pauseCount: this.pauseCount,
      affinity: this.affinity,
      runstate: { state, entry, time: [...time] },
      info: { mfn: this.info.mfn, offset: this.info.offset },
      infoRegistered: this.infoRegistered,
      upcallVector: this.upcallVector,
      nmiPending: this.nmiPending,
      virqPorts: [...this.virqPorts],
      periodic: this.periodic,
      runstateArea: this.runstateArea ?? null,
      timeArea: this.timeArea ?? null,
      timeVersion: this.timeVersion,
      timeOffset: this.timeOffset ?? null,
      start: this.start ?? null,
      lapic: this.lapic.save(),
    };
  }

  /** All but `info`, which needs the engine, and the alarms, which the machine restores. */
  restore(s: VcpuState): void {
    this.online = s.online;
    this.initialised = s.initialised;
    this.blocked = s.blocked;
    this.pollPort = s.pollPort;
    this.polling = s.polling;
    this.pauseCount = s.pauseCount;
    this.affinity = s.affinity;
    this.runstate.state = s.runstate.state;
    this.runstate.entry = s.runstate.entry;
    this.runstate.time = [...s.runstate.time];
    this.infoRegistered = s.infoRegistered;
    this.upcallVector = s.upcallVector;
    this.nmiPending = s.nmiPending;
    this.virqPorts.splice(0, Infinity, ...s.virqPorts);
    this.periodic = s.periodic;
    this.runstateArea = s.runstateArea ?? undefined;
    this.timeArea = s.timeArea ?? undefined;
    this.timeVersion = s.timeVersion;
    this.timeOffset = s.timeOffset ?? undefined;
    this.start = s.start ?? undefined;
    this.lapic.restore(s.lapic);
  }
}

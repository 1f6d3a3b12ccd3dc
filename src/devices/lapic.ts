import type { Ticks } from '../base/ticks.ts';
import { LapicTimer, type LapicTimerPort, type LapicTimerState } from './lapic-timer.ts';
import { VectorSet } from './vector-set.ts';

/** What a local APIC needs of the board around it. */
export interface LapicPort extends LapicTimerPort {
  /** CR8, the task priority's upper nibble, which the processor keeps. */
  taskPriority(): number;
  setTaskPriority(value: number): void;
  /** An interrupt may have become deliverable. */
  pending(): void;
  /** The guest switched the APIC on (SVR): what could not be requested before can be now. */
  switchedOn?(): void;
  /** An interprocessor interrupt goes out. */
  send(message: IpiMessage): void;
}

/** Delivery modes of the interrupt command register, SDM 3A 11.6.1. */
export const DELIVERY = { FIXED: 0, LOWEST: 1, SMI: 2, NMI: 4, INIT: 5, STARTUP: 6 } as const;
/** Destination shorthands. */
export const SHORTHAND = { NONE: 0, SELF: 1, ALL: 2, OTHERS: 3 } as const;

export interface IpiMessage {
  readonly vector: number;
  readonly mode: number;
  readonly logical: boolean;
  readonly shorthand: number;
  /** APIC id, or set of logical ids; 0xff (0xffffffff in x2APIC mode) is everybody. */
  readonly destination: number;
  readonly x2apic: boolean;
  /** False: an INIT de-assert, which does nothing on processors of this age. */
  readonly assert: boolean;
}

/** Register offsets in the page, in the manual's order (SDM 3A table 11-1). MSR = 0x800 + offset / 16. */
const R = {
  ID: 0x20,
  VERSION: 0x30,
  TPR: 0x80,
  PPR: 0xa0,
  EOI: 0xb0,
  LDR: 0xd0,
  DFR: 0xe0,
  SVR: 0xf0,
  ISR: 0x100,
  TMR: 0x180,
  IRR: 0x200,
  ESR: 0x280,
  ICR: 0x300,
  ICR2: 0x310,
  LVT_TIMER: 0x320,
  LVT_THERMAL: 0x330,
  LVT_PERF: 0x340,
  LVT_LINT0: 0x350,
  LVT_LINT1: 0x360,
  LVT_ERROR: 0x370,
  TIMER_INITIAL: 0x380,
  TIMER_CURRENT: 0x390,
  TIMER_DIVIDE: 0x3e0,
  SELF_IPI: 0x3f0,
} as const;
const LVTS = [R.LVT_TIMER, R.LVT_THERMAL, R.LVT_PERF, R.LVT_LINT0, R.LVT_LINT1, R.LVT_ERROR] as const;
/** Bits that can be written in each of them. */
const LVT_WRITABLE: Readonly<Record<number, number>> = {
  [R.LVT_TIMER]: 0x700ff,
  [R.LVT_THERMAL]: 0x107ff,
  [R.LVT_PERF]: 0x107ff,
  [R.LVT_LINT0]: 0x1a7ff,
  [R.LVT_LINT1]: 0x1a7ff,
  [R.LVT_ERROR]: 0x100ff,
};
const LVT_MASKED = 1 << 16;
const SVR_ENABLED = 1 << 8;
/** Version 0x14, six local vectors. */
const VERSION = 0x00050014;
const X2APIC_MSR = 0x800;
/** IA32_APIC_BASE: enabled, x2APIC mode. */
const BASE_ENABLED = 1 << 11;
const BASE_X2APIC = 1 << 10;
/** IA32_TSC_DEADLINE. */
const TSC_DEADLINE = 0x6e0;

export interface LapicState {
  base: number;
  registers: Record<number, number>;
  isr: number[];
  irr: number[];
  tprLow: number;
  timer: LapicTimerState;
}

/**
 * A processor's local APIC (SDM 3A chapter 11), in xAPIC mode by its page of registers and in x2APIC mode by MSRs:
 * priorities, end of interrupt, interprocessor interrupts, and the timer in its three modes.
 */
export class Lapic {
  readonly id: number;
  readonly #port: LapicPort;
  /** IA32_APIC_BASE, low half. */
  #base: number;
  #registers: Record<number, number> = {};
  readonly #isr = new VectorSet();
  readonly #irr = new VectorSet();
  #tprLow = 0;
  readonly timer: LapicTimer;

  constructor(id: number, bootstrap: boolean, port: LapicPort) {
    this.id = id;
    this.#port = port;
    this.timer = new LapicTimer(port);
    this.#base = BASE_ENABLED | (bootstrap ? 0x100 : 0);
    this.reset();
  }

  /** INIT: all registers as at power-up, the mode as it was. */
  reset(): void {
    this.#registers = { [R.LDR]: 0, [R.DFR]: 0xffffffff, [R.SVR]: 0xff };
    for (const at of LVTS) this.#registers[at] = LVT_MASKED;
    this.#isr.clear();
    this.#irr.clear();
    this.#tprLow = 0;
    this.timer.reset();
  }

  get enabled(): boolean {
    return (this.#base & BASE_ENABLED) !== 0 && (this.#reg(R.SVR) & SVR_ENABLED) !== 0;
  }
  get x2apic(): boolean {
    return (this.#base & (BASE_ENABLED | BASE_X2APIC)) === (BASE_ENABLED | BASE_X2APIC);
  }
  /** True if the register page answers. */
  get mapped(): boolean {
    return (this.#base & (BASE_ENABLED | BASE_X2APIC)) === BASE_ENABLED;
  }

  /** IA32_APIC_BASE was written. @returns false for a mode change that raises #GP */
  setBase(value: bigint): boolean {
    const to = Number(value & 0xfffn);
    const mode = (base: number) => base & (BASE_ENABLED | BASE_X2APIC);
    if (mode(to) === BASE_X2APIC) return false;
    if (mode(this.#base) === (BASE_ENABLED | BASE_X2APIC) && mode(to) === BASE_ENABLED) return false;
    this.#base = to;
    return true;
  }

  // Interrupts in

  /** Makes `vector` requested. */
  request(vector: number): void {
    if (!this.enabled) return;
    this.#irr.add(vector);
    this.#port.pending();
  }

  /** The vector that would be delivered now, or -1. */
  highest(): number {
    if (!this.enabled) return -1;
    const vector = this.#irr.highest();
    return vector >= 0 && vector >> 4 > this.#processorPriority() >> 4 ? vector : -1;
  }

  /** `vector`, which `highest` gave, is being delivered. */
  acknowledge(vector: number): void {
    this.#irr.delete(vector);
    this.#isr.add(vector);
  }

  /** True if this APIC is meant by a destination. */
  matches(message: IpiMessage): boolean {
    const { destination, logical } = message;
    if (destination === (message.x2apic ? 0xffffffff : 0xff)) return true;
    if (!logical) return destination === this.id;
    if (this.x2apic) {
      const ldr = this.#logicalX2();
      return ldr >>> 16 === destination >>> 16 && (ldr & destination & 0xffff) !== 0;
    }
    const ldr = this.#reg(R.LDR) >>> 24;
    const flat = this.#reg(R.DFR) >>> 28 === 0xf;
    return flat ? (ldr & destination) !== 0 : ldr >> 4 === destination >> 4 && (ldr & destination & 15) !== 0;
  }

  /** The timer's alarm went off. */
  timerFired(deadline: Ticks): void {
    this.timer.fired(deadline);
    const lvt = this.#reg(R.LVT_TIMER);
    if ((lvt & LVT_MASKED) === 0) this.request(lvt & 0xff);
  }

  // The register page

  /** Reads of 4 bytes at `offset` in the page. */
  read(offset: number): number {
    const at = offset & 0xff0;
    if (at >= R.ISR && at < R.ISR + 0x80) return this.#isr.word((at - R.ISR) >> 4);
    if (at >= R.IRR && at < R.IRR + 0x80) return this.#irr.word((at - R.IRR) >> 4);
    switch (at) {
      case R.ID:
        return this.x2apic ? this.id : (this.id << 24) >>> 0;
      case R.VERSION:
        return VERSION;
      case R.TPR:
        return this.#taskPriority();
      case R.PPR:
        return this.#processorPriority();
      case R.LDR:
        return this.x2apic ? this.#logicalX2() : this.#reg(R.LDR);
      case R.TIMER_INITIAL:
        return this.timer.initialCount;
      case R.TIMER_CURRENT:
        return this.timer.currentCount;
      case R.TIMER_DIVIDE:
        return this.timer.divide;
      default:
        return this.#reg(at);
    }
  }

  write(offset: number, value: number): void {
    const at = offset & 0xff0;
    if (LVT_WRITABLE[at] !== undefined) {
      this.#writeLvt(at, value);
      return;
    }
    switch (at) {
      case R.TPR:
        this.#tprLow = value & 15;
        this.#port.setTaskPriority((value >> 4) & 15);
        this.#port.pending();
        break;
      case R.EOI:
        this.#isr.delete(this.#isr.highest());
        this.#port.pending();
        break;
      case R.LDR:
        this.#registers[at] = value & 0xff000000;
        break;
      case R.DFR:
        this.#registers[at] = (value | 0x0fffffff) >>> 0;
        break;
      case R.SVR:
        this.#registers[at] = value & 0x1ff;
        if (value & SVR_ENABLED) this.#port.switchedOn?.();
        else for (const lvt of LVTS) this.#registers[lvt] |= LVT_MASKED;
        break;
      case R.ESR:
        this.#registers[at] = 0;
        break;
      case R.ICR:
        this.#registers[at] = value & 0xccfff;
        this.#send(value, this.x2apic ? this.#reg(R.ICR2) : this.#reg(R.ICR2) >>> 24);
        break;
      case R.ICR2:
        this.#registers[at] = this.x2apic ? value >>> 0 : (value & 0xff000000) >>> 0;
        break;
      case R.TIMER_INITIAL:
        this.timer.initialCount = value >>> 0;
        break;
      case R.TIMER_DIVIDE:
        this.timer.divide = value;
        break;
      default:
        break; // reserved and read-only registers
    }
  }

  // MSRs

  /** @returns undefined where there is no such register, or the APIC is not in x2APIC mode: #GP */
  readMsr(index: number): bigint | undefined {
    if (index === TSC_DEADLINE) return this.timer.tscDeadline;
    const at = this.#x2Offset(index);
    if (at === undefined || at === R.ICR2 || at === R.EOI || at === R.SELF_IPI || at === R.DFR) return undefined;
    if (at === R.ICR) return (BigInt(this.#reg(R.ICR2)) << 32n) | BigInt(this.#reg(R.ICR));
    return BigInt(this.read(at) >>> 0);
  }

  /** @returns false for #GP */
  writeMsr(index: number, value: bigint): boolean {
    if (index === TSC_DEADLINE) {
      this.timer.tscDeadline = value;
      return true;
    }
    const at = this.#x2Offset(index);
    if (at === undefined) return false;
    const low = Number(value & 0xffffffffn);
    if (at === R.ICR) {
      this.write(R.ICR2, Number(value >> 32n));
      this.write(R.ICR, low);
      return true;
    }
    if (value >> 32n !== 0n) return false;
    if (at === R.SELF_IPI) this.request(low & 0xff);
    else if (READ_ONLY.has(at) || (at >= R.ISR && at < R.ESR)) return false;
    else this.write(at, low);
    return true;
  }

  #x2Offset(index: number): number | undefined {
    if (!this.x2apic || index < X2APIC_MSR || index > X2APIC_MSR + 0x3f) return undefined;
    const at = (index - X2APIC_MSR) << 4;
    const known = Object.values(R).includes(at as never) || (at >= R.ISR && at < R.ESR);
    return known ? at : undefined;
  }

  #reg(at: number): number {
    return this.#registers[at] ?? 0;
  }

  #taskPriority(): number {
    return (this.#port.taskPriority() << 4) | this.#tprLow;
  }

  /** SDM 3A 11.8.3.1: the higher of task priority and the class in service. */
  #processorPriority(): number {
    const tpr = this.#taskPriority();
    const isr = this.#isr.highest();
    return isr < 0 || tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;
  }

  #logicalX2(): number {
    return (((this.id >> 4) << 16) | (1 << (this.id & 15))) >>> 0;
  }

  #send(command: number, destination: number): void {
    this.#port.send({
      vector: command & 0xff,
      mode: (command >> 8) & 7,
      logical: (command & 0x800) !== 0,
      assert: (command & 0xc000) !== 0x8000,
      shorthand: (command >> 18) & 3,
      destination,
      x2apic: this.x2apic,
    });
  }

  #writeLvt(at: number, value: number): void {
    const masked = this.#reg(R.SVR) & SVR_ENABLED ? 0 : LVT_MASKED;
    this.#registers[at] = (value & LVT_WRITABLE[at]) | masked;
    if (at === R.LVT_TIMER) this.timer.setMode((value >> 17) & 3);
  }

  save(): LapicState {
    return {
      base: this.#base,
      registers: { ...this.#registers },
      isr: this.#isr.save(),
      irr: this.#irr.save(),
      tprLow: this.#tprLow,
      timer: this.timer.save(),
    };
  }

  /** All but the alarm, which the machine restores. */
  restore(s: LapicState): void {
    this.#base = s.base;
    this.#registers = { ...s.registers };
    this.#isr.restore(s.isr);
    this.#irr.restore(s.irr);
    this.#tprLow = s.tprLow;
    this.timer.restore(s.timer);
  }
}

const READ_ONLY: ReadonlySet<number> = new Set([R.ID, R.VERSION, R.PPR, R.LDR, R.DFR, R.ICR2, R.TIMER_CURRENT]);

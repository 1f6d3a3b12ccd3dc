import { NEVER } from '../../base/ticks.ts';
import { CR8, TSC_OFFSET } from '../../cpu/layout.ts';
import { DELIVERY, type IpiMessage, Lapic, SHORTHAND } from '../../devices/lapic.ts';
import { KIND, TIMERS } from '../../log/kinds.ts';
import type { Alarm } from '../../machine/alarms.ts';
import type { Xen } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { sipiStart } from './start-state.ts';

const APIC_TIMER = TIMERS.indexOf('apic');
/** Where the register page lies; Xen does not let guests move it. */
export const LAPIC_GPA = 0xfee00000;
const IA32_APIC_BASE = 0x1b;
const IA32_TSC_DEADLINE = 0x6e0;

/** The local APICs of PVH vcpus: wiring to the clock, to the processor's CR8, and between each other. */
export class Lapics {
  readonly #xen: Xen;
  readonly #timers = new Map<Vcpu, Alarm>();

  constructor(xen: Xen) {
    this.#xen = xen;
  }

  /** APIC ids are twice the vcpu's number, as Xen's. */
  attach(vcpu: Vcpu): void {
    const { machine, engine, log } = this.#xen;
    let lapic: Lapic | undefined;
    const name = `d${vcpu.domain.id}v${vcpu.id}.apic`;
    const alarm = machine.alarms.create(name, (deadline) => lapic!.timerFired(deadline));
    this.#timers.set(vcpu, alarm);
    lapic = new Lapic(vcpu.id * 2, vcpu.id === 0, {
      now: () => machine.now(),
      setAlarm: (deadline) => (deadline >= NEVER ? alarm.cancel() : alarm.set(deadline)),
      // All of these are asked while the vcpu is current.
      tscOffset: () => engine.state.i64[TSC_OFFSET >> 3],
      taskPriority: () => (engine.current === vcpu.slot ? engine.state.get32(CR8) & 15 : 0),
      setTaskPriority: (value) => engine.state.set64(CR8, BigInt(value)),
      pending: () => this.#xen.kick(vcpu),
      // Linux registers its upcall vector first and enables the APIC later: events wait for that.
      switchedOn: () => {
        if (vcpu.upcallVector !== 0 && vcpu.info.u8(0) !== 0) this.#xen.upcall(vcpu);
      },
      send: (message) => this.#send(vcpu, message),
      timerNote: (fired, deadline) => {
        const kind = fired ? KIND['timer-fire'] : KIND['timer-set'];
        log.appendAt(vcpu.domain.id, vcpu.id, kind, APIC_TIMER, deadline, Math.floor(deadline / 0x1_0000_0000));
      },
    });
    vcpu.lapic = lapic;
  }

  detach(vcpu: Vcpu): void {
    this.#xen.machine.alarms.remove(this.#timers.get(vcpu)!);
    this.#timers.delete(vcpu);
  }

  /** True if the page at `gpa` is the vcpu's register page. */
  covers(vcpu: Vcpu, gpa: number): boolean {
    return gpa >= LAPIC_GPA && gpa < LAPIC_GPA + 0x1000 && vcpu.lapic.mapped;
  }

  /** Registers are 32 bits on 16-byte boundaries; narrower reads see their part. */
  read(vcpu: Vcpu, gpa: number, size: number): bigint {
    const offset = gpa - LAPIC_GPA;
    const value = BigInt(vcpu.lapic.read(offset) >>> 0) >> BigInt((offset & 3) * 8);
    return BigInt.asUintN(size * 8, value);
  }

  write(vcpu: Vcpu, gpa: number, size: number, value: bigint): void {
    const offset = gpa - LAPIC_GPA;
    if (size !== 4 || (offset & 15) !== 0) return;
    vcpu.lapic.write(offset, Number(value));
  }

  /** @returns undefined if the MSR is not the APIC's */
  readMsr(vcpu: Vcpu, index: number): bigint | undefined {
    return isApicMsr(index) ? vcpu.lapic.readMsr(index) : undefined;
  }

  /** @returns undefined if the MSR is not the APIC's, false for #GP */
  writeMsr(vcpu: Vcpu, index: number, value: bigint): boolean | undefined {
    if (index === IA32_APIC_BASE) return value >> 12n === BigInt(LAPIC_GPA >>> 12) && vcpu.lapic.setBase(value);
    return isApicMsr(index) ? vcpu.lapic.writeMsr(index, value) : undefined;
  }

  #send(from: Vcpu, message: IpiMessage): void {
    const { vcpus } = from.domain;
    const all = vcpus.filter((vcpu) => vcpu !== undefined);
    const { shorthand } = message;
    const to =
      shorthand === SHORTHAND.SELF
        ? [from]
        : shorthand === SHORTHAND.ALL
          ? all
          : shorthand === SHORTHAND.OTHERS
            ? all.filter((vcpu) => vcpu !== from)
            : all.filter((vcpu) => vcpu.lapic.matches(message));
    // Lowest priority: the first that matches is as good as any other.
    const targets = message.mode === DELIVERY.LOWEST ? to.slice(0, 1) : to;
    for (const vcpu of targets) this.#deliver(vcpu, message);
  }

  #deliver(vcpu: Vcpu, message: IpiMessage): void {
    const { log } = this.#xen;
    switch (message.mode) {
      case DELIVERY.FIXED:
      case DELIVERY.LOWEST:
        log.appendAt(vcpu.domain.id, vcpu.id, KIND['interrupt-raise'], message.vector);
        vcpu.lapic.request(message.vector);
        break;
      case DELIVERY.NMI:
        vcpu.nmiPending = true;
        this.#xen.kick(vcpu);
        break;
      case DELIVERY.INIT:
        // A vcpu that runs is stopped and waits for its startup message.
        if (message.assert && vcpu.initialised) this.#xen.resetVcpu(vcpu);
        break;
      case DELIVERY.STARTUP:
        if (vcpu.initialised) break;
        this.#xen.initialiseVcpu(vcpu, sipiStart(message.vector));
        this.#xen.vcpuUp(vcpu);
        break;
      default:
        this.#xen.log.emit('unimplemented', { what: 'feature', nr: 0x300, sub: message.mode });
    }
  }
}

function isApicMsr(index: number): boolean {
  return (index >= 0x800 && index < 0x900) || index === IA32_TSC_DEADLINE;
}

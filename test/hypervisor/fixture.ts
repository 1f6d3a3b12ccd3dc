/** A hypervisor on a FakeEngine, and hypercalls made as a guest makes them: registers and structures in its memory. */
import { Exit } from '../../src/cpu/exits.ts';
import * as L from '../../src/cpu/layout.ts';
import { ATTR, EFER, FLAG, REG, SEG } from '../../src/cpu/state.ts';
import type { CType, Width } from '../../src/hypervisor/abi/struct.ts';
import { HYPERCALL } from '../../src/hypervisor/abi/xen.ts';
import { Control } from '../../src/hypervisor/control.ts';
import type { Domain, DomainOptions } from '../../src/hypervisor/domain.ts';
import { Xen } from '../../src/hypervisor/hypervisor.ts';
import { pvhStart } from '../../src/hypervisor/hvm/start-state.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { EventLog } from '../../src/log/append.ts';
import type { MachineEvent } from '../../src/log/event.ts';
import { Clock } from '../../src/machine/clock.ts';
import { type MachineConfig, machineConfig } from '../../src/machine/config.ts';
import { Machine } from '../../src/machine/machine.ts';
import { FakeEngine, type FakeSlot, type Script } from '../machine/fake-engine.ts';

/** RAM of each test domain: gfns 0…63. */
export const RAM_PAGES = 64;
/** Where tests put structures, and where what they point to. */
export const ARG = 0x1000n;
export const DATA = 0x2000n;
/** No RAM here. */
export const HOLE = 0x7000_0000n;

const REGISTERS = {
  8: [REG.RDI, REG.RSI, REG.RDX, REG.R10, REG.R8, REG.R9],
  4: [REG.RBX, REG.RCX, REG.RDX, REG.RSI, REG.RDI, REG.RBP],
} as const;

export class Fixture {
  readonly engine: FakeEngine;
  readonly machine: Machine;
  readonly log: EventLog;
  readonly xen: Xen;
  readonly control: Control;
  /** Width of the guests' calls. */
  width: Width = 8;
  readonly #events: MachineEvent[] = [];

  constructor(width: Width = 8, config: Partial<MachineConfig> = {}) {
    this.width = width;
    this.engine = new FakeEngine(1024);
    const clock = new Clock();
    this.log = new EventLog(() => clock.now());
    this.log.events$.subscribe((event) => this.#events.push(event));
    const full = machineConfig({ digest_interval_ticks: 0, slice_ticks: 100, timeslice_ticks: 1000, ...config });
    this.machine = new Machine(full, this.engine, this.log, clock);
    this.xen = new Xen(this.machine);
    this.control = new Control(this.xen);
  }

  /** A domain with RAM, its first vcpu ready, running. */
  domain(options: Partial<DomainOptions> = {}): Domain {
    const domain = this.xen.createDomain({ name: 'guest', vcpus: 1, maxPages: RAM_PAGES + 8, ...options });
    for (let gfn = 0; gfn < RAM_PAGES; gfn++) this.xen.physmap.populate(domain, gfn);
    for (const vcpu of domain.vcpus) {
      // Registers live in the parked state until it runs.
      this.engine.switchTo(vcpu.slot);
      this.mode(this.width);
    }
    this.xen.initialiseVcpu(domain.vcpus[0], pvhStart(0x100000, 0));
    domain.vcpus[0].start = undefined;
    this.xen.vcpuUp(domain.vcpus[0]);
    this.xen.unpause(domain);
    domain.setWidth(this.width);
    return domain;
  }

  /** Puts the current vcpu into 64-bit mode, or 32-bit protected mode. */
  mode(width: Width, cpl = 0): void {
    const s = this.engine.state;
    s.set32(L.CR0, 0x11);
    s.set32(L.EFER, width === 8 ? EFER.LME | EFER.LMA : 0);
    s.setSegment(SEG.CS, 8, 0n, 0xffffffff, 0x9b | (width === 8 ? ATTR.L : ATTR.DB));
    s.set32(L.CPL, cpl);
  }

  /** Interrupts on or off in `vcpu`. */
  interrupts(vcpu: Vcpu, on: boolean): void {
    this.engine.switchTo(vcpu.slot);
    this.engine.state.eflags = on ? FLAG.IF | 2 : 2;
  }

  slot(vcpu: Vcpu): FakeSlot {
    return vcpu.slot as FakeSlot;
  }
  script(vcpu: Vcpu, script: () => Script): void {
    this.slot(vcpu).script = script();
  }

  /** Makes a hypercall as the guest instruction would. @returns RAX as a signed number */
  call(vcpu: Vcpu, name: keyof typeof HYPERCALL, ...args: (number | bigint)[]): number {
    return this.callNumber(vcpu, HYPERCALL[name], ...args);
  }

  callNumber(vcpu: Vcpu, nr: number, ...args: (number | bigint)[]): number {
    this.engine.switchTo(vcpu.slot);
    const { where } = this.log;
    where.domain = vcpu.domain.id;
    where.vcpu = vcpu.id;
    const s = this.engine.state;
    s.setReg(REG.RAX, BigInt(nr));
    for (let i = 0; i < 6; i++) s.setReg(REGISTERS[this.width][i], BigInt.asUintN(64, BigInt(args[i] ?? 0)));
    const result = this.slot(vcpu).exits.hypercall();
    if (result === Exit.RETRY) throw new Error('a hypercall was not finished');
    return this.width === 8 ? Number(BigInt.asIntN(64, s.reg(REG.RAX))) : s.reg32(REG.RAX) | 0;
  }

  /** Writes a structure into guest memory as the guest's compiler lays it out. */
  put<V>(vcpu: Vcpu, type: CType<V>, value: V, at: bigint = ARG): void {
    const bytes = new Uint8Array(type.size(this.width));
    type.write(new DataView(bytes.buffer), 0, value, this.width);
    vcpu.domain.physical.write(Number(at), bytes);
  }
  get<V>(vcpu: Vcpu, type: CType<V>, at: bigint = ARG): V {
    const bytes = vcpu.domain.physical.read(Number(at), type.size(this.width));
    return type.read(new DataView(bytes.buffer), 0, this.width);
  }

  /** put, call(name, sub, ARG), get. */
  op<V>(vcpu: Vcpu, name: keyof typeof HYPERCALL, sub: number, type: CType<V>, value: V): { rc: number; out: V } {
    this.put(vcpu, type, value);
    const rc = this.call(vcpu, name, sub, ARG);
    return { rc, out: this.get(vcpu, type) };
  }

  events(kind?: string): MachineEvent[] {
    this.log.flush();
    return kind === undefined ? this.#events : this.#events.filter((e) => e.kind === kind);
  }
}

export const WIDTHS: readonly Width[] = [4, 8];

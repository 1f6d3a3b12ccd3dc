import { type CpuidResult, Exit, type ExitResult, type OfferedBits, type ProcessorExits } from '../../cpu/exits.ts';
import { TSC_OFFSET } from '../../cpu/layout.ts';
import { CR4, FLAG } from '../../cpu/state.ts';
import { KIND } from '../../log/kinds.ts';
import type { Vcpu } from '../vcpu.ts';
import type { Xen } from '../hypervisor.ts';
import { cpuid } from './cpuid.ts';

/** Xen's debug console for HVM guests (XEN_HVM_DEBUGCONS_IOPORT). */
const DEBUG_PORT = 0xe9;

const low = (v: bigint) => Number(v & 0xffffffffn);
const high = (v: bigint) => Number((v >> 32n) & 0xffffffffn);

/** A PVH vcpu's exits: Xen's vmexit handler. Every one leaves its trace on the log. */
export class HvmExits implements ProcessorExits {
  readonly #xen: Xen;
  readonly #vcpu: Vcpu;

  constructor(xen: Xen, vcpu: Vcpu) {
    this.#xen = xen;
    this.#vcpu = vcpu;
  }

  get offered(): OfferedBits {
    return this.#vcpu.domain.cpuid.offered;
  }

  hypercall(): ExitResult {
    this.#xen.hypercalls.enter(this.#vcpu);
    return this.#done();
  }

  cpuid(leaf: number, subleaf: number, out: CpuidResult): void {
    const { engine, log } = this.#xen;
    const s = engine.state;
    const { domain, id } = this.#vcpu;
    const osxsave = (s.cr4 & CR4.OSXSAVE) !== 0;
    cpuid(
      leaf,
      subleaf,
      { vcpuId: id, domainId: domain.id, policy: domain.cpuid, osxsave, tscOffset: s.i64[TSC_OFFSET >> 3] },
      out,
    );
    log.append(KIND.cpuid, leaf, subleaf, out.eax, out.ebx, out.ecx, out.edx);
  }

  readMsr(index: number): bigint | undefined {
    const value = this.#xen.msrs.read(this.#vcpu, index);
    const shown = value ?? 0n;
    if (value === undefined) this.#xen.log.emit('unimplemented', { what: 'msr', nr: index, sub: 0 });
    else this.#xen.log.append(KIND.msr, index, 0, low(shown), high(shown));
    return value;
  }

  writeMsr(index: number, value: bigint): ExitResult | undefined {
    this.#xen.log.append(KIND.msr, index, 1, low(value), high(value));
    if (!this.#xen.msrs.write(this.#vcpu, index, value)) {
      this.#xen.log.emit('unimplemented', { what: 'msr', nr: index, sub: 1 });
      return undefined;
    }
    return this.#done();
  }

  /** A PVH domain has no devices behind ports: reads float high. */
  portRead(port: number, size: number): number {
    const value = size === 4 ? 0xffffffff : 2 ** (8 * size) - 1;
    this.#xen.log.append(KIND.io, port, size, 0, value);
    return value;
  }

  portWrite(port: number, size: number, value: number): ExitResult {
    this.#xen.log.append(KIND.io, port, size, 1, value);
    if (port === DEBUG_PORT && size === 1) this.#xen.debugCharacter(this.#vcpu.domain, value & 0xff);
    return this.#done();
  }

  mmioRead(gpa: number, size: number): bigint {
    const { lapics } = this.#xen;
    const value = lapics.covers(this.#vcpu, gpa) ? lapics.read(this.#vcpu, gpa, size) : BigInt.asUintN(size * 8, -1n); // nothing answers: the bus floats high
    this.#xen.log.append(KIND.mmio, gpa, Math.floor(gpa / 0x1_0000_0000), size, 0, low(value), high(value));
    return value;
  }

  mmioWrite(gpa: number, size: number, value: bigint): ExitResult {
    this.#xen.log.append(KIND.mmio, gpa, Math.floor(gpa / 0x1_0000_0000), size, 1, low(value), high(value));
    const { lapics } = this.#xen;
    if (lapics.covers(this.#vcpu, gpa)) lapics.write(this.#vcpu, gpa, size, value);
    return this.#done();
  }

  /** hvm_hlt: with interrupts off and nothing to wake it, a vcpu that halts is down for good. */
  halt(): ExitResult {
    const { engine, log, scheduling } = this.#xen;
    const s = engine.state;
    log.append(KIND.halt, low(s.rip), high(s.rip));
    const enabled = (s.eflags & FLAG.IF) !== 0;
    if (!enabled && !this.#vcpu.nmiPending) this.#xen.vcpuDown(this.#vcpu);
    else if (this.#xen.pendingVector(this.#vcpu) < 0 && !this.#vcpu.nmiPending) scheduling.block(this.#vcpu);
    return Exit.YIELD;
  }

  /** A spinning guest steps aside if that can help it. */
  pause(): ExitResult {
    if (!this.#xen.scheduling.othersWant()) return Exit.CONTINUE;
    this.#xen.machine.control.endTurn = true;
    return Exit.YIELD;
  }

  interruptWindow(): boolean {
    if (this.#xen.machine.control.hold) return false;
    return this.#vcpu.nmiPending || this.#xen.pendingVector(this.#vcpu) >= 0;
  }

  tripleFault(): void {
    this.#xen.tripleFault(this.#vcpu);
  }

  tlbFlush(kind: number, linear: bigint): void {
    this.#xen.log.append(KIND['tlb-flush'], kind, low(linear), high(linear));
  }

  exception(vector: number, error: number, cr2: bigint): void {
    const rip = this.#xen.engine.state.rip;
    const address = vector === 14 ? cr2 : 0n;
    this.#xen.log.append(KIND.exception, vector, error, low(address), high(address), low(rip), high(rip));
  }

  #done(): ExitResult {
    return this.#xen.machine.control.leave ? Exit.YIELD : Exit.CONTINUE;
  }
}

/** Guests as a debugger sees them: threads, registers, memory. Looking changes nothing, not even a TLB. */
import { REGISTERS_64, type RegisterSet } from '../src/debug/registers.ts';
import { REGISTERS_32 } from '../src/debug/registers-32.ts';
import { type DebugThread, processOf, threadId, threadOf } from '../src/debug/target.ts';
import { type CpuState, EFER } from '../src/cpu/state.ts';
import type { Domain } from '../src/hypervisor/domain.ts';
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import type { Session } from '../src/session.ts';
import { contents, currentVcpu, translate, withVcpu } from '../src/inspect/places.ts';

/** `auto`: 32 bits for a guest whose kernel is a 32-bit ELF image and that has not gone to long mode. */
export type Architecture = 'auto' | 'i386' | 'x86-64';

export interface ViewOptions {
  /** Only this domain's vcpus are threads. */
  readonly domain?: number | undefined;
  readonly architecture?: Architecture | undefined;
}

const ELFCLASS32 = 1;

export class GuestView {
  readonly #session: () => Session;
  readonly #options: ViewOptions;
  /** gdb asks once for what registers there are, and goes by that. */
  #set: RegisterSet = REGISTERS_64;

  constructor(session: () => Session, options: ViewOptions) {
    this.#session = session;
    this.#options = options;
  }

  /** Decides which registers there are, by the mode of `thread` now. */
  settle(thread: number): void {
    this.#set = this.#is32(thread) ? REGISTERS_32 : REGISTERS_64;
  }

  get registers(): RegisterSet {
    return this.#set;
  }

  #is32(thread: number): boolean {
    const { architecture = 'auto' } = this.#options;
    if (architecture !== 'auto') return architecture === 'i386';
    const vcpu = this.vcpu(thread);
    if (!vcpu) return false;
    const session = this.#session();
    if (withVcpu(session, vcpu, () => session.engine.state.efer & EFER.LMA)) return false;
    const sha256 = session.config.domains.find(({ config }) => config.name === vcpu.domain.name)?.kernel;
    const kernel = sha256 === undefined ? undefined : session.images.get(sha256)?.bytes;
    return (
      kernel !== undefined &&
      Buffer.from(kernel.subarray(0, 4)).toString('latin1') === '\x7fELF' &&
      kernel[4] === ELFCLASS32
    );
  }

  domains(): Domain[] {
    const { domain } = this.#options;
    return [...this.#session().xen.domains.guests()].filter(({ id }) => domain === undefined || id === domain);
  }

  threads(): readonly DebugThread[] {
    return this.domains().flatMap(({ vcpus }) => vcpus.map(describe));
  }

  vcpu(thread: number): Vcpu | undefined {
    return this.#session().xen.find(processOf(thread))?.vcpus[threadOf(thread) - 1];
  }

  /** The thread that stands for this place: the vcpu that ran last if it is one of ours, else `before` if that is there. */
  standing(before: number): number {
    const vcpu = currentVcpu(this.#session());
    const threads = this.domains().flatMap(({ vcpus }) => vcpus.map(threadOfVcpu));
    if (vcpu && threads.includes(threadOfVcpu(vcpu))) return threadOfVcpu(vcpu);
    return threads.includes(before) ? before : (threads[0] ?? threadId(1, 1));
  }

  readRegisters(thread: number): Uint8Array | undefined {
    const { registers } = this.#set;
    return this.#with(thread, (s) => Uint8Array.from(Buffer.concat(registers.map((each) => each.read(s)))));
  }

  readRegister(thread: number, number: number): Uint8Array | undefined {
    const register = this.#set.registers[number];
    return register && this.#with(thread, (s) => register.read(s));
  }

  /** Why a register cannot be written with these bytes. */
  refusal(thread: number, number: number, bytes: Uint8Array): string | undefined {
    const register = this.#set.registers[number];
    if (!this.vcpu(thread)) return 'there is no such thread now';
    if (!register || bytes.length !== register.bits / 8) return 'there is no such register';
    return register.write ? undefined : `${register.name} can be read only`;
  }

  writeRegister(thread: number, number: number, bytes: Uint8Array): void {
    this.#with(thread, (s) => this.#set.registers[number]!.write!(s, bytes));
  }

  /** Numbers and contents of those in a block of all registers that differ from what they are. */
  changed(thread: number, bytes: Uint8Array): { number: number; content: Uint8Array }[] | undefined {
    const now = this.readRegisters(thread);
    if (now?.length !== bytes.length) return undefined;
    const found: { number: number; content: Uint8Array }[] = [];
    let at = 0;
    for (const [number, { bits }] of this.#set.registers.entries()) {
      const content = bytes.subarray(at, at + bits / 8);
      if (content.some((byte, i) => byte !== now[at + i])) found.push({ number, content });
      at += bits / 8;
    }
    return found;
  }

  readMemory(thread: number, address: bigint, length: number): Uint8Array | undefined {
    const vcpu = this.vcpu(thread);
    if (!vcpu) return undefined;
    const session = this.#session();
    return contents(session, translate(session, vcpu, address, length));
  }

  /** True if all `length` bytes are RAM that is mapped. */
  mapped(thread: number, address: bigint, length: number): boolean {
    const vcpu = this.vcpu(thread);
    if (!vcpu) return false;
    const pieces = translate(this.#session(), vcpu, address, length);
    return pieces.reduce((sum, piece) => sum + piece.length, 0) === length;
  }

  writeMemory(thread: number, address: bigint, bytes: Uint8Array): void {
    const session = this.#session();
    let done = 0;
    for (const { mfn, offset, length } of translate(session, this.vcpu(thread)!, address, bytes.length)) {
      session.engine.frames.frame(mfn).set(bytes.subarray(done, done + length), offset);
      session.engine.frameWritten(mfn);
      done += length;
    }
  }

  /** RIP within CS, as breakpoints mean it. */
  rip(thread: number): bigint | undefined {
    return this.#with(thread, (s) => s.rip);
  }

  #with<T>(thread: number, look: (s: CpuState) => T): T | undefined {
    const vcpu = this.vcpu(thread);
    const session = this.#session();
    return vcpu && withVcpu(session, vcpu, () => look(session.engine.state));
  }
}

export function threadOfVcpu({ domain, id }: Vcpu): number {
  return threadId(domain.id, id + 1);
}

function describe(vcpu: Vcpu): DebugThread {
  const { domain, id, pcpu, online, blocked } = vcpu;
  const state = pcpu >= 0 ? `on pcpu ${pcpu}` : online ? (blocked ? 'blocked' : 'waiting') : 'down';
  const core = pcpu >= 0 ? { core: pcpu } : {};
  return { id: threadOfVcpu(vcpu), name: domain.name, text: `d${domain.id}v${id}, ${state}`, ...core };
}

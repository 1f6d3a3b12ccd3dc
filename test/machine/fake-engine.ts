/**
 * An engine without a processor: vcpus follow scripts. Registers, machine frames and p2m are real; linear addresses
 * are guest-physical ones. A script yields numbers (so many ticks of computing) and functions (one instruction, one
 * tick, which may call exits).
 */
import { addTicks, type Ticks } from '../../src/base/ticks.ts';
import type { VirtualMemory } from '../../src/cpu/context.ts';
import type { Engine, VcpuSlot } from '../../src/cpu/engine.ts';
import { Exit, type ExitResult, type ProcessorExits } from '../../src/cpu/exits.ts';
import { FAULT, raisePageFault } from '../../src/cpu/fault.ts';
import { ACTIVITY, STATE_BYTES } from '../../src/cpu/layout.ts';
import { CpuState, FLAG } from '../../src/cpu/state.ts';
import { Hasher } from '../../src/machine/digest.ts';
import { MachineMemory, PAGE_SIZE } from '../../src/memory/frames.ts';
import type { P2m } from '../../src/memory/p2m.ts';

export type Step = number | ((cpu: FakeEngine, exits: ProcessorExits) => ExitResult | undefined);
export type Script = Generator<Step, void, unknown>;

const BASE = 0x10000;

export class FakeSlot implements VcpuSlot {
  readonly index: number;
  readonly p2m: P2m;
  readonly exits: ProcessorExits;
  readonly parked = new Uint8Array(STATE_BYTES);
  /** What it does; without one it computes for ever. */
  script: Script | undefined;
  /** Rest of a step of computing. */
  left = 0;
  /** Ticks it ran, for shares. */
  ran = 0;
  readonly delivered: { vector: number; tick: number }[] = [];
  onInterrupt: (vector: number) => void = () => {};

  constructor(index: number, p2m: P2m, exits: ProcessorExits) {
    this.index = index;
    this.p2m = p2m;
    this.exits = exits;
  }
}

export class FakeEngine implements Engine {
  readonly frames: MachineMemory;
  readonly state: CpuState;
  readonly virtual: VirtualMemory;
  current: FakeSlot | undefined;
  readonly slots: FakeSlot[] = [];
  /** Each run: which slot, from which tick, how long. */
  readonly runs: { slot: number; from: number; ticks: number }[] = [];
  #now = 0;
  readonly #dirty = new Set<number>();

  constructor(frames: number) {
    const buffer = new ArrayBuffer(BASE + frames * PAGE_SIZE);
    this.state = new CpuState(buffer);
    this.frames = new MachineMemory(buffer, BASE, frames);
    this.virtual = fakeMemory(this);
  }

  createVcpu(p2m: P2m, exits: ProcessorExits): FakeSlot {
    const slot = new FakeSlot(this.slots.length, p2m, exits);
    this.slots.push(slot);
    return slot;
  }
  destroyVcpu(slot: VcpuSlot): void {
    if (this.current === slot) this.current = undefined;
  }
  switchTo(slot: VcpuSlot): void {
    if (this.current === slot) return;
    const u8 = this.state.u8;
    this.current?.parked.set(u8.subarray(0, STATE_BYTES));
    this.current = slot as FakeSlot;
    u8.set(this.current.parked, 0);
  }

  run(now: Ticks, budget: number): number {
    const slot = this.current!;
    this.#now = now;
    let spent = 0;
    while (spent < budget && this.state.get32(ACTIVITY) === 0) {
      if (slot.left === 0) {
        const step = (slot.script?.next().value as Step | undefined) ?? 1_000_000_000;
        if (typeof step === 'function') {
          const result = step(this, slot.exits) ?? Exit.CONTINUE;
          this.#now = now + ++spent;
          if (result !== Exit.CONTINUE) break;
          continue;
        }
        slot.left = step;
      }
      const ticks = Math.min(slot.left, budget - spent);
      slot.left -= ticks;
      spent += ticks;
      this.#now = now + spent;
    }
    slot.ran += spent;
    this.runs.push({ slot: slot.index, from: now, ticks: spent });
    return spent;
  }
  now(): Ticks {
    return addTicks(this.#now as Ticks, 0);
  }

  interruptible(): boolean {
    return (this.state.eflags & FLAG.IF) !== 0;
  }
  injectInterrupt(vector: number): void {
    this.state.set32(ACTIVITY, 0);
    this.current!.delivered.push({ vector, tick: this.#now });
    this.current!.onInterrupt(vector);
  }
  injectNmi(): void {
    this.injectInterrupt(2);
  }
  injectException(vector: number): void {
    this.injectInterrupt(vector);
  }

  guarded<T>(fn: () => T): T | undefined {
    try {
      return fn();
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
      return undefined;
    }
  }
  p2mChanged(): void {}
  frameWritten(mfn: number): void {
    this.#dirty.add(mfn);
  }
  stateDigest(): bigint {
    return new Hasher().bytes(this.state.u8.subarray(0, STATE_BYTES)).value();
  }
  takeDirtyFrames(): Uint32Array {
    const frames = Uint32Array.from([...this.#dirty].sort((a, b) => a - b));
    this.#dirty.clear();
    return frames;
  }
  frameDigest(mfn: number): bigint {
    return new Hasher().bytes(this.frames.frame(mfn)).value();
  }
}

/** The steps of the usual instructions. */
export const halt: Step = (cpu, exits) => {
  cpu.state.set32(ACTIVITY, 1);
  return exits.halt();
};
export const pause: Step = (_cpu, exits) => exits.pause();

/** Byte-wise access through the p2m; holes and read-only pages fault. */
function fakeMemory(engine: FakeEngine): VirtualMemory {
  const at = (linear: bigint, write: boolean): Uint8Array => {
    const slot = engine.current!;
    const gfn = Number(linear >> 12n);
    const mfn = gfn < 2 ** 30 ? slot.p2m.mfn(gfn) : -1;
    if (mfn < 0 || (write && !slot.p2m.isWritable(gfn))) raisePageFault(linear, write ? 2 : 0);
    return engine.frames.frame(mfn).subarray(Number(linear & 0xfffn));
  };
  const readBytes = (linear: bigint, out: Uint8Array): void => {
    for (let i = 0; i < out.length; i++) out[i] = at(linear + BigInt(i), false)[0];
  };
  const writeBytes = (linear: bigint, bytes: Uint8Array): void => {
    for (let i = 0; i < bytes.length; i++) at(linear + BigInt(i), true);
    for (let i = 0; i < bytes.length; i++) at(linear + BigInt(i), true)[0] = bytes[i];
  };
  const read = (linear: bigint, size: number): DataView => {
    const out = new Uint8Array(size);
    readBytes(linear, out);
    return new DataView(out.buffer);
  };
  const write = (linear: bigint, size: number, put: (v: DataView) => void): void => {
    const out = new Uint8Array(size);
    put(new DataView(out.buffer));
    writeBytes(linear, out);
  };
  return {
    read8: (l) => read(l, 1).getUint8(0),
    read16: (l) => read(l, 2).getUint16(0, true),
    read32: (l) => read(l, 4).getUint32(0, true),
    read64: (l) => read(l, 8).getBigUint64(0, true),
    write8: (l, v) => write(l, 1, (d) => d.setUint8(0, v)),
    write16: (l, v) => write(l, 2, (d) => d.setUint16(0, v, true)),
    write32: (l, v) => write(l, 4, (d) => d.setUint32(0, v, true)),
    write64: (l, v) => write(l, 8, (d) => d.setBigUint64(0, v, true)),
    readBytes,
    writeBytes,
    probeWrite: (l, length) => {
      for (let i = 0; i < length; i++) at(l + BigInt(i), true);
    },
  };
}

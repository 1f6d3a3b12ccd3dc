/** An engine with one vcpu over a little RAM and a world that answers everything the same way: for tests of the processor. */
import type { Ticks } from '../../src/base/ticks.ts';
import { type EngineOptions, WasmEngine } from '../../src/cpu/engine/wasm-engine.ts';
import { Exit, type ProcessorExits } from '../../src/cpu/exits.ts';
import { GuestPhysical, P2m, P2mType } from '../../src/memory/p2m.ts';

export class BareMachine {
  readonly engine: WasmEngine;
  readonly p2m = new P2m();
  readonly memory: GuestPhysical;
  /** What the guest asked of the outside, one word an exit. */
  readonly exitLog: string[] = [];
  now = 0;

  /** RAM of `pages` frames from guest-physical 0. `exits` overrides the defaults. */
  constructor(pages: number, options: Partial<EngineOptions> = {}, exits: Partial<ProcessorExits> = {}) {
    this.engine = new WasmEngine({ frames: pages + 16, vcpus: 1, codeBytes: 1 << 20, ...options });
    for (let gfn = 0; gfn < pages; gfn++) this.p2m.set(gfn, this.engine.frames.allocate(), P2mType.RAM);
    this.memory = new GuestPhysical(this.engine.frames, this.p2m);
    this.memory.onWrite = (mfn) => this.engine.frameWritten(mfn);
    this.engine.switchTo(this.engine.createVcpu(this.p2m, { ...this.#quietWorld(), ...exits }));
  }

  #quietWorld(): ProcessorExits {
    const note = (what: string): typeof Exit.CONTINUE => {
      this.exitLog.push(`${this.engine.now()} ${what}`);
      return Exit.CONTINUE;
    };
    return {
      hypercall: () => note('hypercall'),
      cpuid: (leaf, subleaf, out) => {
        Object.assign(out, { eax: leaf ^ 0x1234, ebx: subleaf, ecx: 0, edx: 0 });
        note('cpuid');
      },
      readMsr: () => undefined,
      writeMsr: () => undefined,
      portRead: (port, size) => {
        note(`in ${port}`);
        return (port * 0x01010101) >>> (32 - size * 8);
      },
      portWrite: (port) => note(`out ${port}`),
      mmioRead: (gpa) => {
        note(`read ${gpa}`);
        return BigInt(gpa) & 0xffn;
      },
      mmioWrite: (gpa) => note(`write ${gpa}`),
      halt: () => note('halt'),
      pause: () => Exit.CONTINUE,
      interruptWindow: () => false,
      tripleFault: () => void note('triple fault'),
      tlbFlush: () => {},
      exception: (vector, error) => void note(`exception ${vector} ${error}`),
    };
  }

  /** Runs for `budget` ticks in pieces whose lengths `piece` gives. @returns ticks retired. */
  run(budget: number, piece: () => number = () => budget): number {
    let done = 0;
    while (done < budget) {
      const n = this.engine.run(this.now as Ticks, Math.min(piece(), budget - done));
      done += n;
      this.now += n;
      if (n === 0) break;
    }
    return done;
  }

  /** One word for everything a guest could see: registers, memory, ticks, exits. */
  digest(): string {
    let h = this.engine.stateDigest();
    for (const [gfn, mfn] of this.p2m.entries())
      h = BigInt.asUintN(64, h * 31n + this.engine.frameDigest(mfn) * BigInt(gfn + 1));
    return `${h.toString(16)} at ${this.now}, ${this.exitLog.length} exits`;
  }
}

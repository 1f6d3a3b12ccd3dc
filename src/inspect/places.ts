/** Vcpus and their memory, as a debugger looks at them: reading changes nothing, not even a TLB. */
import type { WatchedBytes } from '../cpu/engine/debug-taps.ts';
import type { Mmu } from '../cpu/mmu.ts';
import type { Vcpu } from '../hypervisor/vcpu.ts';
import { PAGE_SIZE } from '../memory/frames.ts';
import type { Session } from '../session.ts';

/** Runs `look` with `vcpu` current in the engine, then makes things as they were. */
export function withVcpu<T>(session: Session, vcpu: Vcpu, look: () => T): T {
  const { engine } = session;
  const { current } = engine;
  engine.switchTo(vcpu.slot);
  try {
    return look();
  } finally {
    if (current) engine.switchTo(current);
  }
}

/** The pieces of machine memory behind `length` bytes at linear `address`, as far as they are mapped without a gap. */
export function translate(session: Session, vcpu: Vcpu, address: bigint, length: number): WatchedBytes[] {
  const mmu = session.engine.virtual as Mmu;
  return withVcpu(session, vcpu, () => {
    const pieces: WatchedBytes[] = [];
    for (let done = 0; done < length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const gpa = mmu.peek(at);
      const mfn = gpa < 0 ? -1 : mmu.mfnOf(gpa);
      if (mfn < 0) break;
      const offset = Number(at & 4095n);
      const part = Math.min(length - done, PAGE_SIZE - offset);
      pieces.push({ mfn, offset, length: part });
      done += part;
    }
    return pieces;
  });
}

/** The same for a guest-physical address. */
export function translatePhysical(vcpu: Vcpu, address: number, length: number): WatchedBytes[] {
  const pieces: WatchedBytes[] = [];
  for (let done = 0; done < length; ) {
    const at = address + done;
    const mfn = vcpu.domain.p2m.mfn(Math.floor(at / PAGE_SIZE));
    if (mfn < 0) break;
    const offset = at % PAGE_SIZE;
    const part = Math.min(length - done, PAGE_SIZE - offset);
    pieces.push({ mfn, offset, length: part });
    done += part;
  }
  return pieces;
}

/** What lies in the pieces now. */
export function contents(session: Session, pieces: readonly WatchedBytes[]): Uint8Array {
  const { frames } = session.engine;
  return Uint8Array.from(
    pieces.flatMap(({ mfn, offset, length }) => [...frames.frame(mfn).subarray(offset, offset + length)]),
  );
}

/** The vcpu that is current in the engine, or undefined. */
export function currentVcpu(session: Session): Vcpu | undefined {
  const { current } = session.engine;
  for (const domain of session.xen.domains.guests()) {
    for (const vcpu of domain.vcpus) if (vcpu.slot === current) return vcpu;
  }
  return undefined;
}

/** The symbols of a running guest, wherever they can be had from. */
import type { Mmu } from '../cpu/mmu.ts';
import { CR0 } from '../cpu/state.ts';
import { elfSymbols } from '../debug/symbols/elf-symbols.ts';
import { kallsyms } from '../debug/symbols/kallsyms.ts';
import { linearReader, type ReadLinear } from '../debug/symbols/linear-reader.ts';
import type { SymbolTable } from '../debug/symbols/symbol-table.ts';
import type { Vcpu } from '../hypervisor/vcpu.ts';
import { PAGE_SIZE } from '../memory/frames.ts';
import type { Session } from '../session.ts';
import { withVcpu } from './places.ts';

interface Known {
  /** As the kernel sees itself: final. */
  kernel: SymbolTable | undefined;
  /** Until then: what lies in memory before there are page tables, or in the image. */
  early: SymbolTable | undefined;
  image: SymbolTable | undefined;
  /** Not before this tick is it worth looking for a Linux kernel again. */
  lookAgainTick: number;
}

const known = new WeakMap<Session, Map<number, Known>>();
/** A kernel that boots has its page tables after some time; looking costs tens of milliseconds and more. */
const LEAST_WAIT_TICKS = 5_000_000;

/**
 * The symbols of a domain: those that a Linux kernel keeps in its own memory, once it has built its page tables; else
 * those of the image it was booted from. Looking changes nothing that a guest could see.
 * @returns undefined if there are none (yet)
 */
export function symbolsOf(session: Session, domain: number): SymbolTable | undefined {
  const domains = known.get(session) ?? new Map<number, Known>();
  known.set(session, domains);
  let entry = domains.get(domain);
  if (!entry) {
    const image = imageSymbols(session, domain);
    domains.set(domain, (entry = { kernel: undefined, early: undefined, image, lookAgainTick: 0 }));
  }
  const now = session.now();
  if (!entry.kernel && now >= entry.lookAgainTick) {
    entry.lookAgainTick = now + Math.max(LEAST_WAIT_TICKS, Math.floor(now / 4));
    entry.kernel = kernelSymbols(session, domain);
    if (!entry.kernel && !entry.image) entry.early ??= symbolsInRam(session, domain);
  }
  return entry.kernel ?? entry.image ?? entry.early;
}

/** Name of an address in a domain: `function+0x12`. */
export function symbolIn(session: Session, domain: number, address: bigint): string | undefined {
  return symbolsOf(session, domain)?.name(address);
}

/** Reads a vcpu's memory through its page tables as they are at each call, and changes nothing. */
export function vcpuReader(session: Session, vcpu: Vcpu): ReadLinear {
  const read = linearReader(session.engine.virtual as Mmu, vcpu.domain.physical);
  return (linear, length) => withVcpu(session, vcpu, () => read(linear, length));
}

function kernelSymbols(session: Session, domain: number): SymbolTable | undefined {
  for (const vcpu of session.xen.find(domain)?.vcpus ?? []) {
    const found = withVcpu(session, vcpu, () => {
      const { state } = session.engine;
      if (!state.longMode || (state.cr0 & CR0.PG) === 0) return undefined;
      return kallsyms(linearReader(session.engine.virtual as Mmu, vcpu.domain.physical));
    });
    if (found) return found;
  }
  return undefined;
}

/** A kernel that was loaded but has not mapped itself lies somewhere in the first gigabyte. */
function symbolsInRam(session: Session, domain: number): SymbolTable | undefined {
  const physical = session.xen.find(domain)?.physical;
  if (!physical) return undefined;
  const read: ReadLinear = (address, length) => {
    for (let at = Number(address); at < Number(address) + length; at += PAGE_SIZE) {
      if (physical.p2m.mfn(at / PAGE_SIZE) < 0) return undefined;
    }
    return physical.read(Number(address), length);
  };
  return kallsyms(read, { start: 0n, bytes: 1 << 30 });
}

function imageSymbols(session: Session, domain: number): SymbolTable | undefined {
  const name = session.xen.find(domain)?.name;
  const kernel = session.config.domains.find(({ config }) => config.name === name)?.kernel;
  const image = kernel === undefined ? undefined : session.images.get(kernel);
  return image && elfSymbols(image.bytes);
}

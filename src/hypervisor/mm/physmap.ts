import type { EventLog } from '../../log/append.ts';
import { KIND } from '../../log/kinds.ts';
import type { MachineMemory } from '../../memory/frames.ts';
import { P2mType } from '../../memory/p2m.ts';
import { E, fail } from '../abi/errno.ts';
import { MAPIDX_GRANT_STATUS, MAPSPACE } from '../abi/memory.ts';
import type { Domain } from '../domain.ts';
import type { FrameRefs } from './frame-refs.ts';

/** Guest frames end here: 40 physical address bits, as CPUID says. */
export const MAX_GFN = 1 << 28;
/** Type words of the p2m-change event. */
const CHANGE = { none: 0, ram: 1, ro: 2, grant: 3, mmio: 4, sharedInfo: 5 } as const;

/** Changes of a domain's guest-physical map, each with its place on the log once the domain has run. */
export class Physmap {
  readonly #frames: MachineMemory;
  readonly #refs: FrameRefs;
  readonly #log: EventLog;
  /** RAM frames a domain owns without having them mapped. */
  readonly #loose = new Map<Domain, number[]>();

  constructor(frames: MachineMemory, refs: FrameRefs, log: EventLog) {
    this.#frames = frames;
    this.#refs = refs;
    this.#log = log;
  }

  /** Gives `domain` a zeroed page of RAM at `gfn`. @returns false without memory or above the domain's ceiling */
  populate(domain: Domain, gfn: number): boolean {
    if (domain.pages >= domain.maxPages || this.#frames.freeFrames === 0 || !(gfn >= 0 && gfn < MAX_GFN)) return false;
    this.clear(domain, gfn);
    const mfn = this.#frames.allocate();
    domain.pages++;
    domain.p2m.set(gfn, mfn, P2mType.RAM);
    this.#changed(domain, gfn, mfn, CHANGE.ram);
    return true;
  }

  /** Takes the page at `gfn` from the domain (Xen's guest_remove_page). @returns false if there is none to take */
  remove(domain: Domain, gfn: number): boolean {
    const mfn = domain.p2m.mfn(gfn);
    if (mfn < 0 || this.isGrant(domain, gfn)) return false;
    this.clear(domain, gfn);
    return true;
  }

  /** Makes `gfn` a hole: RAM is given back, Xen's own frames and grants are unmapped only. */
  clear(domain: Domain, gfn: number): void {
    const mfn = domain.p2m.mfn(gfn);
    if (mfn < 0) return;
    const grant = this.isGrant(domain, gfn);
    domain.p2m.set(gfn, 0, P2mType.HOLE);
    this.#changed(domain, gfn, 0, CHANGE.none);
    if (domain.xenFrames.has(mfn)) domain.xenFrames.set(mfn, -1);
    else if (!grant) {
      domain.pages--;
      this.#refs.release(mfn);
    }
  }

  /** Unmaps without giving back (XENMEM_remove_from_physmap). @returns false if nothing is there */
  unmap(domain: Domain, gfn: number): boolean {
    const mfn = domain.p2m.mfn(gfn);
    if (mfn < 0) return false;
    if (domain.xenFrames.has(mfn) || this.isGrant(domain, gfn)) this.clear(domain, gfn);
    else {
      domain.p2m.set(gfn, 0, P2mType.HOLE);
      this.#changed(domain, gfn, 0, CHANGE.none);
      const loose = this.#loose.get(domain) ?? [];
      loose.push(mfn);
      this.#loose.set(domain, loose);
    }
    return true;
  }

  /** Puts a frame that the domain has elsewhere, or that is Xen's, at `gfn` (XENMEM_add_to_physmap). @throws Errno */
  add(domain: Domain, space: number, idx: number, gfn: number): void {
    if (!(gfn >= 0 && gfn < MAX_GFN)) fail(E.INVAL);
    let mfn: number;
    let from = -1;
    switch (space) {
      case MAPSPACE.shared_info:
        mfn = idx === 0 ? domain.shared!.mfn : fail(E.INVAL);
        break;
      case MAPSPACE.grant_table:
        mfn = grantFrame(domain, idx) ?? fail(E.INVAL);
        break;
      case MAPSPACE.gmfn:
      case MAPSPACE.gmfn_range:
        mfn = idx < MAX_GFN ? domain.p2m.mfn(idx) : -1;
        if (mfn < 0 || this.isGrant(domain, idx)) fail(E.INVAL);
        from = idx;
        break;
      default:
        fail(E.NOSYS);
    }
    if (from === gfn) return;
    if (from < 0) from = domain.xenFrames.get(mfn!) ?? -1;
    if (from >= 0 && from !== gfn) {
      domain.p2m.set(from, 0, P2mType.HOLE);
      this.#changed(domain, from, 0, CHANGE.none);
    }
    this.clear(domain, gfn);
    domain.p2m.set(gfn, mfn!, P2mType.RAM);
    const xens = domain.xenFrames.has(mfn!);
    if (xens) domain.xenFrames.set(mfn!, gfn);
    this.#changed(domain, gfn, mfn!, xens ? CHANGE.sharedInfo : CHANGE.ram);
  }

  /** Maps a frame of another domain that was granted. What was there is unmapped, and kept if it is RAM. */
  mapGrant(domain: Domain, gfn: number, mfn: number, readonly: boolean): void {
    this.unmap(domain, gfn);
    domain.p2m.set(gfn, mfn, readonly ? P2mType.GRANT_RO : P2mType.GRANT_RW);
    this.#changed(domain, gfn, mfn, CHANGE.grant);
  }

  isGrant(domain: Domain, gfn: number): boolean {
    const type = domain.p2m.type(gfn);
    return type === P2mType.GRANT_RW || type === P2mType.GRANT_RO;
  }

  /** Frees a frame that Xen shared with the domain, and takes it out of the domain's map. */
  dropXenFrame(domain: Domain, mfn: number): void {
    const gfn = domain.xenFrames.get(mfn) ?? -1;
    if (gfn >= 0) this.clear(domain, gfn);
    domain.xenFrames.delete(mfn);
    this.#frames.release(mfn);
  }

  /** Gives back all of a dead domain's frames. */
  releaseAll(domain: Domain): void {
    for (const [gfn] of [...domain.p2m.entries()]) this.clear(domain, gfn);
    for (const mfn of this.#loose.get(domain) ?? []) {
      domain.pages--;
      this.#refs.release(mfn);
    }
    this.#loose.delete(domain);
    for (const mfn of domain.xenFrames.keys()) this.#frames.release(mfn);
    domain.xenFrames.clear();
  }

  #changed(domain: Domain, gfn: number, mfn: number, type: number): void {
    // Building a domain changes its whole map; the domain-build event stands for that.
    if (!domain.started || domain.dying) return;
    this.#log.appendAt(
      domain.id,
      this.#log.where.domain === domain.id ? this.#log.where.vcpu : -1,
      KIND['p2m-change'],
      gfn,
      0,
      mfn,
      0,
      1,
      type,
    );
  }

  save(domain: Domain): number[] {
    return [...(this.#loose.get(domain) ?? [])];
  }
  restore(domain: Domain, loose: readonly number[]): void {
    this.#loose.set(domain, [...loose]);
  }
}

/** Frame `idx` of the grant table, or of its status frames if the top bit says so; the table grows to reach it. */
function grantFrame({ grants }: Domain, idx: number): number | undefined {
  const { entries } = grants;
  const status = idx - MAPIDX_GRANT_STATUS;
  if (status >= 0 && entries.version === 2) {
    return entries.growStatus(status) ? entries.statusFrames[status].mfn : undefined;
  }
  return status < 0 && entries.grow(Math.max(idx + 1, entries.frames.length)) ? entries.frames[idx].mfn : undefined;
}

import type { Engine } from '../../cpu/engine.ts';
import { PAGE_SIZE } from '../../memory/frames.ts';
import { E } from '../abi/errno.ts';
import { GNTST, GTF, NR_RESERVED_GRANTS } from '../abi/grant-table.ts';
import type { Domain } from '../domain.ts';
import type { FrameView } from '../frame-view.ts';
import { MAX_GFN } from '../mm/physmap.ts';
import type { FrameRefs } from '../mm/frame-refs.ts';
import { GrantEntries, type GrantEntriesState, type GrantEntry } from './entries.ts';

/** How often a grant is in use, and the frame it stood for when its first user came. */
interface Active {
  mfn: number;
  domid: number;
  readers: number;
  writers: number;
}

/** A mapping of somebody's grant by this domain; its index is the handle. */
export interface MapTrack {
  granter: number;
  ref: number;
  readonly: boolean;
  /** Where the mapper has it, or -1 for a service of Domain 0. */
  gfn: number;
  mfn: number;
}

/** What a copy may touch of a granted page. */
export interface GrantWindow {
  readonly mfn: number;
  readonly offset: number;
  readonly length: number;
}

export interface GrantTableState {
  entries: GrantEntriesState;
  active: [number, Active][];
  maptrack: (MapTrack | null)[];
}

/**
 * One domain's grant table: the entries that it shares with Xen, which of its grants others use, and which grants of
 * others it has mapped. Methods return GNTST_* codes.
 */
export class GrantTable {
  readonly domain: Domain;
  readonly maxMaptrack: number;
  /** Highest version that the domain may choose (xl: max_grant_version). */
  readonly maxVersion: number;
  readonly entries: GrantEntries;
  readonly #refs: FrameRefs;
  readonly #active = new Map<number, Active>();
  readonly #maptrack: (MapTrack | undefined)[] = [];

  constructor(
    domain: Domain,
    engine: Engine,
    refs: FrameRefs,
    limits: { readonly frames: number; readonly maptrack: number; readonly version: number },
  ) {
    this.domain = domain;
    this.maxMaptrack = limits.maptrack;
    this.maxVersion = limits.version;
    this.entries = new GrantEntries(domain, engine, limits.frames);
    this.#refs = refs;
  }

  get frames(): readonly FrameView[] {
    return this.entries.frames;
  }
  get maxFrames(): number {
    return this.entries.maxFrames;
  }

  /** Grows to `count` frames. @returns false beyond the maximum or without memory */
  grow(count: number): boolean {
    return this.entries.grow(count);
  }

  /** The entry of `ref`, or undefined if the table does not reach so far. */
  entry(ref: number): GrantEntry | undefined {
    return this.entries.read(ref);
  }

  /**
   * GNTTABOP_set_version. `release` frees a frame that Xen shared. @returns 0 or an errno: ENOSYS if the toolstack does
   * not allow it, EBUSY while others use grants beside the reserved ones
   */
  setVersion(version: 1 | 2, release: (mfn: number) => void): number {
    if (version > this.maxVersion) return E.NOSYS;
    if (version === this.entries.version) return 0;
    for (const ref of this.#active.keys()) if (ref >= NR_RESERVED_GRANTS) return E.BUSY;
    return this.entries.setVersion(version, release);
  }

  /** What `who` may do with the whole page of `ref` now. @returns the mfn, or a negative GNTST */
  check(ref: number, who: number, readonly: boolean): number {
    const entry = this.entries.read(ref);
    if (!entry) return GNTST.bad_gntref;
    if (entry.piece || (entry.flags & GTF.type_mask) !== GTF.permit_access) return GNTST.general_error;
    return this.#checkPage(ref, entry, who, readonly);
  }

  /**
   * What `who` may copy of `ref` now: version 2 can grant a piece of a page, and pass on what another domain granted.
   * @param tableOf finds that domain's table; absent, such a grant is an error
   * @returns the piece, or a negative GNTST
   */
  window(
    ref: number,
    who: number,
    readonly: boolean,
    tableOf?: (domain: number) => GrantTable | undefined,
  ): GrantWindow | number {
    const entry = this.entries.read(ref);
    if (!entry) return GNTST.bad_gntref;
    if (entry.via) {
      if (entry.domid !== who || (!readonly && (entry.flags & GTF.readonly) !== 0)) return GNTST.general_error;
      // One step only: a grant that is passed on twice would need a walk without an end.
      return tableOf?.(entry.via.domid)?.window(entry.via.ref, this.domain.id, readonly) ?? GNTST.general_error;
    }
    if ((entry.flags & GTF.type_mask) !== GTF.permit_access) return GNTST.general_error;
    const mfn = this.#checkPage(ref, entry, who, readonly);
    return mfn < 0 ? mfn : { mfn, offset: 0, length: PAGE_SIZE, ...entry.piece };
  }

  #checkPage(ref: number, entry: GrantEntry, who: number, readonly: boolean): number {
    if (entry.domid !== who || (!readonly && (entry.flags & GTF.readonly) !== 0)) return GNTST.general_error;
    const active = this.#active.get(ref);
    if (active) return active.mfn;
    const { p2m, xenFrames } = this.domain;
    const mfn = entry.frame < MAX_GFN ? p2m.mfn(entry.frame) : -1;
    return mfn < 0 || (!readonly && !p2m.isWritable(entry.frame)) || xenFrames.has(mfn) ? GNTST.bad_page : mfn;
  }

  /** Takes `ref` into use for `who`. @returns the mfn, or a negative GNTST */
  pin(ref: number, who: number, readonly: boolean): number {
    const mfn = this.check(ref, who, readonly);
    if (mfn < 0) return mfn;
    let active = this.#active.get(ref);
    if (!active) {
      active = { mfn, domid: who, readers: 0, writers: 0 };
      this.#active.set(ref, active);
      this.#refs.get(mfn);
    }
    if (readonly) active.readers++;
    else active.writers++;
    this.entries.mark(ref, GTF.reading | (readonly ? 0 : GTF.writing), 0);
    return mfn;
  }

  unpin(ref: number, readonly: boolean): void {
    const active = this.#active.get(ref);
    if (!active) return;
    if (readonly) active.readers--;
    else active.writers--;
    if (active.writers === 0) this.entries.mark(ref, 0, GTF.writing);
    if (active.writers + active.readers > 0) return;
    this.entries.mark(ref, 0, GTF.reading);
    this.#active.delete(ref);
    this.#refs.put(active.mfn);
  }

  inUse(ref: number): boolean {
    return this.#active.has(ref);
  }

  /** How many grants others use now. */
  get activeCount(): number {
    return this.#active.size;
  }

  /** The domain is gone, its table's frames with it; what others have mapped stays until they let go. */
  close(): void {
    this.entries.close();
  }

  /** Swaps two entries that nobody uses. */
  swap(a: number, b: number): number {
    if (a >= this.entries.count || b >= this.entries.count) return GNTST.bad_gntref;
    if (this.inUse(a) || this.inUse(b)) return GNTST.eagain;
    this.entries.swap(a, b);
    return GNTST.okay;
  }

  /** Remembers a mapping. @returns its handle, or -1 if there are too many */
  track(mapping: MapTrack): number {
    let handle = this.#maptrack.indexOf(undefined);
    if (handle < 0) handle = this.#maptrack.length;
    if (handle >= this.maxMaptrack * 512) return -1;
    this.#maptrack[handle] = mapping;
    return handle;
  }
  tracked(handle: number): MapTrack | undefined {
    return this.#maptrack[handle];
  }
  untrack(handle: number): void {
    this.#maptrack[handle] = undefined;
  }
  /** All mappings this domain has of others' grants, with their handles. */
  *mappings(): Generator<[number, MapTrack]> {
    for (const [handle, mapping] of this.#maptrack.entries()) if (mapping) yield [handle, mapping];
  }

  save(): GrantTableState {
    return {
      entries: this.entries.save(),
      active: [...this.#active].map(([ref, a]) => [ref, { ...a }]),
      maptrack: this.#maptrack.map((m) => (m ? { ...m } : null)),
    };
  }

  restore(state: GrantTableState): void {
    this.entries.restore(state.entries);
    this.#active.clear();
    for (const [ref, a] of state.active) this.#active.set(ref, { ...a });
    this.#maptrack.splice(0, Infinity, ...state.maptrack.map((m) => (m ? { ...m } : undefined)));
  }
}

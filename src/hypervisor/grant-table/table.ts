import type { Engine } from '../../cpu/engine.ts';
import { GNTST, GRANT_ENTRY_BYTES, GRANTS_PER_FRAME, GTF } from '../abi/grant-table.ts';
import type { Domain } from '../domain.ts';
import { FrameView } from '../frame-view.ts';
import type { FrameRefs } from '../mm/frame-refs.ts';

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

export interface GrantTableState {
  frames: number[];
  active: [number, Active][];
  maptrack: (MapTrack | null)[];
}

/**
 * One domain's grant table, version 1: the pages of entries that it shares with Xen, which of its grants others use,
 * and which grants of others it has mapped. Methods return GNTST_* codes.
 */
export class GrantTable {
  readonly domain: Domain;
  readonly maxFrames: number;
  readonly maxMaptrack: number;
  readonly frames: FrameView[] = [];
  readonly #engine: Engine;
  readonly #refs: FrameRefs;
  readonly #active = new Map<number, Active>();
  readonly #maptrack: (MapTrack | undefined)[] = [];

  constructor(domain: Domain, engine: Engine, refs: FrameRefs, maxFrames: number, maxMaptrack: number) {
    this.domain = domain;
    this.maxFrames = maxFrames;
    this.maxMaptrack = maxMaptrack;
    this.#engine = engine;
    this.#refs = refs;
  }

  /** Grows to `count` frames. @returns false beyond the maximum or without memory */
  grow(count: number): boolean {
    if (count > this.maxFrames || this.#engine.frames.freeFrames < count - this.frames.length) return false;
    while (this.frames.length < count) {
      const mfn = this.#engine.frames.allocate();
      this.domain.xenFrames.set(mfn, -1);
      this.frames.push(new FrameView(this.#engine, mfn));
    }
    return true;
  }

  /** The entry of `ref`, or undefined if the table does not reach so far. */
  entry(ref: number): { flags: number; domid: number; frame: number } | undefined {
    const page = this.frames[Math.floor(ref / GRANTS_PER_FRAME)];
    if (!page) return undefined;
    const at = (ref % GRANTS_PER_FRAME) * GRANT_ENTRY_BYTES;
    const head = page.u32(at);
    return { flags: head & 0xffff, domid: head >>> 16, frame: page.u32(at + 4) };
  }

  /** What `who` may do with `ref` now. @returns the mfn, or a negative GNTST */
  check(ref: number, who: number, readonly: boolean): number {
    const entry = this.entry(ref);
    if (!entry) return GNTST.bad_gntref;
    if ((entry.flags & GTF.type_mask) !== GTF.permit_access || entry.domid !== who) return GNTST.general_error;
    if (!readonly && (entry.flags & GTF.readonly) !== 0) return GNTST.general_error;
    const active = this.#active.get(ref);
    if (active) return active.mfn;
    const { p2m } = this.domain;
    const mfn = p2m.mfn(entry.frame);
    if (mfn < 0 || (!readonly && !p2m.isWritable(entry.frame)) || this.domain.xenFrames.has(mfn)) return GNTST.bad_page;
    return mfn;
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
    this.#mark(ref, GTF.reading | (readonly ? 0 : GTF.writing), 0);
    return mfn;
  }

  unpin(ref: number, readonly: boolean): void {
    const active = this.#active.get(ref);
    if (!active) return;
    if (readonly) active.readers--;
    else active.writers--;
    if (active.writers === 0) this.#mark(ref, 0, GTF.writing);
    if (active.writers + active.readers > 0) return;
    this.#mark(ref, 0, GTF.reading);
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
    this.frames.length = 0;
  }

  /** Swaps two entries that nobody uses. */
  swap(a: number, b: number): number {
    const [x, y] = [this.entry(a), this.entry(b)];
    if (!x || !y) return GNTST.bad_gntref;
    if (this.inUse(a) || this.inUse(b)) return GNTST.eagain;
    this.#put(a, y);
    this.#put(b, x);
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

  #put(ref: number, entry: { flags: number; domid: number; frame: number }): void {
    const page = this.frames[Math.floor(ref / GRANTS_PER_FRAME)];
    const at = (ref % GRANTS_PER_FRAME) * GRANT_ENTRY_BYTES;
    page.setU32(at, (entry.flags | (entry.domid << 16)) >>> 0);
    page.setU32(at + 4, entry.frame);
  }

  #mark(ref: number, set: number, clear: number): void {
    const page = this.frames[Math.floor(ref / GRANTS_PER_FRAME)];
    if (!page) return; // closed
    const at = (ref % GRANTS_PER_FRAME) * GRANT_ENTRY_BYTES;
    page.setU32(at, ((page.u32(at) & ~clear) | set) >>> 0);
  }

  save(): GrantTableState {
    return {
      frames: this.frames.map((f) => f.mfn),
      active: [...this.#active].map(([ref, a]) => [ref, { ...a }]),
      maptrack: this.#maptrack.map((m) => (m ? { ...m } : null)),
    };
  }

  restore(state: GrantTableState): void {
    this.frames.splice(0, Infinity, ...state.frames.map((mfn) => new FrameView(this.#engine, mfn)));
    this.#active.clear();
    for (const [ref, a] of state.active) this.#active.set(ref, { ...a });
    this.#maptrack.splice(0, Infinity, ...state.maptrack.map((m) => (m ? { ...m } : undefined)));
  }
}

import type { Engine } from '../../cpu/engine.ts';
import { E } from '../abi/errno.ts';
import {
  GRANT_ENTRY_BYTES,
  GRANTS_PER_FRAME,
  GTF,
  NR_RESERVED_GRANTS,
  STATUSES_PER_FRAME,
} from '../abi/grant-table.ts';
import type { Domain } from '../domain.ts';
import { FrameView } from '../frame-view.ts';

/** An entry as its domain wrote it, with the marks of use that Xen writes. */
export interface GrantEntry {
  readonly flags: number;
  readonly domid: number;
  /** Guest frame; of no meaning with `via`. */
  readonly frame: number;
  /** Only this piece of the page is granted: bytes. */
  readonly piece?: { readonly offset: number; readonly length: number };
  /** Stands for what another domain granted to this one. */
  readonly via?: { readonly domid: number; readonly ref: number };
}

export interface GrantEntriesState {
  readonly version: 1 | 2;
  readonly frames: readonly number[];
  readonly status: readonly number[];
}

/**
 * The pages that hold a domain's grant entries, in the layout of the version that the domain chose
 * (GNTTABOP_set_version; abi/grant-table.ts draws both). Version 2 has the marks of use in pages of their own, which
 * only Xen writes.
 */
export class GrantEntries {
  readonly frames: FrameView[] = [];
  readonly statusFrames: FrameView[] = [];
  readonly maxFrames: number;
  version: 1 | 2 = 1;
  readonly #domain: Domain;
  readonly #engine: Engine;

  constructor(domain: Domain, engine: Engine, maxFrames: number) {
    this.#domain = domain;
    this.#engine = engine;
    this.maxFrames = maxFrames;
  }

  /** Entries that there are. */
  get count(): number {
    return this.frames.length * GRANTS_PER_FRAME[this.version];
  }

  /** Grows to `count` frames. @returns false beyond the maximum or without memory */
  grow(count: number): boolean {
    const status = this.version === 2 ? statusFramesFor(count) : 0;
    const wanted = Math.max(0, count - this.frames.length) + Math.max(0, status - this.statusFrames.length);
    if (count > this.maxFrames || this.#engine.frames.freeFrames < wanted) return false;
    while (this.frames.length < count) this.frames.push(this.#allocate());
    while (this.statusFrames.length < status) this.statusFrames.push(this.#allocate());
    return true;
  }

  /** Grows until there is status frame `index`. @returns false for version 1, beyond the maximum or without memory */
  growStatus(index: number): boolean {
    if (this.version !== 2) return false;
    const frames = Math.ceil(((index + 1) * STATUSES_PER_FRAME) / GRANTS_PER_FRAME[2]);
    return index < this.statusFrames.length || this.grow(Math.max(frames, this.frames.length));
  }

  /** The entry of `ref`, or undefined if the table does not reach so far. */
  read(ref: number): GrantEntry | undefined {
    const place = this.#place(ref);
    if (!place) return undefined;
    const { page, at } = place;
    const head = page.u32(at);
    const [flags, domid] = [head & 0xffff, head >>> 16];
    if (this.version === 1) return { flags, domid, frame: page.u32(at + 4) };
    const entry = { flags: flags | this.#status(ref), domid, frame: page.u32(at + 8) + page.u32(at + 12) * 2 ** 32 };
    const word = page.u32(at + 4);
    if ((flags & GTF.type_mask) === GTF.transitive)
      return { ...entry, via: { domid: word & 0xffff, ref: page.u32(at + 8) } };
    return (flags & GTF.sub_page) === 0 ? entry : { ...entry, piece: { offset: word & 0xffff, length: word >>> 16 } };
  }

  /** Sets and clears marks of use. */
  mark(ref: number, set: number, clear: number): void {
    if (this.version === 1) {
      const { page, at } = this.#place(ref) ?? {};
      page?.setU32(at!, ((page.u32(at!) & ~clear) | set) >>> 0);
      return;
    }
    this.#setStatus(ref, (this.#status(ref) & ~clear) | set);
  }

  /** Swaps two entries that nobody uses. */
  swap(a: number, b: number): void {
    const bytes = GRANT_ENTRY_BYTES[this.version];
    const [x, y] = [this.#place(a)!, this.#place(b)!];
    const kept = x.page.bytes().slice(x.at, x.at + bytes);
    x.page.bytes().set(y.page.bytes().subarray(y.at, y.at + bytes), x.at);
    y.page.bytes().set(kept, y.at);
    x.page.touched();
    y.page.touched();
  }

  /**
   * Rewrites the table in another version: the reserved entries, which the toolstack made, are kept; all others are
   * cleared. `release` frees a status frame, from the guest's map too.
   * @returns an errno; nothing has changed then
   */
  setVersion(version: 1 | 2, release: (mfn: number) => void): number {
    if (version === this.version) return 0;
    const kept = Array.from({ length: NR_RESERVED_GRANTS }, (_, ref) => this.read(ref)!);
    if (version === 1) {
      // Version 1 has no words for the others.
      const plain = ({ flags }: GrantEntry) =>
        [GTF.invalid, GTF.permit_access].includes((flags & GTF.type_mask) as 0) && (flags & GTF.sub_page) === 0;
      if (!kept.every((entry) => plain(entry) && entry.frame < 2 ** 32)) return E.INVAL;
    } else {
      if (this.#engine.frames.freeFrames < statusFramesFor(this.frames.length)) return E.NOMEM;
      while (this.statusFrames.length < statusFramesFor(this.frames.length)) this.statusFrames.push(this.#allocate());
    }
    for (const page of this.frames) {
      page.bytes().fill(0);
      page.touched();
    }
    this.version = version;
    for (const [ref, entry] of kept.entries()) this.#writePlain(ref, entry);
    if (version === 1) for (const { mfn } of this.statusFrames.splice(0, Infinity)) release(mfn);
    return 0;
  }

  close(): void {
    this.frames.length = 0;
    this.statusFrames.length = 0;
  }

  save(): GrantEntriesState {
    return {
      version: this.version,
      frames: this.frames.map((f) => f.mfn),
      status: this.statusFrames.map((f) => f.mfn),
    };
  }
  restore({ version, frames, status }: GrantEntriesState): void {
    const views = (mfns: readonly number[]) => mfns.map((mfn) => new FrameView(this.#engine, mfn));
    this.version = version;
    this.frames.splice(0, Infinity, ...views(frames));
    this.statusFrames.splice(0, Infinity, ...views(status));
  }

  /** A whole page granted to a domain, or nothing, with its marks of use. */
  #writePlain(ref: number, { flags, domid, frame }: GrantEntry): void {
    const { page, at } = this.#place(ref)!;
    const marks = flags & (GTF.reading | GTF.writing);
    const own = this.version === 1 ? flags : flags & ~marks;
    page.setU32(at, (own | (domid << 16)) >>> 0);
    page.setU32(at + (this.version === 1 ? 4 : 8), frame);
    if (this.version === 2) this.#setStatus(ref, marks);
  }

  #place(ref: number): { page: FrameView; at: number } | undefined {
    const perFrame = GRANTS_PER_FRAME[this.version];
    const page = this.frames[Math.floor(ref / perFrame)];
    return page && { page, at: (ref % perFrame) * GRANT_ENTRY_BYTES[this.version] };
  }

  #status(ref: number): number {
    const page = this.statusFrames[Math.floor(ref / STATUSES_PER_FRAME)];
    return page ? page.view.getUint16((ref % STATUSES_PER_FRAME) * 2, true) : 0;
  }

  #setStatus(ref: number, value: number): void {
    const page = this.statusFrames[Math.floor(ref / STATUSES_PER_FRAME)];
    page?.view.setUint16((ref % STATUSES_PER_FRAME) * 2, value, true);
    page?.touched();
  }

  #allocate(): FrameView {
    const mfn = this.#engine.frames.allocate();
    this.#domain.xenFrames.set(mfn, -1);
    return new FrameView(this.#engine, mfn);
  }
}

/** Status frames that go with so many frames of version 2. */
function statusFramesFor(frames: number): number {
  return Math.ceil((frames * GRANTS_PER_FRAME[2]) / STATUSES_PER_FRAME);
}

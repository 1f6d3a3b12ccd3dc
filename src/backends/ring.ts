import type { MappedGrant } from './services.ts';

/**
 * The back end's side of a shared ring (xen/include/public/io/ring.h), over one or more granted pages.
 *
 *      0          4            8          12           16   64
 *     ┌──────────┬────────────┬──────────┬────────────┬────┬─────────────────────────────┐
 *     │ req_prod │ req_event  │ rsp_prod │ rsp_event  │ pad│ entries, a power of two     │
 *     └──────────┴────────────┴──────────┴────────────┴────┴─────────────────────────────┘
 *
 * Indexes run freely. An entry holds a request until its response takes its place; a page's end may lie within one.
 */
const REQ_PROD = 0;
const REQ_EVENT = 4;
const RSP_PROD = 8;
const RSP_EVENT = 12;
const HEADER = 64;
const PAGE = 4096;

export interface RingState {
  readonly handles: readonly number[];
  readonly consumed: number;
  readonly produced: number;
}

export class BackRing {
  readonly pages: readonly MappedGrant[];
  readonly size: number;
  readonly #entryBytes: number;
  /** Requests taken so far. */
  #consumed = 0;
  /** Responses given so far, not all published yet. */
  #produced = 0;
  #published = 0;

  constructor(pages: readonly MappedGrant[], entryBytes: number) {
    this.pages = pages;
    this.#entryBytes = entryBytes;
    this.size = 2 ** Math.floor(Math.log2((pages.length * PAGE - HEADER) / entryBytes));
    this.#consumed = this.#produced = this.#published = this.#word(RSP_PROD);
  }

  /** True if the guest's index makes no sense: nothing may be taken from such a ring. */
  get broken(): boolean {
    return (this.#word(REQ_PROD) - this.#produced) >>> 0 > this.size;
  }

  get hasRequest(): boolean {
    return this.#word(REQ_PROD) !== this.#consumed && !this.broken;
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.broken ? 0 : (this.#word(REQ_PROD) - this.#consumed) >>> 0;
  }

  /** A copy of the next request, which the guest can no longer change. Only if there is one. */
  take(): DataView {
    const bytes = new Uint8Array(this.#entryBytes);
    this.#copy(this.#consumed, bytes, false);
    this.#consumed = (this.#consumed + 1) >>> 0;
    return new DataView(bytes.buffer);
  }

  /** A response, which the guest sees at `publish`. */
  respond(response: Uint8Array): void {
    this.#copy(this.#produced, response, true);
    this.#produced = (this.#produced + 1) >>> 0;
  }

  /** Shows the responses to the guest. @returns whether it wants to be notified */
  publish(): boolean {
    const old = this.#published;
    const now = this.#produced;
    if (now === old) return false;
    this.#published = now;
    this.#setWord(RSP_PROD, now);
    return (now - this.#word(RSP_EVENT)) >>> 0 < (now - old) >>> 0;
  }

  /** Asks for a notification when `count` requests wait. @returns true if so many are there already */
  rearm(count = 1): boolean {
    this.#setWord(REQ_EVENT, (this.#consumed + count) >>> 0);
    return this.waiting >= count;
  }

  save(): RingState {
    return {
      handles: this.pages.map(({ handle }) => handle),
      consumed: this.#consumed,
      produced: this.#produced,
    };
  }
  restore({ consumed, produced }: RingState): void {
    this.#consumed = consumed;
    this.#produced = this.#published = produced;
  }

  #copy(index: number, bytes: Uint8Array, toRing: boolean): void {
    let at = HEADER + (index & (this.size - 1)) * this.#entryBytes;
    for (let done = 0; done < bytes.length; ) {
      const mapped = this.pages[Math.floor(at / PAGE)]!;
      const count = Math.min(bytes.length - done, PAGE - (at % PAGE));
      const there = mapped.page.subarray(at % PAGE, (at % PAGE) + count);
      if (toRing) {
        there.set(bytes.subarray(done, done + count));
        mapped.written();
      } else bytes.set(there, done);
      done += count;
      at += count;
    }
  }

  #word(at: number): number {
    const { page } = this.pages[0]!;
    return (page[at]! | (page[at + 1]! << 8) | (page[at + 2]! << 16) | (page[at + 3]! << 24)) >>> 0;
  }

  #setWord(at: number, value: number): void {
    const { page } = this.pages[0]!;
    for (let i = 0; i < 4; i++) page[at + i] = value >>> (8 * i);
    this.pages[0]!.written();
  }
}

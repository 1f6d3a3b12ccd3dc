/**
 * A session's state in pages of a store, so that what does not change from snapshot to snapshot is there once: the
 * TLBs of a vcpu that waits, xenstore, guest-physical maps. Each part of the state, and each large array in it, begins
 * a page of its own.
 */
import { PAGE_SIZE } from '../memory/frames.ts';
import type { PageStore } from './page-store.ts';
import type { SessionState } from './session-state.ts';
import { type StateArray, stateFromJson, stateToJson } from './state-json.ts';

/** Arrays from this size on have pages of their own. */
const LARGE_BYTES = 2048;
/** Arrays from this size on are compared by identity first: maps of guest memory, which whoever saves them keeps. */
const HUGE_BYTES = 65_536;

interface Section {
  readonly pages: readonly number[];
  readonly bytes: number;
}

interface Known {
  readonly array: Uint8Array<ArrayBuffer>;
  readonly section: Section;
}

export interface PackedState {
  /** See `domainsKey`. */
  readonly domains: string;
  /** Parts by name, as JSON. */
  readonly parts: readonly (readonly [name: string, text: Section])[];
  readonly arrays: readonly Section[];
  readonly digest: SessionState['log']['digest'];
}

export class StatePacker {
  readonly #store: PageStore;
  /** Huge arrays seen last and the pages they are in. Pages are held here too. */
  #known: Known[] = [];

  constructor(store: PageStore) {
    this.#store = store;
  }

  pack(state: SessionState): PackedState {
    const { domains, log, ...rest } = state;
    const { digest, ...logRest } = log;
    const arrays: Section[] = [];
    const seen: Known[] = [];
    const outside = (array: StateArray): number | undefined => {
      if (array.byteLength < LARGE_BYTES) return undefined;
      const bytes = new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
      const section = this.#section(bytes);
      if (bytes.length >= HUGE_BYTES) seen.push({ array: bytes, section });
      return arrays.push(section) - 1;
    };
    const parts = Object.entries({ ...rest, log: logRest }).map(([name, part]) => {
      const text = new TextEncoder().encode(stateToJson(part, outside));
      return [name, this.#section(text)] as const;
    });
    this.#remember(seen);
    return { domains, parts, arrays, digest };
  }

  unpack({ domains, parts, arrays, digest }: PackedState): SessionState {
    const seen: Known[] = [];
    const outside = (which: number): Uint8Array<ArrayBuffer> => {
      const section = arrays[which]!;
      if (section.bytes < HUGE_BYTES) return this.#bytes(section);
      const known = this.#known.find((each) => same(each.section, section));
      const array = known?.array ?? this.#bytes(section);
      seen.push({ array, section });
      return array;
    };
    const decoder = new TextDecoder();
    const state = Object.fromEntries(
      parts.map(([name, text]) => [name, stateFromJson(decoder.decode(this.#bytes(text)), outside)]),
    ) as unknown as SessionState;
    this.#remember(seen);
    return { ...state, domains, log: { ...state.log, ...(digest === undefined ? {} : { digest }) } };
  }

  drop({ parts, arrays }: PackedState): void {
    for (const [, text] of parts) this.#release(text);
    for (const section of arrays) this.#release(section);
  }

  #section(bytes: Uint8Array): Section {
    const known = this.#known.find(
      ({ array }) =>
        array.buffer === bytes.buffer && array.byteOffset === bytes.byteOffset && array.length === bytes.length,
    );
    if (known !== undefined) {
      for (const page of known.section.pages) this.#store.retain(page);
      return known.section;
    }
    const pages: number[] = [];
    const page = new Uint8Array(PAGE_SIZE);
    for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
      const piece = bytes.subarray(at, at + PAGE_SIZE);
      if (piece.length < PAGE_SIZE) page.fill(0);
      page.set(piece);
      pages.push(this.#store.intern(page));
    }
    return { pages, bytes: bytes.length };
  }

  #bytes({ pages, bytes }: Section): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(pages.length * PAGE_SIZE);
    for (const [i, page] of pages.entries()) all.set(this.#store.page(page), i * PAGE_SIZE);
    return all.subarray(0, bytes);
  }

  #release({ pages }: Section): void {
    for (const page of pages) this.#store.release(page);
  }

  #remember(seen: Known[]): void {
    for (const { section } of seen) for (const page of section.pages) this.#store.retain(page);
    for (const { section } of this.#known) this.#release(section);
    this.#known = seen;
  }
}

function same(a: Section, b: Section): boolean {
  return a === b || (a.bytes === b.bytes && a.pages.every((page, i) => page === b.pages[i]));
}

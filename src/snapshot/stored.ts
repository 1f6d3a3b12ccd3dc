/**
 * A session at one moment as bytes: what a recording that does not begin at the beginning carries. In parts, so that
 * none is larger than a frame of a recording may be:
 *
 *      0        4             8          8 + n                    …
 *      ┌────────┬─────────────┬──────────┬─────────────┬──────────┬──────────────────┐
 *      │ "RXSS" │ n, of JSON  │ JSON     │ frames, u32 │ their    │ their contents,  │
 *      │        │ (u32)       │          │             │ mfns     │ 4,096 bytes each │
 *      └────────┴─────────────┴──────────┴─────────────┴──────────┴──────────────────┘
 *
 * In a recording that carries several, a snapshot has only the frames that are not what the one before it left.
 *
 * The first part has the state of everything but memory as JSON; the others have n = 0. Frames that no part has are
 * zero. The JSON is drawn in `state-json.ts`.
 */
import { PAGE_SIZE } from '../memory/frames.ts';
import { restoreSession, type SessionState, saveSession } from './session-state.ts';
import { stateFromJson, stateToJson } from './state-json.ts';

type Savable = Parameters<typeof saveSession>[0];

const MAGIC = 0x53535852; // "RXSS", read as a little-endian word
const FRAMES_IN_A_PART = 8192;

/** The session as it is now, between runs. Changes nothing. */
export function storeSession(session: Savable): Uint8Array[] {
  const { frames } = session.engine;
  const used: number[] = [];
  for (let mfn = 0; mfn < frames.frameCount; mfn++) if (!isZero(frames.frame(mfn))) used.push(mfn);
  return partsOf(session, used);
}

/**
 * Several sessions' states one after the other, each with only the frames that changed since the one before it.
 *
 *     const chain = new StoredChain();
 *     chain.store(session, placeDigest(session));   // parts, for RecordingWriter.snapshot
 */
export class StoredChain {
  /** What the last one left; undefined: zeros. */
  #last: Uint8Array | undefined;

  /** @param place what the session is to be again after it was restored */
  store(session: Savable, place: string): Uint8Array[] {
    const { frames } = session.engine;
    const last = (this.#last ??= new Uint8Array(frames.frameCount * PAGE_SIZE));
    const changed: number[] = [];
    for (let mfn = 0; mfn < frames.frameCount; mfn++) {
      const before = last.subarray(mfn * PAGE_SIZE, (mfn + 1) * PAGE_SIZE);
      const now = frames.frame(mfn);
      if (Buffer.compare(before, now) === 0) continue;
      before.set(now);
      changed.push(mfn);
    }
    return partsOf(session, changed, place);
  }
}

function partsOf(session: Savable, mfns: readonly number[], place?: string): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const state = withoutDigest(saveSession(session));
  let json = new TextEncoder().encode(stateToJson(place === undefined ? state : { ...state, place }));
  for (let from = 0; from < mfns.length || from === 0; from += FRAMES_IN_A_PART) {
    parts.push(part(json, mfns.slice(from, from + FRAMES_IN_A_PART), session));
    json = new Uint8Array(0);
  }
  return parts;
}

function part(json: Uint8Array, mfns: readonly number[], { engine }: Savable): Uint8Array {
  const out = new Uint8Array(12 + json.length + mfns.length * (4 + PAGE_SIZE));
  const view = new DataView(out.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, json.length, true);
  out.set(json, 8);
  view.setUint32(8 + json.length, mfns.length, true);
  const names = 12 + json.length;
  const contents = names + 4 * mfns.length;
  for (const [i, mfn] of mfns.entries()) {
    view.setUint32(names + 4 * i, mfn, true);
    out.set(engine.frames.frame(mfn), contents + i * PAGE_SIZE);
  }
  return out;
}

/**
 * Makes a session that has just been built what the stored one was. Its log's digest begins anew.
 * @throws RangeError if the bytes are not what `storeSession` makes, or of another session
 */
export function restoreStored(session: Savable, parts: readonly Uint8Array[]): void {
  const contents = new Map<number, Uint8Array>();
  let state: SessionState | undefined;
  for (const bytes of parts) {
    const json = readPart(bytes, session.engine.frames.frameCount, contents);
    if (json.length > 0) state = stateFromJson(new TextDecoder('utf-8', { fatal: true }).decode(json)) as SessionState;
  }
  if (!state) throw new RangeError('the stored session has no state');
  const { frames, snapshots } = session.engine;
  const zero = new Uint8Array(PAGE_SIZE);
  for (let mfn = 0; mfn < frames.frameCount; mfn++) {
    const content = contents.get(mfn);
    if (content || !isZero(frames.frame(mfn))) snapshots.replaceFrame(mfn, content ?? zero);
  }
  restoreSession(session, state);
  session.log.restartDigest();
  for (const mfn of contents.keys()) snapshots.markWritten(mfn);
}

/** Parts of the snapshots of a chain, by number: from the one wanted back to the first. */
export interface ChainParts {
  readonly snapshots: number;
  parts(snapshot: number): number;
  read(snapshot: number, part: number): Uint8Array;
}

/** The domains that a session has for the last snapshot of a chain, as `domainsKey` says it. @throws RangeError */
export function chainState(chain: ChainParts): { state: SessionState; place: string } {
  const first = readPart(chain.read(chain.snapshots - 1, 0), Number.MAX_SAFE_INTEGER, new Map());
  const state = stateFromJson(new TextDecoder('utf-8', { fatal: true }).decode(first)) as SessionState & {
    place?: unknown;
  };
  if (typeof state.place !== 'string') throw new RangeError('the stored session does not say what it is');
  return { state, place: state.place };
}

/**
 * Makes a session with the same domains what it was at the last snapshot of a chain.
 * @returns frames that have another content now
 * @throws RangeError, Error if it is none, or of another session: that is then in no state at all
 */
export function restoreChain(session: Savable, chain: ChainParts, { state }: { state: SessionState }): number[] {
  const { frames, snapshots } = session.engine;
  const seen = new Uint8Array(frames.frameCount);
  const changed: number[] = [];
  const replace = (mfn: number, content: Uint8Array) => {
    seen[mfn] = 1;
    if (Buffer.compare(frames.frame(mfn), content) === 0) return;
    snapshots.replaceFrame(mfn, content);
    changed.push(mfn);
  };
  // The last to write a frame decides: backwards, one part in memory at a time.
  for (let snapshot = chain.snapshots - 1; snapshot >= 0; snapshot--) {
    for (let part = 0; part < chain.parts(snapshot); part++) {
      const contents = new Map<number, Uint8Array>();
      readPart(chain.read(snapshot, part), frames.frameCount, contents);
      for (const [mfn, content] of contents) if (seen[mfn] === 0) replace(mfn, content);
    }
  }
  const zero = new Uint8Array(PAGE_SIZE);
  for (let mfn = 0; mfn < frames.frameCount; mfn++) if (seen[mfn] === 0) replace(mfn, zero);
  restoreSession(session, state);
  return changed;
}

/** Adds what a part holds to `contents`. @returns its JSON */
function readPart(bytes: Uint8Array, frameCount: number, contents: Map<number, Uint8Array>): Uint8Array {
  const wrong = () => new RangeError('the stored session is malformed');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 12 || view.getUint32(0, true) !== MAGIC) throw wrong();
  const length = view.getUint32(4, true);
  if (12 + length > bytes.length) throw wrong();
  const count = view.getUint32(8 + length, true);
  if (bytes.length !== 12 + length + count * (4 + PAGE_SIZE)) throw wrong();
  const names = 12 + length;
  for (let i = 0; i < count; i++) {
    const mfn = view.getUint32(names + 4 * i, true);
    if (mfn >= frameCount) throw wrong();
    const at = names + 4 * count + i * PAGE_SIZE;
    contents.set(mfn, bytes.subarray(at, at + PAGE_SIZE));
  }
  return bytes.subarray(8, 8 + length);
}

function isZero(page: Uint8Array): boolean {
  for (let i = 0; i < page.length; i++) if (page[i] !== 0) return false;
  return true;
}

/** A running hash cannot be stored. */
function withoutDigest(state: SessionState): SessionState {
  const { digest: _, ...log } = state.log;
  return { ...state, log };
}

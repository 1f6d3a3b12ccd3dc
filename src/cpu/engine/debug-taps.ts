/**
 * Where a debugger listens to the engine: instructions about to execute, accesses to watched bytes, and who ran when.
 * Listeners only take notes. Nothing here retires, delays or changes anything that a guest or the log could see.
 */
import type { Ticks } from '../../base/ticks.ts';
import type { MachineMemory } from '../../memory/frames.ts';
import { Flow, type FlowResult } from '../context.ts';

/** What the taps need of the engine. */
export interface TapHost {
  /** Shuts the fast write path of a frame. */
  protect(mfn: number): void;
  /** Shuts the fast read path of a frame; -1 opens that of all. */
  shutReads(mfn: number): void;
  /** Forgets all decoded code. */
  forgetCode(): void;
  /** Ends the run behind the instruction in execution. @returns false if nothing runs */
  breakOff(): boolean;
  now(): Ticks;
}

/** Bytes of one frame that are watched. */
export interface WatchedBytes {
  readonly mfn: number;
  readonly offset: number;
  readonly length: number;
  /** For what; by default writes. A read-modify-write is both; the processor's own walks and fetches are no reads. */
  readonly on?: 'write' | 'read' | 'access';
}

/** A processor is about to read watched bytes. */
export interface WatchedRead {
  readonly watch: WatchedBytes;
  readonly tick: Ticks;
}

/** A write to watched bytes, noted before a processor's store, after a store from outside. */
export interface WatchedWrite {
  readonly watch: WatchedBytes;
  readonly tick: Ticks;
  /** The hypervisor or a back end wrote, no processor. */
  readonly outside: boolean;
}

export class DebugTaps {
  /** Watches by frame. Read by the engine on every slow write. */
  readonly watched = new Map<number, WatchedBytes[]>();
  /** Frames whose every read must be told. */
  readonly readFrames = new Set<number>();
  /** RIPs before which `onProbe` is told. */
  readonly probes = new Set<bigint>();
  onProbe: (rip: bigint, tick: Ticks) => void = () => {};
  onWrite: (write: WatchedWrite) => void = () => {};
  onRead: (read: WatchedRead) => void = () => {};
  /** The instruction that took this tick ended in an exception: what it read, it reads again or never used. */
  onFault: (tick: Ticks) => void = () => {};
  /** The vcpu in slot `index` retired `retired` ticks from `start` on. */
  onRun: ((index: number, start: Ticks, retired: number) => void) | undefined;
  /** The vcpu in this slot, or any for -1, takes a tick a run, so that `onRun` sees each. Where a run is cut shows nowhere. */
  single: number | undefined;
  /** A listener broke the run off. */
  brokeOff = false;
  readonly #frames: MachineMemory;
  readonly #host: TapHost;
  /** What watched bytes were when last seen, to tell whether a write from outside touched them. */
  readonly #seen = new Map<WatchedBytes, Uint8Array>();

  constructor(frames: MachineMemory, host: TapHost) {
    this.#frames = frames;
    this.#host = host;
  }

  /** Replaces all probes. */
  setProbes(rips: Iterable<bigint>): void {
    const wanted = new Set(rips);
    if (wanted.size === this.probes.size && [...wanted].every((rip) => this.probes.has(rip))) return;
    this.probes.clear();
    for (const rip of wanted) this.probes.add(rip);
    this.#host.forgetCode();
  }

  /** Replaces all watches; each lies within its frame. */
  setWatches(watches: readonly WatchedBytes[]): void {
    this.watched.clear();
    this.#seen.clear();
    for (const watch of watches) {
      const list = this.watched.get(watch.mfn) ?? [];
      list.push(watch);
      this.watched.set(watch.mfn, list);
      this.#seen.set(watch, this.#bytes(watch).slice());
      this.#host.protect(watch.mfn);
    }
    if (this.readFrames.size > 0) this.#host.shutReads(-1);
    this.readFrames.clear();
    for (const { mfn, on = 'write' } of watches) {
      if (on === 'write') continue;
      this.readFrames.add(mfn);
      this.#host.shutReads(mfn);
    }
  }

  /**
   * For listeners, while they are told something: ends the engine's run, before the instruction of a probe and right
   * behind one that reads or writes. Between runs it does nothing. Where a run is cut shows nowhere, so this is silent too.
   */
  breakOff(): void {
    if (this.#host.breakOff()) this.brokeOff = true;
  }

  // Called by the engine

  steps(index: number): boolean {
    return this.single !== undefined && (this.single < 0 || this.single === index);
  }

  probed(rip: bigint): FlowResult {
    this.onProbe(rip, this.#host.now());
    return this.brokeOff ? Flow.RETRY : Flow.NEXT;
  }

  /** A processor is about to write. @returns true if the frame is watched, so that its fast path must stay shut */
  writes(mfn: number, offset: number, length: number): boolean {
    const watches = this.watched.get(mfn);
    if (watches === undefined) return false;
    for (const watch of watches) {
      if (watch.on === 'read' || !overlaps(watch, offset, length)) continue;
      this.onWrite({ watch, tick: this.#host.now(), outside: false });
      this.#seen.set(watch, EMPTY); // whatever it becomes is the processor's doing
    }
    return true;
  }

  /** A processor reads a frame whose fast read path is shut. */
  reads(mfn: number, offset: number, length: number): void {
    for (const watch of this.watched.get(mfn) ?? []) {
      if ((watch.on ?? 'write') === 'write' || !overlaps(watch, offset, length)) continue;
      this.onRead({ watch, tick: this.#host.now() });
    }
  }

  /** The TLBs were replaced. */
  restored(): void {
    for (const mfn of this.readFrames) this.#host.shutReads(mfn);
  }

  /** The instruction in execution raised an exception. */
  faulted(): void {
    if (this.watched.size > 0) this.onFault(this.#host.now());
  }

  /** The frame was written from outside. */
  replaced(mfn: number): void {
    for (const watch of this.watched.get(mfn) ?? []) {
      if (watch.on === 'read') continue;
      const bytes = this.#bytes(watch);
      const seen = this.#seen.get(watch)!;
      // After a processor's store what was there is not known: better one note too many.
      if (seen === EMPTY || bytes.some((byte, i) => byte !== seen[i])) {
        this.onWrite({ watch, tick: this.#host.now(), outside: true });
      }
      this.#seen.set(watch, bytes.slice());
    }
  }

  #bytes(watch: WatchedBytes): Uint8Array {
    return this.#frames.frame(watch.mfn).subarray(watch.offset, watch.offset + watch.length);
  }
}

function overlaps(watch: WatchedBytes, offset: number, length: number): boolean {
  return offset < watch.offset + watch.length && offset + length > watch.offset;
}

const EMPTY = new Uint8Array(0);

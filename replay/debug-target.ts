/** A recording on its timeline as gdb's target: threads are vcpus, writes lead into diversions. */
import {
  type DebugTarget,
  type DebugThread,
  type Motion,
  type PointKind,
  type PointRequest,
  processOf,
  type Stopped,
  type Work,
} from '../src/debug/target.ts';
import { DebugPoints } from './debug-points.ts';
import { livingEnd } from './ends.ts';
import { GuestView, threadOfVcpu, type ViewOptions } from './guest-view.ts';
import { parseMark } from './mark.ts';
import { Monitor } from './monitor.ts';
import { travelCommands } from './monitor-travel.ts';
import { approach, findFirst, findLast, type Hit, listen } from './scan.ts';
import { NO_SYMBOLS, symbolFileOf } from './symbol-file.ts';
import { stepBackward, stepForward } from './step.ts';
import { type Timeline, TimelineDiverged } from './timeline.ts';

export interface ReplayTargetOptions extends ViewOptions {
  /** Called with what a person at the debugger must know. */
  readonly say?: (text: string) => void;
  /** The file with a domain's symbols for gdb. */
  readonly symbols?: (domain: number) => Uint8Array | undefined;
}

/** Steps of a range between two looks at whether somebody wants to break off. */
const STEPS_A_PIECE = 200;

export class ReplayTarget implements DebugTarget {
  readonly timeline: Timeline;
  readonly reverses = true;
  readonly #options: ReplayTargetOptions;
  readonly #view: GuestView;
  readonly #monitor: Monitor;
  readonly #points = new DebugPoints();
  /** The last place at which a domain lives. */
  readonly #end: number;
  #current = 0;

  constructor(timeline: Timeline, options: ReplayTargetOptions = {}) {
    this.timeline = timeline;
    this.#options = options;
    this.#view = new GuestView(() => timeline.session, options);
    this.#end = livingEnd(timeline.recording);
    const vcpu = () => this.#view.vcpu(this.#current);
    const travel = travelCommands({ timeline, end: this.#end, vcpu, moved: () => this.#arrived() });
    this.#monitor = new Monitor({ session: () => timeline.session, vcpu }, travel);
    this.#arrived();
  }

  /** The last tick that `seek` should be asked for: domains still live there. */
  get end(): number {
    return this.#end;
  }

  targetXml(_thread: number): string {
    return this.#view.registers.xml;
  }
  threads(): readonly DebugThread[] {
    return this.#view.threads();
  }
  get current(): number {
    return this.#current;
  }
  readRegisters(thread: number): Uint8Array | undefined {
    return this.#view.readRegisters(thread);
  }
  readRegister(thread: number, number: number): Uint8Array | undefined {
    return this.#view.readRegister(thread, number);
  }
  readMemory(thread: number, address: bigint, length: number): Uint8Array | undefined {
    return this.#view.readMemory(thread, address, length);
  }

  writeRegister(thread: number, number: number, bytes: Uint8Array): string | undefined {
    const refusal = this.#view.refusal(thread, number, bytes);
    if (refusal !== undefined) return refusal;
    this.#divert();
    this.#view.writeRegister(thread, number, bytes);
    return undefined;
  }

  writeRegisters(thread: number, bytes: Uint8Array): string | undefined {
    const changed = this.#view.changed(thread, bytes);
    if (!changed) return 'these are not all registers';
    for (const { number, content } of changed) {
      const refusal = this.writeRegister(thread, number, content);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  writeMemory(thread: number, address: bigint, bytes: Uint8Array): string | undefined {
    if (!this.#view.mapped(thread, address, bytes.length)) return 'not all of it is mapped';
    this.#divert();
    this.#view.writeMemory(thread, address, bytes);
    return undefined;
  }

  insertPoint(point: PointRequest): string | undefined {
    return this.#points.insert(point);
  }
  removePoint(kind: PointKind, address: bigint, length: number, thread: number): void {
    this.#points.remove(kind, address, length, thread);
  }

  *move(motion: Motion): Work<Stopped> {
    const here = this.timeline.tick;
    try {
      return yield* this.#move(motion);
    } catch (error) {
      if (!(error instanceof TimelineDiverged)) throw error;
      // Another version of rexen may have recorded it: the session goes on where it was.
      this.#options.say?.(error.message);
      this.timeline.seek(here);
      return this.#stop('interrupt');
    }
  }

  *#move(motion: Motion): Work<Stopped> {
    if (motion.kind === 'seek') return yield* this.#seek(motion.place);
    if (motion.kind === 'continue') return yield* motion.reverse ? this.#back() : this.#on();
    if (motion.kind === 'step') {
      return yield* motion.reverse ? this.#stepBack(motion.thread) : this.#step(motion.thread);
    }
    if (motion.kind === 'range') return yield* this.#range(motion.thread ?? this.#current, motion.from, motion.to);
    return this.#stop('step');
  }

  interrupted(): Stopped {
    this.#clamp();
    return this.#stop('interrupt');
  }

  joined(): Stopped {
    const stopped = this.interrupted();
    this.#view.settle(stopped.thread);
    return { ...stopped, reason: 'step' };
  }

  left(): void {
    this.#points.clear();
  }

  monitor(text: string): Work<string> {
    return this.#monitor.run(text);
  }

  symbolFile(process: number): Uint8Array | undefined {
    const file = (this.#options.symbols ?? ((id) => symbolFileOf(this.timeline.session, id)))(process);
    return file ?? (this.#view.registers.is64 ? NO_SYMBOLS : undefined);
  }

  *#seek(place: string): Work<Stopped> {
    const { tick } = place === '' ? { tick: 0 } : parseMark(place, this.timeline.recording);
    yield* approach(this.timeline, Math.min(tick, this.#end));
    return this.#stop('step');
  }

  // Steps

  /** A step of `thread`, or of any, that sees what watchpoints watch. */
  *#step(thread: number | undefined): Work<Stopped> {
    const { timeline } = this;
    const start = timeline.tick;
    const { hits, stop } = listen(timeline.session, this.#interest(false));
    let moved: boolean;
    try {
      moved = yield* stepForward(timeline, this.#slot(thread));
    } finally {
      stop();
    }
    if (!moved || this.threads().length === 0) {
      this.#clamp();
      return this.#stop('end');
    }
    const hit = hits.find(({ tick }) => tick >= start && tick < timeline.tick);
    return hit ? this.#hit(hit) : this.#stepped(thread);
  }

  *#stepBack(thread: number | undefined): Work<Stopped> {
    const { timeline } = this;
    const start = timeline.tick;
    const { hits, stop } = listen(timeline.session, this.#interest(false));
    let moved: boolean;
    try {
      moved = yield* stepBackward(timeline, this.#slot(thread));
    } finally {
      stop();
    }
    if (!moved) return this.#stop('begin');
    const hit = hits.findLast(({ tick }) => tick < start && tick >= timeline.tick);
    return hit ? this.#hit(hit) : this.#stepped(thread);
  }

  *#range(thread: number, from: bigint, to: bigint): Work<Stopped> {
    for (let steps = 1; ; steps++) {
      const stopped = yield* this.#step(thread);
      if (stopped.reason !== 'step') return stopped;
      const rip = this.#view.rip(thread);
      if (rip === undefined || rip < from || rip >= to) return stopped;
      if (this.#points.breaksAt(processOf(thread), rip)) return { ...stopped, reason: 'break' };
      if (steps % STEPS_A_PIECE === 0) yield;
    }
  }

  #stepped(thread: number | undefined): Stopped {
    if (thread === undefined || !this.#view.vcpu(thread)) return this.#stop('step');
    this.#current = thread;
    return { thread, reason: 'step' };
  }

  #slot(thread: number | undefined): number | undefined {
    return thread === undefined ? undefined : this.#view.vcpu(thread)?.slot.index;
  }

  // Runs

  *#on(): Work<Stopped> {
    const { timeline } = this;
    const start = timeline.tick;
    const hit = yield* findFirst(timeline, this.#interest(), ({ kind, tick }) =>
      kind === 'break' ? tick > start : tick >= start,
    );
    if (hit === undefined) {
      this.#clamp(true);
      return this.#stop('end');
    }
    if (!timeline.diverted) timeline.seek(hit.kind === 'break' ? hit.tick : hit.tick + 1);
    if (this.threads().length > 0) return this.#hit(hit);
    this.#clamp();
    return this.#stop('end');
  }

  *#back(): Work<Stopped> {
    const { timeline } = this;
    const hit = yield* findLast(timeline, timeline.tick, this.#interest());
    timeline.seek(hit?.tick ?? 0);
    return hit === undefined ? this.#stop('begin') : this.#hit(hit);
  }

  #interest(breakpoints = true) {
    return this.#points.interest(this.#view.registers, this.#options.domain, breakpoints);
  }

  #hit(hit: Hit): Stopped {
    this.#arrived();
    const vcpu = this.timeline.session.xen.find(hit.domain)?.vcpus[hit.vcpu];
    if (vcpu) this.#current = threadOfVcpu(vcpu);
    return this.#points.stopped(hit, this.#current);
  }

  /** Where no domain lives any more, or at the end of a run: back to the last place at which one does. */
  #clamp(atEnd = false): void {
    if ((atEnd && !this.timeline.diverted) || this.threads().length === 0) this.timeline.seek(this.#end);
  }

  #stop(reason: Stopped['reason']): Stopped {
    this.#arrived();
    return { thread: this.#current, reason };
  }

  #arrived(): void {
    this.#current = this.#view.standing(this.#current);
  }

  #divert(): void {
    if (this.timeline.diverted) return;
    this.timeline.divert();
    this.#options.say?.(
      `diversion at tick ${this.timeline.tick}: what follows is not what was recorded; going back or seeking drops it`,
    );
  }
}

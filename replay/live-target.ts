/**
 * A session that is being recorded as gdb's target. It is only looked at: what a debugger wrote would be on no
 * recording. Where it stops is a place like any other: the recording is the same with and without it.
 */
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
import type { Session } from '../src/session.ts';
import { DebugPoints, threadOfHit } from './debug-points.ts';
import { GuestView, type ViewOptions } from './guest-view.ts';
import { Monitor } from './monitor.ts';
import { liveCommands } from './monitor-live.ts';
import { type Hit, listen } from './scan.ts';
import { NO_SYMBOLS, symbolFileOf } from './symbol-file.ts';

export interface LiveOptions extends ViewOptions {
  readonly say?: (text: string) => void;
}

const READ_ONLY =
  'a session that is being recorded is only looked at; to try something, open its recording with rexen debug';

/** What the session does until it stops. */
interface Going {
  readonly since: number;
  /** Thread that is stepped; undefined for none, -1 for any. */
  readonly stepping: number | undefined;
  /** Of a range step. */
  readonly range: { readonly from: bigint; readonly to: bigint } | undefined;
}

export class LiveTarget implements DebugTarget {
  readonly reverses = false;
  readonly #session: Session;
  readonly #options: LiveOptions;
  readonly #view: GuestView;
  readonly #monitor: Monitor;
  readonly #points = new DebugPoints();
  #current = 0;
  /** Undefined while the session stands still for gdb. */
  #going: Going | undefined;
  /** gdb is there, or was and did not say goodbye. */
  #attached = true;
  #over = false;
  #stopListening = () => {};
  /** Why the session is about to stop, or has. */
  #stopped: Stopped | undefined;
  /** Tick of a read that has stopped it: it does not count if its instruction ends in an exception. */
  #readTick = -1;
  #wake: (() => void)[] = [];

  /** The session stands still until a gdb lets it go. */
  constructor(session: Session, options: LiveOptions = {}) {
    this.#session = session;
    this.#options = options;
    this.#view = new GuestView(() => session, options);
    const vcpu = () => this.#view.vcpu(this.#current);
    this.#monitor = new Monitor({ session: () => session, vcpu }, liveCommands(session));
    this.#arrived();
  }

  // For the recorder

  get held(): boolean {
    return this.#attached && !this.#over && this.#going === undefined;
  }

  changed(): Promise<void> {
    return new Promise((done) => this.#wake.push(done));
  }

  /** The machine ran for a while: stops if something was hit. Watched addresses may lie elsewhere by now. */
  ran(): void {
    if (!this.#going) return;
    if (this.#stopped) this.#halt(this.#stopped);
    else if (this.#points.watching) this.#listen(this.#going);
  }

  over(): void {
    this.#over = true;
    if (this.#going) this.#halt({ thread: this.#current, reason: 'exited' });
    this.#changes();
  }

  // For gdb

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
  writeRegister(): string {
    return this.#refuse();
  }
  writeRegisters(thread: number, bytes: Uint8Array): string | undefined {
    return this.#view.changed(thread, bytes)?.length === 0 ? undefined : this.#refuse();
  }
  writeMemory(): string {
    return this.#refuse();
  }
  #refuse(): string {
    this.#options.say?.(READ_ONLY);
    return READ_ONLY;
  }

  insertPoint(point: PointRequest): string | undefined {
    return this.#points.insert(point);
  }
  removePoint(kind: PointKind, address: bigint, length: number, thread: number): void {
    this.#points.remove(kind, address, length, thread);
  }

  *move(motion: Motion): Work<Stopped> {
    if (motion.kind === 'none' || motion.kind === 'seek') return this.#stop('step');
    if (this.#over) return { thread: this.#current, reason: 'exited' };
    const stepping = motion.kind === 'continue' ? undefined : (motion.thread ?? -1);
    const range = motion.kind === 'range' ? { from: motion.from, to: motion.to } : undefined;
    this.#stopped = undefined;
    this.#going = { since: this.#session.now(), stepping, range };
    this.#listen(this.#going);
    this.#changes();
    while (this.#going) yield this.changed();
    return this.#stopped ?? this.#stop('interrupt');
  }

  interrupted(): Stopped {
    const stopped = this.#stop('interrupt');
    this.#halt(stopped);
    return stopped;
  }

  joined(): Stopped {
    this.#attached = true;
    const stopped = this.interrupted();
    this.#view.settle(stopped.thread);
    return { ...stopped, reason: 'step' };
  }

  left(): void {
    this.#points.clear();
    this.#silent();
    this.#session.engine.taps.setProbes([]);
    this.#going = undefined;
    this.#attached = false;
    this.#changes();
  }

  monitor(text: string): Work<string> {
    return this.#monitor.run(text);
  }

  symbolFile(process: number): Uint8Array | undefined {
    return symbolFileOf(this.#session, process) ?? (this.#view.registers.is64 ? NO_SYMBOLS : undefined);
  }

  // What happens while it runs

  #listen(going: Going): void {
    this.#silent();
    const { engine, machine } = this.#session;
    const { taps } = engine;
    const interest = this.#points.interest(this.#view.registers, this.#options.domain, going.stepping === undefined);
    const listening = listen(this.#session, {
      ...interest,
      check: (hit, session) => {
        const counts = this.#stopped === undefined && isNews(hit, going) && interest.check!(hit, session);
        if (counts) this.#hit(hit);
        return false;
      },
    });
    taps.onFault = (tick) => {
      if (tick === this.#readTick) this.#stopped = undefined;
    };
    if (going.stepping !== undefined) {
      const { stepping } = going;
      taps.single = stepping < 0 ? -1 : this.#view.vcpu(stepping)?.slot.index;
      taps.onRun = (slot) => {
        if (this.#stopped !== undefined || (taps.single! >= 0 && slot !== taps.single)) return;
        const reason = this.#endOfStep(stepping, going);
        if (!reason) return;
        this.#stopped = { thread: stepping, reason };
        machine.pause();
      };
    }
    this.#stopListening = () => {
      listening.stop();
      taps.single = undefined;
      taps.onRun = undefined;
    };
  }

  #silent(): void {
    this.#stopListening();
    this.#stopListening = () => {};
  }

  #hit(hit: Hit): void {
    this.#readTick = hit.kind === 'read' ? hit.tick : -1;
    this.#stopped = this.#points.stopped(hit, hit.outside ? this.#current : threadOfHit(hit));
    this.#session.engine.taps.breakOff();
    this.#session.machine.pause();
  }

  /** Why a step ends behind the instruction that just ran; undefined if it goes on. */
  #endOfStep(thread: number, { range }: Going): Stopped['reason'] | undefined {
    if (!range) return 'step';
    const rip = this.#view.rip(thread);
    if (rip === undefined || rip < range.from || rip >= range.to) return 'step';
    return this.#points.breaksAt(processOf(thread), rip) ? 'break' : undefined;
  }

  #halt(stopped: Stopped): void {
    this.#silent();
    this.#going = undefined;
    const exists = this.#view.vcpu(stopped.thread) !== undefined;
    if (exists) this.#current = stopped.thread;
    else this.#arrived();
    this.#stopped = exists ? stopped : { ...stopped, thread: this.#current };
    this.#changes();
  }

  #stop(reason: Stopped['reason']): Stopped {
    this.#arrived();
    return { thread: this.#current, reason };
  }

  #arrived(): void {
    this.#current = this.#view.standing(this.#current);
  }

  #changes(): void {
    for (const done of this.#wake.splice(0)) done();
  }
}

/** A breakpoint where the session stands was hit before. */
function isNews(hit: Hit, going: Going): boolean {
  return hit.kind !== 'break' || hit.tick > going.since;
}

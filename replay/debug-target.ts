/** A recording on its timeline as gdb's target: threads are vcpus, writes lead into diversions. */
import { REGISTERS, TARGET_XML } from '../src/debug/registers.ts';
import type { DebugTarget, DebugThread, Motion, PointKind, Stopped } from '../src/debug/target.ts';
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import { livingEnd } from './ends.ts';
import { Monitor } from './monitor.ts';
import { contents, currentVcpu, translate, withVcpu } from './places.ts';
import { findFirst, findLast, type Hit, type Interest } from './scan.ts';
import { stepBackward, stepForward } from './step.ts';
import type { Timeline } from './timeline.ts';

interface Point {
  readonly kind: PointKind;
  readonly address: bigint;
  readonly length: number;
  /** By whose page tables a watched address is meant. */
  readonly domain: number;
  readonly vcpu: number;
}

const WATCH_REASONS = { write: 'watch', read: 'rwatch', access: 'awatch' } as const;
const MAX_POINTS = 1000;

export class ReplayTarget implements DebugTarget {
  readonly targetXml = TARGET_XML;
  readonly timeline: Timeline;
  /** Only this domain's vcpus are threads. */
  readonly #domain: number | undefined;
  readonly #say: (text: string) => void;
  readonly #monitor: Monitor;
  /** The last place at which a domain lives. */
  readonly #end: number;
  #points: Point[] = [];
  #current = 1;

  constructor(timeline: Timeline, options: { domain?: number | undefined; say?: (text: string) => void } = {}) {
    this.timeline = timeline;
    this.#domain = options.domain;
    this.#say = options.say ?? (() => {});
    this.#monitor = new Monitor(
      timeline,
      () => this.#arrived(),
      () => this.#vcpu(this.#current),
    );
    this.#end = livingEnd(timeline.recording);
    this.#arrived();
  }

  /** The last tick that `seek` should be asked for: domains still live there. */
  get end(): number {
    return this.#end;
  }

  threads(): readonly DebugThread[] {
    const threads: DebugThread[] = [];
    for (const domain of this.timeline.session.xen.domains.guests()) {
      if (this.#domain !== undefined && domain.id !== this.#domain) continue;
      for (const vcpu of domain.vcpus) threads.push({ id: threadId(vcpu), text: describe(vcpu) });
    }
    return threads;
  }

  get current(): number {
    return this.#current;
  }

  readRegisters(thread: number): Uint8Array | undefined {
    const vcpu = this.#vcpu(thread);
    if (!vcpu) return undefined;
    const { session } = this.timeline;
    return withVcpu(session, vcpu, () =>
      Uint8Array.from(Buffer.concat(REGISTERS.map((register) => register.read(session.engine.state)))),
    );
  }

  readRegister(thread: number, number: number): Uint8Array | undefined {
    const vcpu = this.#vcpu(thread);
    const { session } = this.timeline;
    if (!vcpu || !REGISTERS[number]) return undefined;
    return withVcpu(session, vcpu, () => REGISTERS[number]!.read(session.engine.state));
  }

  writeRegister(thread: number, number: number, bytes: Uint8Array): boolean {
    const register = REGISTERS[number];
    if (!this.#vcpu(thread) || !register?.write || bytes.length !== register.bits / 8) return false;
    this.#divert();
    const { session } = this.timeline;
    withVcpu(session, this.#vcpu(thread)!, () => register.write!(session.engine.state, bytes));
    return true;
  }

  readMemory(thread: number, address: bigint, length: number): Uint8Array | undefined {
    const vcpu = this.#vcpu(thread);
    if (!vcpu) return undefined;
    const { session } = this.timeline;
    return contents(session, translate(session, vcpu, address, length));
  }

  writeMemory(thread: number, address: bigint, bytes: Uint8Array): boolean {
    const vcpu = this.#vcpu(thread);
    if (!vcpu) return false;
    const pieces = translate(this.timeline.session, vcpu, address, bytes.length);
    if (pieces.reduce((sum, { length }) => sum + length, 0) < bytes.length) return false;
    this.#divert();
    const { engine } = this.timeline.session;
    let done = 0;
    for (const { mfn, offset, length } of pieces) {
      engine.frames.frame(mfn).set(bytes.subarray(done, done + length), offset);
      engine.frameWritten(mfn);
      done += length;
    }
    return true;
  }

  insertPoint(kind: PointKind, address: bigint, length: number): boolean {
    if (this.#points.length >= MAX_POINTS) return false;
    if (kind !== 'break' && (length < 1 || length > 4096)) return false;
    const vcpu = this.#vcpu(this.#current);
    if (!vcpu) return false;
    this.removePoint(kind, address, length);
    this.#points.push({ kind, address, length, domain: vcpu.domain.id, vcpu: vcpu.id });
    return true;
  }

  removePoint(kind: PointKind, address: bigint, length: number): void {
    this.#points = this.#points.filter(
      (point) => point.kind !== kind || point.address !== address || (kind !== 'break' && point.length !== length),
    );
  }

  *move(motion: Motion): Generator<void, Stopped> {
    if (motion.kind === 'none') return { thread: this.#current, reason: 'step' };
    if (motion.reverse && this.timeline.diverted) {
      this.#say('the diversion is dropped: going backwards is on the recorded timeline');
      this.timeline.seek(this.timeline.forkTick);
    }
    if (motion.kind === 'step') return yield* this.#step(motion.reverse, motion.thread);
    return yield* motion.reverse ? this.#back() : this.#on();
  }

  interrupted(): Stopped {
    this.#arrived();
    if (this.threads().length === 0) this.timeline.seek(this.#end);
    return this.#stop('interrupt');
  }

  monitor(text: string): string {
    return this.#monitor.run(text);
  }

  *#step(reverse: boolean, thread: number | undefined): Generator<void, Stopped> {
    const slot = thread === undefined ? undefined : this.#vcpu(thread)?.slot.index;
    const moved = reverse ? yield* stepBackward(this.timeline, slot) : yield* stepForward(this.timeline, slot);
    if (!moved) {
      if (!reverse) this.#toEnd();
      return this.#stop(reverse ? 'begin' : 'end');
    }
    if (this.threads().length === 0) {
      this.#toEnd();
      return this.#stop('end');
    }
    if (thread !== undefined && this.#vcpu(thread)) this.#current = thread;
    else this.#arrived();
    return { thread: this.#current, reason: 'step' };
  }

  *#on(): Generator<void, Stopped> {
    const { timeline } = this;
    const start = timeline.tick;
    const hit = yield* findFirst(timeline, this.#interest(), ({ kind, tick }) =>
      kind === 'break' ? tick > start : tick >= start,
    );
    if (hit === undefined) {
      this.#toEnd();
      return this.#stop('end');
    }
    const to = hit.kind === 'break' ? hit.tick : hit.tick + 1;
    if (!timeline.diverted) timeline.seek(to);
    if (this.threads().length === 0) {
      this.#toEnd();
      return this.#stop('end');
    }
    return this.#hit(hit);
  }

  *#back(): Generator<void, Stopped> {
    const { timeline } = this;
    const hit = yield* findLast(timeline, timeline.tick, this.#interest());
    timeline.seek(hit?.tick ?? 0);
    return hit === undefined ? this.#stop('begin') : this.#hit(hit);
  }

  #interest(): Interest {
    return {
      breakpoints: this.#points.filter(({ kind }) => kind === 'break').map(({ address }) => address),
      watches: this.#watched().map(({ kind, domain, vcpu, address, length }) => (session) => {
        const owner = session.xen.find(domain)?.vcpus[vcpu];
        const pieces = owner ? translate(session, owner, address, length) : [];
        return kind === 'break' ? [] : pieces.map((piece) => ({ ...piece, on: kind }));
      }),
      domain: this.#domain,
    };
  }

  #hit(hit: Hit): Stopped {
    this.#arrived();
    const vcpu = this.timeline.session.xen.find(hit.domain)?.vcpus[hit.vcpu];
    if (vcpu) this.#current = threadId(vcpu);
    if (hit.kind === 'break') return { thread: this.#current, reason: 'break' };
    const { kind, address } = this.#watched()[hit.watch!]!;
    return { thread: this.#current, reason: kind === 'break' ? 'break' : WATCH_REASONS[kind], address };
  }

  #watched(): Point[] {
    return this.#points.filter(({ kind }) => kind !== 'break');
  }

  #toEnd(): void {
    if (!this.timeline.diverted || this.threads().length === 0) this.timeline.seek(this.#end);
  }

  #stop(reason: Stopped['reason']): Stopped {
    this.#arrived();
    return { thread: this.#current, reason };
  }

  /** The thread that stands for this place: the vcpu that ran last, if it is one of ours. */
  #arrived(): void {
    const vcpu = currentVcpu(this.timeline.session);
    const threads = this.threads();
    if (vcpu && threads.some(({ id }) => id === threadId(vcpu))) this.#current = threadId(vcpu);
    else if (!threads.some(({ id }) => id === this.#current)) this.#current = threads[0]?.id ?? 1;
  }

  #divert(): void {
    if (this.timeline.diverted) return;
    this.timeline.divert();
    this.#say(
      `diversion at tick ${this.timeline.tick}: what follows is not what was recorded; going back or seeking drops it`,
    );
  }

  #vcpu(thread: number): Vcpu | undefined {
    return this.timeline.session.xen.find(thread >> 8)?.vcpus[(thread & 255) - 1];
  }
}

function threadId(vcpu: Vcpu): number {
  return (vcpu.domain.id << 8) | (vcpu.id + 1);
}

function describe(vcpu: Vcpu): string {
  const state = vcpu.pcpu >= 0 ? `on pcpu ${vcpu.pcpu}` : vcpu.online ? (vcpu.blocked ? 'blocked' : 'waiting') : 'down';
  return `d${vcpu.domain.id}v${vcpu.id} ${vcpu.domain.name}, ${state}`;
}

import type { Engine } from '../../cpu/engine.ts';
import { KIND } from '../../log/kinds.ts';
import type { EventLog } from '../../log/append.ts';
import { PAGE_SIZE } from '../../memory/frames.ts';
import { E, fail } from '../abi/errno.ts';
import { FIFO } from '../abi/event-channel.ts';
import type { Domain } from '../domain.ts';
import { FrameView } from '../frame-view.ts';
import type { FrameRefs } from '../mm/frame-refs.ts';
import type { Vcpu } from '../vcpu.ts';
import type { EventAbi } from './abi.ts';
import { markEventsPending } from './two-level.ts';

/** A vcpu's queue of one priority; the guest takes from the head, Xen adds at the tail. 0 is no port. */
interface Queue {
  tail: number;
}

interface Control {
  readonly view: FrameView;
  readonly queues: readonly Queue[];
}

export interface FifoState {
  /** By vcpu; null where the guest gave no control block yet. */
  readonly controls: readonly ({ readonly mfn: number; readonly offset: number } | null)[];
  readonly tails: readonly (readonly number[])[];
  readonly array: readonly number[];
  readonly pendingEarly: readonly number[];
  readonly priorities: readonly (readonly [port: number, priority: number])[];
  readonly lastQueues: readonly (readonly [port: number, vcpu: number, priority: number])[];
}

/**
 * The FIFO ABI (event_channel.h, "FIFO-based"): one word a port in pages that the guest gives, and a control block a
 * vcpu with the heads of 16 queues by priority, linked through the words.
 *
 *      31        30       29       28     27 … 17   16 … 0           0         4          8
 *     ┌─────────┬────────┬────────┬──────┬─────────┬──────┐         ┌─────────┬──────────┬───────────┐
 *     │ PENDING │ MASKED │ LINKED │ BUSY │    0    │ LINK │         │ ready   │ reserved │ 16 × head │
 *     └─────────┴────────┴────────┴──────┴─────────┴──────┘         └─────────┴──────────┴───────────┘
 */
export class Fifo implements EventAbi {
  readonly maxPorts = 2 ** FIFO.LINK_BITS;
  readonly #domain: Domain;
  readonly #engine: Engine;
  readonly #refs: FrameRefs;
  readonly #log: EventLog;
  readonly #upcall: (vcpu: Vcpu) => void;
  readonly #controls: (Control | undefined)[] = [];
  readonly #array: FrameView[] = [];
  /** Pending ports whose word is not there yet. */
  readonly #pendingEarly = new Set<number>();
  /** Other than the default. */
  readonly #priorities = new Map<number, number>();
  /** Where a port was queued last, if that is not where it would be now. */
  readonly #lastQueue = new Map<number, readonly [vcpu: number, priority: number]>();

  constructor(domain: Domain, engine: Engine, refs: FrameRefs, log: EventLog, upcall: (vcpu: Vcpu) => void) {
    this.#domain = domain;
    this.#engine = engine;
    this.#refs = refs;
    this.#log = log;
    this.#upcall = upcall;
  }

  /** EVTCHNOP_init_control: where a vcpu's control block is. @throws Errno */
  initControl(vcpuId: number, gfn: bigint, offset: number): void {
    if (this.#controls[vcpuId]) fail(E.INVAL);
    this.#controls[vcpuId] = this.#control(this.#guestFrame(gfn), offset);
  }

  /** EVTCHNOP_expand_array: one more page of words. @throws Errno */
  expandArray(gfn: bigint, vcpuOf: (port: number) => Vcpu | undefined): void {
    const slot = this.#array.length;
    if (slot >= this.maxPorts / FIFO.WORDS_PER_PAGE) fail(E.NOSPC);
    const mfn = this.#guestFrame(gfn);
    this.#refs.get(mfn);
    this.#array.push(new FrameView(this.#engine, mfn));
    const early = [...this.#pendingEarly].sort((a, b) => a - b);
    for (const port of early) {
      if (port >= this.#array.length * FIFO.WORDS_PER_PAGE) continue;
      this.#pendingEarly.delete(port);
      const vcpu = vcpuOf(port);
      if (vcpu) this.setPending(vcpu, port);
    }
  }

  /** EVTCHNOP_set_priority. @throws Errno */
  setPriority(port: number, priority: number): void {
    if (priority >= FIFO.QUEUES) fail(E.INVAL);
    this.#priorities.set(port, priority);
  }

  /** A pending port of the two-level ABI comes along. */
  adopt(port: number): void {
    this.#pendingEarly.add(port);
  }

  /** The port is new: it has the default priority. */
  opened(port: number): void {
    this.#priorities.delete(port);
  }

  /** Gives the guest's pages back. */
  close(): void {
    for (const control of this.#controls) if (control) this.#refs.put(control.view.mfn);
    for (const { mfn } of this.#array) this.#refs.put(mfn);
    this.#controls.length = 0;
    this.#array.length = 0;
  }

  setPending(vcpu: Vcpu, port: number): void {
    if (!this.#has(port)) {
      this.#pendingEarly.add(port);
      return;
    }
    const word = this.#word(port);
    if ((word & FIFO.PENDING) === 0) {
      this.#log.appendAt(vcpu.domain.id, vcpu.id, KIND['evtchn-pending'], port);
      this.#setWord(port, word | FIFO.PENDING);
    }
    if ((word & (FIFO.MASKED | FIFO.LINKED)) === 0 && this.#controls[vcpu.id]) this.#link(vcpu, port);
  }

  /** The guest unlinks a port that is no longer pending by itself. */
  clearPending(port: number): void {
    this.#pendingEarly.delete(port);
    if (this.#has(port)) this.#setWord(port, this.#word(port) & ~FIFO.PENDING);
  }

  unmask(vcpu: Vcpu, port: number): void {
    if (!this.#has(port)) return;
    const word = this.#word(port);
    this.#setWord(port, word & ~FIFO.MASKED);
    if ((word & FIFO.PENDING) !== 0) this.setPending(vcpu, port);
  }

  isPending(port: number): boolean {
    return this.#has(port) && (this.#word(port) & FIFO.PENDING) !== 0;
  }

  isMasked(port: number): boolean {
    return !this.#has(port) || (this.#word(port) & FIFO.MASKED) !== 0;
  }

  save(): FifoState {
    return {
      controls: Array.from(this.#controls, (c) => (c ? { mfn: c.view.mfn, offset: c.view.offset } : null)),
      tails: Array.from(this.#controls, (c) => c?.queues.map(({ tail }) => tail) ?? []),
      array: this.#array.map(({ mfn }) => mfn),
      pendingEarly: [...this.#pendingEarly],
      priorities: [...this.#priorities],
      lastQueues: [...this.#lastQueue].map(([port, [vcpu, priority]]) => [port, vcpu, priority] as const),
    };
  }

  /** The uses of the guest's frames are restored by FrameRefs. */
  restore(state: FifoState): void {
    this.#controls.length = 0;
    for (const [id, saved] of state.controls.entries()) {
      if (!saved) continue;
      const queues = state.tails[id].map((tail) => ({ tail }));
      this.#controls[id] = { view: this.#block(saved.mfn, saved.offset), queues };
    }
    this.#array.splice(0, Infinity, ...state.array.map((mfn) => new FrameView(this.#engine, mfn)));
    this.#pendingEarly.clear();
    for (const port of state.pendingEarly) this.#pendingEarly.add(port);
    this.#priorities.clear();
    for (const [port, priority] of state.priorities) this.#priorities.set(port, priority);
    this.#lastQueue.clear();
    for (const [port, vcpu, priority] of state.lastQueues) this.#lastQueue.set(port, [vcpu, priority]);
  }

  /** Adds the port at its queue's tail; tells the vcpu if the queue was empty. */
  #link(vcpu: Vcpu, port: number): void {
    const priority = this.#priorities.get(port) ?? FIFO.DEFAULT_PRIORITY;
    const { view, queues } = this.#controls[vcpu.id]!;
    this.#setWord(port, this.#word(port) | FIFO.LINKED);
    this.#leaveOldQueue(port, vcpu.id, priority);
    const queue = queues[priority];
    // A tail that is not linked was taken by the guest: the queue is empty. So it is if the tail is this very port.
    const behind = queue.tail !== 0 && queue.tail !== port && (this.#word(queue.tail) & FIFO.LINKED) !== 0;
    if (behind) this.#setWord(queue.tail, (this.#word(queue.tail) & ~FIFO.LINK_MASK) | port);
    else view.setU32(FIFO.HEADS + 4 * priority, port);
    queue.tail = port;
    const ready = view.u32(0);
    if (behind || (ready & (1 << priority)) !== 0) return;
    view.setU32(0, (ready | (1 << priority)) >>> 0);
    markEventsPending(vcpu, this.#upcall);
  }

  /** A port that was its old queue's tail must not be written to as such: it is linked elsewhere now. */
  #leaveOldQueue(port: number, vcpu: number, priority: number): void {
    const last = this.#lastQueue.get(port);
    this.#lastQueue.set(port, [vcpu, priority]);
    if (!last || (last[0] === vcpu && last[1] === priority)) return;
    const old = this.#controls[last[0]]?.queues[last[1]];
    if (old?.tail === port) old.tail = 0;
  }

  #control(mfn: number, offset: number): Control {
    this.#refs.get(mfn);
    return { view: this.#block(mfn, offset), queues: Array.from({ length: FIFO.QUEUES }, () => ({ tail: 0 })) };
  }

  #block(mfn: number, offset: number): FrameView {
    return new FrameView(this.#engine, mfn, offset, FIFO.CONTROL_BYTES);
  }

  /** Frame of a page that the guest may write. @throws Errno EINVAL */
  #guestFrame(gfn: bigint): number {
    const { p2m } = this.#domain;
    const number = gfn < 2n ** 40n ? Number(gfn) : -1;
    const mfn = number < 0 || !p2m.isWritable(number) ? -1 : p2m.mfn(number);
    return mfn < 0 || this.#domain.xenFrames.has(mfn) ? fail(E.INVAL) : mfn;
  }

  #has(port: number): boolean {
    return port < this.#array.length * FIFO.WORDS_PER_PAGE;
  }
  #word(port: number): number {
    return this.#array[Math.floor(port / FIFO.WORDS_PER_PAGE)].u32((port * 4) % PAGE_SIZE);
  }
  #setWord(port: number, value: number): void {
    this.#array[Math.floor(port / FIFO.WORDS_PER_PAGE)].setU32((port * 4) % PAGE_SIZE, value >>> 0);
  }
}

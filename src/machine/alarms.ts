import { NEVER, type Ticks } from '../base/ticks.ts';

/** A timer of the virtual clock. Made once by its owner, then set and cancelled as often as needed. */
export class Alarm {
  readonly id: string;
  readonly fire: (deadline: Ticks) => void;
  /** When it fires; NEVER while it is off. */
  deadline: Ticks = NEVER;
  /** Order of setting, which decides among equal deadlines. */
  order = 0;
  /** Place in the heap, -1 while off. */
  slot = -1;
  readonly #queue: Alarms;

  constructor(queue: Alarms, id: string, fire: (deadline: Ticks) => void) {
    this.#queue = queue;
    this.id = id;
    this.fire = fire;
  }

  get armed(): boolean {
    return this.slot >= 0;
  }
  /** (Re)sets the alarm. A deadline in the past fires at the next turn boundary. */
  set(deadline: Ticks): void {
    this.#queue.arm(this, deadline);
  }
  cancel(): void {
    this.#queue.disarm(this);
  }
}

export interface AlarmsState {
  order: number;
  armed: { id: string; deadline: number; order: number }[];
}

/**
 * All alarms of a machine, a binary heap by (deadline, order of setting): the same program of calls fires in the same
 * order on every host. Saved by id: after `restore` the owners, which made the same alarms again, find them armed.
 */
export class Alarms {
  readonly #heap: Alarm[] = [];
  readonly #byId = new Map<string, Alarm>();
  #order = 0;
  /** Told of every deadline set, so that a running processor can be made to stop in time. */
  onArm: (deadline: Ticks) => void = () => {};

  /** @throws Error if the id is taken */
  create(id: string, fire: (deadline: Ticks) => void): Alarm {
    if (this.#byId.has(id)) throw new Error(`alarm ${id} exists already`);
    const alarm = new Alarm(this, id, fire);
    this.#byId.set(id, alarm);
    return alarm;
  }

  remove(alarm: Alarm): void {
    this.disarm(alarm);
    this.#byId.delete(alarm.id);
  }

  /** Deadline of the earliest alarm, NEVER if all are off. */
  get next(): Ticks {
    return this.#heap.length === 0 ? NEVER : this.#heap[0].deadline;
  }

  /** Fires all alarms with a deadline of at most `now`, those included that are set meanwhile. @returns how many */
  fireDue(now: Ticks): number {
    let fired = 0;
    while (this.#heap.length > 0 && this.#heap[0].deadline <= now) {
      const alarm = this.#heap[0];
      const deadline = alarm.deadline;
      this.disarm(alarm);
      alarm.fire(deadline);
      if (++fired > 1_000_000) throw new Error(`alarm ${alarm.id} keeps firing at tick ${now}`);
    }
    return fired;
  }

  arm(alarm: Alarm, deadline: Ticks): void {
    if (deadline >= NEVER) {
      this.disarm(alarm);
      return;
    }
    alarm.deadline = deadline;
    alarm.order = this.#order++;
    this.#place(alarm);
    this.onArm(deadline);
  }

  disarm(alarm: Alarm): void {
    if (alarm.slot < 0) return;
    const last = this.#heap.pop()!;
    if (last !== alarm) {
      this.#put(last, alarm.slot);
      this.#sift(last);
    }
    alarm.slot = -1;
    alarm.deadline = NEVER;
  }

  save(): AlarmsState {
    const armed = this.#heap.map(({ id, deadline, order }) => ({ id, deadline: deadline as number, order }));
    return { order: this.#order, armed: armed.sort((a, b) => a.order - b.order) };
  }

  /** @throws Error if an armed alarm's owner has not made it */
  restore(state: AlarmsState): void {
    for (const alarm of [...this.#heap]) this.disarm(alarm);
    for (const { id, deadline, order } of state.armed) {
      const alarm = this.#byId.get(id);
      if (!alarm) throw new Error(`no owner for the saved alarm ${id}`);
      alarm.deadline = deadline as Ticks;
      alarm.order = order;
      this.#place(alarm);
    }
    this.#order = state.order;
  }

  #place(alarm: Alarm): void {
    if (alarm.slot < 0) this.#put(alarm, this.#heap.length);
    this.#sift(alarm);
  }

  #put(alarm: Alarm, slot: number): void {
    this.#heap[slot] = alarm;
    alarm.slot = slot;
  }

  /** Moves an alarm up or down until its parent is before it and its children behind. */
  #sift(alarm: Alarm): void {
    const heap = this.#heap;
    let slot = alarm.slot;
    while (slot > 0) {
      const up = (slot - 1) >> 1;
      if (!before(alarm, heap[up])) break;
      this.#put(heap[up], slot);
      slot = up;
    }
    for (;;) {
      let down = 2 * slot + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && before(heap[down + 1], heap[down])) down++;
      if (!before(heap[down], alarm)) break;
      this.#put(heap[down], slot);
      slot = down;
    }
    this.#put(alarm, slot);
  }
}

function before(a: Alarm, b: Alarm): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order);
}

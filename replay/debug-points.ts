/** A debugger's breakpoints and watchpoints: which there are, what to listen for, and what a hit means. */
import { type AgentWorld, evaluate } from '../src/debug/agent-expression.ts';
import { fromLittle, type RegisterSet } from '../src/debug/registers.ts';
import { type PointKind, type PointRequest, processOf, type Stopped, threadId, threadOf } from '../src/debug/target.ts';
import type { Session } from '../src/session.ts';
import { contents, currentVcpu, translate } from '../src/inspect/places.ts';
import type { Hit, Interest } from './scan.ts';

const MAX_POINTS = 1000;
const MAX_WATCHED = 4096;
const REASONS = { hbreak: 'hbreak', break: 'break', write: 'watch', read: 'rwatch', access: 'awatch' } as const;

const isBreak = ({ kind }: { readonly kind: PointKind }): boolean => kind === 'break' || kind === 'hbreak';

export class DebugPoints {
  #points: PointRequest[] = [];

  /** @returns why not */
  insert(point: PointRequest): string | undefined {
    if (this.#points.length >= MAX_POINTS) return `more than ${MAX_POINTS} breakpoints and watchpoints`;
    if (!isBreak(point) && (point.length < 1 || point.length > MAX_WATCHED)) {
      return `a watchpoint has 1 to ${MAX_WATCHED} bytes`;
    }
    this.remove(point.kind, point.address, point.length, point.thread);
    this.#points.push(point);
    return undefined;
  }

  remove(kind: PointKind, address: bigint, length: number, thread: number): void {
    this.#points = this.#points.filter(
      (point) =>
        point.kind !== kind ||
        point.address !== address ||
        (!isBreak(point) && point.length !== length) ||
        (processOf(point.thread) !== processOf(thread) && !point.everywhere),
    );
  }

  clear(): void {
    this.#points = [];
  }

  get #watched(): PointRequest[] {
    return this.#points.filter((point) => !isBreak(point));
  }

  get watching(): boolean {
    return this.#watched.length > 0;
  }

  /** What to listen for: everything, or watchpoints only (while stepping). */
  interest(registers: RegisterSet, domain: number | undefined, breakpoints = true): Interest {
    const breaks = breakpoints ? this.#points.filter(isBreak) : [];
    const watched = this.#watched;
    return {
      breakpoints: breaks.map(({ address }) => address),
      watches: watched.map(({ kind, thread, address, length }) => (session: Session) => {
        const owner = session.xen.find(processOf(thread))?.vcpus[threadOf(thread) - 1];
        const pieces = owner ? translate(session, owner, address, length) : [];
        return pieces.map((piece) => ({ ...piece, on: kind as 'write' | 'read' | 'access' }));
      }),
      domain,
      check: (hit, session) =>
        // gdb looks at the conditions of watchpoints itself.
        hit.kind !== 'break' || breaks.some((point) => fits(point, hit) && holds(point, session, registers)),
    };
  }

  /** Is there a breakpoint for this process at `address`? */
  breaksAt(process: number, address: bigint): boolean {
    return this.#points.some(
      (point) =>
        isBreak(point) && point.address === address && (point.everywhere || processOf(point.thread) === process),
    );
  }

  /** What gdb is told of a hit in `thread`. */
  stopped(hit: Hit, thread: number): Stopped {
    if (hit.kind !== 'break') {
      const { kind, address } = this.#watched[hit.watch!]!;
      return { thread, reason: REASONS[kind], address };
    }
    const soft = this.#points.some((point) => point.kind === 'break' && fits(point, hit));
    return { thread, reason: soft ? 'break' : 'hbreak' };
  }
}

function fits(point: PointRequest, hit: Hit): boolean {
  return point.address === hit.rip && (point.everywhere || processOf(point.thread) === hit.domain);
}

/** One of the conditions holds, or there is none, or one cannot be decided here. */
function holds({ conditions }: PointRequest, session: Session, { registers }: RegisterSet): boolean {
  if (conditions.length === 0) return true;
  const vcpu = currentVcpu(session);
  if (!vcpu) return true;
  const { engine } = session;
  const world: AgentWorld = {
    register: (number) => {
      const register = registers[number];
      return register && fromLittle(register.read(engine.state));
    },
    memory: (address, length) => {
      const bytes = contents(session, translate(session, vcpu, address, length));
      return bytes.length === length ? fromLittle(bytes) : undefined;
    },
  };
  return conditions.some((code) => evaluate(code, world) !== 0n);
}

/** The thread that a hit happened in. */
export function threadOfHit(hit: Hit): number {
  return threadId(hit.domain, hit.vcpu + 1);
}

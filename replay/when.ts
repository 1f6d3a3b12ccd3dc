/** When did a condition first hold? */
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import { eventToJson } from '../src/log/print.ts';
import { selectEvents } from '../src/log/select.ts';
import type { Session } from '../src/session.ts';
import { fromLittle, REGISTERS } from '../src/debug/registers.ts';
import { compare, type Comparison, type Condition, type Operand } from './condition.ts';
import { type Mark, parseMark } from './mark.ts';
import { contents, translate, withVcpu } from './places.ts';
import { vcpuOf } from './queries.ts';
import { findFirst, type Hit } from './scan.ts';
import { finish } from './step.ts';
import type { Timeline } from './timeline.ts';

/** Whose registers and page tables a condition means. */
export interface Subject {
  readonly domain: number;
  readonly vcpu: number;
}

/**
 * The first place from `from` on at which `condition` holds, or undefined. A condition on registers needs `rip == …` in
 * it: where that is about to execute, the others are looked at. One on memory alone is looked at after every write.
 * @throws RangeError for a condition that would have to be looked at after every instruction
 */
export function firstWhen(timeline: Timeline, condition: Condition, subject: Subject, from = 0): Mark | undefined {
  switch (condition.kind) {
    case 'mark':
      return parseMark(condition.mark, timeline.recording);
    case 'event':
      return firstEvent(timeline, condition, from);
    case 'state': {
      const rip = condition.all.find(({ left, operator }) => isRip(left) && operator === '==');
      if (rip) return atInstruction(timeline, condition.all, rip.right, subject, from);
      const registers = condition.all.some(({ left }) => left.kind === 'register');
      if (registers) throw new RangeError('a condition on registers needs "rip == ADDRESS &&" before it');
      return afterWrite(timeline, condition.all, subject, from);
    }
  }
}

function isRip(operand: Operand): boolean {
  return operand.kind === 'register' && operand.name === 'rip';
}

function firstEvent(
  timeline: Timeline,
  condition: Extract<Condition, { kind: 'event' }>,
  from: number,
): Mark | undefined {
  for (const event of selectEvents(timeline.recording, { kinds: [condition.name], from })) {
    const json = eventToJson(event);
    const fits = Object.entries(condition.fields).every(([name, value]) => String(json[name]) === value);
    if (fits) return { tick: event.tick, seq: event.seq };
  }
  return undefined;
}

function atInstruction(
  timeline: Timeline,
  all: readonly Comparison[],
  rip: bigint,
  { domain }: Subject,
  from: number,
): Mark | undefined {
  timeline.seek(from);
  const check = (hit: Hit, session: Session) => {
    const vcpu = vcpuOf(session, hit);
    return vcpu !== undefined && all.every((each) => isRip(each.left) || holds(session, vcpu, each));
  };
  const hit = finish(findFirst(timeline, { breakpoints: [rip], watches: [], domain, check }));
  if (hit) timeline.seek(hit.tick);
  return hit && { tick: hit.tick };
}

/** At each write the memory is as the write before it left it: if the condition holds then, that one made it true. */
function afterWrite(timeline: Timeline, all: readonly Comparison[], subject: Subject, from: number): Mark | undefined {
  timeline.seek(from);
  let last = from;
  const now = (session: Session) => {
    const vcpu = vcpuOf(session, subject);
    return vcpu !== undefined && all.every((each) => holds(session, vcpu, each));
  };
  const found = (): Mark => {
    timeline.seek(last);
    return { tick: last };
  };
  if (now(timeline.session)) return found();
  const watches = all.map(({ left }) => (session: Session) => {
    const vcpu = vcpuOf(session, subject);
    return vcpu && left.kind === 'memory' ? translate(session, vcpu, left.address, left.length) : [];
  });
  const check = (hit: Hit, session: Session) => {
    if (now(session)) return true;
    last = hit.tick + 1;
    return false;
  };
  const work = findFirst(timeline, { breakpoints: [], watches, check });
  for (;;) {
    const step = work.next();
    if (step.done && step.value !== undefined) return found();
    // Between pieces too: the last write of a piece has no next one to show it.
    if (now(timeline.session)) return found();
    if (!step.done) continue;
    // The domain may be gone at the very end, with what was written last.
    if (last === from) return undefined;
    timeline.seek(last);
    return now(timeline.session) ? { tick: last } : undefined;
  }
}

function holds(session: Session, vcpu: Vcpu, { left, operator, right }: Comparison): boolean {
  const value = read(session, vcpu, left);
  return value !== undefined && compare(value, operator, right);
}

/** undefined for memory that is not mapped. */
function read(session: Session, vcpu: Vcpu, operand: Operand): bigint | undefined {
  if (operand.kind === 'memory') {
    const bytes = contents(session, translate(session, vcpu, operand.address, operand.length));
    return bytes.length === operand.length ? fromLittle(bytes) : undefined;
  }
  const { name } = operand;
  const { state } = session.engine;
  if (name === 'cpl') return withVcpu(session, vcpu, () => BigInt(state.cpl));
  const register = REGISTERS.find((each) => each.name === name)!;
  return withVcpu(session, vcpu, () => fromLittle(register.read(state)));
}

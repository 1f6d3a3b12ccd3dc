/**
 * What counts as a failure of a run under chaos, beside a crash and an unmet `expect`: any condition of `rexen when`.
 * What is on the log is found there, to the event; all else is looked at while the session runs (`live-condition.ts`).
 */
import { ConsoleText, matchesEvent } from '../inspect/condition/event-match.ts';
import type { Node } from '../inspect/condition/node.ts';
import { parseCondition } from '../inspect/condition/parse.ts';
import { planOf } from '../inspect/condition/plan.ts';
import { blobStart, type LogSink, type RecordBatch } from '../log/append.ts';
import { decodeRecord } from '../log/decode.ts';
import type { MachineEvent } from '../log/event.ts';
import { KIND, type KindName } from '../log/kinds.ts';
import { RECORD_WORDS } from '../log/record.ts';
import type { Session } from '../session.ts';
import { LiveCondition, type Subject } from './live-condition.ts';

/** One of these is enough. */
export interface FailCondition {
  readonly text: string;
  /** Single events and texts. */
  readonly logged: readonly Extract<Node, { kind: 'console' | 'event' }>[];
  readonly live: readonly Node[];
}

/** @throws RangeError for people */
export function parseFailCondition(text: string): FailCondition {
  const logged: FailCondition['logged'][number][] = [];
  const live: Node[] = [];
  for (const each of alternatives(parseCondition(text))) {
    if (each.kind === 'console' || each.kind === 'event') logged.push(each);
    else if (hasEvent(each)) {
      throw new RangeError(
        'an event cannot be joined with other conditions while a session runs: let it stand alone, or beside others with ||',
      );
    } else live.push(each);
  }
  return { text, logged, live };
}

function alternatives(node: Node): Node[] {
  if (node.kind !== 'binary' || node.operator !== '||') return [node];
  return [...alternatives(node.left), ...alternatives(node.right)];
}

function hasEvent(node: Node): boolean {
  if (node.kind === 'binary') return hasEvent(node.left) || hasEvent(node.right);
  return node.kind === 'event' || (node.kind === 'unary' && hasEvent(node.operand));
}

/** True for a condition that is not looked at after every instruction that could make it true. */
export function isSampled({ live }: FailCondition): boolean {
  return live.some((each) => planOf(each, () => 0n).always);
}

/** Where the condition held. */
export interface Met {
  readonly tick: number;
  /** Number of the event that it is, if it is one. */
  readonly seq: number | undefined;
}

/** Looks for the first crash, and for the first place at which `condition` holds. */
export class FailWatch implements LogSink {
  crash: MachineEvent | undefined;
  readonly #logged: readonly {
    readonly atom: FailCondition['logged'][number];
    readonly text: ConsoleText | undefined;
  }[];
  readonly #live: readonly Node[];
  readonly #kinds: ReadonlySet<number>;
  #event: MachineEvent | undefined;
  #conditions: readonly LiveCondition[] = [];

  constructor(condition: FailCondition | undefined) {
    const { logged = [], live = [] } = condition ?? {};
    this.#live = live;
    this.#logged = logged.map((atom) => ({ atom, text: atom.kind === 'console' ? new ConsoleText(atom) : undefined }));
    const kinds = logged.flatMap((atom): KindName[] =>
      atom.kind === 'event' ? [atom.name] : ['console-output', 'console-io'],
    );
    this.#kinds = new Set(['domain-shutdown' as const, ...kinds].map((name) => KIND[name]));
  }

  /** For what has to be looked at while the session runs. */
  attach(session: Session, subject: Subject): void {
    this.#conditions = this.#live.map((node) => new LiveCondition(session, node, subject));
  }

  /** Call it when the session is over. */
  end(): void {
    for (const each of this.#conditions) each.end();
  }

  /** Names in the condition that the guest has no symbol for, as far as it came. */
  get missing(): readonly string[] {
    return this.#conditions.flatMap(({ missing }) => missing);
  }

  get met(): Met | undefined {
    const ticks = this.#conditions.flatMap(({ met }) => (met === undefined ? [] : [met]));
    const tick = Math.min(...ticks);
    const event = this.#event;
    if (event && event.tick <= tick) return { tick: event.tick, seq: event.seq };
    return ticks.length > 0 ? { tick, seq: undefined } : undefined;
  }

  batch(batch: RecordBatch): void {
    for (let i = 0; i < batch.count; i++) {
      const base = i * RECORD_WORDS;
      if (!this.#kinds.has(batch.words[base] & 0xffff)) continue;
      this.#look(decodeRecord(batch.words, base, batch.firstSeq + i, batch.blobs, blobStart(batch, base)));
    }
  }

  #look(event: MachineEvent): void {
    if (event.kind === 'domain-shutdown' && event.reason === 'crash') this.crash ??= event;
    if (this.#event) return;
    for (const { atom, text } of this.#logged) {
      if (text ? text.count(event) > 0 : atom.kind === 'event' && matchesEvent(event, atom)) this.#event = event;
    }
  }
}

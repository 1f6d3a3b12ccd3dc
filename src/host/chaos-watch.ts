/**
 * What counts as a failure of a run under chaos, beside a crash and an unmet `expect`; as in `rexen when`:
 *
 *     console:"TEXT"               a console has printed this
 *     event KIND FIELD=VALUE …     an event, with fields that have these values
 */
import { blobStart, type LogSink, type RecordBatch } from '../log/append.ts';
import { decodeRecord } from '../log/decode.ts';
import type { MachineEvent } from '../log/event.ts';
import { KIND, type KindName } from '../log/kinds.ts';
import { eventToJson } from '../log/print.ts';
import { RECORD_WORDS } from '../log/record.ts';
import { kindNamed } from '../log/select.ts';

export type FailCondition =
  | { readonly kind: 'console'; readonly text: string }
  | { readonly kind: 'event'; readonly name: KindName; readonly fields: Readonly<Record<string, string>> };

/** @throws RangeError for people */
export function parseFailCondition(text: string): FailCondition {
  const [, words] = /^console:(.+)$/s.exec(text.trim()) ?? [];
  if (words !== undefined) return { kind: 'console', text: unquoted(words) };
  const [, name, rest] = /^event[\s:](\S+)\s*(.*)$/s.exec(text.trim()) ?? [];
  if (name === undefined) {
    throw new RangeError(
      `"${text.slice(0, 60)}" is no condition for a run; such as: console:"BUG", event domain-shutdown reason=crash`,
    );
  }
  const fields = rest
    .split(/\s+/)
    .filter(Boolean)
    .map((part) => {
      const [, field, value] = /^([\w-]+)=(.*)$/s.exec(part) ?? [];
      if (field === undefined) throw new RangeError(`"${part}" is no FIELD=VALUE`);
      return [field, value] as const;
    });
  return { kind: 'event', name: kindNamed(name), fields: Object.fromEntries(fields) };
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new RangeError(`the text in ${text.slice(0, 60)} lacks its closing quote`);
  }
}

/** Looks for the first crash, and for the first event at which `condition` holds. */
export class FailWatch implements LogSink {
  crash: MachineEvent | undefined;
  met: MachineEvent | undefined;
  readonly #condition: FailCondition | undefined;
  readonly #kinds: ReadonlySet<number>;
  readonly #tails = new Map<number, string>();

  constructor(condition: FailCondition | undefined) {
    this.#condition = condition;
    const kinds: KindName[] = condition?.kind === 'console' ? ['console-output', 'console-io'] : [];
    if (condition?.kind === 'event') kinds.push(condition.name);
    this.#kinds = new Set(['domain-shutdown' as const, ...kinds].map((name) => KIND[name]));
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
    const condition = this.#condition;
    if (!condition || this.met) return;
    if (condition.kind === 'console' ? this.#printed(event, condition.text) : matches(event, condition)) {
      this.met = event;
    }
  }

  #printed(event: MachineEvent, text: string): boolean {
    if (event.kind !== 'console-output' && event.kind !== 'console-io') return false;
    const all = (this.#tails.get(event.domain) ?? '') + Buffer.from(event.bytes).toString('utf8');
    this.#tails.set(event.domain, all.slice(-text.length));
    return all.includes(text);
  }
}

function matches(event: MachineEvent, { name, fields }: FailCondition & { kind: 'event' }): boolean {
  if (event.kind !== name) return false;
  const json = eventToJson(event);
  return Object.entries(fields).every(([field, value]) => String(json[field]) === value);
}

/** How many events of which kinds, what they are about, and on which vcpus: `rexen events --count`, for programs. */
import { blobStart } from './append.ts';
import { decodeRecord } from './decode.ts';
import type { MachineEvent } from './event.ts';
import type { KindName } from './kinds.ts';
import { eventResult, grouped, hex, hypercallName, type PrintNames, place } from './print.ts';
import { LAYOUT_BY_NUMBER, LAYOUTS, NONE_16 } from './record.ts';
import type { Recording } from './recording.ts';
import { type EventFilter, matches } from './select.ts';

/** One row: so many events, and so many of them at each place. */
export interface EventCount {
  /** A kind's name, or what some of its events are about: `event_channel_op send`, `port 0x42 read`. */
  readonly what: string;
  readonly count: number;
  /** By place as `place` writes it without a processor: `d1v0`, `xen`. */
  readonly at: Readonly<Record<string, number>>;
  /** Most frequent first; empty where events of the kind differ in nothing that could be counted, or nobody asked. */
  readonly of: readonly EventCount[];
}

/**
 * Counts the events that pass, by kind in the table's order. With `names`, also by what they are about: hypercalls by
 * sub-operation, ports, MSRs, vectors, event channels, operations of the store.
 */
export function countByKind(recording: Recording, filter: EventFilter, names?: PrintNames): EventCount[] {
  const kinds = new Map<number, Row>();
  const channels = names && channelTypes(recording, filter);
  for (const { batch, base, seq } of matches(recording, filter)) {
    const { words } = batch;
    const number = words[base] & 0xffff;
    const vcpu = words[base + 1] & 0xffff;
    const at = place({ domain: words[base] >>> 16, vcpu: vcpu === NONE_16 ? -1 : vcpu, pcpu: -1 });
    let row = kinds.get(number);
    if (!row) kinds.set(number, (row = new Row()));
    row.add(at);
    const kind = LAYOUT_BY_NUMBER[number]!.name;
    if (!names || !isDetailed(kind)) continue;
    const event = decodeRecord(words, base, seq, batch.blobs, blobStart(batch, base));
    row.of(subject(event, names, channels!)).add(at);
  }
  return [...kinds].sort(([a], [b]) => a - b).map(([number, row]) => row.count(LAYOUT_BY_NUMBER[number]!.name));
}

class Row {
  readonly #at = new Map<string, number>();
  readonly #of = new Map<string, Row>();

  add(at: string): void {
    this.#at.set(at, (this.#at.get(at) ?? 0) + 1);
  }

  of(what: string): Row {
    let row = this.#of.get(what);
    if (!row) this.#of.set(what, (row = new Row()));
    return row;
  }

  count(what: string): EventCount {
    const of = [...this.#of].map(([each, row]) => row.count(each));
    of.sort((a, b) => b.count - a.count || (a.what < b.what ? -1 : 1));
    return { what, count: [...this.#at.values()].reduce((a, b) => a + b, 0), at: Object.fromEntries(this.#at), of };
  }
}

const PLAIN: ReadonlySet<KindName> = new Set(['evtchn-send', 'evtchn-pending', 'evtchn-close']);

/** True if events of the kind say more than that they happened, in few words. */
function isDetailed(kind: KindName): boolean {
  return PLAIN.has(kind) || kind in ABOUT || enumerations(kind).length > 0;
}

const enumerationsOf = new Map<KindName, readonly string[]>();
function enumerations(kind: KindName): readonly string[] {
  let names = enumerationsOf.get(kind);
  if (!names) {
    names = LAYOUTS.get(kind)!.fields.flatMap(({ name, type }) => (typeof type === 'object' ? [name] : []));
    enumerationsOf.set(kind, names);
  }
  return names;
}

type About = { readonly [K in KindName]?: (event: MachineEvent & { kind: K }, names: PrintNames) => string };

const access = (write: boolean) => (write ? 'write' : 'read');

const ABOUT: About = {
  hypercall: ({ nr, args }, names) => {
    const sub = names.suboperation?.(nr, args);
    return `${hypercallName(nr, names)}${sub === undefined ? '' : ` ${sub}`}`;
  },
  'hypercall-return': ({ nr, result }, names) =>
    `${hypercallName(nr, names)}${result < 0n && result > -4096n ? ` = ${eventResult(result, names)}` : ''}`,
  io: ({ port, write }) => `port ${hex(port)} ${access(write)}`,
  mmio: ({ gpa, write }) => `${hex(gpa)} ${access(write)}`,
  cpuid: ({ leaf }) => `leaf ${hex(leaf)}`,
  msr: ({ index, write }) => `${hex(index)} ${access(write)}`,
  exception: ({ vector }) => `vector ${vector}`,
  'interrupt-raise': ({ vector }) => `vector ${hex(vector)}`,
  'interrupt-deliver': ({ vector }) => `vector ${hex(vector)}`,
  'grant-map': ({ status }) => `status ${status}`,
  'grant-unmap': ({ status }) => `status ${status}`,
  'grant-copy': ({ status }) => `status ${status}`,
  xenstore: ({ op, error }) => `${op}${error === '' ? '' : ` = ${error}`}`,
  unimplemented: ({ what, nr, sub }) => `${what} ${hex(nr)}, ${hex(sub)}`,
};

function subject(event: MachineEvent, names: PrintNames, channels: ChannelTypes): string {
  const about = ABOUT[event.kind] as ((event: MachineEvent, names: PrintNames) => string) | undefined;
  if (about) return about(event, names);
  if ('port' in event && PLAIN.has(event.kind)) {
    const type = channels(event.domain, event.port, event.seq);
    return `port ${event.port}${type === undefined ? '' : ` (${type})`}`;
  }
  const values = event as unknown as Record<string, string>;
  return enumerations(event.kind)
    .map((name) => values[name])
    .join(' ');
}

/** What a port of a domain was bound to at a time. */
type ChannelTypes = (domain: number, port: number, seq: number) => string | undefined;

function channelTypes(recording: Recording, { kinds }: EventFilter): ChannelTypes {
  if (kinds && !kinds.some((kind) => PLAIN.has(kind))) return () => undefined;
  const binds = new Map<string, { readonly seq: number; readonly type: string }[]>();
  for (const { batch, base, seq } of matches(recording, { kinds: ['evtchn-bind'] })) {
    const event = decodeRecord(batch.words, base, seq, batch.blobs, blobStart(batch, base));
    if (event.kind !== 'evtchn-bind') continue;
    const key = `${event.domain} ${event.port}`;
    if (!binds.has(key)) binds.set(key, []);
    binds.get(key)!.push({ seq, type: event.type });
  }
  return (domain, port, seq) => binds.get(`${domain} ${port}`)?.findLast((bind) => bind.seq < seq)?.type;
}

/** Columns beside the total that fit a line. */
const MAX_COLUMNS = 12;
const COLUMN = 11;

/**
 * Rows as a table for people: the total alone on the first line, then a line a row with a column a vcpu, or a domain if
 * those are too many; with one place or very many of them, there are no columns.
 */
export function countLines(rows: readonly EventCount[]): string[] {
  const total = rows.reduce((sum, { count }) => sum + count, 0);
  if (rows.length === 0) return [String(total)];
  const vcpus = columnsOf(rows, (at) => at);
  const columns = vcpus.length <= MAX_COLUMNS ? vcpus : columnsOf(rows, domainOf);
  const shown = columns.length <= MAX_COLUMNS && columns.length > 1 ? columns : [];
  const line = (what: string, cells: readonly string[]) =>
    `${what.padEnd(34)}${cells.map((cell) => cell.padStart(COLUMN)).join('')}`;
  const lines = [String(total), line('', ['all', ...shown])];
  const put = ({ what, count, at, of }: EventCount, indent: string): void => {
    const here = shown.map((column) =>
      Object.entries(at).reduce((sum, [each, n]) => sum + (each === column || domainOf(each) === column ? n : 0), 0),
    );
    lines.push(
      line(
        `${indent}${what}`,
        [count, ...here].map((n) => (n === 0 ? '-' : grouped(n))),
      ),
    );
    for (const row of of) put(row, `${indent}  `);
  };
  for (const row of rows) put(row, '');
  return lines;
}

function domainOf(at: string): string {
  return at.replace(/v\d+$/, '');
}

/** In the order of domains and vcpus: `d1`, `d1v0`, `d1v1`, `d2v0`, then those that are no domains. */
function columnsOf(rows: readonly EventCount[], name: (at: string) => string): string[] {
  const rank = (at: string): number => {
    const [, domain, vcpu] = /^d(\d+)(?:v(\d+))?$/.exec(at) ?? [];
    return domain === undefined ? Number.MAX_SAFE_INTEGER : Number(domain) * 1000 + Number(vcpu ?? -1);
  };
  const names = new Set(rows.flatMap(({ at }) => Object.keys(at).map(name)));
  return [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

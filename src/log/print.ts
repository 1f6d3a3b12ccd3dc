/**
 * Events for people, one a line, and for programs, one JSON object a line (JSON Lines).
 *
 *          seq            tick  where     kind               what
 *           12         104,882  d1v0 p0   hypercall          sched_op(0x1, 0x0)
 *
 * Guests decide what is in text and bytes: whatever could steer a terminal is escaped.
 */
import type { MachineEvent } from './event.ts';
import { DOMID_IDLE, DOMID_XEN, type FieldType, type KindName } from './kinds.ts';
import { LAYOUTS } from './record.ts';

/** Names that the log itself does not know, injected by whoever does. */
export interface PrintNames {
  /** Name of a hypercall by number: `sched_op`. */
  hypercall?(nr: number): string | undefined;
  /** Name of what the arguments ask of a hypercall that does several things: `send` of event_channel_op. */
  suboperation?(nr: number, args: readonly bigint[]): string | undefined;
  /** Name of an errno by its positive number: `ENOSYS`. */
  errno?(nr: number): string | undefined;
}

/** Text longer than this is cut in lines for people. */
const MAX_TEXT = 72;

/**
 * An event as plain JSON: `{ seq, tick, kind, domain, vcpu, pcpu, … }` and its fields in the table's order. u64 are
 * `"0x…"`, i64 numbers (decimal strings beyond ±2^53), bytes hexadecimal, chars strings with one character a byte.
 */
export function eventToJson(event: MachineEvent): Record<string, unknown> {
  const { seq, tick, kind, domain, vcpu, pcpu } = event;
  const json: Record<string, unknown> = { seq, tick, kind, domain, vcpu, pcpu };
  const values = event as unknown as Record<string, unknown>;
  for (const { name, type } of LAYOUTS.get(kind)!.fields) json[name] = fieldToJson(type, values[name]);
  return json;
}

function fieldToJson(type: FieldType, value: unknown): unknown {
  switch (type) {
    case 'u64':
      return hex(value as bigint);
    case 'u64x5':
      return (value as bigint[]).map(hex);
    case 'i64': {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : String(value);
    }
    case 'bytes':
      return Buffer.from(value as Uint8Array).toString('hex');
    case 'chars':
      return Buffer.from(value as Uint8Array).toString('latin1');
    default:
      return value;
  }
}

/** An event as one line, without a newline. */
export function eventLine(event: MachineEvent, names: PrintNames = {}): string {
  const seq = String(event.seq).padStart(9);
  const tick = grouped(event.tick).padStart(15);
  return `${seq} ${tick}  ${place(event).padEnd(9)} ${event.kind.padEnd(17)} ${eventDetails(event, names)}`.trimEnd();
}

/** Heading for `eventLine`. */
export function eventHeading(): string {
  return `${'seq'.padStart(9)} ${'tick'.padStart(15)}  ${'where'.padEnd(9)} ${'kind'.padEnd(17)} what`;
}

/** `d1v0 p0`; `xen` and `idle` for the domains that are none. */
export function place(event: { domain: number; vcpu: number; pcpu: number }): string {
  const { domain, vcpu, pcpu } = event;
  const name = domain === DOMID_XEN ? 'xen' : domain === DOMID_IDLE ? 'idle' : `d${domain}`;
  return `${name}${vcpu < 0 ? '' : `v${vcpu}`}${pcpu < 0 ? '' : ` p${pcpu}`}`;
}

/** The fields of an event, in words. */
export function eventDetails(event: MachineEvent, names: PrintNames = {}): string {
  switch (event.kind) {
    case 'hypercall':
      return `${hypercallName(event.nr, names)}(${usedArguments(event.args).map(hex).join(', ')})`;
    case 'hypercall-return':
      return `${hypercallName(event.nr, names)} = ${eventResult(event.result, names)}`;
    case 'io':
      return `port ${hex(event.port)} ${event.write ? '<-' : '->'} ${hex(event.value)} (${event.size})`;
    case 'mmio':
      return `${hex(event.gpa)} ${event.write ? '<-' : '->'} ${hex(event.value)} (${event.size})`;
    case 'msr':
      return `${hex(event.index)} ${event.write ? '<-' : '->'} ${hex(event.value)}`;
    default:
      return generic(event);
  }
}

function generic(event: MachineEvent): string {
  const values = event as unknown as Record<string, unknown>;
  return LAYOUTS.get(event.kind as KindName)!
    .fields.map(({ name, type }) => `${name}=${fieldToText(type, values[name])}`)
    .join(' ');
}

function fieldToText(type: FieldType, value: unknown): string {
  switch (type) {
    case 'hex':
    case 'u64':
      return hex(value as number | bigint);
    case 'u64x5':
      return (value as bigint[]).map(hex).join(',');
    case 'bytes': {
      const bytes = Buffer.from(value as Uint8Array);
      return bytes.length > 32 ? `${bytes.toString('hex', 0, 32)}… (${bytes.length} bytes)` : bytes.toString('hex');
    }
    case 'chars':
      return quote(Buffer.from(value as Uint8Array).toString('latin1'));
    case 'text':
      return quote(value as string);
    case 'u53':
      return value === Number.MAX_SAFE_INTEGER ? 'never' : String(value);
    default:
      return String(value);
  }
}

export function hypercallName(nr: number, names: PrintNames): string {
  return names.hypercall?.(nr) ?? `hypercall ${nr}`;
}

/** A hypercall's result, an error with its name. */
export function eventResult(value: bigint, names: PrintNames): string {
  const errno = value < 0n && value > -4096n ? names.errno?.(Number(-value)) : undefined;
  return errno ? `${value} (${errno})` : String(value);
}

/** Arguments up to the last that is not zero, and at least one: how many a hypercall takes is not recorded. */
function usedArguments(args: readonly bigint[]): readonly bigint[] {
  return args.slice(0, Math.max(1, args.findLastIndex((arg) => arg !== 0n) + 1));
}

/** `1,234,567`, the same on every host. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** Text in double quotes on one line, harmless to a terminal. */
export function quote(text: string, max = MAX_TEXT): string {
  const cut = text.length > max ? `${text.slice(0, max)}` : text;
  const escaped = cut.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}"\\]/gu, escapeCharacter);
  return `"${escaped}"${text.length > max ? `… (${text.length})` : ''}`;
}

function escapeCharacter(char: string): string {
  const known: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '"': '\\"', '\\': '\\\\' };
  const code = char.codePointAt(0)!;
  return known[char] ?? (code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`);
}

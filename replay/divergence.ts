/** The first difference between a recording and its replay, as an answer (DESIGN C5). */
import type { MachineEvent } from '../src/log/event.ts';
import { eventDetails, eventLine, eventToJson, grouped, place, type PrintNames } from '../src/log/print.ts';

/** Where the guest was when the replay was stopped. */
export interface GuestPlace {
  readonly domain: number;
  readonly vcpu: number;
  readonly rip: bigint;
  /** `function+0x12`, if the image has symbols. */
  readonly symbol?: string | undefined;
}

/**
 *   different   both have an event at `seq`, and they differ
 *   missing     the recording has one, the replay ended or stood still before it
 *   extra       the replay has one, the recording ended before it
 *   digest      every event matched, but the recording's final digest is of other events
 */
export type DivergenceReason = 'different' | 'missing' | 'extra' | 'digest';

export interface Divergence {
  readonly reason: DivergenceReason;
  readonly seq: number;
  /** Of the event in the replay, or where the replay stood. */
  readonly tick: number;
  readonly domain: number;
  readonly vcpu: number;
  readonly place: GuestPlace | undefined;
  readonly expected: MachineEvent | undefined;
  readonly actual: MachineEvent | undefined;
  /** Names of the fields that differ. */
  readonly fields: readonly string[];
  /** The last events that matched, oldest first. */
  readonly before: readonly MachineEvent[];
}

/** Names of what differs between two events: `tick`, `port`, … */
export function differingFields(expected: MachineEvent | undefined, actual: MachineEvent | undefined): string[] {
  if (!expected || !actual) return [];
  const a = eventToJson(expected);
  const b = eventToJson(actual);
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names.filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]));
}

/** The report for people: several lines. */
export function divergenceText(divergence: Divergence, names: PrintNames = {}): string {
  const { reason, seq, expected, actual, place: guest } = divergence;
  const first: Record<DivergenceReason, string> = {
    different: `event ${seq} differs`,
    missing: `the replay stands still before event ${seq}, which the recording has`,
    extra: `the replay goes on with event ${seq}, where the recording ended`,
    digest: 'every event matches, but the final digest is that of another session',
  };
  const lines = [`diverged: ${first[reason]}`];
  lines.push(`  at tick   ${grouped(divergence.tick)}, ${place({ ...divergence, pcpu: -1 })}`);
  if (guest) {
    const symbol = guest.symbol ? ` (${guest.symbol})` : '';
    lines.push(`  guest at  rip 0x${guest.rip.toString(16)}${symbol}, ${place({ ...guest, pcpu: -1 })}`);
  }
  const side = (event: MachineEvent | undefined) =>
    event ? `${event.kind} ${eventDetails(event, names)}  [tick ${event.tick}, ${place(event)}]` : '(nothing)';
  if (reason !== 'digest') lines.push(`  recorded  ${side(expected)}`, `  replayed  ${side(actual)}`);
  if (divergence.fields.length > 0) lines.push(`  differ in ${divergence.fields.join(', ')}`);
  if (divergence.before.length > 0) {
    lines.push('  the last events that matched:');
    for (const event of divergence.before) lines.push(`  ${eventLine(event, names)}`);
  }
  return lines.join('\n');
}

/** The same for programs. */
export function divergenceToJson(divergence: Divergence): Record<string, unknown> {
  const { reason, seq, tick, domain, vcpu, place: guest, expected, actual, fields, before } = divergence;
  return {
    reason,
    seq,
    tick,
    domain,
    vcpu,
    rip: guest ? `0x${guest.rip.toString(16)}` : null,
    symbol: guest?.symbol ?? null,
    expected: expected ? eventToJson(expected) : null,
    actual: actual ? eventToJson(actual) : null,
    fields,
    before: before.map(eventToJson),
  };
}

/** A session at a glance: who ran when, a lane a domain, and the moments that matter. */
import type { MachineEvent } from '../src/log/event.ts';
import { eventDetails, grouped, place, type PrintNames } from '../src/log/print.ts';
import type { Recording } from '../src/log/recording.ts';
import { selectEvents } from '../src/log/select.ts';

/** Shares of a lane's cell: none, up to a quarter, …, all of it. */
const SHADES = [' ', '░', '▒', '▓', '█'];

/**
 * Lanes of `width` cells, one a line. A cell's shade is how much of its time the domain had a processor, with all its
 * vcpus counted together.
 */
export function lanes(recording: Recording, width: number): string[] {
  const ticks = Math.max(1, recording.lastTick);
  const names = new Map<number, string>();
  const time = new Map<number, Float64Array>();
  /** Who has which processor since when. */
  const running = new Map<number, { domain: number; since: number }>();
  const add = (domain: number, from: number, to: number) => {
    const cells = time.get(domain) ?? new Float64Array(width);
    time.set(domain, cells);
    const cell = ticks / width;
    for (let i = Math.floor(from / cell); i < width && i * cell < to; i++) {
      cells[i] += Math.max(0, Math.min(to, (i + 1) * cell) - Math.max(from, i * cell)) / cell;
    }
  };
  const kinds = ['domain-create', 'context-switch', 'idle'] as const;
  for (const event of selectEvents(recording, { kinds })) {
    if (event.kind === 'domain-create') {
      names.set(event.domain, event.name);
      continue;
    }
    for (const [pcpu, { domain, since }] of event.kind === 'idle'
      ? running
      : [...running].filter(([p]) => p === event.pcpu)) {
      add(domain, since, event.tick);
      running.delete(pcpu);
    }
    if (event.kind === 'context-switch' && names.has(event.toDomain)) {
      running.set(event.pcpu, { domain: event.toDomain, since: event.tick });
    }
  }
  for (const { domain, since } of running.values()) add(domain, since, ticks);
  const longest = Math.max(...[...names.values()].map((name) => name.length), 0);
  return [...names].map(([domain, name]) => {
    const cells = time.get(domain) ?? new Float64Array(width);
    const lane = Array.from(cells, (share) => SHADES[Math.min(4, Math.ceil(share * 4))]).join('');
    return `d${domain} ${name.padEnd(longest)} │${lane}│`;
  });
}

/** The moments of a session that a person asks for first, as lines `tick  where  what`. */
export function moments(recording: Recording, names: PrintNames = {}): string[] {
  const lines: string[] = [];
  const seen = new Set<string>();
  const once: ReadonlySet<string> = new Set([
    'evtchn-bind',
    'grant-map',
    'grant-unmap',
    'triple-fault',
    'unimplemented',
  ]);
  const always: ReadonlySet<string> = new Set(['domain-create', 'domain-shutdown', 'end', 'stop']);
  const kinds = [...once, ...always] as MachineEvent['kind'][];
  for (const event of selectEvents(recording, { kinds })) {
    const key = `${event.kind} ${event.domain}`;
    if (once.has(event.kind) && (seen.has(key) || event.tick === 0)) continue;
    seen.add(key);
    const first = once.has(event.kind) ? 'first ' : '';
    lines.push(
      `${grouped(event.tick).padStart(15)}  ${place(event).padEnd(8)} ${first}${event.kind} ${eventDetails(event, names)}`,
    );
  }
  return lines;
}

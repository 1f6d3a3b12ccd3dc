/**
 * A moment of a recording as a picture of text: lanes of time, registers, code, events and console, in any size.
 *
 *      rexen view linux.rxn   tick 1,234,567 of 1,732,440,398 (0.1 %)   #1,022
 *      d1 linux │█████▓▓░░  ░░▒▒▒▒████                    │   how much of the time it ran
 *               │!hhhccch   ..hhcc                        │   what happened
 *               │        ▲                                │   you are here
 */
import type { EventIndex } from './view-index.ts';
import { signOf, SIGNS_TEXT } from './view-index.ts';
import { grouped } from '../src/log/print.ts';

/** Everything that is drawn. Plain data but for the index, which never changes. */
export interface ViewState {
  readonly file: string;
  readonly index: EventIndex;
  readonly tick: number;
  /** The stretch of time that the lanes show. */
  readonly window: { readonly from: number; readonly to: number };
  /** Whose registers, console and steps: `d1v0`, `any vcpu`. */
  readonly selected: string;
  readonly registers: readonly string[];
  readonly code: readonly string[];
  /** `=>` is before the one that comes next. */
  readonly events: readonly { readonly text: string; readonly next: boolean }[];
  readonly console: string;
  /** What is typed after a question, or undefined. */
  readonly prompt: string | undefined;
  readonly message: string;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface Line {
  readonly text: string;
  readonly style: 'plain' | 'bar' | 'here' | 'dim';
}

/** Shares of a lane's cell: none, up to a quarter, …, all of it. */
const SHADES = [' ', '░', '▒', '▓', '█'];
const LEAST: Size = { columns: 40, rows: 12 };
export const HELP = '←→ step  n/p event  g go to  +/- zoom  PgUp/PgDn  Home/End  Tab vcpu  q quit';

/** Exactly `rows` lines of at most `columns` characters. Below 40 × 12 it is cut, not squeezed. */
export function render(state: ViewState, size: Size): Line[] {
  const columns = Math.max(LEAST.columns, size.columns);
  const rows = Math.max(LEAST.rows, size.rows);
  const head = [title(state), ...timeLines(state, columns)];
  const foot: Line[] = [{ text: state.prompt ?? (state.message || ` ${HELP}`), style: 'bar' }];
  const room = rows - head.length - foot.length;
  const body = columns >= 140 ? sideBySide(state, columns, room) : stacked(state, room);
  const lines = [...head, ...body.slice(0, Math.max(0, room)), ...foot];
  return lines
    .slice(-rows)
    .map(({ text, style }) => ({ text: cut(text, size.columns), style }))
    .slice(0, size.rows);
}

function title({ file, tick, index, selected }: ViewState): Line {
  const percent = ((100 * tick) / Math.max(1, index.lastTick)).toFixed(1);
  const where = `tick ${grouped(tick)} of ${grouped(index.lastTick)} (${percent} %)`;
  return {
    text: ` rexen view ${printable(file.slice(file.lastIndexOf('/') + 1))}   ${where}   ${selected}`,
    style: 'bar',
  };
}

/** Two lines a domain, then the marker and the ends of the window. */
function timeLines({ index, window, tick }: ViewState, columns: number): Line[] {
  const names = [...index.domains].map(([domain, name]) => ({ domain, label: printable(`d${domain} ${name}`) }));
  const labels = Math.min(20, Math.max(4, ...names.map(({ label }) => label.length)));
  const width = columns - labels - 4;
  const cell = (window.to - window.from) / width;
  const lane = (draw: (from: number, to: number) => string) =>
    Array.from({ length: width }, (_, i) => draw(window.from + i * cell, window.from + (i + 1) * cell)).join('');
  const lines: Line[] = names.flatMap(({ domain, label }) => [
    {
      text: ` ${label.slice(0, labels).padEnd(labels)} │${lane((from, to) => shade(index.share(from, to, domain)))}│`,
      style: 'plain' as const,
    },
    {
      text: ` ${' '.repeat(labels)} │${lane((from, to) => signOf(index.kindsIn(from, to, domain)))}│`,
      style: 'plain' as const,
    },
  ]);
  const at = Math.min(width - 1, Math.max(0, Math.floor((tick - window.from) / cell)));
  const marker = `${' '.repeat(labels + 2)}│${' '.repeat(at)}▲`;
  lines.push({ text: marker, style: 'here' });
  const [from, to] = [grouped(Math.floor(window.from)), grouped(Math.ceil(window.to))];
  const gap = Math.max(1, width - from.length - to.length);
  const legend = SIGNS_TEXT.length < gap - 3 ? SIGNS_TEXT : '';
  const left = Math.floor((gap - legend.length) / 2);
  const scale = `${from}${' '.repeat(left)}${legend}${' '.repeat(gap - legend.length - left)}${to}`;
  lines.push({ text: `${' '.repeat(labels + 3)}${scale}`, style: 'dim' });
  return lines;
}

function shade(share: number): string {
  return SHADES[Math.min(4, Math.ceil(share * 4 - 1e-9))]!;
}

/** All parts below each other; code, events and console share what the registers leave. */
function stacked(state: ViewState, room: number): Line[] {
  const left = room - state.registers.length - 3;
  const code = Math.max(1, Math.min(state.code.length, Math.floor(left * 0.4)));
  const events = Math.max(1, Math.min(state.events.length, Math.floor(left * 0.3)));
  return [
    ...registerLines(state),
    ...part('code', codeLines(state, code)),
    ...part('events', eventLines(state, events)),
    ...part('console', consoleLines(state, Math.max(0, left - code - events))),
  ];
}

/** Wide terminals: registers and code on the left, events on the right, the console below. */
function sideBySide(state: ViewState, columns: number, room: number): Line[] {
  const upper = Math.max(state.registers.length + 2, Math.floor(room * 0.6));
  const half = Math.floor(columns * 0.55);
  const left = [...registerLines(state), ...part('code', codeLines(state, upper - state.registers.length - 1))];
  const right = part('events', eventLines(state, upper - 1));
  const lines = Array.from({ length: upper }, (_, i): Line => {
    const one = cut(left[i]?.text ?? '', half - 2).padEnd(half - 2);
    const here = left[i]?.style === 'here' || right[i]?.style === 'here';
    return { text: `${one}│ ${right[i]?.text ?? ''}`, style: here ? 'here' : 'plain' };
  });
  return [...lines, ...part('console', consoleLines(state, Math.max(0, room - upper - 1)))];
}

function part(name: string, lines: readonly Line[]): Line[] {
  return [{ text: `── ${name} ${'─'.repeat(40)}`, style: 'dim' }, ...lines];
}

function registerLines({ registers }: ViewState): Line[] {
  return registers.map((text) => ({ text: ` ${printable(text)}`, style: 'plain' }));
}

function codeLines({ code }: ViewState, rows: number): Line[] {
  const lines = code.slice(0, rows).map((text): Line => {
    return { text: ` ${printable(text)}`, style: text.startsWith('=>') ? 'here' : 'plain' };
  });
  return filled(lines, rows);
}

/** With the next event in the middle. */
function eventLines({ events }: ViewState, rows: number): Line[] {
  const next = Math.max(
    0,
    events.findIndex((event) => event.next),
  );
  const first = Math.max(0, Math.min(next - Math.floor(rows / 2), events.length - rows));
  const lines = events.slice(first, first + rows).map((event): Line => {
    return { text: `${event.next ? '=>' : '  '}${printable(event.text)}`, style: event.next ? 'here' : 'plain' };
  });
  return filled(lines, rows);
}

/** The last lines that were printed, as a terminal without control sequences would show them. */
function consoleLines({ console: printed }: ViewState, rows: number): Line[] {
  if (rows <= 0) return [];
  const plain = printed.replace(/\x1b\[[\d;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]/g, '').replace(/\r+\n/g, '\n');
  const lines = plain.split('\n').map((line) => printable(line.slice(line.lastIndexOf('\r') + 1)));
  if (lines.at(-1) === '') lines.pop();
  return filled(
    lines.slice(-rows).map((text): Line => ({ text: ` ${text}`, style: 'plain' })),
    rows,
  );
}

function filled(lines: readonly Line[], rows: number): Line[] {
  const blank: Line = { text: '', style: 'plain' };
  return Array.from({ length: rows }, (_, i) => lines[i] ?? blank);
}

/** Guests decide what is in texts: what could steer a terminal, or is wider than a cell, becomes a dot. */
function printable(text: string): string {
  return text.replace(/\t/g, '    ').replace(/[^\x20-\x7e]/g, '.');
}

function cut(text: string, columns: number): string {
  return text.length > columns ? text.slice(0, Math.max(0, columns)) : text;
}

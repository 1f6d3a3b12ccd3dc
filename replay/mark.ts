/** A place in a recording, as a value. */
import type { Recording } from '../src/log/recording.ts';
import { ConsoleText } from '../src/inspect/condition/event-match.ts';
import { selectEvents } from '../src/log/select.ts';

/** Before the instruction that takes tick `tick`; with `seq`, at that event of it. Order: tick, then event. */
export interface Mark {
  readonly tick: number;
  readonly seq?: number;
}

export function compareMarks(a: Mark, b: Mark): number {
  return a.tick - b.tick || (a.seq ?? -1) - (b.seq ?? -1);
}

export function markText({ tick, seq }: Mark): string {
  return seq === undefined ? String(tick) : `#${seq}`;
}

const HELP =
  'a mark is a tick (123_456), a time (1.5s, 20ms, 7us), an event (#45), end, or console:"TEXT" (:2 behind it for the second time, :last), each with +TICKS or -TICKS behind it if wanted';

/**
 * Reads a mark:
 *
 *     123_456  1e6             the tick       1.5s 20ms 7us   virtual time since the start
 *     #45                      event number 45
 *     end                      the last tick
 *     console:"login: "        where a console has printed this text for the first time; escapes are JSON's
 *     console:"login: ":3      for the third time; :last for the last
 *     console:login            without quotes, to the end
 *     end-1000  #45+10         so many ticks before or behind
 *
 * @param beyond whether places behind the end will do: where something is asked for up to there
 * @throws RangeError for people
 */
export function parseMark(text: string, recording: Recording, beyond: 'refused' | 'allowed' = 'refused'): Mark {
  const bounds: Bounds = {
    first: recording.header?.start?.tick ?? 0,
    last: recording.lastTick,
    limit: beyond === 'allowed' ? Number.MAX_SAFE_INTEGER : recording.lastTick,
  };
  const [, words] = /^console:([^"].*)$/s.exec(text) ?? [];
  if (words !== undefined) return markOfConsole(recording, words, 1);
  const [, base = text, sign, distance] = /^(.*?)(?:([+-])([\d_,]+))?$/s.exec(text) ?? [];
  const mark = baseMark(base, text, recording, bounds);
  if (distance === undefined) return mark;
  return within(bounds, mark.tick + (sign === '+' ? 1 : -1) * number(distance), text);
}

function baseMark(base: string, text: string, recording: Recording, bounds: Bounds): Mark {
  if (base === 'end') return { tick: recording.lastTick };
  const [, event] = /^#([\d_,]+)$/.exec(base) ?? [];
  if (event !== undefined) return markOfEvent(recording, number(event));
  const [, time, unit] = /^(\d+(?:\.\d*)?|\.\d+)(s|ms|us|ns)$/.exec(base) ?? [];
  if (unit !== undefined) return within(bounds, Math.round(Number(time) * UNITS[unit]!), text);
  const [, quoted, , times] = /^console:("(?:[^"\\]|\\.)*")(:(\d+|last))?$/s.exec(base) ?? [];
  if (quoted !== undefined) {
    return markOfConsole(recording, unquoted(quoted), times === 'last' ? 'last' : Number(times ?? 1));
  }
  if (base.startsWith('console:"')) {
    throw new RangeError(`the text in ${base.slice(0, 60)} lacks its closing quote, or something strange follows it`);
  }
  if (!/^\d[\d_,]*(e\d{1,2})?$/.test(base))
    throw new RangeError(`"${text.slice(0, 60)}" is no place in a recording: ${HELP}`);
  return within(bounds, number(base), text);
}

const UNITS: Readonly<Record<string, number>> = { s: 1e9, ms: 1e6, us: 1e3, ns: 1 };

function number(text: string): number {
  return Number(text.replace(/[_,]/g, ''));
}

interface Bounds {
  readonly first: number;
  readonly last: number;
  readonly limit: number;
}

function within({ first, last, limit }: Bounds, tick: number, text: string): Mark {
  if (Number.isSafeInteger(tick) && tick >= first && tick <= limit) return { tick };
  throw new RangeError(`${text.slice(0, 60)} lies outside the recording, which goes from ${first} to ${last}`);
}

function markOfEvent(recording: Recording, seq: number): Mark {
  const entry = recording.batches.findLast((each) => each.firstSeq <= seq);
  if (entry === undefined || seq >= recording.events) {
    const first = recording.firstSeq;
    throw new RangeError(`there is no event #${seq}; they go from #${first} to #${recording.events - 1}`);
  }
  for (const event of selectEvents(recording, { from: entry.firstTick, to: entry.lastTick })) {
    if (event.seq === seq) return { tick: event.tick, seq };
  }
  throw new RangeError(`event #${seq} cannot be read`);
}

function unquoted(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new RangeError(`the text in ${text.slice(0, 60)} has an escape that JSON does not know`);
  }
}

/** The event with which some console's output contains `text` for the n-th time, all consoles counted together. */
function markOfConsole(recording: Recording, text: string, times: number | 'last'): Mark {
  if (text === '' || times === 0) throw new RangeError('console:"TEXT" needs a text, and times count from 1');
  const found = new ConsoleText({ kind: 'console', text });
  let seen = 0;
  let last: Mark | undefined;
  for (const event of selectEvents(recording, { kinds: ['console-output', 'console-io'] })) {
    const count = found.count(event);
    if (count === 0) continue;
    seen += count;
    last = { tick: event.tick, seq: event.seq };
    if (times !== 'last' && seen >= times) return last;
  }
  if (times === 'last' && last) return last;
  const said = JSON.stringify(text);
  throw new RangeError(seen === 0 ? `no console printed ${said}` : `consoles printed ${said} ${seen} times only`);
}

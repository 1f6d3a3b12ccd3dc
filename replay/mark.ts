/** A place in a recording, as a value. */
import type { Recording } from '../src/log/recording.ts';
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

const HELP = 'a mark is a tick (123_456), a time (1.5s, 20ms, 7us), an event (#45), end, end-1000, or console:"TEXT"';

/**
 * Reads a mark:
 *
 *     123_456      the tick            1.5s 20ms 7us   virtual time since the start
 *     #45          event number 45     end  end-1000   the last tick, or so many before it
 *     console:"login: "                where a console has printed this text for the first time
 *
 * @throws RangeError for people
 */
export function parseMark(text: string, recording: Recording): Mark {
  const [, event] = /^#([\d_,]+)$/.exec(text) ?? [];
  if (event !== undefined) return markOfEvent(recording, number(event));
  const [, back] = /^end(?:-([\d_,]+))?$/.exec(text) ?? [undefined, ''];
  if (back !== '') return within(recording, recording.lastTick - number(back ?? '0'), text);
  const [, time, unit] = /^([\d.]+)(s|ms|us|ns)$/.exec(text) ?? [];
  if (unit !== undefined) return within(recording, Math.round(Number(time) * UNITS[unit]!), text);
  const [, words] = /^console:(.+)$/s.exec(text) ?? [];
  if (words !== undefined) return markOfConsole(recording, unquoted(words));
  if (!/^\d[\d_,]*$/.test(text)) throw new RangeError(`"${text.slice(0, 60)}" is no place in a recording: ${HELP}`);
  return within(recording, number(text), text);
}

const UNITS: Readonly<Record<string, number>> = { s: 1e9, ms: 1e6, us: 1e3, ns: 1 };

function number(text: string): number {
  return Number(text.replace(/[_,]/g, ''));
}

function within(recording: Recording, tick: number, text: string): Mark {
  if (Number.isSafeInteger(tick) && tick >= 0 && tick <= recording.lastTick) return { tick };
  throw new RangeError(`${text} lies outside the recording, which goes from 0 to ${recording.lastTick}`);
}

function markOfEvent(recording: Recording, seq: number): Mark {
  const entry = recording.batches.findLast((each) => each.firstSeq <= seq);
  if (entry === undefined || seq >= recording.events) {
    throw new RangeError(`there is no event #${seq}; the last is #${recording.events - 1}`);
  }
  for (const event of selectEvents(recording, { from: entry.firstTick, to: entry.lastTick })) {
    if (event.seq === seq) return { tick: event.tick, seq };
  }
  throw new RangeError(`event #${seq} cannot be read`);
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new RangeError(`the text in ${text.slice(0, 60)} lacks its closing quote`);
  }
}

/** The event with which some console's output contains `text` for the first time. */
function markOfConsole(recording: Recording, text: string): Mark {
  const tails = new Map<number, string>();
  for (const event of selectEvents(recording, { kinds: ['console-output', 'console-io'] })) {
    const { domain, tick, seq } = event;
    const bytes = (event as unknown as { bytes: Uint8Array }).bytes;
    const all = (tails.get(domain) ?? '') + Buffer.from(bytes).toString('latin1');
    if (all.includes(text)) return { tick, seq };
    tails.set(domain, all.slice(-text.length));
  }
  throw new RangeError(`no console printed ${JSON.stringify(text)}`);
}

/** Whether an event, or a console's output, is what a condition names. */
import type { MachineEvent } from '../../log/event.ts';
import { eventToJson } from '../../log/print.ts';
import type { ConsoleAtom, EventAtom } from './node.ts';

/** Fields are compared as `--json` prints them. */
export function matchesEvent(event: MachineEvent, { name, fields }: EventAtom): boolean {
  if (event.kind !== name) return false;
  const json = eventToJson(event);
  return Object.entries(fields).every(([field, value]) => String(json[field]) === value);
}

/** Looks for a text in what consoles print, also where it comes in pieces. */
export class ConsoleText {
  readonly #text: string;
  readonly #tails = new Map<number | string, string>();

  constructor({ text }: ConsoleAtom) {
    // Consoles print bytes: a letter beyond ASCII is several of them.
    this.#text = Buffer.from(text, 'utf8').toString('latin1');
  }

  /** @returns how often the text is complete with this event */
  count(event: MachineEvent): number {
    if (event.kind !== 'console-output' && event.kind !== 'console-io') return 0;
    return this.add(event.domain, event.bytes);
  }

  /** The same for what came out of the console of `domain`. */
  add(domain: number | string, bytes: Uint8Array): number {
    const all = (this.#tails.get(domain) ?? '') + Buffer.from(bytes).toString('latin1');
    let count = 0;
    let rest = 0;
    for (let at = all.indexOf(this.#text); at >= 0 && this.#text !== ''; at = all.indexOf(this.#text, rest)) {
      count++;
      rest = at + this.#text.length;
    }
    // What a find has used is not looked at again.
    this.#tails.set(domain, all.slice(Math.max(rest, all.length - this.#text.length + 1)));
    return count;
  }
}

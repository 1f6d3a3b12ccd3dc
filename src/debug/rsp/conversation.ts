/** What a conversation with one gdb remembers, and what packets answer. */
import { type DebugTarget, type DebugThread, type Motion, processOf, type Work } from '../target.ts';
import { ANY, formatThread, type ParsedThread, parseThread } from './thread-ids.ts';

export class Conversation {
  readonly target: DebugTarget;
  /** Thread that g, m and their like mean (Hg); 0: the current one, -1: all. */
  general = 0;
  /** Thread that s and bs mean (Hc), perhaps any of a process: then `selected` says which. */
  moving: ParsedThread = { process: ANY, id: ANY };
  /** The thread that stopped, or that somebody chose since: gdb asks T for that one only. */
  selected: number;
  acknowledges = true;
  /** What the client said that it understands. */
  multiprocess = false;
  tellsBreakpoints = false;
  /** `target extended-remote`: the conversation goes on when nothing is debugged any more. */
  extended = false;
  /** gdb is done: it has let go of everything. */
  closed = false;
  /** Processes that it has let go of. */
  readonly detached = new Set<number>();
  /** Processes whose registers were described to gdb. It asks for the first one only, by itself. */
  readonly described = new Set<number>();
  /** Files open by vFile. */
  readonly files = new Map<number, Uint8Array>();

  constructor(target: DebugTarget) {
    this.target = target;
    this.selected = target.current;
  }

  threads(): readonly DebugThread[] {
    return this.target.threads().filter(({ id }) => !this.detached.has(processOf(id)));
  }

  /** The thread meant by g, m and their like. */
  get chosen(): number {
    return this.general > 0 ? this.general : this.target.current;
  }
  get chosenToMove(): number {
    return this.#resolve(this.moving, this.selected);
  }

  format(id: number): string {
    return formatThread(id, this.multiprocess);
  }

  /** An id of a thread, 0 or -1, from a packet's words. @throws Malformed */
  thread(text: string): number {
    const parsed = parseThread(text);
    return parsed.process <= 0 ? parsed.id : this.#resolve(parsed, this.target.current);
  }

  #resolve({ process, id }: ParsedThread, likely: number): number {
    if (id > 0) return id;
    if (process <= 0 || processOf(likely) === process) return likely;
    return this.threads().find((each) => processOf(each.id) === process)?.id ?? likely;
  }

  /** gdb lets go of a process, or of all. */
  detach(process: number | undefined): void {
    for (const { id } of this.threads()) {
      if (process === undefined || processOf(id) === process) this.detached.add(processOf(id));
    }
    if (this.threads().length === 0 && !this.extended) this.closed = true;
  }
}

/** An answer at once, a motion whose end will be the answer, or work that leads to one. */
export type Answer = string | { readonly motion: Motion } | { readonly work: Work<string> };

export const OK = 'OK';
export const ERROR = 'E01';

/** An error with words: gdb 13 shows those of some packets. */
export function errorText(why: string): string {
  return `E.${why}`;
}

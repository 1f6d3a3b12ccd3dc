/** vCont: which thread does what (GDB manual, appendix E.2). Time is one for all, so one thread's steps decide. */
import type { Motion } from '../target.ts';
import { type Answer, type Conversation, ERROR } from './conversation.ts';
import { big } from './numbers.ts';

export const ACTIONS = 'vCont;c;C;s;S;t;r';

/** The actions of a vCont, the leftmost that fits a thread counting. @throws Malformed */
export function resume(c: Conversation, args: string): Answer {
  const actions = args.split(';').map((each) => {
    const [what = '', thread] = each.split(':');
    return { what, thread: thread === undefined ? undefined : c.thread(thread) };
  });
  const mover = actions.find(({ what }) => /^[sSr]/.test(what));
  if (mover) {
    const thread = mover.thread ?? c.chosenToMove;
    const moved = thread > 0 ? thread : c.chosenToMove;
    const [, from, to] = /^r([0-9a-fA-F]+),([0-9a-fA-F]+)$/.exec(mover.what) ?? [];
    if (from !== undefined && to !== undefined) {
      return { motion: { kind: 'range', thread: moved, from: big(from), to: big(to) } };
    }
    return mover.what.startsWith('r') ? ERROR : step(moved, false);
  }
  return actions.some(({ what }) => /^[cC]([0-9a-fA-F]{2})?$/.test(what)) ? go(false) : ERROR;
}

export function step(thread: number, reverse: boolean): Answer {
  return { motion: { kind: 'step', reverse, thread: thread > 0 ? thread : undefined } satisfies Motion };
}

export function go(reverse: boolean): Answer {
  return { motion: { kind: 'continue', reverse } };
}

/**
 * Thread ids in packets (GDB manual, appendix E.1): `p<process>.<thread>` with the multiprocess extension, else one
 * number. 0 is any, -1 all.
 */
import { processOf, threadId, threadOf } from '../target.ts';
import { Malformed, number } from './numbers.ts';

export const ANY = 0;
export const ALL = -1;

export interface ParsedThread {
  /** ANY, ALL or a process; ANY without the extension. */
  readonly process: number;
  /** ANY, ALL or the whole id. With a process but ALL or ANY here: all or any of that. */
  readonly id: number;
}

/** @throws Malformed */
export function parseThread(text: string): ParsedThread {
  if (!text.startsWith('p')) return { process: ANY, id: signed(text) };
  const [process = '', thread = '-1'] = text.slice(1).split('.', 2);
  const p = signed(process);
  const t = signed(thread);
  if (p === ALL) return { process: ALL, id: ALL };
  if (t > 255) throw new Malformed();
  return { process: p, id: t > 0 && p > 0 ? threadId(p, t) : t };
}

function signed(text: string): number {
  return text === '-1' ? ALL : number(text);
}

export function formatThread(id: number, multiprocess: boolean): string {
  return multiprocess ? `p${processOf(id).toString(16)}.${threadOf(id).toString(16)}` : id.toString(16);
}

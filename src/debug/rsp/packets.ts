/** The packets that are understood: one table, one small function each. Whatever is not in it is answered with ''. */
import type { DebugTarget, Motion, PointKind } from '../target.ts';
import { fromHex, MAX_PACKET, toHex } from './framing.ts';

/** What a conversation with one gdb remembers. */
export interface Conversation {
  readonly target: DebugTarget;
  /** Thread that g, m and their like mean (Hg), and the one that c, s, bc and bs mean (Hc); 0: the current one, -1: all. */
  general: number;
  moving: number;
  acknowledges: boolean;
  closed: boolean;
}

/** An answer, or a motion whose end will be the answer. */
export type Answer = string | { readonly motion: Motion };

export type PacketHandler = (c: Conversation, args: string) => Answer;

const OK = 'OK';
const ERROR = 'E01';
const MEMORY_ERROR = 'E0e';
const MAX_READ = MAX_PACKET / 2 - 16;

const SUPPORTED = [
  `PacketSize=${MAX_PACKET.toString(16)}`,
  'qXfer:features:read+',
  'QStartNoAckMode+',
  'ReverseStep+',
  'ReverseContinue+',
  'vContSupported+',
  'swbreak+',
  'hwbreak+',
].join(';');

/** By the packet's beginning; the longest that fits is taken. */
export const PACKETS: Readonly<Record<string, PacketHandler>> = {
  '?': () => ({ motion: { kind: 'none' } }),
  qSupported: () => SUPPORTED,
  QStartNoAckMode: (c) => {
    c.acknowledges = false;
    return OK;
  },
  'qXfer:features:read:target.xml:': (c, args) => window(c.target.targetXml, args),
  qfThreadInfo: (c) =>
    `m${c.target
      .threads()
      .map(({ id }) => id.toString(16))
      .join(',')}`,
  qsThreadInfo: () => 'l',
  'qThreadExtraInfo,': (c, args) => {
    const thread = c.target.threads().find(({ id }) => id === number(args));
    return thread ? toHex(latin1(thread.text)) : ERROR;
  },
  qC: (c) => `QC${c.target.current.toString(16)}`,
  qAttached: () => '1',
  'qSymbol:': () => OK,
  'qRcmd,': (c, args) => {
    const text = fromHex(args);
    return text ? toHex(latin1(c.target.monitor(Buffer.from(text).toString('latin1')))) || OK : ERROR;
  },
  Hg: (c, args) => {
    c.general = thread(args);
    return OK;
  },
  Hc: (c, args) => {
    c.moving = thread(args);
    return OK;
  },
  T: (c, args) => (c.target.threads().some(({ id }) => id === number(args)) ? OK : ERROR),
  g: (c) => hexOr(c.target.readRegisters(chosen(c))),
  p: (c, args) => hexOr(c.target.readRegister(chosen(c), number(args))),
  P: (c, args) => {
    const [register = '', content = ''] = args.split('=');
    const bytes = fromHex(content);
    return bytes && c.target.writeRegister(chosen(c), number(register), bytes) ? OK : ERROR;
  },
  m: (c, args) => {
    const [address = '', length = ''] = args.split(',');
    const bytes = c.target.readMemory(chosen(c), big(address), Math.min(number(length), MAX_READ));
    return bytes && (bytes.length > 0 || number(length) === 0) ? toHex(bytes) : MEMORY_ERROR;
  },
  M: (c, args) => {
    const [place = '', content = ''] = args.split(':');
    return write(c, place, fromHex(content));
  },
  X: (c, args) => {
    const colon = args.indexOf(':');
    return write(c, args.slice(0, colon), latin1(args.slice(colon + 1)));
  },
  Z: (c, args) => {
    const point = pointOf(args);
    if (point === undefined) return '';
    return c.target.insertPoint(point.kind, point.address, point.length) ? OK : ERROR;
  },
  z: (c, args) => {
    const point = pointOf(args);
    if (point === undefined) return '';
    c.target.removePoint(point.kind, point.address, point.length);
    return OK;
  },
  'vCont?': () => 'vCont;c;C;s;S',
  'vCont;': (c, args) => {
    const actions = args.split(';').map((each) => each.split(':'));
    const step = actions.find(([what]) => /^[sS]/.test(what ?? ''));
    if (step) return motion('step', false, step[1] === undefined ? chosenToMove(c) : thread(step[1]));
    if (actions.some(([what]) => /^[cC]/.test(what ?? ''))) return motion('continue', false, undefined);
    return ERROR;
  },
  c: (_c, args) => (args === '' ? motion('continue', false, undefined) : ERROR),
  s: (c, args) => (args === '' ? motion('step', false, chosenToMove(c)) : ERROR),
  bc: () => motion('continue', true, undefined),
  bs: (c) => motion('step', true, chosenToMove(c)),
  D: (c) => {
    c.closed = true;
    return OK;
  },
  k: (c) => {
    c.closed = true;
    return OK;
  },
  vKill: (c) => {
    c.closed = true;
    return OK;
  },
};

const PREFIXES = Object.keys(PACKETS).sort((a, b) => b.length - a.length);

/** The answer to a packet; what it says wrong is an error to gdb and nothing to us. */
export function answer(c: Conversation, data: string): Answer {
  const prefix = PREFIXES.find((each) => data.startsWith(each));
  if (prefix === undefined) return '';
  try {
    return PACKETS[prefix]!(c, data.slice(prefix.length));
  } catch (error) {
    if (error instanceof Malformed) return ERROR;
    throw error;
  }
}

class Malformed extends Error {
  override readonly name = 'Malformed';
}

function motion(kind: 'step' | 'continue', reverse: boolean, id: number | undefined): Answer {
  return { motion: { kind, reverse, thread: id !== undefined && id > 0 ? id : undefined } };
}

function chosen(c: Conversation): number {
  return c.general > 0 ? c.general : c.target.current;
}
function chosenToMove(c: Conversation): number {
  return c.moving > 0 ? c.moving : chosen(c);
}

function number(hex: string): number {
  if (!/^[0-9a-fA-F]{1,8}$/.test(hex)) throw new Malformed();
  return Number.parseInt(hex, 16);
}
function big(hex: string): bigint {
  if (!/^[0-9a-fA-F]{1,16}$/.test(hex)) throw new Malformed();
  return BigInt(`0x${hex}`);
}
function thread(text: string): number {
  return text === '-1' ? -1 : number(text);
}

const KINDS: readonly PointKind[] = ['break', 'break', 'write', 'read', 'access'];

function pointOf(args: string): { kind: PointKind; address: bigint; length: number } | undefined {
  const [type = '', address = '', length = ''] = args.split(';')[0]!.split(',');
  const kind = KINDS[number(type)];
  return kind && { kind, address: big(address), length: number(length) };
}

function write(c: Conversation, place: string, bytes: Uint8Array | undefined): string {
  const [address = '', length = ''] = place.split(',');
  if (bytes === undefined || bytes.length !== number(length)) return ERROR;
  return bytes.length === 0 || c.target.writeMemory(chosen(c), big(address), bytes) ? OK : MEMORY_ERROR;
}

/** `offset,length` of an object for qXfer: `m` for more to come, `l` for the last part. */
function window(text: string, args: string): string {
  const [offset = '', length = ''] = args.split(',');
  const from = number(offset);
  const part = text.slice(from, from + Math.min(number(length), MAX_READ));
  return (from + part.length < text.length ? 'm' : 'l') + part;
}

function hexOr(bytes: Uint8Array | undefined): string {
  return bytes ? toHex(bytes) : ERROR;
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0) & 255);
}

/** The packets that are understood: one table, one small function each. Whatever is not in it is answered with ''. */
import { type PointKind, type PointRequest, processOf } from '../target.ts';
import { type Answer, type Conversation, ERROR, errorText, OK } from './conversation.ts';
import { fromHex, MAX_PACKET, toHex } from './framing.ts';
import { big, latin1, Malformed, number } from './numbers.ts';
import { ACTIONS, go, resume, step } from './resume.ts';
import { ALL, parseThread } from './thread-ids.ts';
import { fileRequest, transfer } from './transfers.ts';

export type PacketHandler = (c: Conversation, args: string) => Answer;

const MEMORY_ERROR = 'E0e';
const MAX_READ = MAX_PACKET / 2 - 16;
/**
 * gdb asks for the description of the first process alone. Of another one's registers it takes no more than those that it
 * knows anyway, which end here for i386 as for x86-64, and gives up if there are more. `unset tdesc filename` makes it ask there too.
 */
const UNDESCRIBED = 308;
const BACKWARDS = 'this session is live and knows no way back; open its recording with rexen debug for that';

const SUPPORTED = [
  `PacketSize=${MAX_PACKET.toString(16)}`,
  'qXfer:features:read+',
  'qXfer:threads:read+',
  'QStartNoAckMode+',
  'vContSupported+',
  'ConditionalBreakpoints+',
  'multiprocess+',
  'swbreak+',
  'hwbreak+',
];

/** By the packet's beginning; the longest that fits is taken. */
export const PACKETS: Readonly<Record<string, PacketHandler>> = {
  // Who we are
  qSupported: (c, args) => {
    const theirs = args.replace(/^:/, '').split(';');
    c.multiprocess = theirs.includes('multiprocess+');
    c.tellsBreakpoints = theirs.includes('swbreak+');
    const backwards = c.target.reverses ? ['ReverseStep+', 'ReverseContinue+'] : [];
    const symbols = c.target.symbolFile(processOf(c.target.current)) ? ['qXfer:exec-file:read+'] : [];
    return [...SUPPORTED, ...backwards, ...symbols].join(';');
  },
  QStartNoAckMode: (c) => {
    c.acknowledges = false;
    return OK;
  },
  '!': (c) => {
    c.extended = true;
    return OK;
  },
  'qXfer:': transfer,
  'vFile:': fileRequest,
  qAttached: () => '1',
  'qSymbol:': () => OK,

  // Threads
  '?': () => ({ motion: { kind: 'none' } }),
  qfThreadInfo: (c) => {
    const ids = c.threads().map(({ id }) => c.format(id));
    return ids.length > 0 ? `m${ids.join(',')}`.slice(0, MAX_READ * 2) : 'l';
  },
  qsThreadInfo: () => 'l',
  'qThreadExtraInfo,': (c, args) => {
    const id = c.thread(args);
    const thread = c.threads().find((each) => each.id === id);
    return thread ? toHex(latin1(`${thread.name}: ${thread.text}`)) : ERROR;
  },
  qC: (c) => `QC${c.format(c.target.current)}`,
  Hg: (c, args) => {
    c.general = c.thread(args);
    return OK;
  },
  Hc: (c, args) => {
    c.moving = parseThread(args);
    return OK;
  },
  T: (c, args) => {
    const id = c.thread(args);
    if (!c.threads().some((each) => each.id === id)) return ERROR;
    c.selected = id;
    return OK;
  },

  // Registers and memory
  g: (c) => {
    const bytes = c.target.readRegisters(c.chosen);
    const isKnown = !c.multiprocess || c.described.has(processOf(c.chosen));
    return hexOr(isKnown ? bytes : bytes?.subarray(0, UNDESCRIBED));
  },
  G: (c, args) => {
    const bytes = fromHex(args);
    return bytes ? done(c.target.writeRegisters(c.chosen, bytes)) : ERROR;
  },
  p: (c, args) => hexOr(c.target.readRegister(c.chosen, number(args))),
  P: (c, args) => {
    const [register = '', content = ''] = args.split('=');
    const bytes = fromHex(content);
    return bytes ? done(c.target.writeRegister(c.chosen, number(register), bytes)) : ERROR;
  },
  m: (c, args) => {
    const [address = '', length = ''] = args.split(',');
    const bytes = c.target.readMemory(c.chosen, big(address), Math.min(number(length), MAX_READ));
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
    const point = pointOf(c, args);
    return point === undefined ? '' : done(c.target.insertPoint(point));
  },
  z: (c, args) => {
    const point = pointOf(c, args);
    if (point === undefined) return '';
    c.target.removePoint(point.kind, point.address, point.length, point.thread);
    return OK;
  },

  // Moving
  'vCont?': () => ACTIONS,
  'vCont;': resume,
  c: (_c, args) => (args === '' ? go(false) : ERROR),
  s: (c, args) => (args === '' ? step(c.chosenToMove, false) : ERROR),
  bc: (c) => (c.target.reverses ? go(true) : errorText(BACKWARDS)),
  bs: (c) => (c.target.reverses ? step(c.chosenToMove, true) : errorText(BACKWARDS)),
  /** `run MARK` of an extended-remote gdb: from the beginning, or from that place on. */
  'vRun;': (c, args) => {
    const [, ...words] = args.split(';').map((each) => fromHex(each));
    if (!c.target.reverses || words.some((each) => each === undefined)) return ERROR;
    c.detached.clear();
    return { motion: { kind: 'seek', place: words.map((each) => Buffer.from(each!).toString('latin1')).join(' ') } };
  },
  'qRcmd,': (c, args) => {
    const text = fromHex(args);
    return text ? { work: c.target.monitor(Buffer.from(text).toString('latin1')) } : ERROR;
  },

  // Goodbye: nothing is destroyed, whatever it is called
  D: (c, args) => {
    c.detach(args === '' ? undefined : number(args.replace(/^;/, '')));
    return OK;
  },
  'vKill;': (c, args) => {
    c.detach(number(args));
    return OK;
  },
  k: (c) => {
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

const KINDS: readonly PointKind[] = ['break', 'hbreak', 'write', 'read', 'access'];

/** `type,address,length;X len,bytecode …;cmds:…`: conditions are taken, commands are not. */
function pointOf(c: Conversation, args: string): PointRequest | undefined {
  const [place = '', ...rest] = args.split(';');
  const [type = '', address = '', length = ''] = place.split(',');
  const kind = KINDS[number(type)];
  if (kind === undefined) return undefined;
  const thread = c.general === ALL ? c.target.current : c.chosen;
  const conditions = rest.length === 0 ? [] : conditionsOf(rest.join(';'));
  const everywhere = !c.multiprocess;
  return { kind, address: big(address), length: number(length), thread, everywhere, conditions };
}

/** `X3,abcdefX2,abcd`: length of the bytecode, and the bytecode. @throws Malformed */
function conditionsOf(text: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  let rest = text;
  for (;;) {
    const [whole, length = ''] = /^;?X([0-9a-fA-F]{1,4}),/.exec(rest) ?? [];
    if (whole === undefined) return found;
    const digits = 2 * number(length);
    const bytes = fromHex(rest.slice(whole.length, whole.length + digits));
    if (bytes?.length !== digits / 2) throw new Malformed();
    found.push(bytes);
    rest = rest.slice(whole.length + digits);
  }
}

function write(c: Conversation, place: string, bytes: Uint8Array | undefined): string {
  const [address = '', length = ''] = place.split(',');
  if (bytes === undefined || bytes.length !== number(length)) return ERROR;
  if (bytes.length === 0) return OK;
  return c.target.writeMemory(c.chosen, big(address), bytes) === undefined ? OK : MEMORY_ERROR;
}

function done(why: string | undefined): string {
  return why === undefined ? OK : errorText(why);
}

function hexOr(bytes: Uint8Array | undefined): string {
  return bytes ? toHex(bytes) : ERROR;
}

/** Monitor commands about places in time: where we are, going elsewhere, marks, events, who wrote. */
import type { Work } from '../src/debug/target.ts';
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import type { MachineEvent } from '../src/log/event.ts';
import type { KindName } from '../src/log/kinds.ts';
import { eventLine, grouped } from '../src/log/print.ts';
import { kindNamed, selectEvents } from '../src/log/select.ts';
import { type Mark, markText, parseMark } from './mark.ts';
import { parseMemory, writeText } from './memory-text.ts';
import type { MonitorCommand } from './monitor.ts';
import { findWrite } from './queries.ts';
import { approach } from './scan.ts';
import { symbolIn, symbolsOf } from '../src/inspect/symbols.ts';
import type { Timeline } from './timeline.ts';

/** What the commands need of the debugger's target. */
export interface Traveller {
  readonly timeline: Timeline;
  /** The last tick to go to. */
  readonly end: number;
  vcpu(): Vcpu | undefined;
  /** The timeline stands elsewhere now. */
  moved(): void;
}

const FLUSH =
  'gdb does not know yet: type "maintenance flush register-cache" and "maintenance flush dcache"; the command seek of a gdb that rexen started does both\n';
const MAX_EVENTS = 100;
const MAX_MARKS = 1000;

/** The commands; their marks live as long as they do, whichever gdb comes and goes. */
export function travelCommands(traveller: Traveller): Readonly<Record<string, MonitorCommand>> {
  const marks = new Map<string, number>();
  const { timeline } = traveller;
  const markOf = (text: string): Mark => placeOf(text, traveller, marks);
  return {
    when: { usage: '', help: 'where we are', run: () => whenText(traveller) },
    seek: {
      usage: 'MARK',
      help: 'go to a tick, 1.5s, #EVENT, end-1000, console:"TEXT", +1000, -1000, a name given by mark',
      *run(args) {
        // -q: for scripts, which tell gdb themselves.
        const [, quiet, text = ''] = /^(-q\s+)?(.*)$/s.exec(args) ?? [];
        const mark = markOf(text);
        yield* approach(timeline, Math.min(mark.tick, traveller.end));
        traveller.moved();
        return `now at tick ${grouped(timeline.tick)} (${markText(mark)})\n${quiet ? '' : FLUSH}`;
      },
    },
    mark: {
      usage: 'NAME [MARK]',
      help: 'give this place, or that one, a name for seek',
      run: (args) => {
        const [, name = '', place] = /^(\S*)(?:\s+(.+))?$/s.exec(args) ?? [];
        if (!/^[A-Za-z_][\w.-]{0,40}$/.test(name)) throw new RangeError('a mark has a name, such as: monitor mark bad');
        if (place === undefined && timeline.diverted) throw new RangeError('a diversion has no place on the recording');
        if (marks.size >= MAX_MARKS) throw new RangeError('there are too many marks');
        const tick = place === undefined ? timeline.tick : markOf(place).tick;
        marks.set(name, tick);
        return `${name} is tick ${grouped(tick)}\n`;
      },
    },
    marks: {
      usage: '',
      help: 'marks and where they are',
      run: () =>
        [...marks].map(([name, tick]) => `${name.padEnd(20)} tick ${grouped(tick)}\n`).join('') || 'no marks\n',
    },
    unmark: {
      usage: 'NAME',
      help: 'forget a mark',
      run: (name) => {
        if (!marks.delete(name)) throw new RangeError(`there is no mark ${name}`);
        return '';
      },
    },
    events: {
      usage: '[KIND,…] [N]',
      help: `the N events (default 5, at most ${MAX_EVENTS}) before here and the next ones`,
      run: (args) => eventsText(timeline, args),
    },
    'who-wrote': {
      usage: 'ADDRESS|SYMBOL[:LENGTH]',
      help: 'the last write to these bytes before here; phys:ADDRESS for guest-physical',
      run: (args) => whoWroteText(traveller, args),
    },
  };
}

function whenText({ timeline, end }: Traveller): string {
  const { tick, session } = timeline;
  const at = `tick ${grouped(tick)} of ${grouped(timeline.lastTick)}, event #${session.log.seq}`;
  const seconds = `${(tick / 1e9).toFixed(6)} s`;
  if (timeline.diverted) return `${at}, ${seconds}, in a diversion from tick ${grouped(timeline.forkTick)}\n`;
  return `${at}, ${seconds}${tick >= end ? ', the end' : ''}\n`;
}

/** A mark as the command line has them, a name, or a distance from here. @throws RangeError */
function placeOf(text: string, { timeline }: Traveller, marks: ReadonlyMap<string, number>): Mark {
  if (text === '') throw new RangeError('where to? monitor help says what a mark is');
  const named = marks.get(text.replace(/^@/, ''));
  if (named !== undefined) return { tick: named };
  const [, sign, distance] = /^([+-])([\d_,]{1,20})$/.exec(text) ?? [];
  if (distance === undefined) return parseMark(text, timeline.recording);
  const here = timeline.diverted ? timeline.forkTick : timeline.tick;
  return parseMark(String(here + Number(sign + distance.replace(/[_,]/g, ''))), timeline.recording);
}

function eventsText(timeline: Timeline, args: string): string {
  const words = args.split(/\s+/).filter((word) => word !== '');
  const number = words.find((word) => /^\d+$/.test(word));
  const kinds: KindName[] = words.filter((word) => word !== number).flatMap((word) => word.split(',').map(kindNamed));
  const count = Math.max(1, Math.min(MAX_EVENTS, Number(number ?? 5)));
  const { seq } = timeline.session.log;
  const { batches } = timeline.recording;
  const near =
    kinds.length > 0 ? 0 : (batches.findLast((each) => each.firstSeq <= Math.max(0, seq - count))?.firstTick ?? 0);
  const before: MachineEvent[] = [];
  const after: MachineEvent[] = [];
  for (const event of selectEvents(timeline.recording, { from: near, kinds: kinds.length > 0 ? kinds : undefined })) {
    if (event.seq < seq) before.push(event);
    else after.push(event);
    if (before.length > count) before.shift();
    if (after.length >= count) break;
  }
  const lines = [...before.map((event) => ` ${eventLine(event)}\n`), ...after.map((event) => `>${eventLine(event)}\n`)];
  return lines.join('') || 'there are none\n';
}

function* whoWroteText({ timeline, vcpu, moved }: Traveller, args: string): Work<string> {
  const asking = vcpu();
  if (!asking) return 'no domain lives at this place\n';
  if (timeline.diverted) throw new RangeError('in a diversion only the recording can be asked: seek first');
  const { domain } = asking;
  const [, name, length] = /^([A-Za-z_.$][\w.$]*)(?::(\d+))?$/.exec(args) ?? [];
  const address = name === undefined ? undefined : symbolsOf(timeline.session, domain.id)?.address(name);
  if (name !== undefined && address === undefined) throw new RangeError(`${domain.name} has no symbol ${name}`);
  const memory = parseMemory(address === undefined ? args : `0x${address.toString(16)}:${length ?? 8}`);
  const here = timeline.tick;
  const write = yield* findWrite(timeline, { ...memory, domain: domain.id, vcpu: asking.id }, here);
  yield* approach(timeline, here);
  moved();
  const text = writeText(write, (rip) => symbolIn(timeline.session, domain.id, rip));
  return `${text}\n${write ? `monitor seek ${write.tick} goes there\n` : ''}`;
}

/** gdb's `monitor` commands: what a debugger of guests has no packets for. */
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import { eventLine, grouped } from '../src/log/print.ts';
import { selectEvents } from '../src/log/select.ts';
import { type Mark, markText, parseMark } from './mark.ts';
import { contents, translatePhysical } from './places.ts';
import { type Watched, whoWrote, type Write } from './queries.ts';
import type { Timeline } from './timeline.ts';

interface MonitorCommand {
  readonly usage: string;
  readonly help: string;
  run(monitor: Monitor, args: string): string;
}

const FLUSH = 'gdb does not know yet: type "maintenance flush register-cache"\n';
const MAX_LINES = 100;

const COMMANDS: Readonly<Record<string, MonitorCommand>> = {
  when: {
    usage: 'when',
    help: 'say where we are',
    run: ({ timeline }) => {
      const state = timeline.diverted ? ', in a diversion' : '';
      return `tick ${grouped(timeline.tick)} of ${grouped(timeline.lastTick)}, event #${timeline.session.log.seq}${state}\n`;
    },
  },
  seek: {
    usage: 'seek MARK',
    help: 'go to a tick, 1.5s, #EVENT, end-1000, console:"TEXT"',
    run: (monitor, args) => {
      const mark: Mark = parseMark(args, monitor.timeline.recording);
      monitor.timeline.seek(mark.tick);
      monitor.moved();
      return `now at tick ${grouped(monitor.timeline.tick)} (${markText(mark)})\n${FLUSH}`;
    },
  },
  events: {
    usage: 'events [N]',
    help: 'the N events before here and the next ones',
    run: ({ timeline }, args) => {
      const count = Math.max(1, Math.min(MAX_LINES, Number(args || 5) || 5));
      const { seq } = timeline.session.log;
      const lines: string[] = [];
      const { batches } = timeline.recording;
      const from = batches.findLast((each) => each.firstSeq <= Math.max(0, seq - count))?.firstTick ?? 0;
      for (const event of selectEvents(timeline.recording, { from })) {
        if (event.seq < seq - count) continue;
        if (event.seq >= seq + count) break;
        lines.push(`${event.seq < seq ? ' ' : '>'}${eventLine(event)}`);
      }
      return `${lines.join('\n')}\n`;
    },
  },
  'who-wrote': {
    usage: 'who-wrote ADDRESS[:LENGTH]',
    help: 'the last write to these bytes before here; phys:ADDRESS for guest-physical',
    run: (monitor, args) => {
      const vcpu = monitor.vcpu();
      if (!vcpu) return 'no vcpu is here\n';
      const watched = { ...parseMemory(args), domain: vcpu.domain.id, vcpu: vcpu.id };
      const here = monitor.timeline.tick;
      const write = whoWrote(monitor.timeline, watched, here);
      monitor.timeline.seek(here);
      return `${writeText(write)}\n`;
    },
  },
  domains: {
    usage: 'domains',
    help: 'domains and vcpus there are now',
    run: ({ timeline }) => {
      const lines: string[] = [];
      for (const domain of timeline.session.xen.domains.guests()) {
        const state = domain.shutdownReason === undefined ? '' : `, shut down (reason ${domain.shutdownReason})`;
        lines.push(`${domain.id} ${domain.name}: ${domain.vcpus.length} vcpus, ${domain.pages} pages${state}`);
      }
      return `${lines.join('\n') || 'none'}\n`;
    },
  },
  xenstore: {
    usage: 'xenstore [PATH]',
    help: 'nodes below PATH and what they hold',
    run: ({ timeline }, args) => {
      const { store } = timeline.session.toolstack.xenstored;
      const under = args.replace(/\/+$/, '');
      const lines: string[] = [];
      for (const path of [...store.paths()].sort()) {
        if (path !== under && !path.startsWith(`${under}/`)) continue;
        const text = Buffer.from(store.read(path)!.value).toString('latin1');
        lines.push(`${path} = ${JSON.stringify(text)}`);
      }
      return `${lines.slice(0, 500).join('\n') || 'nothing there'}\n`;
    },
  },
  physical: {
    usage: 'physical ADDRESS[:LENGTH]',
    help: "bytes of the current domain's guest-physical memory",
    run: (monitor, args) => {
      const vcpu = monitor.vcpu();
      if (!vcpu) return 'no vcpu is here\n';
      const { address, length } = parseMemory(args);
      const bytes = contents(monitor.timeline.session, translatePhysical(vcpu, Number(address), length));
      return `${bytes.length > 0 ? Buffer.from(bytes).toString('hex') : 'not RAM'}\n`;
    },
  },
  help: {
    usage: 'help',
    help: 'this list',
    run: () =>
      `${Object.values(COMMANDS)
        .map(({ usage, help }) => `monitor ${usage.padEnd(28)} ${help}`)
        .join('\n')}\n`,
  },
};

export class Monitor {
  readonly timeline: Timeline;
  readonly moved: () => void;
  /** The vcpu that commands mean. */
  readonly vcpu: () => Vcpu | undefined;

  constructor(timeline: Timeline, moved: () => void, vcpu: () => Vcpu | undefined) {
    this.timeline = timeline;
    this.moved = moved;
    this.vcpu = vcpu;
  }

  run(text: string): string {
    const [, name = '', args = ''] = /^\s*(\S*)\s*(.*?)\s*$/s.exec(text) ?? [];
    if (!Object.hasOwn(COMMANDS, name)) return `no such command: ${name}; monitor help lists them\n`;
    try {
      return COMMANDS[name]!.run(this, args);
    } catch (error) {
      if (error instanceof RangeError) return `${error.message}\n`;
      throw error;
    }
  }
}

/** `0x1000`, `0x1000:8`, `phys:0x1000:8`. @throws RangeError */
export function parseMemory(text: string): Pick<Watched, 'address' | 'length' | 'physical'> {
  const [, physical, address, length] = /^(phys:)?(0x[0-9a-f]{1,16}|\d{1,15})(?::(\d{1,4}))?$/i.exec(text) ?? [];
  const bytes = Number(length ?? 8);
  if (address === undefined || bytes < 1 || bytes > 4096) {
    throw new RangeError(`"${text.slice(0, 60)}" is no ADDRESS[:LENGTH], such as 0xffffffff81000000:8`);
  }
  return { address: BigInt(address), length: bytes, physical: physical !== undefined };
}

/** One write as a line. */
export function writeText(write: Write | undefined, name?: (rip: bigint) => string | undefined): string {
  if (write === undefined) return 'nobody wrote there since the domain was built';
  const little = (bytes: Uint8Array) => `0x${Buffer.from(bytes).reverse().toString('hex')}`;
  const symbol = name?.(write.rip);
  const by = write.outside
    ? 'the hypervisor or a back end'
    : `d${write.domain}v${write.vcpu} at 0x${write.rip.toString(16)}${symbol ? ` <${symbol}>` : ''}`;
  return `tick ${grouped(write.tick)}: ${by} wrote ${little(write.after)} over ${little(write.before)}`;
}

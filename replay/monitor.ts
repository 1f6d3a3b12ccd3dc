/** gdb's `monitor` commands: what a debugger of guests has no packets for. */
import type { Work } from '../src/debug/target.ts';
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import type { Session } from '../src/session.ts';
import { ToolstackError } from '../src/toolstack/domains.ts';
import { backtrace, frameText } from './backtrace.ts';
import { parseMemory } from './memory-text.ts';
import { contents, translatePhysical } from '../src/inspect/places.ts';

/** What commands see. */
export interface MonitorWorld {
  session(): Session;
  /** The vcpu that commands mean. */
  vcpu(): Vcpu | undefined;
}

export interface MonitorCommand {
  /** Arguments, as help shows them. */
  readonly usage: string;
  readonly help: string;
  /** @throws RangeError or ToolstackError for people */
  run(args: string): Work<string> | string;
}

const MAX_LINES = 200;
const NO_VCPU = 'no domain lives at this place\n';

export class Monitor {
  readonly #commands: Readonly<Record<string, MonitorCommand>>;

  /** The commands that there are for every target, and `more`. */
  constructor(world: MonitorWorld, more: Readonly<Record<string, MonitorCommand>>) {
    this.#commands = { ...more, ...looks(world), help: { usage: '', help: 'this list', run: () => this.#help() } };
  }

  *run(text: string): Work<string> {
    const [, name = '', args = ''] = /^\s*(\S*)\s*(.*?)\s*$/s.exec(text) ?? [];
    if (name === '') return this.#help();
    if (!Object.hasOwn(this.#commands, name)) {
      return `there is no command ${JSON.stringify(name.slice(0, 40))}; monitor help lists what there is\n`;
    }
    try {
      const result = this.#commands[name]!.run(args);
      return limited(typeof result === 'string' ? result : yield* result);
    } catch (error) {
      if (error instanceof RangeError || error instanceof ToolstackError) return `${error.message}\n`;
      throw error;
    }
  }

  #help(): string {
    const lines = Object.entries(this.#commands).map(([name, { usage, help }]) => {
      return `monitor ${`${name} ${usage}`.padEnd(34)} ${help}\n`;
    });
    return lines.join('');
  }
}

/** Commands that look at the machine as it stands. */
function looks(world: MonitorWorld): Readonly<Record<string, MonitorCommand>> {
  return {
    domains: {
      usage: '',
      help: 'domains that there are now, and their vcpus',
      run: () => domainsText(world.session()),
    },
    xenstore: {
      usage: '[PATH]',
      help: 'nodes of xenstore below PATH and what they hold',
      run: (path) => xenstoreText(world.session(), path),
    },
    physical: {
      usage: 'ADDRESS[:LENGTH]',
      help: "the domain's guest-physical memory",
      run: (args) => {
        const vcpu = world.vcpu();
        if (!vcpu) return NO_VCPU;
        const { address, length } = parseMemory(args);
        const bytes = contents(world.session(), translatePhysical(vcpu, Number(address), length));
        return bytes.length > 0 ? dump(Number(address), bytes) : `no RAM is at ${args}\n`;
      },
    },
    backtrace: {
      usage: '',
      help: "calls that led here; of Linux by the kernel's own unwind tables",
      run: () => {
        const vcpu = world.vcpu();
        if (!vcpu) return NO_VCPU;
        return backtrace(world.session(), vcpu)
          .map((frame, i) => `${frameText(frame, i)}\n`)
          .join('');
      },
    },
    xl: {
      usage: 'list | vcpu-list [DOMAIN]',
      help: "what an operator's command would show",
      run: (args) => world.session().look(args),
    },
  };
}

function domainsText(session: Session): string {
  const lines: string[] = [];
  for (const domain of session.xen.domains.guests()) {
    const state = domain.shutdownReason === undefined ? '' : `, shut down (reason ${domain.shutdownReason})`;
    lines.push(`${domain.id} ${domain.name}: ${domain.vcpus.length} vcpus, ${domain.pages} pages${state}\n`);
    for (const vcpu of domain.vcpus) {
      const where = vcpu.pcpu >= 0 ? `on pcpu ${vcpu.pcpu}` : 'on no pcpu';
      lines.push(`    vcpu ${vcpu.id}: ${vcpu.online ? (vcpu.blocked ? 'blocked' : 'runnable') : 'down'}, ${where}\n`);
    }
  }
  return lines.join('') || 'no domain lives at this place\n';
}

function xenstoreText(session: Session, path: string): string {
  const { store } = session.toolstack.xenstored;
  const under = path.replace(/\/+$/, '');
  const lines: string[] = [];
  for (const each of [...store.paths()].sort()) {
    if (each !== under && !each.startsWith(`${under}/`)) continue;
    const text = Buffer.from(store.read(each)!.value).toString('latin1');
    lines.push(`${each} = ${JSON.stringify(text)}\n`);
  }
  return lines.join('') || `xenstore has no node ${path} now\n`;
}

/** Sixteen bytes a line, with their characters. */
function dump(address: number, bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = Buffer.from(row)
      .toString('latin1')
      .replace(/[^\x20-\x7e]/g, '.');
    lines.push(`0x${(address + at).toString(16)}: ${hex.padEnd(47)}  ${text}\n`);
  }
  return lines.join('');
}

/** Long lists are cut, and say so. */
function limited(text: string): string {
  const lines = text.split('\n');
  if (lines.length - 1 <= MAX_LINES) return text;
  const left = lines.length - 1 - MAX_LINES;
  return `${lines.slice(0, MAX_LINES).join('\n')}\n… and ${left} lines more; ask for less\n`;
}

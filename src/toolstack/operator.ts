/**
 * xl's commands that make sense while a session runs. Those that change something are inputs: they go through the door
 * as text, so a recording holds what the operator asked, and its replay asks it again. Those that only look are none.
 */
import { type Toolstack, ToolstackError } from './domains.ts';
import type { Hypervisor } from './hypervisor-interface.ts';
import { listText, vcpuListText } from './xl-list.ts';

interface Command {
  /** What follows the command's name; its words are the arguments, those in brackets may be left out. */
  readonly usage: string;
  readonly does: string;
  /** Changes the machine: an input. */
  readonly run?: (toolstack: Toolstack, hypervisor: Hypervisor, args: readonly string[]) => void;
  /** Only looks. */
  readonly show?: (toolstack: Toolstack, hypervisor: Hypervisor, args: readonly string[]) => string;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  list: {
    usage: '[DOMAIN]',
    does: 'domains: memory, vcpus, state, time used',
    show: (t, h, [name]) => listText(t, h, name === undefined ? undefined : t.idOf(name)),
  },
  'vcpu-list': {
    usage: '[DOMAIN]',
    does: 'vcpus: processor, state, time used',
    show: (t, h, [name]) => vcpuListText(t, h, name === undefined ? undefined : t.idOf(name)),
  },
  create: {
    usage: '[-p] CONFIG',
    does: 'makes a domain of a configuration that the session knows, by its file or name; -p leaves it paused',
    run: (t, _h, args) => t.createKnown(args.at(-1)!, args[0] === '-p'),
  },
  shutdown: {
    usage: 'DOMAIN',
    does: 'asks the guest to power off',
    run: (t, _h, [name]) => t.requestShutdown(t.idOf(name!), 'poweroff'),
  },
  reboot: {
    usage: 'DOMAIN',
    does: 'asks the guest to reboot',
    run: (t, _h, [name]) => t.requestShutdown(t.idOf(name!), 'reboot'),
  },
  destroy: { usage: 'DOMAIN', does: 'ends it at once', run: (t, _h, [name]) => t.destroy(t.idOf(name!)) },
  pause: { usage: 'DOMAIN', does: 'stops its vcpus', run: (t, h, [name]) => h.pause(t.idOf(name!)) },
  unpause: { usage: 'DOMAIN', does: 'lets them go on', run: (t, h, [name]) => h.unpause(t.idOf(name!)) },
  'mem-set': {
    usage: 'DOMAIN MIB',
    does: "sets the memory that its balloon driver is to reach; 64, '64m' or '1g'",
    run: (t, _h, [name, size]) => t.setMemory(t.idOf(name!), mebibytes(size!)),
  },
  'vcpu-set': {
    usage: 'DOMAIN N',
    does: 'sets how many vcpus it is to have online, up to maxvcpus',
    run: (t, _h, [name, count]) => t.setVcpus(t.idOf(name!), Number(count)),
  },
  sysrq: {
    usage: 'DOMAIN KEY',
    does: "presses a Linux guest's magic key",
    run: (t, _h, [name, key]) => t.sysrq(t.idOf(name!), key!),
  },
};
export const OPERATOR_COMMANDS: readonly string[] = Object.keys(COMMANDS);

/** A line a command, for people. */
export const OPERATOR_HELP: string = Object.entries(COMMANDS)
  .map(([name, { usage, does }]) => `${`${name} ${usage}`.padEnd(22)} ${does}`)
  .join('\n');

/** A command that is one, with as many words as it wants. */
export interface OperatorCommand {
  /** As it stands on the log: one space between words, no `xl` in front. */
  readonly text: string;
  /** True if it is an input; false if it only looks. */
  readonly changes: boolean;
  readonly args: readonly string[];
}

/** Reads `mem-set web 64` or `xl mem-set web 64`. @throws ToolstackError */
export function parseOperator(text: string): OperatorCommand {
  const words = text
    .trim()
    .replace(/^xl(\s+|$)/, '')
    .split(/\s+/);
  const [name = '', ...args] = words;
  if (!Object.hasOwn(COMMANDS, name))
    throw new ToolstackError(
      `unknown command ${JSON.stringify(name.slice(0, 40))}; there are ${OPERATOR_COMMANDS.join(', ')}`,
    );
  const { usage, run } = COMMANDS[name]!;
  const flag = /^\[(-\w)\] /.exec(usage)?.[1];
  const slots = (flag === undefined ? usage : usage.slice(flag.length + 3)).split(' ').filter((slot) => slot !== '');
  const least = slots.filter((slot) => !slot.startsWith('[')).length;
  const given = flag !== undefined && args[0] === flag ? args.slice(1) : args;
  if (given.length < least || given.length > slots.length || given.some((arg) => arg.startsWith('-')))
    throw new ToolstackError(`write: xl ${name} ${usage}`);
  return { text: words.join(' '), changes: run !== undefined, args };
}

/** Does what an operator's input says. @throws ToolstackError */
export function operate(toolstack: Toolstack, hypervisor: Hypervisor, text: string): void {
  const { text: plain, args } = parseOperator(text);
  const { run } = COMMANDS[plain.split(' ')[0]!]!;
  if (!run) throw new ToolstackError(`${plain} changes nothing; it is no input`);
  run(toolstack, hypervisor, args);
}

/** What a command that only looks prints. @throws ToolstackError */
export function look(toolstack: Toolstack, hypervisor: Hypervisor, text: string): string {
  const { text: plain, args } = parseOperator(text);
  const { show } = COMMANDS[plain.split(' ')[0]!]!;
  if (!show) throw new ToolstackError(`${plain} does not only look`);
  return show(toolstack, hypervisor, args);
}

/** xl reads a plain number as MiB. NaN if it is no size. */
function mebibytes(text: string): number {
  const [, digits, unit = 'm'] = /^(\d+)([mMgG]?)$/.exec(text) ?? [];
  return Number(digits ?? Number.NaN) * (unit.toLowerCase() === 'g' ? 1024 : 1);
}

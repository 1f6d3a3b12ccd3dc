import { type Toolstack, ToolstackError } from './domains.ts';
import type { Hypervisor } from './hypervisor-interface.ts';

type Command = (toolstack: Toolstack, hypervisor: Hypervisor, id: number, argument: string) => void;

/** xl's commands that make sense while a session runs; each takes a domain's name or id. */
const COMMANDS: Readonly<Record<string, Command>> = {
  shutdown: (t, _h, id) => t.requestShutdown(id, 'poweroff'),
  reboot: (t, _h, id) => t.requestShutdown(id, 'reboot'),
  destroy: (t, _h, id) => t.destroy(id),
  pause: (_t, h, id) => h.pause(id),
  unpause: (_t, h, id) => h.unpause(id),
  'mem-set': (t, _h, id, argument) => t.setMemory(id, Number(argument)),
};
export const OPERATOR_COMMANDS: readonly string[] = Object.keys(COMMANDS);

/**
 * Does what an operator's input says: `shutdown web`, `mem-set web 64`. A leading `xl` is taken off.
 * @throws ToolstackError
 */
export function operate(toolstack: Toolstack, hypervisor: Hypervisor, text: string): void {
  const [command = '', name = '', argument = ''] = text
    .trim()
    .replace(/^xl\s+/, '')
    .split(/\s+/);
  if (!Object.hasOwn(COMMANDS, command))
    throw new ToolstackError(
      `unknown command ${JSON.stringify(command.slice(0, 40))}; there are ${OPERATOR_COMMANDS.join(', ')}`,
    );
  COMMANDS[command]!(toolstack, hypervisor, toolstack.idOf(name), argument);
}

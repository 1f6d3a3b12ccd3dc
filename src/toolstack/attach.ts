import { createHash } from 'node:crypto';
import type { EventLog } from '../log/append.ts';
import { NONE, XENSTORE_OPS } from '../log/kinds.ts';
import type { Plain } from '../machine/digest.ts';
import type { Machine } from '../machine/machine.ts';
import { Toolstack, ToolstackError, type ToolstackEvents } from './domains.ts';
import type { Hypervisor, ShutdownReason } from './hypervisor-interface.ts';
import { operate } from './operator.ts';
import type { ShutdownAction } from './xl/domain-config.ts';

/** What a session wants to hear at once, beside the log. */
export interface ToolstackListener {
  consoleOutput?(id: number, bytes: Uint8Array): void;
  created?(id: number, name: string, was: number | undefined): void;
  stopped?(id: number, name: string, reason: ShutdownReason, action: ShutdownAction): void;
  destroyed?(id: number, name: string): void;
  /** An operator's command could not be done. */
  refused?(text: string, why: string): void;
}

/** Puts a toolstack onto a machine: its events go onto the log, console input and operators' commands reach it. */
export function attachToolstack(machine: Machine, hypervisor: Hypervisor, listener: ToolstackListener = {}): Toolstack {
  const { log, door, digestSources } = machine;
  const toolstack = new Toolstack(hypervisor, logEvents(log, listener));
  door.handle('console-input', ({ domain, bytes }) => {
    toolstack.consoleInput(domain, bytes);
  });
  door.handle('packet', ({ bytes }) => toolstack.devices.fromOutside(bytes));
  door.handle('disk-content', ({ device, sha256 }) => {
    // The configuration names the content too; this is where a person finds it on the log.
    log.emit('note', { text: `${device} begins with ${Buffer.from(sha256).toString('hex')}` });
  });
  door.handle('operator', ({ text }) => {
    try {
      operate(toolstack, hypervisor, text);
    } catch (error) {
      if (!(error instanceof ToolstackError)) throw error;
      log.emit('note', { text: `xl ${text}: ${error.message}` });
      listener.refused?.(text, error.message);
    }
  });
  digestSources.push({ scope: 'xenstore', state: () => toolstack.digest() as unknown as Plain });
  return toolstack;
}

function logEvents(log: EventLog, listener: ToolstackListener): ToolstackEvents {
  return {
    built(domain, _config, { kernel }, { entry }) {
      const sha256 = createHash('sha256').update(kernel.bytes).digest();
      log.emitAt(domain.id, NONE, 'domain-build', { entry: BigInt(entry), image: kernel.name, sha256 });
    },
    stopped: (id, name, reason, action) => listener.stopped?.(id, name, reason, action),
    created: (id, name, was) => listener.created?.(id, name, was),
    destroyed: (id, name) => listener.destroyed?.(id, name),
    notRestarted(name, why) {
      log.emit('note', { text: `${name} cannot be restarted: ${why}` });
      listener.refused?.(`create ${name}`, why);
    },
    consoleOutput(id, bytes) {
      log.emitAt(id, NONE, 'console-output', { bytes });
      listener.consoleOutput?.(id, bytes);
    },
    storeOperation({ domain, op, transaction, error, path, value }) {
      const name = XENSTORE_OPS[op];
      const shown = name === undefined ? `type ${op}: ${value}` : value;
      log.emitAt(domain, NONE, 'xenstore', { op: name ?? 'error', transaction, error, path, value: shown });
    },
  };
}

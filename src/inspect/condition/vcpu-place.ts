/** A condition's place in a session: a vcpu's registers and its memory, as they are at each question. */
import { fromLittle } from '../../debug/registers.ts';
import type { Vcpu } from '../../hypervisor/vcpu.ts';
import type { Session } from '../../session.ts';
import { contents, translate, withVcpu } from '../places.ts';
import type { Place } from './evaluate.ts';

/** What of a condition a vcpu cannot answer, and whether its registers may be asked for. */
export interface Surroundings {
  readonly registers: boolean;
  readonly symbol: Place['symbol'];
  readonly printed: Place['printed'];
  readonly happening: Place['happening'];
}

export function vcpuPlace(session: Session, vcpu: Vcpu, surroundings: Surroundings): Place {
  const { registers, symbol, printed, happening } = surroundings;
  const { engine } = session;
  return {
    register: ({ name, read }) => {
      if (!registers) return undefined;
      // In the middle of a block the state's RIP is that of its start.
      if (name === 'rip' && engine.current === vcpu.slot) return engine.runningRip;
      return withVcpu(session, vcpu, () => read(engine.state));
    },
    memory: (address, length) => {
      const bytes = contents(session, translate(session, vcpu, address, length));
      return bytes.length === length ? fromLittle(bytes) : undefined;
    },
    symbol,
    printed,
    happening,
  };
}

import { filter, type OperatorFunction } from 'rxjs';
import type { EventOf, MachineEvent } from '../event.ts';
import type { KindName } from '../kinds.ts';

/**
 * Lets through events of the kinds named, and narrows their type.
 *
 *     log.events$.pipe(ofKind('evtchn-send')).subscribe((event) => console.log(event.port));
 */
export function ofKind<K extends KindName>(...kinds: readonly K[]): OperatorFunction<MachineEvent, EventOf<K>> {
  const wanted = new Set<string>(kinds);
  return filter((event: MachineEvent) => wanted.has(event.kind)) as unknown as OperatorFunction<
    MachineEvent,
    EventOf<K>
  >;
}

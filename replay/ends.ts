import type { Recording } from '../src/log/recording.ts';
import { selectEvents } from '../src/log/select.ts';

/** The last tick at which a domain lives: a recording that ended by itself has none at its very end. */
export function livingEnd(recording: Recording): number {
  let living = 0;
  let end = recording.lastTick;
  for (const event of selectEvents(recording, { kinds: ['domain-create', 'domain-destroy'] })) {
    living += event.kind === 'domain-create' ? 1 : -1;
    end = living === 0 ? Math.max(0, event.tick - 1) : recording.lastTick;
  }
  return end;
}

import type { Recording } from '../src/log/recording.ts';
import { selectEvents } from '../src/log/select.ts';

/**
 * The last tick at which a domain lives: a recording that ended by itself has none at its very end.
 * @param domain name or number of the one that is meant; without it, or if there never was such a one, any
 */
export function livingEnd(recording: Recording, domain?: string): number {
  const living = domainsAtStart(recording);
  let any = recording.lastTick;
  let one: number | undefined;
  const isMeant = (id: number, name: string | undefined) => name === domain || String(id) === domain;
  for (const [id, name] of living) if (isMeant(id, name)) one = recording.lastTick;
  for (const event of selectEvents(recording, { kinds: ['domain-create', 'domain-destroy'] })) {
    const { domain: id, tick } = event;
    if (event.kind === 'domain-create') {
      living.set(id, event.name);
      if (isMeant(id, event.name)) one = recording.lastTick;
    } else {
      if (isMeant(id, living.get(id))) one = Math.max(0, tick - 1);
      living.delete(id);
    }
    any = living.size === 0 ? Math.max(0, tick - 1) : recording.lastTick;
  }
  return one ?? any;
}

/** Names by number. A recording that begins at a snapshot begins with the domains that are built at first. */
function domainsAtStart({ header }: Recording): Map<number, string> {
  if (!header?.start) return new Map();
  const { domains } = (header.config ?? {}) as {
    domains?: readonly { readonly config?: { readonly name?: string }; readonly later?: string }[];
  };
  const names = (domains ?? []).filter(({ later }) => later === undefined).map(({ config }) => config?.name ?? '');
  return new Map(names.map((name, i) => [i + 1, name]));
}

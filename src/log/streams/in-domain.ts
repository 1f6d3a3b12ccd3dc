import { filter, type MonoTypeOperatorFunction } from 'rxjs';
import type { EventHead } from '../event.ts';

/**
 * Lets through events of the domains named.
 *
 *     log.events$.pipe(ofKind('hypercall'), inDomain(1));
 */
export function inDomain<E extends EventHead>(...domains: readonly number[]): MonoTypeOperatorFunction<E> {
  return filter((event) => domains.includes(event.domain));
}

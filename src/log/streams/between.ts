import { type MonoTypeOperatorFunction, Observable } from 'rxjs';
import type { EventHead } from '../event.ts';

/**
 * Lets through events with `from <= tick <= to`, and completes at the first event behind `to` (ticks never decrease),
 * so that a stream from a file stops reading there.
 *
 *     recording.events$().pipe(between(1_000_000, 2_000_000), ofKind('timer-fire'));
 */
export function between<E extends EventHead>(from: number, to: number): MonoTypeOperatorFunction<E> {
  return (source) =>
    new Observable((subscriber) =>
      source.subscribe({
        next(event) {
          if (event.tick > to) subscriber.complete();
          else if (event.tick >= from) subscriber.next(event);
        },
        error: (error) => subscriber.error(error),
        complete: () => subscriber.complete(),
      }),
    );
}

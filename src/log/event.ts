import type { Ticks } from '../base/ticks.ts';
import type { FieldType, FieldValues, KindName, KINDS } from './kinds.ts';

type ValueOf<T extends FieldType> = T extends keyof FieldValues
  ? FieldValues[T]
  : T extends readonly (infer Name)[]
    ? Name
    : never;

/** The fields of one kind, typed: `EventFields<'evtchn-send'>` is `{ port: number }`. */
export type EventFields<K extends KindName> = {
  readonly [F in keyof (typeof KINDS)[K]['fields']]: ValueOf<
    (typeof KINDS)[K]['fields'][F] extends FieldType ? (typeof KINDS)[K]['fields'][F] : never
  >;
};

/** What every event says. */
export interface EventHead {
  /** Place in the session's order, from 0 without gaps. */
  readonly seq: number;
  readonly tick: Ticks;
  readonly domain: number;
  /** -1 where no vcpu is concerned. */
  readonly vcpu: number;
  /** -1 where no processor is concerned. */
  readonly pcpu: number;
}

/** An event of one kind; of a union of kinds, the union of their events. */
export type EventOf<K extends KindName> = K extends KindName
  ? EventHead & { readonly kind: K } & EventFields<K>
  : never;

/** Any event: a union told apart by `kind`. */
export type MachineEvent = EventOf<KindName>;

/**
 * Conditions on a place in time, for `rexen when` and `rexen chaos --fail`:
 *
 *     rip == do_exit && rdi != 0             a vcpu is about to execute this, with such registers
 *     u32(jiffies) >= 0xfffedb10             memory: u8 u16 u32 u64, s8 s16 s32 s64, mem(ADDRESS, LENGTH); a name is an address
 *     u64(rsp + 8) == u64(saved) || cpl == 3 arithmetic + - * / % & | ^ << >> ~, comparisons, && || !, parentheses
 *     console:"Kernel panic"                 a console has printed this
 *     event domain-shutdown reason=crash     an event, with fields that have these values
 *
 * Numbers are whole numbers without bounds: registers and u64 are never negative, s32 may be. A value is a condition too:
 * not 0. What reads memory that is not mapped, or divides by 0, neither holds nor fails to hold.
 */
import type { KindName } from '../../log/kinds.ts';
import type { RegisterRef } from './register-names.ts';

export type BinaryOperator =
  | '||'
  | '&&'
  | '=='
  | '!='
  | '<='
  | '>='
  | '<'
  | '>'
  | '|'
  | '^'
  | '&'
  | '<<'
  | '>>'
  | '+'
  | '-'
  | '*'
  | '/'
  | '%';

export type Node =
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'symbol'; readonly name: string }
  | { readonly kind: 'register'; readonly register: RegisterRef }
  | { readonly kind: 'memory'; readonly address: Node; readonly length: number; readonly signed: boolean }
  | { readonly kind: 'unary'; readonly operator: '!' | '-' | '~'; readonly operand: Node }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly left: Node; readonly right: Node }
  | ConsoleAtom
  | EventAtom;

export interface ConsoleAtom {
  readonly kind: 'console';
  readonly text: string;
}

export interface EventAtom {
  readonly kind: 'event';
  readonly name: KindName;
  readonly fields: Readonly<Record<string, string>>;
}

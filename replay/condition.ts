/**
 * Conditions on a place in a recording, for `rexen when`:
 *
 *     rip == do_exit                          a vcpu is about to execute this (address or symbol)
 *     rip == do_exit && rdi != 0 && cr3 == 0x1000
 *     mem(jiffies) >= 4294892700              8 bytes of memory, unsigned; mem(ADDRESS, LENGTH) for 1, 2, 4
 *     console:"Kernel panic"                  a console has printed this
 *     event domain-shutdown reason=crash      an event, with fields that have these values
 */
import { kindNamed } from '../src/log/select.ts';
import type { KindName } from '../src/log/kinds.ts';

const OPERATORS = ['==', '!=', '<=', '>=', '<', '>', '&'] as const;
export type Operator = (typeof OPERATORS)[number];

export type Operand =
  | { readonly kind: 'register'; readonly name: string }
  | { readonly kind: 'memory'; readonly address: bigint; readonly length: number };

export interface Comparison {
  readonly left: Operand;
  readonly operator: Operator;
  readonly right: bigint;
}

export type Condition =
  | { readonly kind: 'mark'; readonly mark: string }
  | { readonly kind: 'event'; readonly name: KindName; readonly fields: Readonly<Record<string, string>> }
  | { readonly kind: 'state'; readonly all: readonly Comparison[] };

export const REGISTER_NAMES: readonly string[] = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
  ...Array.from({ length: 8 }, (_, i) => `r${i + 8}`),
  ...['rip', 'cr0', 'cr2', 'cr3', 'cr4', 'eflags', 'cpl'],
];

const MAX_TEXT = 4096;

/** @param address looks a symbol up. @throws RangeError for people */
export function parseCondition(text: string, address: (symbol: string) => bigint | undefined): Condition {
  const trimmed = text.trim();
  if (trimmed.length > MAX_TEXT) throw new RangeError('the condition is too long');
  if (trimmed.startsWith('console:')) return { kind: 'mark', mark: trimmed };
  const [, kind, rest] = /^event\s+(\S+)\s*(.*)$/.exec(trimmed) ?? [];
  if (kind !== undefined) return { kind: 'event', name: kindNamed(kind), fields: fieldsOf(rest!) };
  return { kind: 'state', all: trimmed.split('&&').map((part) => comparison(part.trim(), address)) };
}

function fieldsOf(text: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const part of text.split(/\s+/).filter(Boolean)) {
    const [, name, value] = /^([\w-]+)=(.*)$/.exec(part) ?? [];
    if (name === undefined) throw new RangeError(`"${part}" is no FIELD=VALUE`);
    fields[name] = value!;
  }
  return fields;
}

function comparison(text: string, address: (symbol: string) => bigint | undefined): Comparison {
  const [, left, operator, right] = /^(.+?)\s*(==|!=|<=|>=|<|>|&)\s*(\S+)$/.exec(text) ?? [];
  if (left === undefined) {
    throw new RangeError(`"${text}" is no condition; such as: rip == do_exit, mem(jiffies) > 5, console:"panic"`);
  }
  return { left: operand(left, address), operator: operator as Operator, right: value(right!, address) };
}

function operand(text: string, address: (symbol: string) => bigint | undefined): Operand {
  const [, place, length = '8'] = /^mem\(\s*([^,)]+?)\s*(?:,\s*(\d+)\s*)?\)$/.exec(text) ?? [];
  if (place !== undefined) {
    if (!['1', '2', '4', '8'].includes(length)) throw new RangeError(`memory is compared in 1, 2, 4 or 8 bytes`);
    return { kind: 'memory', address: value(place, address), length: Number(length) };
  }
  const name = text.replace(/^\$/, '').toLowerCase();
  if (REGISTER_NAMES.includes(name)) return { kind: 'register', name };
  throw new RangeError(`"${text}" is neither mem(ADDRESS) nor a register: ${REGISTER_NAMES.join(' ')}`);
}

function value(text: string, address: (symbol: string) => bigint | undefined): bigint {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return BigInt(text);
  const known = address(text);
  if (known === undefined) throw new RangeError(`the guest has no symbol ${text}`);
  return known;
}

export function compare(a: bigint, operator: Operator, b: bigint): boolean {
  switch (operator) {
    case '==':
      return a === b;
    case '!=':
      return a !== b;
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
    case '&':
      return (a & b) !== 0n;
  }
}

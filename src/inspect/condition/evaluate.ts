/** What a condition comes to, here and now. */
import type { ConsoleAtom, EventAtom, Node } from './node.ts';

/** What a condition is about: a vcpu, its memory, and what was seen on the log. */
export interface Place {
  /** undefined where registers mean nothing: between the instructions of several vcpus. */
  register(read: Extract<Node, { kind: 'register' }>['register']): bigint | undefined;
  /** undefined if it is not mapped. */
  memory(address: bigint, length: number): bigint | undefined;
  symbol(name: string): bigint | undefined;
  /** A console has printed this. */
  printed(atom: ConsoleAtom): boolean;
  /** This event is happening. */
  happening(atom: EventAtom): boolean;
}

/** True if it holds; a condition that cannot be told (memory that is not mapped) does not. */
export function holds(node: Node, place: Place): boolean {
  return truth(node, place) === true;
}

/** The value, undefined if it cannot be told. */
export function evaluate(node: Node, place: Place): bigint | undefined {
  switch (node.kind) {
    case 'number':
      return node.value;
    case 'symbol':
      return place.symbol(node.name);
    case 'register':
      return place.register(node.register);
    case 'memory': {
      const address = evaluate(node.address, place);
      const value = address === undefined ? undefined : place.memory(BigInt.asUintN(64, address), node.length);
      return value !== undefined && node.signed ? BigInt.asIntN(8 * node.length, value) : value;
    }
    case 'unary': {
      if (node.operator === '!') return bit(not(truth(node.operand, place)));
      const value = evaluate(node.operand, place);
      if (value === undefined) return undefined;
      return node.operator === '-' ? -value : BigInt.asUintN(64, ~value);
    }
    case 'binary':
      return binary(node, place);
    case 'console':
      return bit(place.printed(node));
    case 'event':
      return bit(place.happening(node));
  }
}

/** `undefined` is "cannot be told", and is not taken for false: `!(u8(0) == 1)` does not hold either. */
function truth(node: Node, place: Place): boolean | undefined {
  const value = evaluate(node, place);
  return value === undefined ? undefined : value !== 0n;
}

function not(value: boolean | undefined): boolean | undefined {
  return value === undefined ? undefined : !value;
}

function bit(value: boolean | undefined): bigint | undefined {
  return value === undefined ? undefined : value ? 1n : 0n;
}

function binary(node: Extract<Node, { kind: 'binary' }>, place: Place): bigint | undefined {
  const { operator } = node;
  if (operator === '&&' || operator === '||') {
    // One side may decide alone.
    const decides = operator === '||';
    const left = truth(node.left, place);
    if (left === decides) return bit(left);
    const right = truth(node.right, place);
    return bit(right === decides ? right : left === undefined ? undefined : right);
  }
  const a = evaluate(node.left, place);
  const b = evaluate(node.right, place);
  return a === undefined || b === undefined ? undefined : arithmetic(operator, a, b);
}

const MAX_SHIFT = 64n;

function arithmetic(
  operator: Exclude<Extract<Node, { kind: 'binary' }>['operator'], '&&' | '||'>,
  a: bigint,
  b: bigint,
): bigint | undefined {
  switch (operator) {
    case '==':
      return bit(a === b);
    case '!=':
      return bit(a !== b);
    case '<':
      return bit(a < b);
    case '<=':
      return bit(a <= b);
    case '>':
      return bit(a > b);
    case '>=':
      return bit(a >= b);
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '<<':
      return b >= 0n && b <= MAX_SHIFT ? bounded(a << b) : undefined;
    case '>>':
      return b >= 0n && b <= MAX_SHIFT ? a >> b : undefined;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return bounded(a * b);
    case '/':
      return b === 0n ? undefined : a / b;
    case '%':
      return b === 0n ? undefined : a % b;
  }
}

/** Numbers without bounds, but not without end: what is beyond 4096 bits can be told by nobody. */
function bounded(value: bigint): bigint | undefined {
  return value >> 4096n === 0n || value >> 4096n === -1n ? value : undefined;
}
